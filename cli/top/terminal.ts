/**
 * A terminal that a program has to itself for a while: another screen, no echo, each key at once. It is given back whatever
 * happens, but for SIGKILL.
 *
 * @module
 */
import process from "node:process";

/** The alternate screen, without a cursor and without wrapping; and back. */
const ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l";
const LEAVE = "\x1b[?7h\x1b[?25h\x1b[?1049l";
/** A frame is shown as a whole by terminals that know this. */
const BEGIN = "\x1b[?2026h";
const END = "\x1b[?2026l";

/** What a terminal tells its owner. */
export interface TerminalOwner {
  /** A key was pressed: its character, or the sequence that it sends. */
  key(key: string): void;
  /** What was drawn does not fit, or is gone: draw anew. */
  stale(): void;
}

/** See the module's comment. */
export class Terminal implements Disposable {
  readonly #owner: TerminalOwner;
  readonly #keys = (data: Uint8Array | string) => this.#typed(data.toString());
  readonly #stale = () => this.#owner.stale();
  readonly #leave = () => this.#give();
  readonly #again = () => this.#return();
  #mine = false;
  #over = false;

  constructor(owner: TerminalOwner) {
    this.#owner = owner;
    process.on("exit", this.#leave);
    process.on("SIGWINCH", this.#stale);
    process.on("SIGCONT", this.#again);
    process.stdin.on("data", this.#keys);
    this.#take();
  }

  /** How many columns and rows there are. */
  get size(): { width: number; height: number } {
    const { columns, rows } = process.stdout;
    return { width: Math.max(20, columns || 80), height: Math.max(2, rows || 24) };
  }

  /** Draws lines over what is there, so that nothing flickers. */
  draw(lines: readonly string[]): void {
    if (!this.#mine) return;
    const text = lines.map((line) => `${line}\x1b[K`).join("\r\n");
    process.stdout.write(`${BEGIN}\x1b[H${text}\x1b[J${END}`);
  }

  /** Stops the program, as Ctrl-Z does elsewhere. */
  suspend(): void {
    this.#give();
    process.kill(process.pid, "SIGTSTP");
    // Where nobody could continue it the kernel does not stop it.
    setTimeout(this.#again, 100);
  }

  [Symbol.dispose](): void {
    this.#over = true;
    process.off("exit", this.#leave);
    process.off("SIGWINCH", this.#stale);
    process.off("SIGCONT", this.#again);
    process.stdin.off("data", this.#keys);
    process.stdin.pause();
    this.#give();
  }

  #typed(text: string): void {
    // Several keys may come at once; a sequence counts as one.
    // deno-lint-ignore no-control-regex
    for (const key of text.match(/\x1b(?:\[[0-9;]*[A-Za-z~]|O[A-Z])|[\s\S]/g) ?? []) this.#owner.key(key);
  }

  #take(): void {
    if (this.#mine) return;
    this.#mine = true;
    if (process.stdin.isTTY) process.stdin.setRawMode(true);
    process.stdin.resume();
    process.stdout.write(ENTER);
  }

  #give(): void {
    if (!this.#mine) return;
    this.#mine = false;
    if (process.stdin.isTTY) process.stdin.setRawMode(false);
    process.stdout.write(LEAVE);
  }

  #return(): void {
    if (this.#over || this.#mine) return;
    this.#take();
    this.#owner.stale();
  }
}
