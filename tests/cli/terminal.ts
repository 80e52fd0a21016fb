/**
 * A command in a pseudo-terminal, and what can be read on it.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import type { Child } from "../child.ts";

const PTY = fileURLToPath(new URL("./pseudo_terminal.py", import.meta.url));

/** How it ended. */
export interface TerminalEnd {
  code: number;
  /** Whether the terminal echoes what is typed, as it did before. */
  echo: boolean;
}

/** See the module's comment. */
export class PseudoTerminal implements AsyncDisposable {
  readonly #child: Child;
  readonly #end: Promise<TerminalEnd>;
  #text = "";
  #changed: () => void = () => {};

  /** @param start Starts a command that it is given. */
  constructor(start: (command: string[]) => Child, command: readonly string[], columns = 100, rows = 30) {
    this.#child = start(["/usr/bin/python3", PTY, `${columns}`, `${rows}`, ...command]);
    this.#end = this.#read();
    this.#end.catch(() => {});
  }

  /** All that the command has written. */
  get text(): string {
    return this.#text;
  }

  /** What was drawn last, without colours. */
  get frame(): string {
    const frames = this.#text.split("\x1b[H");
    const whole = frames.findLast((frame) => frame.includes("\x1b[J")) ?? "";
    // deno-lint-ignore no-control-regex
    return whole.split("\x1b[J")[0]!.replace(/\x1b\[[0-9;?]*[A-Za-z]/g, "").replaceAll("\r", "");
  }

  type(keys: string): void {
    this.#child.send(JSON.stringify({ keys }));
  }

  resize(columns: number, rows: number): void {
    this.#child.send(JSON.stringify({ size: [columns, rows] }));
  }

  signal(number: number): void {
    this.#child.send(JSON.stringify({ signal: number }));
  }

  /** Waits until the screen is as it should be. */
  async until(what: (terminal: PseudoTerminal) => boolean, patience = 10_000): Promise<void> {
    const late = AbortSignal.timeout(patience);
    while (!what(this)) {
      await new Promise<void>((resolve, reject) => {
        this.#changed = resolve;
        this.#end.then(() => resolve(), reject);
        late.onabort = () =>
          reject(new Error(`Never seen: ${what}\n${this.frame}\n${JSON.stringify(this.#text.slice(-600))}`));
      });
    }
    late.onabort = null;
  }

  /** Waits for the command's end. */
  ended(): Promise<TerminalEnd> {
    return this.#end;
  }

  async #read(): Promise<TerminalEnd> {
    for await (const line of this.#child) {
      const message = JSON.parse(line) as { out?: string } & Partial<TerminalEnd>;
      if (message.out !== undefined) {
        this.#text += message.out;
        this.#changed();
      } else return message as TerminalEnd;
    }
    throw new Error(`The pseudo-terminal is gone: ${(await this.#child.ended).stderr}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child.kill();
  }
}
