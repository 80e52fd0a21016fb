import { equal } from "./equal.ts";
import { assertEquals } from "./values.ts";

type Bag = Record<PropertyKey, unknown>;

/**
 * Asserts that `actual` has at least what `expected` has, at every depth: members of objects whatever their class, the
 * first elements of arrays, entries of maps, values of sets.
 */
export function assertObjectMatch(
  // deno-lint-ignore no-explicit-any
  actual: Record<PropertyKey, any>,
  expected: Record<PropertyKey, unknown>,
  msg?: string,
): void {
  for (const [name, value] of Object.entries({ actual, expected })) {
    if (typeof value === "object" && value !== null) continue;
    const kind = value === null ? "null" : typeof value;
    throw new TypeError(`assertObjectMatch() needs two objects, but "${name}" is ${kind}`);
  }
  assertEquals(pick(actual, expected, new Map()), pick(expected, expected, new Map()), msg);
}

/** The part of `actual` that `expected` speaks of. What was picked before is reused, so cycles end. */
function pick(actual: unknown, expected: unknown, done: Map<object, Map<object, unknown>>): unknown {
  if (!isObject(actual) || !isObject(expected)) return actual;
  const before = done.get(expected) ?? new Map<object, unknown>();
  done.set(expected, before);
  if (before.has(actual)) return before.get(actual);
  const inner = (a: unknown, b: unknown) => pick(a, b, done);

  if (Array.isArray(actual) && Array.isArray(expected)) {
    const result: unknown[] = [];
    before.set(actual, result);
    for (let index = 0; index < Math.min(actual.length, expected.length); index++) {
      if (index in actual) result[index] = inner(actual[index], expected[index]);
    }
    return result;
  }
  if (actual instanceof Map && expected instanceof Map) {
    const result = new Map<unknown, unknown>();
    before.set(actual, result);
    for (const [key, value] of expected) {
      const held = actual.has(key) ? key : [...actual.keys()].find((other) => isObject(key) && equal(other, key));
      if (actual.has(held)) result.set(held, inner(actual.get(held), value));
    }
    return result;
  }
  if (actual instanceof Set && expected instanceof Set) {
    const wanted = [...expected];
    return new Set([...actual].filter((value) => expected.has(value) || wanted.some((other) => equal(value, other))));
  }
  if (isOpaque(actual) || isOpaque(expected)) return actual;
  const result: Bag = {};
  before.set(actual, result);
  for (const key of Reflect.ownKeys(actual)) {
    if (Object.hasOwn(expected, key)) result[key] = inner((actual as Bag)[key], (expected as Bag)[key]);
  }
  return result;
}

const isObject = (value: unknown): value is object => typeof value === "object" && value !== null;

/** Whether a value is more than its members: it is then compared as a whole. */
function isOpaque(value: object): boolean {
  return Array.isArray(value) || ArrayBuffer.isView(value) ||
    [Map, Set, Date, RegExp, URL, ArrayBuffer, Promise, WeakMap, WeakSet, WeakRef].some((type) => value instanceof type);
}
