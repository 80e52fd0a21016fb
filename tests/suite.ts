/**
 * `describe` and `it` of node:test, but a `describe` that is skipped skips each of its tests: the runners leave such a group
 * out of their reports, each in its way, Bun without a word.
 *
 * @module
 */
import { describe as group, it as test } from "node:test";

/** What is said of a group, or of a test. */
export interface SuiteOptions {
  /** Why not to run it. @default {false} */
  skip?: string | false | undefined;
}

type Body = () => void | Promise<void>;

/** Why the tests that are being defined are skipped, if they are. */
let reason: string | false = false;

/** Defines a group of tests. */
export function describe(name: string, ...[options, define]: [SuiteOptions, () => void] | [() => void, undefined?]): void {
  const [{ skip = false }, body] = typeof options === "function" ? [{}, options] : [options, define!];
  const inherited = reason || skip;
  group(name, () => { // called now, or later
    const outer = reason;
    reason = inherited;
    try {
      body();
    } finally {
      reason = outer;
    }
  });
}

/** Defines a test. */
export function it(name: string, ...[options, run]: [SuiteOptions, Body] | [Body, undefined?]): void {
  const [{ skip = false }, body] = typeof options === "function" ? [{}, options] : [options, run!];
  test(name, { skip: reason || skip }, body);
}
