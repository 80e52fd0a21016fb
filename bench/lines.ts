/**
 * A child process that speaks in lines of JSON.
 *
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";

/** See the module's comment. */
export class LineProcess {
  readonly #child: ChildProcess;
  readonly #lines: unknown[] = [];
  readonly #name: string;
  #wake: (() => void) | null = null;
  #ended = false;

  constructor(command: readonly string[], env: Record<string, string | undefined>) {
    const [program, ...args] = command;
    this.#name = command.join(" ");
    this.#child = spawn(program!, args, { stdio: ["pipe", "pipe", "inherit"], env });
    this.#child.stdin!.on("error", () => {}); // the missing answer tells
    createInterface({ input: this.#child.stdout! }).on("line", (line) => {
      if (!line.startsWith("{")) return;
      this.#lines.push(JSON.parse(line));
      this.#wake?.();
    });
    const over = () => {
      this.#ended = true;
      this.#wake?.();
    };
    this.#child.on("error", over);
    this.#child.on("close", over);
  }

  send(line: string): void {
    this.#child.stdin!.write(`${line}\n`);
  }

  /** The next line. */
  async next<T>(timeout: number): Promise<T> {
    const end = Date.now() + timeout;
    while (this.#lines.length === 0) {
      const left = end - Date.now();
      if (left <= 0) throw new Error(`No answer in ${timeout} ms: ${this.#name}`);
      if (this.#ended) throw new Error(`It has ended: ${this.#name}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      this.#wake = null;
    }
    return this.#lines.shift() as T;
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }
}
