/**
 * Paths that come back.
 *
 * @module
 */
import type { ConnSubflowEvent, SubflowOpened } from "../net/conn_events.ts";
import type { Policy, PolicyContext, PolicyHooks, PolicySubflowClosed } from "../net/policy.ts";
import type { Subflow } from "../paths/connection.ts";
import type { HostInterface } from "../paths/host_view.ts";
import { type PathCandidate, pathKey, plain } from "../paths/path_candidates.ts";
import { whereIs } from "./match.ts";
import { checkAmount, checkRemotes, type RemoteOptions } from "./options.ts";
import { PulseTaker } from "./pulse.ts";
import { Reception } from "./reception.ts";
import { Retries } from "./retries.ts";

/** Options of `selfHealing`. */
export interface SelfHealingOptions extends RemoteOptions {
  /**
   * A path that leaves what was sent without any acknowledgement for so long is dead, ms; for one with a long round trip it is
   * two of its timeouts, if that is more.
   *
   * @default {600}
   */
  deadAfter?: number;
  /**
   * The longest pause between two tries of a path that is away, ms.
   *
   * @default {30000}
   */
  longestPause?: number;
}

/** How often paths are looked at while they are in use, and while they are not, ms. */
const LOOK = 100;
const LOOK_IDLE = 300;
/** A try is given up after so many ms, or four round trips: the next one finds a path that came back meanwhile. */
const TRY = 400;
/** How long a path that is asked whether it is alive has for its answer, ms, or four round trips. */
const ANSWER = 200;
/** For how long a peer that was told to forget an address may still close what came after, ms. */
const FAREWELL = 2000;
/** How long the event of a subflow's end, which says whether that was on purpose, may take after the subflow is gone, ms. */
const EVENT_PATIENCE = 1000;
/** A subflow that lived shorter than that did not heal anything, ms. */
const SOUND = 1000;

/**
 * Brings lost paths back: whatever subflow a connection had, opened by the program, by another policy or with the connection
 * itself, is opened again when it is lost, until it is closed on purpose.
 *
 * - A reset path is tried again at once, then after pauses that grow with the time that it is away, by a quarter of it.
 * - When a link goes down or an address goes, its subflows are closed, so that their bytes take other paths at once; when it
 *   comes back, or the interface has another address, they are opened again.
 * - A path that falls silent without a word is found by its counters within a second, as long as something is sent over it, and
 *   closed. One over which the peer's bytes come no more, while others bring them, is asked by a subflow that is opened on trial.
 *   Where eBPF is allowed, the kernel watches too (TCP_USER_TIMEOUT), should this process be busy.
 * - The last path is never closed, dead or not. When all are gone, every path there could be is tried: the connection lives on
 *   for `net.mptcp.close_timeout`, 60 s.
 *
 * On a server it closes dead paths; opening them is up to the client.
 *
 * @throws {TypeError} When an option has the wrong type.
 * @throws {RangeError} When a number is out of range.
 *
 * @example
 * ```ts ignore
 * import { connect } from "@mptcp/mptcp";
 * import { fullMesh, selfHealing } from "@mptcp/mptcp/policy";
 *
 * using conn = await connect({ hostname: "server.example", port: 8080, paths: "userspace" });
 * conn.use(fullMesh());
 * conn.use(selfHealing());
 * ```
 */
export function selfHealing(options: SelfHealingOptions = {}): Policy {
  const remotes = checkRemotes(options);
  const { deadAfter = 600, longestPause = 30_000 } = options;
  checkAmount("deadAfter", deadAfter);
  checkAmount("longestPause", longestPause);
  return {
    name: "selfHealing",
    manages: true,
    attach: (context) => new Healer(context, remotes, deadAfter, longestPause).hooks(),
  };
}

/** A path that the connection is to have. */
interface Wanted {
  localAddress: string;
  remoteAddress: string;
  remotePort: number;
  remoteId: number | undefined;
  interface: string | undefined;
  backup: boolean;
  /** How many subflows it is to have. */
  count: number;
  /** Its round trip, as it was seen last, ms. */
  rtt: number;
  /** Whether the peer has withdrawn its address. */
  withdrawn: boolean;
}

