type Key = string | symbol;
type Bag = Record<Key, unknown>;

const isObject = (value: unknown): value is object => typeof value === "object" && value !== null;
const isPrimitive = (value: unknown): boolean => !isObject(value) && typeof value !== "function";
const isBoxed = (value: unknown): boolean => [Number, String, Boolean, BigInt, Symbol].some((type) => value instanceof type);
const isBuffer = (value: unknown): value is ArrayBufferLike => /^\[object (Shared)?ArrayBuffer\]$/.test(tag(value));
const isTyped = (value: unknown): value is ArrayLike<unknown> => ArrayBuffer.isView(value) && !(value instanceof DataView);
const tag = (value: unknown): string => Object.prototype.toString.call(value);

/** An object without a prototype counts as a plain one. */
function samePrototype(a: object, b: object): boolean {
  const [first, second] = [a, b].map((value) => Object.getPrototypeOf(value) ?? Object.prototype);
  return first === second;
}

/** Plain objects and arrays are compared by what they own; of others getters on the prototype tell, as with `URLPattern`. */
function isPlain(value: object): boolean {
  const prototype = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype || prototype === Array.prototype;
}

function enumerableKeys(value: object): Key[] {
  return Reflect.ownKeys(value).filter((key) => Object.prototype.propertyIsEnumerable.call(value, key));
}

function inheritedKeys(value: object): Key[] {
  const keys: Key[] = [];
  for (
    let at: object | null = value;
    at && at !== Object.prototype && at !== Array.prototype;
    at = Object.getPrototypeOf(at)
  ) {
    keys.push(...Reflect.ownKeys(at));
  }
  return keys;
}

/**
 * Whether two values are deeply equal. Numbers by value, `NaN` being itself and 0 being -0; objects by prototype and
 * members, an absent member not being an `undefined` one; Map and Set regardless of order; Date, RegExp, URL, typed arrays
 * and buffers by content; functions and symbols by identity.
 *
 * @throws {TypeError} Of two WeakMaps or WeakSets, as nobody can look into them.
 */
export function equal(a: unknown, b: unknown): boolean {
  return compare(a, b, new Map());
}

function compare(a: unknown, b: unknown, seen: Map<object, object>): boolean {
  if (typeof a === "number" && typeof b === "number") return a === b || (Number.isNaN(a) && Number.isNaN(b));
  if (Object.is(a, b)) return true;
  if (!isObject(a) || !isObject(b)) return false;
  if (a instanceof Date && b instanceof Date) return Object.is(a.getTime(), b.getTime());
  if ((a instanceof RegExp && b instanceof RegExp) || (a instanceof URL && b instanceof URL)) return String(a) === String(b);
  if (!samePrototype(a, b)) return false;
  refuseWeak(a, b, WeakMap);
  refuseWeak(a, b, WeakSet);
  if (a instanceof WeakRef && b instanceof WeakRef) return compare(a.deref(), b.deref(), seen);
  if (seen.get(a) === b) return true;
  if (isTyped(a) && isTyped(b)) return sameElements(a, b);
  if (isBuffer(a) && isBuffer(b)) return sameElements(new Uint8Array(a), new Uint8Array(b));
  if (Object.keys(a).length !== Object.keys(b).length) return false;
  seen.set(a, b);
  if (a instanceof Map && b instanceof Map) return sameMap(a, b, seen);
  if (a instanceof Set && b instanceof Set) return sameSet(a, b, seen);
  return sameMembers(a as Bag, b as Bag, seen);
}

function refuseWeak(a: object, b: object, type: WeakMapConstructor | WeakSetConstructor): void {
  if (a instanceof type && b instanceof type) throw new TypeError(`Cannot compare ${type.name} instances`);
}

function sameElements(a: ArrayLike<unknown>, b: ArrayLike<unknown>): boolean {
  if (a.length !== b.length) return false;
  for (let index = 0; index < a.length; index++) {
    // Numbers and bigints only: `===` says that 0 is -0, `Object.is` that NaN is itself.
    if (a[index] !== b[index] && !Object.is(a[index], b[index])) return false;
  }
  return true;
}

function sameMembers(a: Bag, b: Bag, seen: Map<object, object>): boolean {
  if (Array.isArray(a) && Array.isArray(b) && a.length !== b.length) return false;
  if (isBoxed(a) && isBoxed(b) && !compare(a.valueOf(), b.valueOf(), seen)) return false;
  const keysOf = isPlain(a) && isPlain(b) ? enumerableKeys : inheritedKeys;
  for (const key of new Set([...keysOf(a), ...keysOf(b)])) {
    if (key in a !== key in b || !compare(a[key], b[key], seen)) return false;
  }
  return true;
}

function sameMap(a: Map<unknown, unknown>, b: Map<unknown, unknown>, seen: Map<object, object>): boolean {
  if (a.size !== b.size) return false;
  if ([...a.keys()].every(isPrimitive)) {
    return [...a].every(([key, value]) => b.has(key) && compare(value, b.get(key), seen));
  }
  return matchAll([...a], [...b], (x, y) => compare(x[0], y[0], seen) && compare(x[1], y[1], seen));
}

function sameSet(a: Set<unknown>, b: Set<unknown>, seen: Map<object, object>): boolean {
  if (a.size !== b.size) return false;
  if ([...a].every(isPrimitive)) return [...a].every((value) => b.has(value));
  return matchAll([...a], [...b], (x, y) => compare(x, y, seen));
}

/** Whether each of `a` has one of `b` for itself. */
function matchAll<T>(a: readonly T[], b: readonly T[], same: (x: T, y: T) => boolean): boolean {
  const free = [...b];
  return a.every((x) => {
    const index = free.findIndex((y) => same(x, y));
    if (index >= 0) free.splice(index, 1);
    return index >= 0;
  });
}
