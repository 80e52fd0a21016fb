/**
 * The measuring end of `mptcp bench`.
 *
 * @module
 */
import type { Conn } from "../../net/conn.ts";
import { connect } from "../../net/connect.ts";
import { Failure } from "../frame/failure.ts";
import { pathName } from "../watch/path_name.ts";
import { PathLog, type PathShare } from "./path_log.ts";
import { Spread, type SpreadSummary } from "./spread.ts";
import { type Ask, Guard, line, LineReader, type Mode, type Received } from "./wire.ts";

/** What is spoken. */
export type Protocol = "mptcp" | "tcp";

/** Whom to measure with, and how. */
export interface BenchOptions {
  hostname: string;
  port: number;
  /** For each test, ms. */
  time: number;
  /** How long nothing may move, ms. */
  patience: number;
  localAddress: string | undefined;
  congestion: string | undefined;
  /** Time to come to an end, with what there is. */
  signal: AbortSignal;
  /** Called now and then with the bytes so far. */
  progress: (test: Mode, protocol: Protocol, ms: number, done: number) => void;
}

interface Common {
  protocol: Protocol;
  /** Whether both kernels say that it was MPTCP. */
  multipath: boolean;
  /** Whether it was ended early. */
  partial: boolean;
  ms: number;
}

/** Of an upload or a download. */
export interface ThroughputResult extends Common {
  test: "upload" | "download";
  /** That arrived. */
  bytes: number;
  /** Bytes per second. */
  rate: number;
  paths: PathShare[];
}

/** Of messages there and back. */
export interface LatencyResult extends Common {
  test: "latency";
  /** Times there and back, ms. */
  roundTrips: SpreadSummary | null;
}

/** Of connections one after the other, some at once. */
export interface ConnectionsResult extends Common {
  test: "connections";
  connections: number;
  perSecond: number;
  failed: number;
  /** Why the last one failed; `null` when none did. */
  failure: string | null;
  /** From `connect` to the first answer, ms. */
  times: SpreadSummary | null;
}

/** What one test found. */
export type Result = ThroughputResult | LatencyResult | ConnectionsResult;

const BLOCK = 1 << 18;
const MESSAGE = 64;
/** How many connections are made at once, and how many at most: each leaves its port in TIME_WAIT for a minute. */
const AT_ONCE = 8;
const MOST_CONNECTIONS = 10_000;
/** How long the server has for its last word when we were interrupted, ms. */
const LAST_WORD = 1000;

/** See the module's comment. */
export class BenchClient {
  readonly #options: BenchOptions;
  /** Which path carried what. */
  readonly log = new PathLog();
  /** Where transfers begin on the log's time line. */
  readonly marks: { at: number; label: string }[] = [];

  constructor(options: BenchOptions) {
    this.#options = options;
  }

  /**
   * Does one test.
   *
   * @throws {Failure} When the server is gone, or speaks otherwise.
   */
  async run(test: Mode, protocol: Protocol): Promise<Result> {
    if (test === "connections") return await this.#connections(protocol);
    const { conn, reader, multipath } = await this.#open(test, protocol);
    using guard = new Guard(conn, this.#options.patience);
    using _over = closing(conn);
    try {
      if (test === "latency") return await this.#latency(protocol, multipath, conn, guard);
      return await this.#throughput(test, protocol, multipath, conn, reader, guard);
    } catch (error) {
      if (guard.late) throw new Failure(`the server has vanished: nothing moved for ${this.#options.patience / 1000} s`);
      throw new Failure(`the server broke off: ${(error as Error).message}`);
    }
  }

  async #open(mode: Mode, protocol: Protocol) {
    const { hostname, port, time, patience, localAddress, congestion } = this.#options;
    const conn = await connect({
      hostname,
      port,
      mptcp: protocol === "mptcp" ? "require" : "off",
      timeout: patience,
      noDelay: true,
      ...(localAddress === undefined ? {} : { localAddress }),
      ...(congestion === undefined ? {} : { congestion }),
    });
    using guard = new Guard(conn, patience);
    try {
      await conn.write(line({ mptcp: "bench", version: 1, mode, ms: Math.round(time) } satisfies Ask));
      const reader = new LineReader(conn);
      const { error, multipath } = await reader.next();
      if (error !== undefined) throw new Error(`${error}`);
      return { conn, reader, multipath: multipath === true && conn.isMultipath() };
    } catch (error) {
      conn.close();
      const why = guard.late ? `no answer in ${patience / 1000} s` : (error as Error).message;
      throw new Failure(`${hostname}:${port} is no mptcp bench server: ${why}`);
    }
  }

