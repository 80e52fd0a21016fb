/**
 * A stand-in for `@std/cli` 1, for where JSR cannot be reached: of its functions the one that the command uses, with the same
 * behaviour, written for this package. `tests/offline/import_map.json` and `package.json` (Bun,
 * Node) say that it is this file.
 *
 * @module
 */
export { type Args, parseArgs, type ParseOptions } from "./parse_args.ts";
