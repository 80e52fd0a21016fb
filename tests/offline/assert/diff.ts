import { format } from "./format.ts";

type Line = readonly [mark: " " | "-" | "+", text: string];

/** Above this many pairs of lines the shortest difference costs too much: the middles are shown one after the other. */
const MAX_PAIRS = 4_000_000;
/** Longer stretches of equal lines are cut down to this. */
const CONTEXT = 20;

/** The difference of two values as text: `-` lines are of the actual value, `+` lines of the expected one. */
export function diff(actual: unknown, expected: unknown): string {
  const lines = difference(linesOf(actual), linesOf(expected));
  return ["", "", "", "    [Diff] Actual / Expected", "", "", ...shorten(lines), ""].join("\n");
}

/** A text of several lines is compared line by line, with its line ends visible. */
function linesOf(value: unknown): string[] {
  if (typeof value !== "string" || !value.includes("\n")) return format(value).split("\n");
  return value.split(/(?<=\n)/).map((line) => JSON.stringify(line).slice(1, -1));
}

function difference(a: readonly string[], b: readonly string[]): Line[] {
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start++;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end++;
  const same = (text: string): Line => [" ", text];
  return [
    ...a.slice(0, start).map(same),
    ...middle(a.slice(start, a.length - end), b.slice(start, b.length - end)),
    ...a.slice(a.length - end).map(same),
  ];
}

/** By the longest common subsequence. */
function middle(a: readonly string[], b: readonly string[]): Line[] {
  if (a.length * b.length > MAX_PAIRS) return [...a.map((text): Line => ["-", text]), ...b.map((text): Line => ["+", text])];
  const width = b.length + 1;
  const longest = new Uint32Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      longest[i * width + j] = a[i] === b[j]
        ? longest[(i + 1) * width + j + 1]! + 1
        : Math.max(longest[(i + 1) * width + j]!, longest[i * width + j + 1]!);
    }
  }
  const lines: Line[] = [];
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      lines.push([" ", a[i++]!]);
      j++;
    } else if (i < a.length && (j === b.length || longest[(i + 1) * width + j]! >= longest[i * width + j + 1]!)) {
      lines.push(["-", a[i++]!]);
    } else {
      lines.push(["+", b[j++]!]);
    }
  }
  return lines;
}

function shorten(lines: readonly Line[]): string[] {
  const texts: string[] = [];
  for (let at = 0; at < lines.length;) {
    let end = at;
    while (end < lines.length && lines[end]![0] === " ") end++;
    const equal = end - at;
    const keep = equal > 2 * CONTEXT ? CONTEXT : equal;
    for (const [mark, text] of lines.slice(at, at + keep)) texts.push(`${mark}   ${text}`);
    if (keep < equal) {
      texts.push(`    … ${equal - 2 * keep} equal lines …`);
      for (const [mark, text] of lines.slice(end - keep, end)) texts.push(`${mark}   ${text}`);
    }
    if (end < lines.length) texts.push(`${lines[end]![0]}   ${lines[end]![1]}`);
    at = end + 1;
  }
  return texts;
}
