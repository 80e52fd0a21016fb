/**
 * Checks of arguments, before anything is encoded: the kernel refuses some wrong ones late, and others in silence.
 *
 * @module
 */

/** What a value looks like in a message. */
export function show(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.slice(0, 80));
  return value === null || typeof value !== "object" ? String(value) : Object.prototype.toString.call(value);
}

/**
 * Checks an integer.
 *
 * @throws {TypeError} When it is no number.
 * @throws {RangeError} When it is out of range.
 */
export function checkInteger(what: string, value: unknown, min: number, max: number): void {
  if (typeof value !== "number") throw new TypeError(`Cannot use ${what} ${show(value)}: it must be a number`);
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new RangeError(`Cannot use ${what} ${value}: it must be an integer from ${min} to ${max}`);
  }
}

/**
 * Checks a yes or no that may be left out.
 *
 * @throws {TypeError} When it is neither `true`, `false` nor `undefined`.
 */
export function checkBoolean(what: string, value: unknown): void {
  if (value !== undefined && typeof value !== "boolean") {
    throw new TypeError(`Cannot use ${what} ${show(value)}: it must be a boolean`);
  }
}

/**
 * Checks that something is an object of options.
 *
 * @throws {TypeError} When it is none.
 */
export function checkObject(what: string, value: unknown): void {
  if (typeof value !== "object" || value === null) {
    throw new TypeError(`Cannot use ${what} ${show(value)}: an object is needed`);
  }
}