/** What is known of a live subflow. */
interface Live {
  /** Its path. */
  key: string;
  since: number;
  /** Since when it is gone, while the event of its end is awaited. */
  gone: number | null;
  pulse: PulseTaker;
  reception: Reception;
  dead: string | null;
  /** That a trial got no answer; stays true until something comes. */
  unanswered: boolean;
  /** What TCP_USER_TIMEOUT was set to. */
  timeout: number;
}

class Healer {
  readonly #context: PolicyContext;
  readonly #remotes: readonly string[];
  readonly #deadAfter: number;
  readonly #retries: Retries;
  readonly #wanted = new Map<string, Wanted>();
  readonly #live = new Map<number, Live>();
  /** Trials under way, and the subflow that each is about. */
  readonly #trials = new Map<PathCandidate, number>();
  /** Subflows that are closed here, because they are dead. */
  readonly #closing = new Set<number>();
  /** When the peer was told to forget an address. */
  readonly #farewells = new Map<string, number>();
  #host: HostInterface[];
  /** Whether the kernel lets us set an option of one subflow. */
  #mayTune = true;

  constructor(context: PolicyContext, remotes: readonly string[], deadAfter: number, longest: number) {
    this.#context = context;
    this.#remotes = remotes;
    this.#deadAfter = deadAfter;
    this.#retries = new Retries({ shortest: TRY, longest });
    this.#host = context.interfaces();
    for (const row of context.subflows()) this.#learn(row);
    this.#look();
  }

  hooks(): PolicyHooks {
    return {
      subflowOpened: (event) => this.#opened(event),
      subflowClosed: (event) => this.#closed(event),
      addressAnnounced: ({ remote }) => this.#announced(plain(remote.hostname)),
      addressWithdrawn: ({ remoteId }) => this.#withdrawn(remoteId),
      openFailed: (candidate, error) => this.#failed(candidate, error),
      hostChanged: () => this.#hostChanged(),
      tick: () => this.#look(),
      detach: () => this.#untune(),
    };
  }

  /** The connection has this subflow, and is to have it. */
  #learn(row: Pick<Subflow, "local" | "remote" | "remoteId" | "backup">): void {
    const [localAddress, remoteAddress] = [plain(row.local.hostname), plain(row.remote.hostname)];
    const key = pathKey(localAddress, remoteAddress);
    const { interface: device } = whereIs(row, { interfaces: () => this.#host });
    const known = this.#wanted.get(key);
    const count = Math.max(known?.count ?? 0, this.#rowsOf(key).length, 1);
    this.#wanted.set(key, {
      localAddress,
      remoteAddress,
      remotePort: row.remote.port,
      remoteId: row.remoteId ?? known?.remoteId,
      interface: device ?? known?.interface,
      backup: row.backup ?? known?.backup ?? false,
      count,
      rtt: known?.rtt ?? 0,
      withdrawn: false,
    });
  }

