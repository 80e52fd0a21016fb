/**
 * Replacing methods of the runtime's own classes, so that it can be undone.
 *
 * @module
 */

/** A method of any class. */
// deno-lint-ignore no-explicit-any
export type Method = (this: any, ...args: unknown[]) => unknown;

/** On the functions that stand in for others, whatever copy of this package they are of. */
const MARK = Symbol.for("@mptcp/mptcp/auto");

/**
 * Replaces a method. One that is replaced already, by another copy of this package, stays as it is.
 *
 * @param make Makes the new one, out of the one that is there.
 * @returns Undoes it. Where others have replaced it meanwhile, theirs stays, and calls the former one.
 */
export function replaceMethod(prototype: object, name: string, make: (former: Method) => Method): () => void {
  let owner = prototype;
  while (!Object.hasOwn(owner, name)) owner = Object.getPrototypeOf(owner);
  const descriptor = Object.getOwnPropertyDescriptor(owner, name)!;
  const former = descriptor.value as Method;
  if (MARK in former) return () => {};
  const made = make(former);
  let active = true;
  const replacement: Method = function (...args) {
    return (active ? made : former).apply(this, args);
  };
  Object.defineProperties(replacement, {
    name: { value: former.name, configurable: true },
    length: { value: former.length, configurable: true },
    [MARK]: { value: true },
  });
  Object.defineProperty(owner, name, { ...descriptor, value: replacement });
  return () => {
    active = false;
    if ((owner as Record<string, unknown>)[name] === replacement) Object.defineProperty(owner, name, descriptor);
  };
}
