/**
 * Writes the words of the demonstration, and keeps the live display below them.
 *
 * @module
 */
import { liveLines, plainLine, type Progress } from "./bar.ts";
import type { Look } from "./text.ts";
import { widthOf } from "./text.ts";

const HIDE_CURSOR = "\x1b[?25l";
const SHOW_CURSOR = "\x1b[?25h";
/** How often a log gets a line of progress, ms. */
const LOG_EVERY = 500;

/** See the module's comment. */
export class Live {
  readonly look: Look;
  readonly #write: (text: string) => void;
  /** Whether lines can be taken back. */
  readonly #redraws: boolean;
  #drawn = 0;
  #hidden = false;
  #logged = 0;

  /**
   * @param look What can be shown.
   * @param redraws Whether it is a terminal.
   * @param write Writes text.
   */
  constructor(look: Look, redraws: boolean, write: (text: string) => void) {
    this.look = look;
    this.#redraws = redraws;
    this.#write = write;
  }

  /** Writes lines that stay. */
  say(...lines: string[]): void {
    this.#write(`${this.#rubber()}${lines.join("\n")}\n`);
  }

  /** Shows progress: in the place of what was shown before, or as one more line if it is time for one. */
  show(progress: Progress): void {
    if (!this.#redraws) {
      if (progress.elapsed < this.#logged + LOG_EVERY) return;
      this.#logged = progress.elapsed - progress.elapsed % LOG_EVERY;
      return this.#write(`${plainLine(progress)}\n`);
    }
    // A line that wraps would take two rows, and could not be taken back.
    const lines = liveLines(this.look, progress).filter((line) => widthOf(line) < this.look.width);
    const hide = this.#hidden ? "" : HIDE_CURSOR;
    this.#hidden = true;
    this.#write(`${hide}${this.#rubber()}${lines.join("\n")}\n`);
    this.#drawn = lines.length;
  }

  /** Takes the live display away and gives the cursor back. */
  clear(): void {
    const text = this.#rubber() + (this.#hidden ? SHOW_CURSOR : "");
    this.#hidden = false;
    if (text !== "") this.#write(text);
  }

  /** What takes back the lines that were drawn. */
  #rubber(): string {
    const lines = this.#drawn;
    this.#drawn = 0;
    return lines === 0 ? "" : `\x1b[${lines}F\x1b[J`;
  }
}
