/**
 * When to try again what failed.
 *
 * @module
 */

/** How tries are spaced. */
export interface RetryOptions {
  /** The shortest time between two tries, ms. @default {400} */
  shortest?: number;
  /** The longest, ms. @default {30000} */
  longest?: number;
  /** The part of the time since the first failure that is waited. @default {0.25} */
  fraction?: number;
}

interface Failing {
  /** When it began to fail. */
  since: number;
  next: number;
}

/**
 * The pause grows with the time that something has failed already, by a quarter of it: what comes back after three seconds is
 * noticed within one, and what is gone for hours costs little.
 */
export class Retries {
  readonly #shortest: number;
  readonly #longest: number;
  readonly #fraction: number;
  readonly #failing = new Map<string, Failing>();

  constructor({ shortest = 400, longest = 30_000, fraction = 0.25 }: RetryOptions = {}) {
    this.#shortest = shortest;
    this.#longest = longest;
    this.#fraction = fraction;
  }

  /** Whether a try may be made now. */
  isDue(key: string, now: number): boolean {
    return now >= (this.#failing.get(key)?.next ?? -Infinity);
  }

  /** A try begins, or has failed. */
  tried(key: string, now: number): void {
    const { since } = this.#failing.get(key) ?? { since: now };
    this.#failing.set(key, { since, next: now + this.#pause({ since }, now) });
  }

  /** It works again. */
  succeeded(key: string): void {
    this.#failing.delete(key);
  }

  /** Something has changed: everything may be tried at once, and fail for as long as it has not before. */
  reset(): void {
    this.#failing.clear();
  }

  /**
   * How long until the next try, ms; `Infinity` where nothing fails. What is overdue, as it could not be tried, is to be
   * looked at again after its pause.
   */
  wait(now: number): number {
    return Math.min(
      Infinity,
      ...[...this.#failing.values()].map((each) => each.next > now ? each.next - now : this.#pause(each, now)),
    );
  }

  #pause({ since }: Pick<Failing, "since">, now: number): number {
    return Math.min(this.#longest, Math.max(this.#shortest, (now - since) * this.#fraction));
  }
}