  async #throughput(
    test: "upload" | "download",
    protocol: Protocol,
    multipath: boolean,
    conn: Conn,
    reader: LineReader,
    guard: Guard,
  ): Promise<ThroughputResult> {
    const { time, signal, progress } = this.#options;
    const { log } = this;
    this.marks.push({ at: log.duration, label: `${test}, ${protocol === "mptcp" ? "MPTCP" : "TCP"}` });
    const begun = performance.now();
    let moved = 0;
    const look = () => {
      const at = performance.now() - begun;
      if (conn.fd >= 0) {
        log.add(
          at,
          conn.subflows().map((subflow) => {
            const { bytesAcked = 0, bytesReceived = 0 } = subflow.tcpInfo;
            return { key: `${subflow.id}`, name: pathName(subflow), bytes: test === "upload" ? bytesAcked : bytesReceived };
          }),
        );
      }
      progress(test, protocol, at, moved);
    };
    look();
    const timer = setInterval(look, Math.max(100, time / 600));
    const late = () => setTimeout(() => conn.reset(), LAST_WORD);
    let rescue: ReturnType<typeof setTimeout> | undefined;
    const interrupted = () => {
      if (test === "download") conn.reset();
      else rescue = late();
    };
    if (signal.aborted) interrupted();
    else signal.addEventListener("abort", interrupted, { once: true });
    let bytes = 0;
    try {
      if (test === "upload") {
        const block = new Uint8Array(BLOCK);
        while (performance.now() - begun < time && !signal.aborted) {
          moved += await conn.write(block);
          guard.moved();
        }
        await conn.closeWrite();
        const received = await reader.next() as unknown as Received;
        [bytes, multipath] = [Number(received.bytes) || 0, multipath && received.multipath === true];
      } else {
        moved = reader.rest.length;
        const block = new Uint8Array(BLOCK);
        for (let count; (count = await conn.read(block)) !== null; guard.moved()) moved += count;
        bytes = moved;
        if (performance.now() - begun < time * 0.9) throw new Error("it closed the connection too early");
      }
      look();
    } catch (error) {
      if (!signal.aborted) throw error;
      bytes = test === "download" ? moved : 0;
    } finally {
      clearInterval(timer);
      clearTimeout(rescue);
      signal.removeEventListener("abort", interrupted);
    }
    const ms = performance.now() - begun;
    const paths = log.finish();
    // Without the server's word: what the kernel saw acknowledged.
    if (test === "upload" && bytes === 0) bytes = paths.reduce((sum, path) => sum + path.bytes, 0);
    return { test, protocol, multipath, partial: signal.aborted, ms, bytes, rate: bytes * 1000 / ms, paths };
  }

  async #latency(protocol: Protocol, multipath: boolean, conn: Conn, guard: Guard): Promise<LatencyResult> {
    const { time, signal, progress } = this.#options;
    const spread = new Spread();
    const message = new Uint8Array(MESSAGE).fill(1);
    const block = new Uint8Array(MESSAGE);
    const begun = performance.now();
    let shown = 0;
    for (let sent = begun; sent - begun < time && !signal.aborted; guard.moved()) {
      await conn.write(message);
      for (let back = 0; back < MESSAGE;) {
        const count = await conn.read(block);
        if (count === null) throw new Error("it closed the connection");
        back += count;
      }
      const now = performance.now();
      spread.add(now - sent);
      sent = now;
      if (now - shown > 200) progress("latency", protocol, (shown = now) - begun, spread.count);
    }
    const ms = performance.now() - begun;
    return { test: "latency", protocol, multipath, partial: signal.aborted, ms, roundTrips: spread.summary() };
  }

  async #connections(protocol: Protocol): Promise<ConnectionsResult> {
    const { time, signal, progress } = this.#options;
    const spread = new Spread();
    const begun = performance.now();
    let [all, failed, multipath, shown] = [0, 0, true, 0];
    let trouble: unknown;
    const work = async () => {
      while (performance.now() - begun < time && !signal.aborted && all < MOST_CONNECTIONS) {
        all++;
        const started = performance.now();
        try {
          const open = await this.#open("connections", protocol);
          open.conn.close();
          const now = performance.now();
          spread.add(now - started);
          multipath &&= open.multipath;
          if (now - shown > 200) progress("connections", protocol, (shown = now) - begun, spread.count);
        } catch (error) {
          failed++;
          trouble = error;
          // One may fail; nothing but failures says what all would.
          if (spread.count === 0) return;
        }
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    if (spread.count === 0 && trouble !== undefined) throw trouble;
    const ms = performance.now() - begun;
    const connections = spread.count;
    return {
      test: "connections",
      protocol,
      multipath: multipath && connections > 0,
      partial: signal.aborted,
      ms,
      connections,
      perSecond: connections * 1000 / ms,
      failed,
      failure: trouble === undefined ? null : (trouble as Error).message,
      times: spread.summary(),
    };
  }
}

function closing(conn: Conn): Disposable {
  return { [Symbol.dispose]: () => conn.close() };
}
