/**
 * What the tests found, in words and as a drawing.
 *
 * @module
 */
import type { ChartData } from "../demo/chart.ts";
import { svg } from "../demo/svg.ts";
import { rateText } from "../frame/output.ts";
import type { BenchClient, Result } from "./client.ts";
import type { PathShare } from "./path_log.ts";

const STEPS = 240;

/** What one line of the table says. */
export function rowOf(result: Result): string[] {
  const { test, protocol, multipath, partial } = result;
  const spoken = protocol === "tcp" ? "TCP" : multipath ? "MPTCP" : "MPTCP, fell back";
  return [partial ? `${test} (cut short)` : test, spoken, ...wordsOf(result)];
}

function wordsOf(result: Result): string[] {
  switch (result.test) {
    case "upload":
    case "download":
      return [rateText(result.rate), sharesText(result.paths)];
    case "latency": {
      const { roundTrips } = result;
      if (roundTrips === null) return ["", "no answer"];
      const { p50, p99, max, count } = roundTrips;
      return [
        `${milliseconds(p50)} ms`,
        `median of ${count} round trips; 99 % in ${milliseconds(p99)} ms, all in ${milliseconds(max)} ms`,
      ];
    }
    case "connections": {
      const { perSecond, connections, failed, failure, times } = result;
      const spread = times === null ? "" : `; median ${milliseconds(times.p50)} ms, 99 % in ${milliseconds(times.p99)} ms`;
      return [
        `${Math.round(perSecond)}/s`,
        `${connections} connections${failed > 0 ? `, ${failed} failed (${failure})` : ""}${spread}`,
      ];
    }
  }
}

/** Which path carried how much. */
function sharesText(paths: readonly PathShare[]): string {
  return paths.map(({ name, share }) => `${Math.round(share * 100)} % ${name}`).join(", ");
}

function milliseconds(ms: number): string {
  return ms.toFixed(ms < 1 ? 3 : ms < 100 ? 2 : 0);
}

/** The paths' throughput over time, of all uploads and downloads one after the other; `null` when there was none. */
export function drawing({ log, marks }: BenchClient, title: string, subtitle: string): string | null {
  const { duration, names } = log;
  if (duration === 0) return null;
  const series = [...names.keys()].sort((a, b) => a - b).map((path) => ({ path, rates: log.rates(path, STEPS) }));
  const sums = Array.from({ length: STEPS }, (_, index) => series.reduce((sum, { rates }) => sum + rates[index]!, 0));
  const data: ChartData = { series, top: Math.max(1, ...sums) * 1.1, duration, marks, sections: true };
  return svg(data, { title, subtitle, legend: Object.fromEntries(names) });
}
