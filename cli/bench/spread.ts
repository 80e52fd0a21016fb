/**
 * How times are spread, in bounded memory: counts in steps of one per cent.
 *
 * @module
 */

const STEP = Math.log(1.01);
/** The shortest that is told apart, ms. */
const LEAST = 0.001;

/** Times, ms. */
export interface SpreadSummary {
  count: number;
  min: number;
  p50: number;
  p90: number;
  p99: number;
  max: number;
}

/** See the module's comment. */
export class Spread {
  readonly #counts = new Map<number, number>();
  #count = 0;
  #min = Infinity;
  #max = 0;

  /** How many times were taken. */
  get count(): number {
    return this.#count;
  }

  /** Takes a time, ms. */
  add(ms: number): void {
    const step = Math.round(Math.log(Math.max(ms, LEAST) / LEAST) / STEP);
    this.#counts.set(step, (this.#counts.get(step) ?? 0) + 1);
    this.#count++;
    this.#min = Math.min(this.#min, ms);
    this.#max = Math.max(this.#max, ms);
  }

  /** What came of it; `null` of nothing. */
  summary(): SpreadSummary | null {
    if (this.#count === 0) return null;
    const steps = [...this.#counts].sort(([a], [b]) => a - b);
    const at = (part: number) => {
      let left = Math.max(1, Math.ceil(part * this.#count));
      const [step] = steps.find(([, count]) => (left -= count) <= 0) ?? steps.at(-1)!;
      return Math.min(this.#max, Math.max(this.#min, LEAST * Math.exp(step * STEP)));
    };
    return { count: this.#count, min: this.#min, p50: at(0.5), p90: at(0.9), p99: at(0.99), max: this.#max };
  }
}