  #rowsOf(key: string): Subflow[] {
    return this.#context.subflows().filter(({ local, remote }) => pathKey(local.hostname, remote.hostname) === key);
  }

  #opened(event: SubflowOpened): void {
    const key = pathKey(event.local.hostname, event.remote.hostname);
    if (![...this.#trials.keys()].some((trial) => keyOf(trial) === key)) this.#learn(event);
    this.#look();
  }

  #closed(event: PolicySubflowClosed): void {
    const { id } = event;
    if (id === undefined) return; // one that was only tried
    const live = this.#live.get(id);
    this.#live.delete(id);
    const key = pathKey(event.local.hostname, event.remote.hostname);
    const wanted = this.#wanted.get(key);
    if (wanted === undefined) return;
    const now = this.#context.now();
    const wasDead = live !== undefined && live.dead !== null;
    if (this.#closing.delete(id) || wasDead) {
      // closed here or by the peer that was told, to be opened again
    } else if (event.asked || (event.error === undefined && event.resetReason === undefined && !this.#isLate(event, now))) {
      // On purpose, by this end or in order by the other.
      if (--wanted.count <= 0) this.#wanted.delete(key);
    } else {
      this.#note(event, `lost: ${event.error?.code ?? event.resetReason?.code ?? "the peer forgot its address"}`);
      if (live === undefined || now - live.since < SOUND) this.#retries.tried(key, now);
      // The kernel has given it up in silence: the peer has it still, and counts it.
      if (event.error?.code === "ETIMEDOUT") {
        this.#farewell(plain(event.local.hostname), this.#context.subflows(), "it timed out");
      }
    }
    this.#look();
  }

  /** Whether the peer meant an earlier subflow of that address: what we told it by another path took longer. */
  #isLate({ local }: ConnSubflowEvent, now: number): boolean {
    return now - (this.#farewells.get(plain(local.hostname)) ?? -Infinity) < FAREWELL;
  }

  #note({ id, local, remote }: ConnSubflowEvent, reason: string): void {
    const about = { local: plain(local.hostname), remote: plain(remote.hostname) };
    this.#context.note(reason, id === undefined ? about : { subflow: id, ...about });
  }

  #announced(address: string): void {
    for (const wanted of this.#wanted.values()) if (wanted.remoteAddress === address) wanted.withdrawn = false;
    this.#look();
  }

  #withdrawn(remoteId: number): void {
    for (const wanted of this.#wanted.values()) if (wanted.remoteId === remoteId) wanted.withdrawn = true;
  }

  /** Another policy's attempt is to be repeated as well. */
  #failed(candidate: PathCandidate, error: unknown): void {
    const asked = this.#trials.get(candidate);
    if (asked !== undefined) return this.#judge(asked, error);
    const { localAddress, remoteAddress, remotePort, interface: device } = candidate;
    const key = pathKey(localAddress, remoteAddress);
    if (this.#wanted.has(key)) return;
    const common = { localAddress, remoteAddress, remotePort, interface: device };
    this.#wanted.set(key, { ...common, remoteId: undefined, backup: false, count: 1, rtt: 0, withdrawn: false });
    this.#retries.tried(key, this.#context.now());
    this.#look();
  }

  #hostChanged(): void {
    this.#host = this.#context.interfaces();
    this.#retries.reset();
    this.#look();
  }

  /** Looks at everything: who is dead, what is missing, what can be done. */
  #look(): void {
    const context = this.#context;
    const now = context.now();
    const rows = context.subflows();
    const present = new Set(rows.map(({ id }) => id));
    for (const [id, live] of this.#live) {
      if (present.has(id)) continue;
      live.gone ??= now;
      if (now - live.gone > EVENT_PATIENCE) this.#live.delete(id);
    }
    let busy = false;
    for (const row of rows) {
      const live = this.#live.get(row.id) ?? this.#meet(row, now);
      const { silence, dead } = live.pulse.take(row.tcpInfo, now);
      if (live.reception.look(row.tcpInfo.bytesReceived ?? 0, now)) {
        busy = true;
        live.unanswered = false;
      }
      const before = live.dead;
      live.dead = this.#stranded(row) ?? (dead ? `it is silent, no acknowledgement for ${silence} ms` : null) ??
        (live.unanswered ? "it is silent, nothing comes and a trial got no answer" : null);
      if (live.dead === null && before !== null) this.#note(row, "it answers again");
      busy ||= (row.tcpInfo.unacked ?? 0) > 0;
      const key = pathKey(row.local.hostname, row.remote.hostname);
      const wanted = this.#wanted.get(key);
      if (wanted && row.tcpInfo.rtt && live.dead === null) wanted.rtt = row.tcpInfo.rtt / 1000;
      if (live.dead === null && now - live.since >= SOUND) this.#retries.succeeded(key);
      if (live.dead !== null && before === null && rows.length === 1) {
        this.#note(row, `the only path seems dead, and is kept while there is no other: ${live.dead}`);
      }
    }
    const alive = rows.filter(({ id }) => this.#live.get(id)?.dead === null);
    for (const row of rows) if (alive.length > 0 && !alive.includes(row)) this.#bury(row, alive);
    if (context.side === "client") { for (const row of alive) this.#suspect(row, alive, now); }
    this.#tune(alive);
    const missing = context.side === "client" && this.#reopen(rows, alive);
    context.wake(busy || missing ? LOOK : LOOK_IDLE);
  }

  #meet({ id, local, remote }: Subflow, now: number): Live {
    const live: Live = {
      key: pathKey(local.hostname, remote.hostname),
      since: now,
      gone: null,
      pulse: new PulseTaker(this.#deadAfter),
      reception: new Reception(),
      dead: null,
      unanswered: false,
      timeout: 0,
    };
    this.#live.set(id, live);
    return live;
  }

  /**
   * A path over which nothing comes any more, while others bring something, is dead or not needed: an answer to a new
   * subflow tells. That one is a backup, so that it carries nothing.
   */
  #suspect(row: Subflow, alive: readonly Subflow[], now: number): void {
    const receptionOf = ({ id }: Subflow) => this.#live.get(id)!.reception;
    const reception = receptionOf(row);
    const key = pathKey(row.local.hostname, row.remote.hostname);
    if (!reception.isSuspicious(alive.filter((each) => each !== row).map(receptionOf), now)) return;
    if ([...this.#trials.keys()].some((trial) => keyOf(trial) === key)) return;
    reception.asked(now);
    const context = this.#context;
    const remotes = [...this.#remotes, plain(row.remote.hostname)];
    const candidate = context.candidates(remotes).find((each) => keyOf(each) === key);
    if (candidate === undefined) return;
    const trial = { ...candidate, remotePort: row.remote.port };
    this.#trials.set(trial, row.id);
    const timeout = Math.max(ANSWER, 4 * (row.tcpInfo.rtt ?? 0) / 1000);
    context.open(trial, "a trial: nothing comes over this path, while others bring something", { timeout, backup: true })
      .then(async (subflow) => {
        if (subflow !== null) {
          this.#closing.add(subflow.id);
          await context.close(subflow.id, "the trial has shown that the path is alive");
        }
        this.#trials.delete(trial);
        if (!context.signal.aborted) this.#look();
      });
  }

  /** A trial has failed: any answer shows that the path is alive, a refusal too. */
  #judge(id: number, error: unknown): void {
    const live = this.#live.get(id);
    if (live === undefined || !(error instanceof DOMException && error.name === "TimeoutError")) return;
    live.unanswered = true;
  }

  /** Why nothing can leave from a subflow's address, if that is so. */
  #stranded({ local }: Subflow): string | null {
    if (this.#host.length === 0) return null;
    const address = plain(local.hostname);
    const find = () => this.#host.find(({ addresses }) => addresses.some((each) => plain(each.address) === address));
    let device = find();
    if (device === undefined) {
      // It may have come since.
      this.#host = this.#context.interfaces();
      device = find();
    }
    if (device === undefined) return `the host has the address ${address} no longer`;
    return device.running ? null : `the link ${device.name} is down`;
  }

  /** Closes a dead subflow, while others live. */
  #bury({ id, local }: Subflow, alive: readonly Subflow[]): void {
    if (this.#closing.has(id)) return;
    this.#closing.add(id);
    const context = this.#context;
    const reason = this.#live.get(id)!.dead!;
    this.#farewell(plain(local.hostname), alive, reason);
    context.close(id, reason).then((worked) => {
      // Where it has gone by itself meanwhile, the event of its end is on the way.
      if (!worked && context.subflows().some((each) => each.id === id)) this.#closing.delete(id);
    });
  }

  /**
   * Tells the peer by another path that an address is gone: it need not find out by itself. Not while the address has a
   * living path, and not from a server, whose clients would not come back.
   */
  #farewell(address: string, alive: readonly Subflow[], reason: string): void {
    const others = alive.filter(({ local }) => plain(local.hostname) !== address);
    if (this.#context.side === "server" || others.length === 0 || others.length < alive.length) return;
    this.#farewells.set(address, this.#context.now());
    this.#context.withdraw(address, `the peer is to forget the dead path: ${reason}`);
  }

  /** Opens what is missing and due. @returns Whether something is missing. */
  #reopen(rows: readonly Subflow[], alive: readonly Subflow[]): boolean {
    const context = this.#context;
    const wanted = [...this.#wanted.entries()].filter(([, { withdrawn }]) => !withdrawn);
    const counts = new Map<string, number>();
    const count = (key: string) => counts.set(key, (counts.get(key) ?? 0) + 1);
    for (const row of alive) count(pathKey(row.local.hostname, row.remote.hostname));
    for (const { key, gone, dead } of this.#live.values()) if (gone !== null && dead === null) count(key);
    for (const { localAddress, remoteAddress } of context.opening()) count(pathKey(localAddress, remoteAddress));
    const missing = wanted.filter(([key, each]) => (counts.get(key) ?? 0) < each.count);
    if (missing.length === 0 && alive.length > 0) return false;
    const candidates = context.candidates([...this.#remotes, ...wanted.map(([, each]) => each.remoteAddress)]);
    const plans = new Map<string, { candidate: PathCandidate; why: string; like: Wanted | undefined }>();
    for (const [key, each] of missing) {
      const same = candidates.find((one) => pathKey(one.localAddress, one.remoteAddress) === key);
      if (same !== undefined) {
        plans.set(key, { candidate: { ...same, remotePort: each.remotePort }, why: "it was lost", like: each });
        continue;
      }
      // The interface may have another address now.
      const other = candidates.find((one) =>
        one.interface === each.interface && one.remoteAddress === each.remoteAddress && !this.#isKnown(one)
      );
      if (other === undefined) continue;
      const why = `${each.interface} has it in place of ${each.localAddress}`;
      plans.set(keyOf(other), { candidate: { ...other, remotePort: each.remotePort }, why, like: each });
    }
    if (alive.length === 0) {
      const why = rows.length === 0 ? "all paths are lost" : "all paths seem dead";
      for (const candidate of candidates) {
        const key = keyOf(candidate);
        if (!plans.has(key) && !counts.has(key)) plans.set(key, { candidate, why, like: this.#wanted.get(key) });
      }
    }
    for (const [key, { candidate, why, like }] of plans) {
      if (!this.#retries.isDue(key, context.now())) continue;
      this.#retries.tried(key, context.now());
      const timeout = Math.max(TRY, 4 * (like?.rtt ?? 0));
      context.open(candidate, why, { timeout, backup: like?.backup ?? false }).then((subflow) => {
        if (subflow !== null && like && keyOf(like) !== key) this.#wanted.delete(keyOf(like));
        if (!context.signal.aborted) this.#look();
      });
    }
    return true;
  }

  #isKnown(candidate: PathCandidate): boolean {
    return this.#wanted.has(keyOf(candidate)) || this.#context.has(candidate);
  }

  /** Has the kernel watch the paths too, but for the last one, which must not be given up. */
  #tune(alive: readonly Subflow[]): void {
    if (!this.#mayTune) return;
    const timeout = alive.length > 1 ? Math.round(this.#deadAfter) : 0;
    for (const { id } of alive) {
      const live = this.#live.get(id)!;
      if (live.timeout === timeout) continue;
      const why = timeout > 0 ? "the kernel is to give up a silent path by itself" : "the last path is not to be given up";
      live.timeout = timeout;
      this.#mayTune = this.#context.setOption(id, "TCP_USER_TIMEOUT", timeout, why);
      if (this.#mayTune) continue;
      return this.#context.note("dead paths are found by their counters alone");
    }
  }

  #untune(): void {
    for (const [id, { timeout }] of this.#live) {
      if (timeout === 0 || !this.#mayTune) continue;
      try {
        this.#context.connection.setSubflowOption(id, "TCP_USER_TIMEOUT", 0);
      } catch {
        // It is gone.
      }
    }
  }
}

const keyOf = ({ localAddress, remoteAddress }: Pick<PathCandidate, "localAddress" | "remoteAddress">): string =>
  pathKey(localAddress, remoteAddress);
