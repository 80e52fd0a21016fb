/**
 * A lab with one connection, and what both its ends can be looked at by: the library's own words, its events and those of
 * two other programs, `ss`.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import type { Host } from "../host.ts";
import { addressOf, Lab } from "../lab.ts";
import { EventLog } from "./event_log.ts";
import { Agent } from "./remote.ts";
import { compareWithSs, listed } from "./ss_oracle.ts";

/** Who manages the paths of an end. */
type Manager = "kernel" | "userspace";

/** What the connection is to be like. */
export interface EndsOptions {
  /** Who manages the client's paths. @default {"userspace"} */
  client?: Manager;
  /** Who manages the server's paths. @default {"userspace"} */
  server?: Manager;
  /** Where the server listens. @default {"0.0.0.0"} */
  at?: string;
  /** Where the client connects to. @default {addressOf("server", 1)} */
  to?: string;
  /** What is to be done with the lab before. */
  prepare?(lab: Lab): Promise<unknown>;
}

/** An address and a port, as commands want them. */
export interface Place {
  address: string;
  port: number;
}

/** One end of the connection. */
export interface End {
  host: Host;
  agent: Agent;
  events: EventLog;
  token: number;
}

/** A subflow as the library tells it, of one end. */
export interface SeenSubflow {
  local: Place;
  remote: Place;
  localId: number | undefined;
  remoteId: number | undefined;
  backup: boolean | undefined;
}

/** The whole. */
export interface Ends extends AsyncDisposable {
  lab: Lab;
  client: End;
  server: End;
  /** The server's port. */
  port: number;
  /** The client's port. */
  localPort: number;
}

/** Opens a lab, and in it a connection through which something has gone there and back. */
export async function openEnds(options: EndsOptions = {}): Promise<Ends> {
  const { client = "userspace", server = "userspace", at = "0.0.0.0", to = addressOf("server", 1) } = options;
  const lab = await Lab.open({ endpoints: false });
  try {
    await options.prepare?.(lab);
    const begin = async (host: Host, manager: Manager) => {
      await host.sysctl("net.mptcp.path_manager", manager);
      const agent = Agent.start(host);
      // Also, without a subscriber the kernel refuses joins of connections that a program manages.
      return { host, agent, events: await EventLog.start(host, agent) };
    };
    const [near, far] = await Promise.all([begin(lab.client, client), begin(lab.server, server)]);
    const port = await far.agent.run(({ listen, here }, hostname) => {
      here.listener = listen({ hostname, port: 0 });
      here.later = here.listener.accept().then(async (conn) => {
        here.conn = conn;
        const block = new Uint8Array(1000);
        await conn.write(block.subarray(0, (await conn.read(block))!));
        return conn.token;
      });
      return here.listener.addr.port;
    }, at);
    const [token, localPort] = await near.agent.run(async ({ connect, here }, options) => {
      const conn = here.conn = await connect({ ...options, mptcp: "require" });
      await conn.write(new Uint8Array(10));
      await conn.read(new Uint8Array(10));
      return [conn.token!, conn.localAddr.port] as const;
    }, { hostname: to, port });
    const theirs = await far.agent.run(({ here }) => here.later) as number;
    await near.events.take("established", { token });
    await far.events.take("established", { token: theirs });
    return {
      lab,
      client: { ...near, token },
      server: { ...far, token: theirs },
      port,
      localPort,
      [Symbol.asyncDispose]: () => lab[Symbol.asyncDispose](),
    };
  } catch (error) {
    await lab[Symbol.asyncDispose]();
    throw error;
  }
}

/** The subflows of one end in the order of their making, as soon as that many are established. */
export async function subflowsOf({ agent, token }: Pick<End, "agent" | "token">, count: number): Promise<SeenSubflow[]> {
  return await agent.run(async ({ here, until }, { count, token }) => {
    if (here.conn.token !== token) throw new Error("Another connection");
    const all = await until(() => {
      const now = here.conn.subflows();
      return now.length === count && now.every(({ state }) => state === "ESTABLISHED") && now;
    });
    const place = ({ hostname, port }: { hostname: string; port: number }) => ({ address: hostname, port });
    return all.map(({ local, remote, localId, remoteId, backup }) => {
      return { local: place(local), remote: place(remote), localId, remoteId, backup };
    });
  }, { count, token });
}

/**
 * Compares the subflows of both ends with each other, and with what `connections()` and `ss` tell.
 *
 * @returns The client's.
 */
export async function compareSubflows({ client, server }: Ends, count: number): Promise<SeenSubflow[]> {
  const [ours, theirs] = [await subflowsOf(client, count), await subflowsOf(server, count)];
  const byPort = (a: SeenSubflow, b: SeenSubflow) => a.local.port - b.local.port || a.remote.port - b.remote.port;
  const turned = theirs.map((each): SeenSubflow => {
    return { ...mirrored(each), localId: each.remoteId, remoteId: each.localId, backup: each.backup };
  });
  assertEquals(turned.sort(byPort), [...ours].sort(byPort));
  for (const [end, seen] of [[client, ours], [server, theirs]] as const) {
    const list = await listed(end.agent);
    await compareWithSs(end.host, list);
    const { subflows } = list.find(({ token }) => token === end.token)!;
    const bare = ({ local, remote, localId, remoteId, backup }: typeof subflows[number]): SeenSubflow => {
      const place = ({ hostname: address, port }: typeof local): Place => ({ address, port });
      return { local: place(local), remote: place(remote), localId, remoteId, backup };
    };
    assertEquals(subflows.map(bare).sort(byPort), [...seen].sort(byPort));
  }
  return ours;
}

/** The same subflow as the other end names it. */
export function mirrored({ local, remote }: { local: Place; remote: Place }): { local: Place; remote: Place } {
  return { local: remote, remote: local };
}

/** Sends something there and back. */
export async function echo({ client, server }: Ends): Promise<void> {
  const received = server.agent.run(async ({ here }) => {
    const block = new Uint8Array(100_000);
    for (let count = 0; count < block.length;) count += (await here.conn.read(block.subarray(count)))!;
    await here.conn.write(block.subarray(0, 5));
  });
  const count = await client.agent.run(async ({ here, send }) => {
    await send(here.conn, 100_000);
    return await here.conn.read(new Uint8Array(10));
  });
  await received;
  assertEquals(count, 5);
}
