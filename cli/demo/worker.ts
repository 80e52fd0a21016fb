/**
 * Child processes of the demonstration, on the runtime that runs it.
 *
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { delimiter } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Task } from "./messages.ts";

/** The command line that runs a script on the same runtime as this process. */
export function runtimeCommand(script: URL): string[] {
  const path = fileURLToPath(script);
  if (process.versions["deno"]) return [process.execPath, "run", "-A", "--no-check", path];
  return [process.execPath, path];
}

/** The runtime's name and version, for people. */
export function runtimeName(): string {
  const { deno, bun, node } = process.versions;
  if (deno) return `Deno ${deno}`;
  return bun ? `Bun ${bun}` : `Node ${node}`;
}

/** The folders that programs are looked for in: with those for administrators, which are not on everybody's PATH. */
export function searchPath(): string {
  return [process.env["PATH"] ?? "", "/usr/local/sbin", "/usr/sbin", "/sbin"].join(delimiter);
}

/**
 * Every process that was started and has not ended. They are in sessions of their own, so that Ctrl-C reaches us alone and
 * we take them down in order; and their standard input is a pipe that we hold, so that they end with us in any case.
 */
export class Children {
  readonly #alive = new Set<ChildProcess>();
  #over = false;

  /** Starts a process. Its standard error is kept, for the message if it fails. */
  start(command: readonly string[]): { child: ChildProcess; trouble: () => string } {
    const [program = "", ...args] = command;
    if (this.#over) throw new Error(`${program} was not started: the demonstration is over`);
    const env = { ...process.env, PATH: searchPath() };
    const child = spawn(program, args, { detached: true, stdio: ["pipe", "pipe", "pipe"], env });
    this.#alive.add(child);
    child.once("close", () => this.#alive.delete(child));
    child.once("error", () => this.#alive.delete(child));
    // A child that is gone already is no news; why it went is told by its exit.
    child.stdin!.on("error", () => {});
    let errors = "";
    child.stderr!.setEncoding("utf8").on("data", (text: string) => errors = (errors + text).slice(-4000));
    return { child, trouble: () => errors.trim() };
  }

  /** Ends a process and waits for it. */
  async end(child: ChildProcess): Promise<void> {
    if (!this.#alive.has(child)) return;
    const closed = once(child, "close");
    child.stdin!.end();
    child.kill("SIGKILL");
    await closed;
  }

  /** Ends them all, and lets no more be started. */
  async endAll(): Promise<void> {
    this.#over = true;
    await Promise.all([...this.#alive].map((child) => this.end(child)));
  }

  /**
   * Starts a script of the demonstration and hands over its messages.
   *
   * @param enter The command that puts it into its network namespace.
   * @param heard Called with each message.
   * @returns When it has ended well.
   * @throws {Error} With its own words, when it has not.
   */
  async runScript<Message extends { type: string }>(
    enter: readonly string[],
    script: URL,
    task: Task,
    heard: (message: Message) => void,
  ): Promise<void> {
    const { child, trouble } = this.start([...enter, ...runtimeCommand(script), JSON.stringify(task)]);
    let complaint = "";
    createInterface({ input: child.stdout! }).on("line", (line) => {
      const message = JSON.parse(line) as Message | { type: "error"; message: string };
      if (message.type === "error") complaint = (message as { message: string }).message;
      else heard(message as Message);
    });
    const failed = new Promise<never>((_, reject) => child.once("error", reject));
    const [code, signal] = await Promise.race([once(child, "close"), failed]) as [number | null, string | null];
    if (code === 0) return;
    const part = script.pathname.endsWith("sender.ts") ? "client" : "server";
    throw new Error(`The ${part} failed: ${complaint || trouble() || `it ended with ${signal ?? code}`}`);
  }
}
