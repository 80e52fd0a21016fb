/**
 * A stand-in for `@std/assert` 1, for where JSR cannot be reached: the same names, signatures and behaviour, written for
 * this package. Tests import `@std/assert`; `tests/offline/import_map.json` (Deno) and `package.json` (Bun, Node) say that it
 * is this file.
 *
 * @module
 */
export { AssertionError } from "./assertion_error.ts";
export { equal } from "./equal.ts";
export * from "./errors.ts";
export { assertObjectMatch } from "./object_match.ts";
export * from "./values.ts";
