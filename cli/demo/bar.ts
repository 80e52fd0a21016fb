/**
 * The progress of a transfer while it runs: a bar with a line for each path on a terminal, one plain line otherwise.
 *
 * @module
 */
import { inkOf, left, type Look, megabits, megabytes, paint, percent, right } from "./text.ts";

/** What is known at one moment. */
export interface Progress {
  /** Milliseconds since the beginning. */
  elapsed: number;
  /** Bytes that the receiver has. */
  bytes: number;
  /** Bytes in all. */
  total: number;
  /** Bytes per second that all paths carry now. */
  rate: number;
  paths: PathProgress[];
}

/** One path at one moment. */
export interface PathProgress {
  path: number;
  /** What it has carried. */
  bytes: number;
  /** Bytes per second that it carries now. */
  rate: number;
  /** Bytes per second that it could carry. */
  limit: number;
  /** Whether it is cut just now. */
  cut: boolean;
}

/** A horizontal bar, by eighths of a column where the screen can show them. */
export function bar(look: Look, fraction: number, width: number): string {
  const eighths = Math.round(Math.min(1, Math.max(0, fraction)) * width * 8);
  const full = eighths >> 3;
  if (!look.unicode) return "#".repeat(full) + "-".repeat(width - full);
  const part = " ▏▎▍▌▋▊▉"[eighths & 7]!;
  return left("█".repeat(full) + (eighths & 7 ? part : ""), width);
}

/** The lines of the live display; as many at every moment. */
export function liveLines(look: Look, progress: Progress): string[] {
  const { bytes, total, rate, paths } = progress;
  const fraction = total > 0 ? bytes / total : 0;
  const rest = rate > 0 ? (total - bytes) / rate : 0;
  const numbers = `${right(percent(bytes, total), 5)}  ${right((bytes / 1e6).toFixed(1), 5)} of ${megabytes(total)}  ${
    right(megabits(rate), 12)
  }  ${right(rate > 0 ? `${rest.toFixed(0)} s left` : "", 9)}`;
  const width = Math.max(8, Math.min(44, look.width - numbers.length - 5));
  const [open, close] = look.unicode ? ["▕", "▏"] : ["[", "]"];
  const lines = [
    `  ${paint(look, open!, "dim")}${paint(look, bar(look, fraction, width), "green")}${
      paint(look, close!, "dim")
    }${numbers}`,
  ];
  const all = paths.reduce((sum, path) => sum + path.bytes, 0);
  for (const { path, bytes: carried, rate: now, limit, cut } of paths) {
    const ink = inkOf(path);
    const gauge = cut
      ? paint(look, left(look.unicode ? "╌╌ cut ╌╌" : "-- cut --", 24), "red")
      : paint(look, bar(look, limit > 0 ? now / limit : 0, 24), ink);
    const share = `${right(percent(carried, all), 5)} of the bytes`;
    lines.push(`  ${paint(look, `path ${path}`, ink, "bold")}  ${gauge}  ${right(megabits(now), 12)}  ${share}`);
  }
  return lines;
}

/** The same as one line for a log. */
export function plainLine({ elapsed, bytes, total, rate, paths }: Progress): string {
  const all = paths.reduce((sum, path) => sum + path.bytes, 0);
  const each = paths.map(({ path, bytes: carried, rate: now, cut }) =>
    `path ${path}: ${cut ? right("cut", 11) : right(megabits(now), 11)} ${right(percent(carried, all), 5)}`
  );
  const parts = [
    right((elapsed / 1000).toFixed(1), 5) + " s",
    right(percent(bytes, total), 5),
    right(megabytes(bytes), 8),
    right(megabits(rate), 11),
    ...(paths.length > 1 ? each : []),
  ];
  return parts.join("  ");
}
