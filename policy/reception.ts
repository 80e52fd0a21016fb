/**
 * Whether a path that brings nothing any more may be dead: its receiver cannot tell from its own counters alone.
 *
 * @module
 */

/** How long nothing came over a path while others went on, for it to be asked, ms. */
const QUIET = 200;
/** What "went on" is, ms. */
const FRESH = 150;
/** A path that brought less than that between two looks is not missed, bytes. */
const MISSED = 5000;
/** How long an answer holds, ms: at first and at most. */
const HOLD = 2000;
const LONGEST_HOLD = 60_000;

/** What came over one path. */
export class Reception {
  #bytes: number | null = null;
  /** When something came last. */
  #last = -Infinity;
  /** How much came between two looks while something did, averaged. */
  #flow = 0;
  #hold = HOLD;
  #askAgain = -Infinity;

  /** Looks at the path. @returns Whether something has come. */
  look(bytesReceived: number, now: number): boolean {
    const more = this.#bytes === null ? 0 : bytesReceived - this.#bytes;
    this.#bytes = bytesReceived;
    if (more <= 0) return false;
    this.#last = now;
    this.#flow = this.#flow * 0.8 + more * 0.2;
    return true;
  }

  /** Whether it should be asked if the path is alive. */
  isSuspicious(others: readonly Reception[], now: number): boolean {
    if (now - this.#last < QUIET || now < this.#askAgain || this.#flow < MISSED) return false;
    return others.some((other) => now - other.#last <= FRESH && this.#flow >= 0.1 * other.#flow);
  }

  /** It was asked; for a while it is not asked again, and longer each time. */
  asked(now: number): void {
    this.#askAgain = now + this.#hold;
    this.#hold = Math.min(2 * this.#hold, LONGEST_HOLD);
  }
}
