/**
 * What came of a transfer: as an object, and in words.
 *
 * @module
 */
import type { ChartData } from "./chart.ts";
import { pathOf } from "./history.ts";
import { inkOf, left, type Look, megabits, megabytes, paint, percent, right } from "./text.ts";
import type { Outcome, Plan } from "./transfer.ts";

/** The figures of one transfer. Rates are in Mbit/s, times in ms. */
export interface Summary {
  /** Two hosts with two paths, or one path within this host. */
  network: "namespaces" | "loopback";
  /** What both ends said that the connection is. */
  protocol: "mptcp" | "tcp";
  bytes: number;
  duration: number;
  rate: number;
  sha256: { sent: string; received: string; equal: boolean };
  /** `isMultipath()` and how many subflows lived, at each end, when all bytes had arrived. */
  confirmed: Record<"client" | "server", { multipath: boolean; subflows: number }>;
  cut: CutSummary | null;
  subflows: SubflowSummary[];
}

/** What the cut did. */
export interface CutSummary {
  path: number;
  /** Since the first sample. */
  at: number;
  restored: number | null;
  /** The longest time after the cut in which nothing arrived. */
  longestPause: number;
  /** What arrived: before the cut, while it lasted, and from the restoration to the end. */
  rateBefore: number;
  rateDuring: number;
  rateAfter: number | null;
  /** What each path had carried when it came, bytes. */
  carriedBefore: Record<string, number>;
}

/** One subflow, at the end. */
export interface SubflowSummary {
  id: number;
  path: number;
  local: string;
  remote: string;
  /** That arrived by it; together more than the transfer, where the cut had bytes sent again on the other path. */
  bytes: number;
  share: number;
  rtt: number;
  retransmits: number;
}

/** The paths take a moment to come up to speed: that is not counted in the rate before the cut. */
const START_UP = 200;

/** Puts the figures together. */
export function summaryOf(plan: Plan, outcome: Outcome): Summary {
  const { history, sha256, client, server } = outcome;
  const subflows = history.subflows;
  const arrived = subflows.reduce((sum, subflow) => sum + subflow.arrived, 0);
  const duration = history.end - history.start;
  return {
    network: plan.lab === null ? "loopback" : "namespaces",
    protocol: client.multipath && server.multipath ? "mptcp" : "tcp",
    bytes: plan.bytes,
    duration,
    rate: inMegabits(plan.bytes / duration * 1000),
    sha256: {
      sent: sha256.sent,
      received: sha256.received,
      equal: sha256.sent === sha256.received && sha256.sent === sha256.answered,
    },
    confirmed: {
      client: { multipath: client.multipath, subflows: client.subflows },
      server: { multipath: server.multipath, subflows: server.subflows },
    },
    cut: cutOf(outcome),
    subflows: subflows.map((subflow) => ({
      id: subflow.id,
      path: pathOf(subflow),
      local: subflow.local,
      remote: subflow.remote,
      bytes: subflow.arrived,
      share: arrived > 0 ? Math.round(subflow.arrived / arrived * 1000) / 1000 : 0,
      rtt: Math.round(subflow.rtt * 10) / 10,
      retransmits: subflow.retransmits,
    })),
  };
}

function cutOf({ cut, history, pauses }: Outcome): CutSummary | null {
  if (cut === null) return null;
  const { start, end, received } = history;
  const { path, at, restored } = cut;
  const after = pauses.filter((pause) => pause.at + pause.ms > at).map(({ ms }) => ms);
  return {
    path,
    at: at - start,
    restored: restored === null ? null : restored - start,
    longestPause: Math.round(Math.max(0, ...after)),
    rateBefore: inMegabits(received.rate(Math.min(start + START_UP, at - 1), at)),
    rateDuring: inMegabits(received.rate(at, restored ?? end)),
    rateAfter: restored === null ? null : inMegabits(received.rate(restored, end)),
    carriedBefore: Object.fromEntries(history.paths.map((each) => [each, Math.round(history.track(each).count(at))])),
  };
}

function inMegabits(bytesPerSecond: number): number {
  return Math.round(bytesPerSecond * 8 / 1e5) / 10;
}

/** What both charts draw; the path that was cut stands on top of the one that was not, so that its absence is seen. */
export function chartOf(plan: Plan, { history, cut }: Outcome, steps: number): ChartData {
  const { start, end } = history;
  const order = [...history.paths].sort((a, b) => Number(a === cut?.path) - Number(b === cut?.path));
  const marks = cut === null ? [] : [{ at: cut.at - start, label: `path ${cut.path} cut` }];
  if (cut !== null && cut.restored !== null) marks.push({ at: cut.restored - start, label: "restored" });
  return {
    series: order.map((path) => ({ path, rates: history.rates(path, steps) })),
    // Over loopback nothing keeps single moments below the limit.
    top: plan.lab === null ? plan.limit * 1.2 : plan.limit * order.length,
    duration: end - start,
    marks,
  };
}

/** The lines on the connection as a whole. */
export function resultLines(look: Look, summary: Summary): string[] {
  const { bytes, duration, sha256, cut, protocol, subflows } = summary;
  const yes = paint(look, look.unicode ? "✓" : "ok", "green", "bold");
  const no = paint(look, look.unicode ? "✗" : "NOT EQUAL", "red", "bold");
  const average = megabits(bytes / duration * 1000);
  const over = protocol === "mptcp" ? "one MPTCP connection" : "one TCP connection";
  const lines = [
    paint(look, `${megabytes(bytes)} in ${(duration / 1000).toFixed(1)} s over ${over}, ${average} on average`, "bold"),
  ];
  if (cut !== null) {
    const after = cut.rateAfter === null ? "" : `, ${cut.rateAfter} Mbit/s after it came back`;
    lines.push(
      `${cut.rateBefore} Mbit/s before the cut, ${cut.rateDuring} Mbit/s without path ${cut.path}${after}`,
      `longest pause after the cut: ${cut.longestPause} ms`,
    );
  }
  const extra = subflows.reduce((sum, subflow) => sum + subflow.bytes, 0) - bytes;
  if (extra > 50_000) lines.push(`sent again on the other path, as the cut left them unacknowledged: ${megabytes(extra)}`);
  lines.push(
    `sha256 sent      ${sha256.sent}`,
    `sha256 received  ${sha256.received}  ${sha256.equal ? yes : no}`,
  );
  return lines.map((line) => `  ${line}`);
}

/** The table of subflows. */
export function subflowLines(look: Look, summary: Summary): string[] {
  const whole = summary.subflows.reduce((sum, { bytes }) => sum + bytes, 0);
  const head = ["subflow", "path", "local", "remote", "bytes", "share", "rtt", "retransmits"];
  const rows = summary.subflows.map(({ id, path, local, remote, bytes, rtt, retransmits }) => [
    `${id}`,
    `path ${path}`,
    local,
    remote,
    megabytes(bytes),
    percent(bytes, whole),
    `${rtt.toFixed(1)} ms`,
    `${retransmits}`,
  ]);
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]!.length)));
  const line = (cells: string[]) =>
    cells.map((cell, i) => i >= 1 && i <= 3 ? left(cell, widths[i]!) : right(cell, widths[i]!)).join("  ");
  return [
    `  ${paint(look, line(head), "dim")}`,
    ...rows.map((row, index) => {
      const { path } = summary.subflows[index]!;
      return `  ${line(row).replace(`path ${path}`, (text) => paint(look, text, inkOf(path), "bold"))}`;
    }),
  ];
}
