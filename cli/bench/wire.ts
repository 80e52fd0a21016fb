/**
 * What both ends of `mptcp bench` say to each other: a line of JSON that asks, one that answers, and then bytes.
 *
 * @module
 */
import type { Conn } from "../../net/conn.ts";

/** What a connection is for. */
export const MODES = ["upload", "download", "latency", "connections"] as const;
/** One of them. */
export type Mode = typeof MODES[number];

/** What a client asks for. */
export interface Ask {
  mptcp: "bench";
  version: 1;
  mode: Mode;
  /** How long a download is to take, ms. */
  ms: number;
}

/** What a server answers at once. */
export interface Answer {
  /** Why not; then nothing else follows. */
  error?: string;
  /** What its kernel says that the connection is. */
  multipath: boolean;
}

/** What a server says after an upload. */
export interface Received {
  bytes: number;
  multipath: boolean;
}

/** Longer lines are no words of ours. */
const LONGEST = 1000;
const encoder = new TextEncoder();

/** A line of JSON. */
export const line = (value: Ask | Answer | Received): Uint8Array => encoder.encode(`${JSON.stringify(value)}\n`);

/** Reads lines, and gives what came behind them. */
export class LineReader {
  readonly #conn: Conn;
  #rest: Uint8Array = new Uint8Array(0);

  constructor(conn: Conn) {
    this.#conn = conn;
  }

  /** What was read beyond the last line. */
  get rest(): Uint8Array {
    return this.#rest;
  }

  /**
   * The next line's object.
   *
   * @throws {Error} When there is none.
   */
  async next(): Promise<Record<string, unknown>> {
    const block = new Uint8Array(LONGEST);
    let bytes = this.#rest;
    for (;;) {
      const end = bytes.indexOf(10);
      if (end >= 0) {
        this.#rest = bytes.slice(end + 1);
        return parsed(bytes.subarray(0, end));
      }
      if (bytes.length >= LONGEST) throw new Error("it does not speak as mptcp bench does");
      const count = await this.#conn.read(block);
      if (count === null) throw new Error("it closed the connection without an answer");
      const more = new Uint8Array(bytes.length + count);
      more.set(bytes);
      more.set(block.subarray(0, count), bytes.length);
      bytes = more;
    }
  }
}

function parsed(bytes: Uint8Array): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(bytes));
    if (typeof value === "object" && value !== null) return value as Record<string, unknown>;
  } catch {
    // Said below.
  }
  throw new Error("it does not speak as mptcp bench does");
}

/** Checks what a client asks for; `null` when it cannot be understood. */
export function askOf({ mptcp, version, mode, ms }: Record<string, unknown>): Ask | null {
  if (mptcp !== "bench" || version !== 1 || !MODES.includes(mode as Mode)) return null;
  if (typeof ms !== "number" || !(ms >= 0 && ms <= 3_600_000)) return null;
  return { mptcp, version, mode: mode as Mode, ms };
}

/** Ends a connection on which nothing has moved for a while. */
export class Guard implements Disposable {
  readonly #timer: ReturnType<typeof setInterval>;
  #last = performance.now();
  #late = false;

  constructor(conn: Conn, patience: number) {
    this.#timer = setInterval(() => {
      if (performance.now() - this.#last < patience) return;
      this.#late = true;
      clearInterval(this.#timer);
      conn.reset();
    }, Math.min(500, patience / 2));
  }

  /** Whether it has ended it. */
  get late(): boolean {
    return this.#late;
  }

  /** Something moved. */
  moved(): void {
    this.#last = performance.now();
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}
