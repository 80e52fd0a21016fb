/**
 * Whether a path is dead, by its counters: no event tells.
 *
 * @module
 */
import type { TcpInfo } from "../kernel/tcp_info.ts";

/** What one look at a path says. */
export interface Pulse {
  /** For how long something has been waiting for an acknowledgement while none came, ms. */
  silence: number;
  /** Whether that is too long. */
  dead: boolean;
}

/**
 * How long a path has been silent though it was spoken to.
 *
 * @param info Its counters now.
 * @param waiting For how long there was something to be acknowledged at each look, ms.
 */
export function silenceOf(info: TcpInfo, waiting: number): number {
  const { unacked = 0, lastAckRecv = 0, backoff = 0, rto = 0 } = info;
  if (unacked === 0) return 0;
  // The timeout has doubled that often: so long it must have been at least, whenever it was looked at.
  const atLeast = rto / 1000 * (1 - 2 ** -backoff);
  return Math.min(lastAckRecv, Math.max(waiting, atLeast));
}

/** The pulse of one path, taken now and then. */
export class PulseTaker {
  readonly #deadAfter: number;
  #since: number | null = null;

  /** @param deadAfter How long a path may be silent, ms. */
  constructor(deadAfter: number) {
    this.#deadAfter = deadAfter;
  }

  /** Looks at the path. */
  take(info: TcpInfo, now: number): Pulse {
    const { unacked = 0, retransmits = 0, rtt = 0, rttvar = 0 } = info;
    if (unacked === 0) this.#since = null;
    else this.#since ??= now;
    const silence = silenceOf(info, this.#since === null ? 0 : now - this.#since);
    // A path whose answers take long anyway has more time, and one that was not asked twice is not judged.
    const limit = Math.max(this.#deadAfter, 2 * (rtt + 4 * rttvar) / 1000);
    return { silence: Math.round(silence), dead: retransmits > 0 && silence >= limit };
  }
}
