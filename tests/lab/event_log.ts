/**
 * The MPTCP events of a host as three programs saw them: this library, `ip mptcp monitor`, and a Python program that passes
 * over no attribute. A test that takes the library's can have all compared.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import { assertEquals } from "@std/assert";
import type { PathEvent } from "../../mod.ts";
import type { Child } from "../child.ts";
import type { Host } from "../host.ts";
import type { Agent } from "./remote.ts";
import { until } from "./until.ts";

/** An event by the names and numbers of the kernel, as events.py writes them. */
type Attributes = Record<string, string | number>;

/** `enum mptcp_event_type` */
const NUMBERS: Readonly<Record<PathEvent["type"], number>> = {
  created: 1,
  established: 2,
  closed: 3,
  announced: 6,
  removed: 7,
  subflowEstablished: 10,
  subflowClosed: 11,
  subflowPriority: 13,
  listenerCreated: 15,
  listenerClosed: 16,
  unknown: -1,
};

/** What `ip mptcp monitor` calls them. Older versions have no name for the last two, and tell nothing but the number. */
const IP_NAMES: Readonly<Record<string, number>> = {
  CREATED: 1,
  ESTABLISHED: 2,
  CLOSED: 3,
  ANNOUNCED: 6,
  REMOVED: 7,
  SF_ESTABLISHED: 10,
  SF_CLOSED: 11,
  SF_PRIO: 13,
  LISTENER_CREATED: 15,
  LISTENER_CLOSED: 16,
};

/** What `ip mptcp monitor` calls attributes, and in which notation. */
const IP_KEYS: Readonly<Record<string, readonly [name: string, base: 10 | 16]>> = {
  token: ["token", 16],
  remid: ["rem_id", 10],
  locid: ["loc_id", 10],
  sport: ["sport", 10],
  dport: ["dport", 10],
  backup: ["backup", 10],
  error: ["error", 10],
  flags: ["flags", 16],
  timeout: ["timeout", 10],
  ifindex: ["if_idx", 10],
  reset_reason: ["reset_reason", 10],
  reset_flags: ["reset_flags", 16],
};

/** The library's writing of an address: it tells IPv4 of an IPv6 socket as IPv4. */
const plain = (address: string) => address.replace(/^::ffff:(?=\d+\.)/, "");

/** An event of ours, in the kernel's words. */
function attributesOf(event: PathEvent): Attributes {
  const result: Attributes = { event: NUMBERS[event.type] };
  const put = (name: string, value: string | number | boolean | undefined) => {
    if (value !== undefined) result[name] = typeof value === "boolean" ? Number(value) : value;
  };
  if ("token" in event) put("token", event.token);
  if ("family" in event) put("family", event.family);
  if ("localId" in event) put("loc_id", event.localId);
  if ("remoteId" in event) put("rem_id", event.remoteId);
  if ("local" in event) {
    put("saddr", event.local.hostname);
    put("sport", event.local.port);
  }
  if ("remote" in event) {
    put("daddr", event.remote.hostname);
    put("dport", event.remote.port);
  }
  if ("backup" in event) put("backup", event.backup);
  if ("interfaceIndex" in event) put("if_idx", event.interfaceIndex);
  if ("error" in event && event.error) put("error", -event.error.errno);
  if ("resetReason" in event) put("reset_reason", event.resetReason?.code);
  if ("resetFlags" in event) put("reset_flags", event.resetFlags);
  if ("timeout" in event) put("timeout", event.timeout);
  if (event.type === "created" || event.type === "established") {
    put("flags", event.flags || undefined);
    put("server_side", event.serverSide);
    assertEquals(event.denyJoinId0, (event.flags & 1) !== 0);
  }
  return result;
}

/** An event of the Python program's, but for what is said in two ways, or by absence. */
function fromPython(given: Attributes): Attributes {
  const { flags = 0, server_side = 0, ...rest } = given;
  const result: Attributes = flags ? { ...rest, flags } : rest;
  if (given["event"] === 1 || given["event"] === 2) result["server_side"] = server_side || (Number(flags) & 2) >> 1;
  else if ("server_side" in given) result["server_side"] = server_side;
  for (const name of ["saddr", "daddr"]) {
    if (name in result) result[name] = plain(`${result[name]}`);
  }
  return result;
}

/** A line of `ip mptcp monitor`: `[SF_CLOSED] token=… saddr4=… …`, or `[UNKNOWN 15]`. */
function fromIp(line: string): Attributes {
  const [, name, rest] = /^\[ *([A-Z_]+(?: \d+)?)\](.*)$/.exec(line)!;
  const unknown = /^UNKNOWN (\d+)$/.exec(name!);
  if (unknown) return { event: Number(unknown[1]) };
  const result: Attributes = { event: IP_NAMES[name!]! };
  for (const word of rest!.trim().split(/\s+/)) {
    const [key, value] = word.split("=") as [string, string];
    const side = /^([sd]addr)[46]$/.exec(key);
    if (side) result[side[1]!] = plain(value);
    const known = IP_KEYS[key];
    if (known) result[known[0]] = parseInt(value, known[1]);
  }
  return result;
}

