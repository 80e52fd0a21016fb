/**
 * The command, as a user runs it: `mptcp …` on the runtime that runs the test.
 *
 * @module
 */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Child, type Ended } from "../child.ts";
import { runtimeCommand } from "../host.ts";

const CLI = fileURLToPath(new URL("../../cli/mod.ts", import.meta.url));
const STAND_INS = fileURLToPath(new URL("../offline/import_map.json", import.meta.url));

/** The words that run it. */
export function mptcp(...args: string[]): string[] {
  const [program, ...rest] = runtimeCommand(CLI, args);
  // Deno does not hand on to its children what `@std` is for itself.
  const offline = "Deno" in globalThis && import.meta.resolve("@std/cli").startsWith("file:");
  if (!offline) return [program!, ...rest];
  const [run = "", ...others] = rest;
  return [program!, run, `--import-map=${STAND_INS}`, ...others];
}

/** Why there is no MPTCP here, for node:test's `skip` option; `false` when there is. */
export const withoutMptcp: string | false = existsSync("/proc/sys/net/mptcp/enabled") ? false : "this kernel has no MPTCP";

/** Runs it to its end, without input. */
export async function ran(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ended> {
  await using child = new Child(mptcp(...args), env);
  child.endInput();
  return await child.ended;
}
