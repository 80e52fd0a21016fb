/**
 * A child process that a test talks to by lines.
 *
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";

/** How long a line, or an end, may take: a test that waits longer has lost its peer, and says what that one wrote last. */
const PATIENCE = 15_000;

/** Where Debian keeps the network tools; an ordinary user's PATH lacks it. */
const PATH = `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin`;

/** How a child ended, and what it wrote. */
export interface Ended {
  code: number | null;
  signal: string | null;
  stdout: string;
  stderr: string;
}

interface Waiter {
  resolve(line: string): void;
  reject(error: Error): void;
}

/** A running command; its standard input and output are pipes of text. Disposing of it kills it and waits for its end. */
export class Child implements AsyncDisposable {
  readonly #process: ChildProcess;
  readonly #name: string;
  readonly #lines: string[] = [];
  readonly #waiters: Waiter[] = [];
  #partial = "";
  #stdout = "";
  #stderr = "";
  #over: Ended | null = null;
  /** Settles when the command has ended and everything that it wrote is here. It never rejects. */
  readonly ended: Promise<Ended>;

  constructor(command: readonly string[], env: Readonly<Record<string, string>> = {}) {
    const [program, ...args] = command;
    this.#name = command.join(" ");
    this.#process = spawn(program!, args, { stdio: "pipe", env: { ...process.env, NO_COLOR: "1", ...env, PATH } });
    const { stdin, stdout, stderr } = this.#process;
    stdin!.on("error", () => {}); // a write to a child that is gone: its end tells more
    stdout!.setEncoding("utf8").on("data", (text: string) => this.#arrived(text));
    stderr!.setEncoding("utf8").on("data", (text: string) => this.#stderr += text);
    this.ended = new Promise((resolve) => {
      this.#process.on("error", (error) => {
        this.#stderr += error.message;
        resolve(this.#finish(127, null));
      });
      this.#process.on("close", (code, signal) => resolve(this.#finish(code, signal)));
    });
  }

  /** The process id. Commands here replace themselves (`nsenter … cat`), so it is the last one's too. */
  get pid(): number {
    return this.#process.pid!;
  }

  /** Writes one line to the child's standard input. */
  send(line: string): void {
    this.#process.stdin!.write(`${line}\n`);
  }

  /** Ends the child's standard input. */
  endInput(): void {
    this.#process.stdin!.end();
  }

  /** The next line that the child writes to its standard output. */
  line(): Promise<string> {
    const line = this.#lines.shift();
    return line === undefined ? this.#nextLine(PATIENCE) : Promise.resolve(line);
  }

  #nextLine(patience?: number): Promise<string> {
    if (this.#over) return Promise.reject(this.#lost(`ended with ${this.#over.code ?? this.#over.signal}`));
    return new Promise((resolve, reject) => {
      const waiter: Waiter = { resolve, reject };
      this.#waiters.push(waiter);
      if (patience === undefined) return;
      const timer = setTimeout(() => {
        this.#waiters.splice(this.#waiters.indexOf(waiter), 1);
        reject(this.#lost(`wrote no line in ${patience} ms`));
      }, patience);
      waiter.resolve = (line) => (clearTimeout(timer), resolve(line));
      waiter.reject = (error) => (clearTimeout(timer), reject(error));
    });
  }

  /** The next line, which is JSON. What it is like is between the test and the command. */
  async json<T>(): Promise<T> {
    const line = await this.line();
    try {
      return JSON.parse(line) as T;
    } catch (cause) {
      throw new Error(`${this.#name} wrote what is no JSON: ${line}`, { cause });
    }
  }

  /** The lines to come, until the child ends; without haste. */
  async *[Symbol.asyncIterator](): AsyncIterableIterator<string> {
    for (;;) {
      const next = this.#lines.shift() ?? await this.#nextLine().catch(() => null);
      if (next === null) return;
      yield next;
    }
  }

  /** Ends the child, and waits until it is gone. */
  async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<Ended> {
    if (!this.#over) this.#process.kill(signal);
    return await this.ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }

  #arrived(text: string): void {
    this.#stdout += text;
    const lines = (this.#partial + text).split("\n");
    this.#partial = lines.pop()!;
    for (const line of lines) {
      const waiter = this.#waiters.shift();
      if (waiter) waiter.resolve(line);
      else this.#lines.push(line);
    }
  }

  #finish(code: number | null, signal: string | null): Ended {
    this.#over ??= { code, signal, stdout: this.#stdout, stderr: this.#stderr };
    for (const { reject } of this.#waiters.splice(0)) reject(this.#lost(`ended with ${code ?? signal}`));
    return this.#over;
  }

  #lost(what: string): Error {
    return new Error(`${this.#name} ${what}\n${this.#stderr}`);
  }
}

/**
 * Runs a command to its end.
 *
 * @param input What it reads from its standard input.
 * @returns What it wrote to its standard output.
 * @throws {Error} With what it wrote to its standard error, when it ends with anything but 0.
 */
export async function run(command: readonly string[], input = ""): Promise<string> {
  await using child = new Child(command);
  if (input !== "") child.send(input);
  child.endInput();
  const { code, signal, stdout, stderr } = await child.ended;
  if (code !== 0) {
    throw new Error(`${command.join(" ")} ended with ${code ?? signal}: ${stderr || stdout}${input && `\n${input}`}`);
  }
  return stdout;
}
