/**
 * What one run moved, how long it took and what it cost: the same stopwatch for every contestant.
 *
 * @module
 */
import process from "node:process";

/** A wait this long in a stream that never pauses by itself, in seconds: this kernel's MPTCP now and then stalls for 0.2. */
export const STALL = 0.1;

/** What a run gives. The C program prints the same. */
export interface Measured {
  bytes: number;
  /** Round trips, connections or calls. */
  count: number;
  seconds: number;
  /** Seconds of CPU of the whole process. */
  cpu: number;
  stalls: number;
  /** The longest wait, seconds. */
  longest: number;
  /** Whether the connection was MPTCP, where the C program tells it. */
  mptcp?: boolean;
}

const now = (): number => performance.now() / 1000;

function cpu(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

/** See the module's comment. */
export class Meter {
  readonly #limit: number;
  #start = 0;
  #cpu = 0;
  #last = 0;
  #longest = 0;
  #stalls = 0;
  bytes = 0;
  count = 0;
  /** What the far end told, where it does. */
  mptcp: boolean | undefined;

  /** @param seconds How long the run is to last. */
  constructor(seconds: number) {
    this.#limit = seconds;
    this.begin();
  }

  /** Sets the clock to zero: connecting is not part of the run. */
  begin(): void {
    this.#cpu = cpu();
    this.#start = this.#last = now();
  }

  /** Counts what was received. Whether to go on. */
  received(bytes: number): boolean {
    const time = now();
    const wait = time - this.#last;
    this.#last = time;
    this.bytes += bytes;
    if (wait > this.#longest) this.#longest = wait;
    if (wait >= STALL) this.#stalls++;
    return time - this.#start < this.#limit;
  }

  /** Counts what was sent. The receiver looks for stalls. Whether to go on. */
  sent(bytes: number): boolean {
    this.bytes += bytes;
    return now() - this.#start < this.#limit;
  }

  /** Counts round trips, connections or calls. Whether to go on. */
  done(count = 1): boolean {
    this.count += count;
    return now() - this.#start < this.#limit;
  }

  result(): Measured {
    const seconds = now() - this.#start;
    return {
      bytes: this.bytes,
      count: this.count,
      seconds,
      cpu: cpu() - this.#cpu,
      stalls: this.#stalls,
      longest: this.#longest,
      ...(this.mptcp === undefined ? {} : { mptcp: this.mptcp }),
    };
  }
}
