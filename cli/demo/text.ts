/**
 * Words, numbers and colours for a terminal.
 *
 * @module
 */

/** What the place that is written to can show. */
export interface Look {
  /** ANSI colours. */
  colour: boolean;
  /** More than ASCII. */
  unicode: boolean;
  /** Columns. */
  width: number;
}

/** A stream as `process.stdout` is one. */
export interface Screen {
  isTTY?: boolean;
  columns?: number;
}

/** How wide text is made where nobody says how wide the screen is, and how wide at most where somebody does. */
const WIDTH = 80;
const WIDEST = 100;

/**
 * What a stream can show: nothing but ASCII when it is a pipe or a file, colours only on a terminal that wants them
 * (`NO_COLOR`, `TERM=dumb`), or where `FORCE_COLOR` asks for them.
 */
export function lookOf(screen: Screen, env: Readonly<Record<string, string | undefined>>): Look {
  const tty = screen.isTTY === true;
  const dumb = env["TERM"] === "dumb";
  const forced = !["", "0", undefined].includes(env["FORCE_COLOR"]);
  const locale = env["LC_ALL"] || env["LC_CTYPE"] || env["LANG"] || "";
  return {
    colour: !env["NO_COLOR"] && (forced || (tty && !dumb)),
    // No locale at all is the rule in containers, whose terminal is a modern one outside.
    unicode: tty && !dumb && (locale === "" || /utf-?8/i.test(locale)),
    width: tty ? Math.min(WIDEST, Math.max(40, screen.columns || WIDTH)) : WIDTH,
  };
}

/** SGR parameters. The two paths' colours stand on a dark ground as well as on a light one. */
const INKS = {
  bold: "1",
  dim: "2",
  red: "31",
  green: "32",
  path1: "38;5;33",
  path2: "38;5;208",
  onPath1: "48;5;33",
  onPath2: "48;5;208",
} as const;

/** The name of a way to write. */
export type Ink = keyof typeof INKS;

/** Writes in a colour, where there is colour. */
export function paint(look: Look, text: string, ...inks: Ink[]): string {
  if (!look.colour || text === "" || inks.length === 0) return text;
  return `\x1b[${inks.map((ink) => INKS[ink]).join(";")}m${text}\x1b[0m`;
}

/** A path's colour. */
export function inkOf(path: number): Ink {
  return path === 1 ? "path1" : "path2";
}

// deno-lint-ignore no-control-regex
const SGR = /\x1b\[[0-9;]*m/g;

/** How many columns a text takes; every character used here takes one. */
export function widthOf(text: string): number {
  return [...text.replace(SGR, "")].length;
}

/** Fills up with blanks at the end. */
export function left(text: string, width: number): string {
  return text + " ".repeat(Math.max(0, width - widthOf(text)));
}

/** Fills up with blanks at the beginning. */
export function right(text: string, width: number): string {
  return " ".repeat(Math.max(0, width - widthOf(text))) + text;
}

/** Megabytes, such as "64.2 MB". */
export function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

/** A rate of bytes per second, such as "93.8 Mbit/s". */
export function megabits(bytesPerSecond: number): string {
  return `${(bytesPerSecond * 8 / 1e6).toFixed(1)} Mbit/s`;
}

/** A part of a whole, such as "49 %". */
export function percent(part: number, whole: number): string {
  return `${whole > 0 ? Math.round(part / whole * 100) : 0} %`;
}

/** A time since the beginning, such as "2.45 s". */
export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(2)} s`;
}
