/**
 * The last so many numbers.
 *
 * @module
 */

/** See the module's comment. */
export class Ring {
  readonly #values: Float64Array;
  #count = 0;

  /** @param length How many are kept. */
  constructor(length: number) {
    this.#values = new Float64Array(length);
  }

  /** Takes one more, and forgets the oldest if there is no room. */
  push(value: number): void {
    this.#values[this.#count++ % this.#values.length] = value;
  }

  /** Those that are there, the oldest first. */
  values(): number[] {
    const { length } = this.#values;
    if (this.#count <= length) return [...this.#values.subarray(0, this.#count)];
    const begin = this.#count % length;
    return [...this.#values.subarray(begin), ...this.#values.subarray(0, begin)];
  }
}
