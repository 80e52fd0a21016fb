/**
 * Whether `@std` comes from JSR here, or from the stand-ins of this folder.
 *
 * @module
 */
import { spawnSync } from "node:child_process";

/** Asks Deno to load a module of `@std`. */
export function reachesJsr(): boolean {
  return spawnSync("deno", ["cache", "--quiet", "jsr:@std/assert@^1"], { timeout: 20_000, stdio: "ignore" }).status === 0;
}
