/**
 * The `mptcp` command, as a user runs it.
 *
 * @module
 */
import process from "node:process";
import { fileURLToPath } from "node:url";
import { Child, type Ended } from "../child.ts";
import type { Host } from "../host.ts";

const path = (relative: string) => fileURLToPath(new URL(`../../${relative}`, import.meta.url));

/** The command line, on the runtime that runs this. Where JSR is not reached, Deno has to be told where `@std/cli` is. */
export function commandLine(...args: string[]): string[] {
  const imports = `--import-map=${path("tests/offline/import_map.json")}`;
  const deno = "Deno" in globalThis ? ["run", "-A", "--no-check", "--quiet", imports] : [];
  return [process.execPath, ...deno, path("cli/mod.ts"), ...args];
}

/** Whatever starts processes: this machine, or a host of a lab. */
export type Place = Pick<Host, "spawn">;

/** This machine. */
export const HERE: Place = { spawn: (command, args = [], env = {}) => new Child([command, ...args], env) };

/** Starts the command. */
export function start(args: readonly string[], place: Place = HERE, env: Record<string, string> = {}): Child {
  const [program, ...rest] = commandLine(...args);
  return place.spawn(program!, rest, env);
}

/** Starts a command by a shell, in which `"$@"` is it. */
export function startInShell(script: string, args: readonly string[], place: Place = HERE): Child {
  return place.spawn("sh", ["-c", script, "sh", ...commandLine(...args)]);
}

/** Runs the command to its end. @param input What it reads. */
export async function mptcp(args: readonly string[], place: Place = HERE, input = ""): Promise<Ended> {
  await using child = start(args, place);
  if (input !== "") child.send(input);
  child.endInput();
  return await child.ended;
}

/** Starts a command that listens and says where by `--json`. */
export async function listening(args: readonly string[], place: Place = HERE): Promise<{ child: Child; port: number }> {
  const child = start([...args, "--json"], place);
  const { type, port } = await child.json<{ type: string; port: number }>();
  if (type !== "listening") throw new Error(`it said ${type}`);
  return { child, port };
}

/** Sends a signal and waits for the end. (`ChildProcess.kill` of Deno closes the pipes, and takes the signal for the reason.) */
export async function interrupt(child: Child, signal: "SIGINT" | "SIGTERM" = "SIGINT"): Promise<Ended> {
  process.kill(child.pid, signal);
  return await child.ended;
}
