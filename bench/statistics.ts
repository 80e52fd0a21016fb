/**
 * Medians with their spread, ratios, and what they say about the targets.
 *
 * @module
 */
import type { Sample } from "./arena.ts";
import { type Case, CASES, type Contestant } from "./cases.ts";

/** Everything a benchmark found, as it is kept in bench/results/. */
export interface Results {
  date: string;
  host: string;
  versions: Record<string, string>;
  settings: string;
  seconds: number;
  rounds: number;
  contestants: Contestant[];
  samples: Sample[];
  failures: string[];
}

/** One contestant's runs of one case. */
export interface Row {
  case: Case;
  contestant: Contestant;
  median: number;
  min: number;
  max: number;
  cpuCost: number;
  runs: number;
  stalls: number;
  /** How many times as fast as the C program over MPTCP; 1 is level. */
  toC: number | null;
  /** How many times as fast as the same runtime's own API under mptcpize. */
  toOwn: number | null;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** The rows of all cases that were run. */
export function rowsOf({ samples, contestants }: Results): Row[] {
  const rows: Row[] = [];
  const medianOf = (which: Case, wanted: (contestant: Contestant) => boolean): number | null => {
    const contestant = contestants.find(wanted);
    if (contestant === undefined) return null;
    for (const name of [which.name, which.instead]) {
      const values = samples.filter((each) => each.case === name && each.contestant === contestant.name);
      if (values.length > 0) return median(values.map(({ value }) => value));
    }
    return null;
  };
  for (const which of CASES) {
    const faster = (ours: number, theirs: number | null): number | null => {
      if (theirs === null) return null;
      return which.unit === "µs" ? theirs / ours : ours / theirs;
    };
    for (const contestant of contestants) {
      const mine = samples.filter((each) => each.case === which.name && each.contestant === contestant.name);
      if (mine.length === 0) continue;
      const values = mine.map(({ value }) => value);
      const { runtime } = contestant;
      const own = medianOf(which, (other) => other.kind === "own+mptcpize" && other.runtime === runtime);
      rows.push({
        case: which,
        contestant,
        median: median(values),
        min: Math.min(...values),
        max: Math.max(...values),
        cpuCost: median(mine.map(({ cpuCost }) => cpuCost)),
        runs: mine.length,
        stalls: mine.reduce((sum, { stalls }) => sum + stalls, 0),
        toC: faster(median(values), medianOf(which, (other) => other.name === "C mptcp")),
        toOwn: contestant.kind === "library" ? faster(median(values), own) : null,
      });
    }
  }
  return rows;
}

/** A target and whether this run met it. */
export interface Verdict {
  target: string;
  met: boolean;
  detail: string;
}

/** Level means within the noise of two medians. */
const LEVEL = 0.95;

export function verdicts(rows: readonly Row[]): Verdict[] {
  const list: Verdict[] = [];
  for (const row of rows) {
    const { case: { name }, contestant: { kind, runtime }, median: value, toC, toOwn } = row;
    if (kind !== "library") continue;
    if (name === "send" || name === "receive") {
      if (toOwn !== null) {
        const detail = `${toOwn.toFixed(2)} ×`;
        list.push({ target: `${runtime}, ${name}: level with its own API under mptcpize`, met: toOwn >= LEVEL, detail });
      }
      if (toC !== null && runtime !== "bun") {
        list.push({ target: `${runtime}, ${name}: within 15 % of C`, met: toC >= 0.85, detail: `${toC.toFixed(2)} ×` });
      }
    }
    if (row.case.http && toOwn !== null) {
      const target = `${runtime}, ${name}: 0.9 of undici under mptcpize`;
      list.push({ target, met: toOwn >= 0.9, detail: `${toOwn.toFixed(2)} ×` });
    }
    if (name === "serve" && toOwn !== null) {
      const target = `${runtime}, ${name}: level with its own HTTP server under mptcpize`;
      list.push({ target, met: toOwn >= LEVEL, detail: `${toOwn.toFixed(2)} ×` });
    }
    if (name.startsWith("subflows")) {
      list.push({ target: `${runtime}, ${name}: under 20 µs`, met: value < 20, detail: `${value.toFixed(1)} µs` });
    }
  }
  return list;
}
