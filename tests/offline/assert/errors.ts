/** Assertions about errors: thrown, rejected or held. */
import { AssertionError, suffix } from "./assertion_error.ts";

// deno-lint-ignore no-explicit-any
type ErrorClass<E extends Error = Error> = abstract new (...args: any[]) => E;

// deno-lint-ignore no-control-regex
const withoutColours = (text: string): string => text.replace(/\x1b\[[0-9;]*m/g, "");

/**
 * Asserts that a value is an error, of a class and with a message that contains a text or matches an expression, where
 * those are given.
 */
export function assertIsError<E extends Error = Error>(
  error: unknown,
  // deno-lint-ignore no-explicit-any
  ErrorClass?: abstract new (...args: any[]) => E,
  msgMatches?: string | RegExp,
  msg?: string,
): asserts error is E {
  if (!(error instanceof Error)) throw new AssertionError(`Expected "error" to be an Error object${suffix(msg)}`);
  if (ErrorClass && !((error as unknown) instanceof ErrorClass)) {
    const was = error.constructor?.name;
    throw new AssertionError(`Expected error to be instance of "${ErrorClass.name}", but was "${was}"${suffix(msg)}`);
  }
  const matches = msgMatches instanceof RegExp
    ? msgMatches.test(withoutColours(error.message))
    : !msgMatches || withoutColours(error.message).includes(withoutColours(msgMatches));
  if (matches) return;
  const wanted = msgMatches instanceof RegExp ? String(msgMatches) : JSON.stringify(msgMatches);
  throw new AssertionError(
    `Expected error message to include ${wanted}, but got ${JSON.stringify(error.message)}${suffix(msg)}`,
  );
}

/** What the optional arguments of `assertThrows` and `assertRejects` say: either a class and a text, or a message. */
function expectation(classOrMsg: unknown, includesOrMsg: string | undefined, msg: string | undefined) {
  if (typeof classOrMsg === "string") return { msg: classOrMsg };
  const isClass = typeof classOrMsg === "function" &&
    (classOrMsg === Error || classOrMsg.prototype instanceof Error);
  if (classOrMsg !== undefined && !isClass) return { msg: includesOrMsg };
  return { type: classOrMsg as ErrorClass | undefined, includes: includesOrMsg, msg };
}

function checkThrown(error: unknown, how: string, wanted: ReturnType<typeof expectation>): unknown {
  if (wanted.type) {
    if (!(error instanceof Error)) throw new AssertionError(`A non-Error object was ${how}${suffix(wanted.msg)}`);
    assertIsError(error, wanted.type, wanted.includes, wanted.msg);
  }
  return error;
}

/** Asserts that a function throws, and gives what it threw. */
export function assertThrows(fn: () => unknown, msg?: string): unknown;
/** Asserts that a function throws an error of a class, whose message contains a text, and gives the error. */
export function assertThrows<E extends Error = Error>(
  fn: () => unknown,
  // deno-lint-ignore no-explicit-any
  ErrorClass: abstract new (...args: any[]) => E,
  msgIncludes?: string,
  msg?: string,
): E;
export function assertThrows(fn: () => unknown, classOrMsg?: unknown, includesOrMsg?: string, msg?: string): unknown {
  const wanted = expectation(classOrMsg, includesOrMsg, msg);
  try {
    fn();
  } catch (error) {
    return checkThrown(error, "thrown", wanted);
  }
  throw new AssertionError(`Expected function to throw${suffix(wanted.msg)}`);
}

/** Asserts that the promise of a function rejects, and gives the reason. A function that throws at once is not enough. */
export function assertRejects(fn: () => PromiseLike<unknown>, msg?: string): Promise<unknown>;
/** Asserts that the promise of a function rejects with an error of a class, whose message contains a text. */
export function assertRejects<E extends Error = Error>(
  fn: () => PromiseLike<unknown>,
  // deno-lint-ignore no-explicit-any
  ErrorClass: abstract new (...args: any[]) => E,
  msgIncludes?: string,
  msg?: string,
): Promise<E>;
export async function assertRejects(
  fn: () => PromiseLike<unknown>,
  classOrMsg?: unknown,
  includesOrMsg?: string,
  msg?: string,
): Promise<unknown> {
  const wanted = expectation(classOrMsg, includesOrMsg, msg);
  let promise: unknown;
  try {
    promise = fn();
  } catch {
    promise = undefined;
  }
  if (typeof (promise as PromiseLike<unknown> | null | undefined)?.then !== "function") {
    throw new AssertionError(`Function throws when expected to reject${suffix(wanted.msg)}`);
  }
  try {
    await promise;
  } catch (error) {
    return checkThrown(error, "rejected", wanted);
  }
  throw new AssertionError(`Expected function to reject${suffix(wanted.msg)}`);
}
