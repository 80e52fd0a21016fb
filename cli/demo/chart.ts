/**
 * The paths' throughput over time, drawn with characters: one path stands on the other, so that the upper edge is what the
 * connection got.
 *
 * @module
 */
import { type Ink, inkOf, left, type Look, paint, right } from "./text.ts";

/** What both charts draw. */
export interface ChartData {
  /** The paths, the lowest first, with their rates in equal steps of time, bytes per second. */
  series: { path: number; rates: number[] }[];
  /** The rate at the upper end of the scale, bytes per second. */
  top: number;
  /** How long it took, ms. */
  duration: number;
  /** What happened, and when, in ms from the beginning. */
  marks: Mark[];
  /** Whether the marks are where one thing ends and the next begins, and not a cut and its end. */
  sections?: boolean;
}

/** A moment to be pointed at. */
export interface Mark {
  at: number;
  label: string;
}

/** Rows of the plot. */
const HEIGHT = 10;
/** Columns left of the plot. */
const MARGIN = 9;
const BLOCKS = " ▁▂▃▄▅▆▇█";

/** How many columns the plot has, so how many steps the rates should have. */
export function plotWidth(look: Look): number {
  return look.width - MARGIN - 3;
}

/** The chart's lines. */
export function chartLines(look: Look, data: ChartData): string[] {
  const { series, top, duration, marks } = data;
  const width = Math.max(0, ...series.map(({ rates }) => rates.length));
  const column = (at: number) => Math.min(width - 1, Math.max(0, Math.floor(at / duration * width)));
  const marked = new Set(marks.map(({ at }) => column(at)));
  const edges = Array.from({ length: width }, (_, index) => edgesOf(data, index));
  const lines = [`${right("Mbit/s", MARGIN - 1)}`];
  for (let row = HEIGHT - 1; row >= 0; row--) {
    const labelled = row === HEIGHT - 1 || (row + 1) * 2 === HEIGHT;
    const label = labelled ? `${Math.round(top * 8 / 1e6 * (row + 1) / HEIGHT)}` : "";
    const cells = edges.map((edge, index) => cell(look, data, edge, row, marked.has(index)));
    lines.push(`${right(label, MARGIN - 2)} ${axis(look, labelled ? "┤" : "│")}${cells.join("")}`.trimEnd());
  }
  lines.push(
    `${right("0", MARGIN - 2)} ${timeAxis(look, width, duration)}`,
    `${" ".repeat(MARGIN)}${timeLabels(width, duration)}`,
  );
  lines.push(...markLines(look, width, marks.map((mark) => ({ ...mark, at: column(mark.at) }))));
  const legend = series.map(({ path }, index) => `${paint(look, fill(look, index), inkOf(path))} path ${path}`);
  lines.push(`${" ".repeat(MARGIN)}${legend.reverse().join("    ")}`);
  return lines;
}

/** The height of each path's upper edge at one step, in eighths of a row. */
function edgesOf({ series, top }: ChartData, index: number): number[] {
  let sum = 0;
  return series.map(({ rates }) => {
    sum += rates[index] ?? 0;
    return Math.min(HEIGHT * 8, Math.round(sum / top * HEIGHT * 8));
  });
}

function cell(look: Look, { series }: ChartData, edges: number[], row: number, marked: boolean): string {
  const inRow = edges.map((edge) => Math.min(8, Math.max(0, edge - row * 8)));
  const highest = inRow.at(-1) ?? 0;
  const lower = inRow[0] ?? 0;
  if (highest === 0) return marked ? paint(look, look.unicode ? "┊" : ":", "dim") : " ";
  // The lowest path that reaches the middle of what is filled here.
  const index = Math.max(0, inRow.findIndex((edge) => edge * 2 >= highest));
  const path = series[index]!.path;
  if (!look.unicode || !look.colour) return highest > 4 ? fill(look, index) : " ";
  if (highest === 8 && lower > 0 && lower < 8 && series.length > 1) {
    // Two paths meet here: the lower one's colour on the upper one's ground.
    const ground: Ink = series[1]!.path === 1 ? "onPath1" : "onPath2";
    return paint(look, BLOCKS[lower]!, inkOf(series[0]!.path), ground);
  }
  return paint(look, BLOCKS[highest]!, inkOf(path));
}

/** What fills a path's area; in colour they are told apart by it, otherwise by the character. */
function fill(look: Look, index: number): string {
  if (!look.unicode) return "#+"[index % 2]!;
  return look.colour ? "█" : "█░"[index % 2]!;
}

function axis(look: Look, character: string): string {
  const ascii: Record<string, string> = { "─": "-", "┬": "+", "└": "+", "┤": "+", "│": "|" };
  return paint(look, look.unicode ? character : ascii[character] ?? "?", "dim");
}

/** The columns of whole seconds, so many that their labels have room. */
function ticks(width: number, duration: number): { column: number; label: string }[] {
  const step = [1, 2, 5, 10, 20, 50].find((s) => width * s * 1000 / duration >= 6) ?? 100;
  const count = Math.floor(duration / 1000 / step) + 1;
  return Array.from({ length: count }, (_, index) => ({
    column: Math.round(index * step * 1000 / duration * width),
    label: `${index * step} s`,
  }));
}

function timeAxis(look: Look, width: number, duration: number): string {
  const at = new Set(ticks(width, duration).map(({ column }) => column));
  return axis(look, "└") + Array.from({ length: width }, (_, index) => axis(look, at.has(index) ? "┬" : "─")).join("");
}

function timeLabels(width: number, duration: number): string {
  let line = "";
  for (const { column, label } of ticks(width, duration)) {
    if (column + label.length <= width + 2) line = left(line, column) + label;
  }
  return line;
}

/** The marks below the axis, on as few lines as they have room on. */
function markLines(look: Look, width: number, marks: Mark[]): string[] {
  const lines: string[] = [];
  for (const { at, label } of [...marks].sort((a, b) => a.at - b.at)) {
    const text = `${look.unicode ? "▲" : "^"} ${label}`;
    // Near the right edge the words stand before the arrow.
    const flipped = at + text.length > width && at + 1 >= text.length;
    const begin = MARGIN + (flipped ? at + 1 - text.length : at);
    const written = flipped ? `${label} ${look.unicode ? "▲" : "^"}` : text;
    const line = lines.findIndex((before) => before.length + 2 <= begin);
    if (line < 0) lines.push(left("", begin) + written);
    else lines[line] = left(lines[line]!, begin) + written;
  }
  return lines;
}
