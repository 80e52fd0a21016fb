/**
 * The ends of a command that come from outside: signals, and a reader that goes away.
 *
 * @module
 */
import process from "node:process";
import { EXIT } from "./failure.ts";

const SIGNALS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

/** Within so many ms a signal is the first one again: a terminal's Ctrl-C reaches us directly, and by npm or a shell too. */
const SAME = 100;

/** See the module's comment. */
export class Interruption implements Disposable {
  readonly #first = new AbortController();
  readonly #second = new AbortController();
  readonly #undo: (() => void)[] = [];
  #code: number | null = null;
  #since = 0;

  constructor() {
    for (const [name, code] of Object.entries(SIGNALS)) {
      const handle = () => this.#interrupt(code);
      process.on(name as NodeJS.Signals, handle);
      this.#undo.push(() => process.off(name as NodeJS.Signals, handle));
    }
    const gone = () => this.#interrupt(EXIT.closedPipe);
    for (const stream of [process.stdout, process.stderr]) {
      stream.on("error", gone);
      this.#undo.push(() => stream.off("error", gone));
    }
  }

  /** The exit code that it asks for; `null` when there was none. */
  get code(): number | null {
    return this.#code;
  }

  /** Aborted by the first. */
  get signal(): AbortSignal {
    return this.#first.signal;
  }

  /** Aborted by the second. */
  get hurry(): AbortSignal {
    return this.#second.signal;
  }

  #interrupt(code: number): void {
    if (this.#code === null) {
      this.#code = code;
      this.#since = performance.now();
      this.#first.abort(new Error("interrupted"));
    } else if (code !== EXIT.closedPipe && performance.now() - this.#since > SAME) {
      this.#second.abort(new Error("interrupted"));
    }
  }

  [Symbol.dispose](): void {
    for (const undo of this.#undo) undo();
  }
}
