/**
 * Where a command writes: data to standard output, words to standard error.
 *
 * @module
 */
import process from "node:process";
import { left, type Look, lookOf, paint, widthOf } from "../demo/text.ts";

export { left, type Look, paint, right } from "../demo/text.ts";

/** What a command wrote was more than its reader wanted to know. */
export class ClosedPipe extends Error {}

/** See the module's comment. */
export class Output {
  readonly look: Look = lookOf(process.stdout, process.env);
  /** What standard error can show. */
  readonly errorLook: Look = lookOf(process.stderr, process.env);
  /** Whether a line on standard error can be written over. */
  readonly live: boolean = process.stderr.isTTY === true && process.env["TERM"] !== "dumb";

  /** Writes lines of data. */
  print(...lines: string[]): void {
    if (lines.length > 0) process.stdout.write(`${lines.join("\n")}\n`);
  }

  /** Writes a value as JSON: over several lines for a person at a terminal, else on one. */
  json(value: unknown): void {
    this.print(jsonOf(value, process.stdout.isTTY ? 2 : undefined));
  }

  /** Writes a value as one line of JSON. */
  jsonLine(value: unknown): void {
    this.print(jsonOf(value));
  }

  /** Writes bytes, and waits until they are taken. */
  write(bytes: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      process.stdout.write(bytes, (error) => error ? reject(new ClosedPipe()) : resolve());
    });
  }

  /** Writes words. */
  say(...lines: string[]): void {
    process.stderr.write(`${lines.join("\n")}\n`);
  }

  /** Shows a line that the next one takes the place of; an empty one takes it away. Only on a terminal. */
  status(line: string): void {
    if (!this.live) return;
    const room = Math.max(20, (process.stderr.columns || 80) - 1);
    process.stderr.write(`\r\x1b[K${[...line].slice(0, room).join("")}`);
  }

  /** Writes a table, its columns as wide as they must be. */
  table(heads: readonly string[], rows: readonly (readonly string[])[]): void {
    this.print(...tableLines(this.look, heads, rows));
  }

  /** Waits until everything is written. */
  flush(): Promise<void> {
    const streams = [process.stdout, process.stderr] as const;
    return Promise.all(streams.map((stream) => new Promise<void>((resolve) => stream.write("", () => resolve())))).then();
  }
}

/** A value as JSON; a number that JSON has no room for as a string. */
export function jsonOf(value: unknown, indent?: number): string {
  return JSON.stringify(value, (_key, each) => typeof each === "bigint" ? `${each}` : each, indent);
}

/** A table's lines. */
export function tableLines(look: Look, heads: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const widths = heads.map((head, column) => Math.max(...[head, ...rows.map((row) => row[column] ?? "")].map(widthOf)));
  const line = (cells: readonly string[]) =>
    widths.map((width, column) => left(cells[column] ?? "", width)).join("  ").trimEnd();
  return [paint(look, line(heads), "bold"), ...rows.map(line)];
}

/** A number of bytes, as "1.4 MB". */
export function bytesText(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  let unit = 0;
  while (bytes >= 999.5 && unit < units.length - 1) {
    bytes /= 1000;
    unit++;
  }
  return `${unit === 0 || bytes >= 99.95 ? Math.round(bytes) : bytes.toFixed(1)} ${units[unit]}`;
}

/** A rate in bytes per second, as "1.4 Gbit/s". */
export function rateText(bytesPerSecond: number): string {
  const units = ["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"];
  let bits = bytesPerSecond * 8;
  let unit = 0;
  while (bits >= 999.5 && unit < units.length - 1) {
    bits /= 1000;
    unit++;
  }
  return `${unit === 0 || bits >= 99.95 ? Math.round(bits) : bits.toFixed(1)} ${units[unit]}`;
}