/** As much of an event as `ip` tells: not the family, nor the server's side twice, and of listeners perhaps nothing. */
function asIp({ family: _family, server_side: _side, ...rest }: Attributes, numbersOnly: ReadonlySet<unknown>): Attributes {
  return numbersOnly.has(rest["event"]) ? { event: rest["event"]! } : rest;
}

/** In an order of their own: two events of one moment may reach the programs in different orders. */
function sorted(events: readonly Attributes[]): Attributes[] {
  const text = (event: Attributes) => JSON.stringify(Object.entries(event).sort());
  return [...events].sort((a, b) => text(a) < text(b) ? -1 : 1);
}

const EVENTS_PY = fileURLToPath(new URL("../peers/events.py", import.meta.url));

/** See the module's comment. */
export class EventLog {
  readonly #agent: Agent;
  readonly #ip: string[] = [];
  readonly #python: Attributes[] = [];
  readonly #taken = new Set<number>();

  private constructor(agent: Agent) {
    this.#agent = agent;
  }

  /** Begins to watch; whatever happens from now on is seen by all three. */
  static async start(host: Host, agent: Agent): Promise<EventLog> {
    const log = new EventLog(agent);
    const [ip, python] = [host.spawn("ip", ["mptcp", "monitor"]), host.spawn("python3", [EVENTS_PY])];
    await python.json<{ ready: true }>();
    await agent.run(async ({ watch, here, until }) => {
      const events: unknown[] = [];
      Object.assign(here, { events });
      const watching = watch();
      (async () => {
        for await (const event of watching) events.push(event);
      })();
      // `ip` does not say when it is ready: it is one of three sockets in a group of generic netlink (16).
      const { readFileSync } = await import("node:fs");
      const rows = () => readFileSync("/proc/self/net/netlink", "utf8").split("\n").map((row) => row.trim().split(/\s+/));
      await until(() =>
        rows().filter(([, protocol, , groups]) => protocol === "16" && /[1-9a-f]/.test(groups!)).length >= 3
      );
    });
    log.#read(ip, (line) => log.#ip.push(line));
    log.#read(python, (line) => log.#python.push(JSON.parse(line) as Attributes));
    return log;
  }

  async #read(child: Child, take: (line: string) => void): Promise<void> {
    for await (const line of child) take(line);
  }

  /** Waits for an event of the library's that has these members, and was not taken before. */
  async take<T extends PathEvent["type"]>(
    type: T,
    members: Partial<Extract<PathEvent, { type: T }>> = {},
  ): Promise<Extract<PathEvent, { type: T }>> {
    const [index, event] = await this.#agent.run(({ here, until }, { wanted, taken }) => {
      const same = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);
      const fits = (event: object, index: number) =>
        !taken.includes(index) && Object.entries(wanted).every(([name, value]) => same(event[name as never], value));
      const { events } = here as unknown as { events: PathEvent[] };
      return until(() => {
        const index = events.findIndex(fits);
        return index >= 0 && [index, events[index]!] as const;
      }).catch(() => {
        throw new Error(`No ${JSON.stringify(wanted)} among ${events.map((event) => JSON.stringify(event)).join("\n")}`);
      });
    }, { wanted: { type, ...members }, taken: [...this.#taken] });
    this.#taken.add(index);
    return event as Extract<PathEvent, { type: T }>;
  }

  /**
   * Compares everything that the three have seen so far, attribute by attribute.
   *
   * @returns The library's events, without those by which this notices that all is there.
   */
  async compare(): Promise<PathEvent[]> {
    const last = await this.#agent.run(({ listen }) => {
      using listener = listen({ hostname: "127.0.0.1", port: 0 });
      return listener.addr;
    });
    await this.take("listenerClosed", { local: last });
    const ours = await this.#agent.run(({ here }) => (here as unknown as { events: PathEvent[] }).events);
    const isLast = ({ event, sport }: Attributes) => event === NUMBERS.listenerClosed && sport === last.port;
    await until(() => this.#python.some(isLast) && this.#python.length >= ours.length && this.#ip.length >= ours.length);

    const expected = ours.map(attributesOf);
    assertEquals(sorted(expected), sorted(this.#python.map(fromPython)));
    const byIp = this.#ip.map(fromIp);
    const numbersOnly = new Set(byIp.filter((event) => Object.keys(event).length === 1).map(({ event }) => event));
    assertEquals(sorted(expected.map((each) => asIp(each, numbersOnly))), sorted(byIp));
    return ours.filter((event) => !("local" in event) || event.local.port !== last.port);
  }
}
