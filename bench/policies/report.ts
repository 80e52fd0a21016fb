/**
 * The table and the charts of what was measured.
 *
 * @module
 */
import { svg } from "../../cli/demo/svg.ts";
import type { Outcome } from "./run.ts";
import type { Measure, Scenario } from "./scenarios.ts";

/** One kind of run, and what came of each run. */
export interface Row {
  scenario: Scenario;
  outcomes: Outcome[];
}

/** Where and when it was measured. */
export interface Where {
  date: string;
  host: string;
  /** The load average at the end: on a busy machine everything takes longer. */
  load: number;
}

/** Columns of a chart. */
const STEPS = 90;

const sorted = (values: readonly number[]) => [...values].sort((a, b) => a - b);
const median = (values: readonly number[]) => sorted(values)[Math.floor(values.length / 2)]!;

/** Whether a value is as it should be. */
function meets({ target: { least = -Infinity, most = Infinity } }: Measure, value: number): boolean {
  return value >= least && value <= most;
}

/** Of a measure's runs: the values, those that are known. */
function valuesOf(measure: Measure, outcomes: readonly Outcome[]): number[] {
  return outcomes.map((outcome) => measure.of(outcome)).filter((value) => value !== null);
}

/** The run that stands for the others: by its first measure in the middle. */
function typical({ scenario, outcomes }: Row): Outcome {
  const [measure] = scenario.measures;
  const middle = median(valuesOf(measure!, outcomes));
  return outcomes.find((outcome) => measure!.of(outcome) === middle) ?? outcomes[0]!;
}

/** The chart of a typical run. */
export function chartOf(row: Row): string {
  const { scenario } = row;
  const { history, cut, healed, plan } = typical(row);
  const { start, end } = history;
  const at = (time: number) => Math.min(end - start, Math.max(0, time - start));
  const marks = cut === null || healed === null
    ? []
    : [{ at: at(cut), label: plan.cut!.kind }, { at: at(healed), label: "healed" }];
  const paths = [1, 2];
  const legend = Object.fromEntries(paths.map((path) => [path, `path ${path}: ${megabytes(history.track(path).count())}`]));
  return svg(
    {
      series: paths.map((path) => ({ path, rates: history.rates(path, STEPS) })),
      top: 110e6 / 8,
      duration: end - start,
      marks,
    },
    {
      title: scenario.title,
      subtitle: `${megabytes(plan.bytes)} over two paths of ${plan.rate} Mbit/s: ${
        scenario.measures.map((measure) => `${measure.name} ${shown(measure.of(typical(row)), measure)}`).join(", ")
      }`,
      legend,
    },
  );
}

const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1).replace(/\.0$/, "")} MB`;

function shown(value: number | null, { unit }: Measure): string {
  return value === null ? "unknown" : `${unit === "Mbit/s" ? value.toFixed(1) : Math.round(value)} ${unit}`;
}

function targetOf({ target: { least, most }, unit }: Measure): string {
  return least !== undefined ? `at least ${least} ${unit}` : most === 0 ? "nothing" : `at most ${most} ${unit}`;
}

/** Aligned as `deno fmt` aligns it, so that the file stays as it is written. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const widths = head.map((_, column) => Math.max(3, ...[head, ...rows].map((cells) => cells[column]!.length)));
  const line = (cells: readonly string[]) => `| ${cells.map((cell, column) => cell.padEnd(widths[column]!)).join(" | ")} |`;
  return [line(head), line(widths.map((width) => "-".repeat(width))), ...rows.map(line)];
}

/** One row of the table for each measure. */
function verdicts({ scenario, outcomes }: Row): string[][] {
  return scenario.measures.map((measure) => {
    const values = valuesOf(measure, outcomes);
    const met = values.filter((value) => meets(measure, value)).length;
    const range = sorted(values);
    const spread = values.length === 0 ? "unknown" : `${shown(range[0]!, measure)} to ${shown(range.at(-1)!, measure)}`;
    return [
      scenario.policies,
      scenario.plan.cut === undefined
        ? "no cut"
        : `${scenario.plan.cut.kind}${scenario.plan.cut.paths.length > 1 ? ", both" : ""}`,
      measure.name,
      targetOf(measure),
      values.length === 0 ? "unknown" : shown(median(values), measure),
      spread,
      `${met} of ${outcomes.length}`,
    ];
  });
}

/** The whole of docs/policies-measured.md. */
export function markdown(rows: readonly Row[], { date, host, load }: Where, rounds: number): string {
  const intact = rows.every(({ outcomes }) => outcomes.every((outcome) => outcome.intact));
  const runs = rows.reduce((sum, { outcomes }) => sum + outcomes.length, 0);
  const lines = [
    "# Policies, measured",
    "",
    "<!-- Written by `npm run bench:policies -- --docs`. Do not edit. -->",
    "",
    `Measured ${date} on ${host}, load average ${
      load.toFixed(1)
    }. Two hosts that are network namespaces, with two paths of 50 Mbit/s`,
    "(token buckets, no further delay), cubic, 24 MB from the client to the server; the server's kernel announces its second",
    `address, the client's paths are managed by the policies. Each ${rounds} times; the charts show the run in the middle.`,
    "A stall is the longest time in which the server's program got nothing. All times are those of processes on one machine.",
    "",
    `In ${intact ? "all" : "NOT all"} of the ${runs} runs every byte arrived, by SHA-256 of both ends.`,
    "",
    ...table(["policies", "cut", "what", "target", "median", "all runs", "met"], rows.flatMap(verdicts)),
  ];
  for (const { scenario } of rows) {
    lines.push(
      "",
      `## ${scenario.title}`,
      "",
      scenario.text,
      "",
      `![${scenario.title}](images/policy-${scenario.name}.svg)`,
    );
  }
  return `${lines.join("\n")}\n`;
}
