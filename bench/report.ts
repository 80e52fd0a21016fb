/**
 * The tables: for the terminal, and for docs/benchmarks.md.
 *
 * @module
 */
import { type Results, type Row, rowsOf, type Verdict, verdicts } from "./statistics.ts";

const number = (value: number): string =>
  value >= 1000 ? value.toFixed(0) : value >= 100 ? value.toFixed(1) : value.toFixed(2);
const ratio = (value: number | null): string => value === null ? "" : value.toFixed(2);

const HEAD = ["", "median", "min–max", "CPU", "to C", "to own+mptcpize", "runs", "stalls"];

function cells(row: Row): string[] {
  const { contestant, median, min, max, cpuCost, runs, stalls, toC, toOwn } = row;
  const spread = `${number(min)}–${number(max)}`;
  return [contestant.name, number(median), spread, number(cpuCost), ratio(toC), ratio(toOwn), `${runs}`, `${stalls}`];
}

/** Rows by case, in the order of the cases. */
function byCase(rows: readonly Row[]): Row[][] {
  const groups = new Map<string, Row[]>();
  for (const row of rows) {
    const group = groups.get(row.case.name);
    if (group) group.push(row);
    else groups.set(row.case.name, [row]);
  }
  return [...groups.values()];
}

function units({ case: { unit } }: Row): string {
  return `${unit}, CPU ${unit === "Gbit/s" ? "ms per GB" : "µs each"}`;
}

/** Aligned columns. */
export function terminalReport(results: Results): string {
  const lines: string[] = [];
  const rows = rowsOf(results);
  for (const group of byCase(rows)) {
    lines.push("", `${group[0]!.case.title} (${units(group[0]!)})`);
    const table = [HEAD, ...group.map(cells)];
    const widths = HEAD.map((_, column) => Math.max(...table.map((cells) => cells[column]!.length)));
    for (const row of table) {
      const padded = row.map((cell, column) => column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!));
      lines.push(`  ${padded.join("  ")}`);
    }
  }
  lines.push("");
  for (const { target, met, detail } of verdicts(rows)) lines.push(`${met ? "met    " : "NOT met"}  ${target}: ${detail}`);
  for (const failure of results.failures) lines.push(`failed: ${failure}`);
  return lines.join("\n");
}

/** Aligned as `deno fmt` aligns it, so that the file stays as it is written. */
function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const widths = head.map((_, column) => Math.max(3, ...[head, ...rows].map((cells) => cells[column]!.length)));
  const pad = (cell: string, column: number) => column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!);
  const line = (cells: readonly string[]) => `| ${cells.map(pad).join(" | ")} |`;
  const rule = widths.map((width, column) => column === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`);
  return [line(head), line(rule), ...rows.map(line)];
}

function verdictRow({ target, met, detail }: Verdict): string[] {
  return [target, detail, met ? "yes" : "no"];
}

/** The whole of docs/benchmarks.md. */
export function markdownReport(results: Results): string {
  const rows = rowsOf(results);
  const { date, host, versions, settings, seconds, rounds, failures } = results;
  const lines = [
    "# Benchmarks",
    "",
    "<!-- Written by `npm run bench -- --docs`. Do not edit. -->",
    "",
    `Measured ${date.slice(0, 10)} on ${host}; ${Object.entries(versions).map((each) => each.join(" ")).join(", ")}.`,
    `${settings}. ${rounds} rounds of ${seconds} s after one that does not count.`,
    "",
    "Every number is from one and the same run of `npm run bench`, in which all take turns within each round: this library, the",
    "runtime's own TCP API under `mptcpize run` and over plain TCP, and a C program, each against the same C peer on loopback.",
    "“to C” and “to own+mptcpize” tell how many times as fast as those a row is: 1 is level, more is faster. Where a runtime",
    "has no such way to receive, its fastest one is compared. A stall is a wait of 100 ms or more in a stream that never pauses:",
    "the kernel's MPTCP has those now and then, in C too. Then the receiver has everything that was sent, and TCP has acknowledged",
    "it, but the last DATA_ACK says less, so that the sender's buffer stays full; its timer of 200 ms ends that. The kernel's own",
    "counters confirm for each run that what is called MPTCP was MPTCP. Your machine will give other numbers; the ratios should",
    "travel better.",
    "",
    "## Targets",
    "",
    ...markdownTable(["target", "measured", "met"], verdicts(rows).map(verdictRow)),
  ];
  for (const group of byCase(rows)) {
    lines.push("", `## ${group[0]!.case.title}`, "", `${units(group[0]!)}.`, "", ...markdownTable(HEAD, group.map(cells)));
  }
  if (failures.length > 0) lines.push("", "## Runs that failed", "", ...failures.map((failure) => `- ${failure}`));
  return `${lines.join("\n")}\n`;
}
