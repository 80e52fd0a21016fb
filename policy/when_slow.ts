/**
 * A second path when the first does not suffice.
 *
 * @module
 */
import { checkInteger } from "../kernel/argument_checks.ts";
import type { Policy, PolicyContext } from "../net/policy.ts";
import type { Subflow } from "../paths/connection.ts";
import { pathKey } from "../paths/path_candidates.ts";
import { checkAmount, checkRemotes, type RemoteOptions } from "./options.ts";
import { Retries } from "./retries.ts";

/** Options of `whenSlow`. */
export interface WhenSlowOptions extends RemoteOptions {
  /**
   * Too slow is when no path has a shorter round trip, ms.
   *
   * @default {undefined} round trips do not matter
   */
  rttMs?: number;
  /**
   * Too slow is when less gets through while there is more to send, bytes per second.
   *
   * @default {undefined} the rate does not matter
   */
  rateBelow?: number;
  /**
   * For how long it must be too slow, ms.
   *
   * @default {500}
   */
  forMs?: number;
  /**
   * At most so many subflows, the initial one included.
   *
   * @default {2}
   */
  most?: number;
}

/** How often it is looked, ms. */
const LOOK = 100;
/** The part of the time in which data must have been under way, for a rate to be the path's and not the program's. */
const BUSY = 0.8;

/** All paths of a connection together, at one moment. */
export interface Reading {
  at: number;
  /** Bytes that were acknowledged. */
  acked: number;
  /** For how long at least one path had data under way, ms. */
  busy: number;
  /** The shortest round trip, ms; `undefined` where none is known. */
  rtt: number | undefined;
}

/** What is too slow. */
export type Limits = Pick<WhenSlowOptions, "rttMs" | "rateBelow">;

/**
 * Whether a connection was too slow between two readings, and why.
 *
 * @returns `null` when it was not.
 */
export function slowness(before: Reading, now: Reading, { rttMs, rateBelow }: Limits): string | null {
  if (rttMs !== undefined && now.rtt !== undefined && now.rtt > rttMs) {
    return `the round trip takes ${now.rtt.toFixed(1)} ms, more than ${rttMs}`;
  }
  const elapsed = now.at - before.at;
  if (rateBelow === undefined || elapsed <= 0 || now.busy - before.busy < BUSY * elapsed) return null;
  const rate = (now.acked - before.acked) / elapsed * 1000;
  return rate < rateBelow ? `${Math.round(rate)} bytes a second get through, less than ${rateBelow}` : null;
}

/** Reads a connection's subflows, adding up what those that are gone had done. */
export class Reader {
  readonly #last = new Map<number, { acked: number; busy: number }>();
  #acked = 0;
  #busy = 0;

  /** Takes a reading. */
  read(rows: readonly Pick<Subflow, "id" | "tcpInfo">[], at: number): Reading {
    let longest = 0;
    for (const { id, tcpInfo: { bytesAcked = 0, busyTime = 0 } } of rows) {
      const before = this.#last.get(id) ?? { acked: bytesAcked, busy: busyTime };
      this.#acked += bytesAcked - before.acked;
      longest = Math.max(longest, (busyTime - before.busy) / 1000);
      this.#last.set(id, { acked: bytesAcked, busy: busyTime });
    }
    this.#busy += longest;
    const trips = rows.map(({ tcpInfo: { rtt } }) => rtt).filter((rtt) => rtt !== undefined && rtt > 0) as number[];
    const rtt = trips.length === 0 ? undefined : Math.min(...trips) / 1000;
    return { at, acked: this.#acked, busy: this.#busy, rtt };
  }
}

/**
 * Adds a path only when those that there are do not suffice: the round trip is long, or little gets through though there is
 * more to send. The path that was added stays. What the peer sends is not measured: only its end knows how much it has.
 *
 * @throws {TypeError} When an option has the wrong type, or neither limit is given.
 * @throws {RangeError} When a number is out of range.
 *
 * @example The second path when less than a megabyte a second gets through
 * ```ts ignore
 * import { connect } from "@mptcp/mptcp";
 * import { whenSlow } from "@mptcp/mptcp/policy";
 *
 * using conn = await connect({ hostname: "server.example", port: 8080, paths: "userspace" });
 * conn.use(whenSlow({ rttMs: 200, rateBelow: 1_000_000 }));
 * ```
 */
export function whenSlow(options: WhenSlowOptions): Policy {
  const remotes = checkRemotes(options);
  const { rttMs, rateBelow, forMs = 500, most = 2 } = options;
  if (rttMs === undefined && rateBelow === undefined) {
    throw new TypeError("Cannot use whenSlow: rttMs or rateBelow is needed");
  }
  checkAmount("rttMs", rttMs);
  checkAmount("rateBelow", rateBelow);
  checkAmount("forMs", forMs);
  checkInteger("most", most, 2, 64);
  const limits: Limits = { ...(rttMs !== undefined && { rttMs }), ...(rateBelow !== undefined && { rateBelow }) };
  return {
    name: "whenSlow",
    manages: true,
    interval: LOOK,
    attach(context) {
      if (context.side === "server") context.note("clients open the paths: on a server it does nothing");
      const adder = new Adder(context, remotes, limits, forMs, most);
      return { tick: () => adder.look() };
    },
  };
}

class Adder {
  readonly #context: PolicyContext;
  readonly #remotes: readonly string[];
  readonly #limits: Limits;
  readonly #forMs: number;
  readonly #most: number;
  readonly #reader = new Reader();
  readonly #retries = new Retries();
  #before: Reading | null = null;
  /** Since when it is too slow. */
  #since: number | null = null;

  constructor(context: PolicyContext, remotes: readonly string[], limits: Limits, forMs: number, most: number) {
    this.#context = context;
    this.#remotes = remotes;
    this.#limits = limits;
    this.#forMs = forMs;
    this.#most = most;
  }

  look(): void {
    const context = this.#context;
    const rows = context.subflows();
    if (context.side === "server" || rows.length === 0) return;
    const reading = this.#reader.read(rows, context.now());
    const why = this.#before === null ? null : slowness(this.#before, reading, this.#limits);
    if (why === null) this.#since = null;
    else this.#since ??= this.#before!.at;
    this.#before = reading;
    if (why === null || reading.at - this.#since! < this.#forMs) return;
    if (rows.length + context.opening().length >= this.#most) return;
    const candidate = context.candidates(this.#remotes).find((each) =>
      !context.has(each) && this.#retries.isDue(pathKey(each.localAddress, each.remoteAddress), reading.at)
    );
    if (candidate === undefined) return;
    this.#retries.tried(pathKey(candidate.localAddress, candidate.remoteAddress), reading.at);
    this.#since = null; // the next one only if this one does not suffice either
    context.open(candidate, why);
  }
}
