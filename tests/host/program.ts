/** Runs a small program on the runtime that runs the test. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

/** The package's main module, for programs that lie elsewhere. */
export const MOD = new URL("../../mod.ts", import.meta.url).href;

/** The runtime that runs this test. */
export const runtime = process.versions["deno"] ? "deno" : process.versions["bun"] ? "bun" : "node";

/** What a program did. */
export interface Ran {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** A program in a file of its own, for as long as it is needed. */
export class Program implements Disposable {
  readonly #folder = mkdtempSync(join(tmpdir(), "mptcp-test-"));
  readonly file: string = join(this.#folder, "program.mts");

  /** @param source Its text; `MPTCP` stands for the package's main module. */
  constructor(source: string) {
    writeFileSync(this.file, source.replaceAll('"MPTCP"', JSON.stringify(MOD)));
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true });
  }
}

/**
 * Runs the program to its end.
 *
 * @param source As of `Program`.
 * @param flags Of Deno, instead of `-A`.
 */
export function run(source: string, env: Record<string, string> = {}, flags: string[] = ["-A"]): Ran {
  using program = new Program(source);
  const { file } = program;
  const args = runtime === "deno" ? ["run", "--quiet", "--no-check", "--no-prompt", ...flags, file] : [file];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, {
    cwd: fileURLToPath(new URL("../..", import.meta.url)),
    env: { ...process.env, NO_COLOR: "1", ...env },
    encoding: "utf8",
    timeout: 20_000,
  });
  return { code: status, stdout, stderr };
}
