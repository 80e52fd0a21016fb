/**
 * What the paths did over time: samples of growing counters in, bytes and rates out.
 *
 * @module
 */
import type { Sample, SubflowSample } from "./messages.ts";

/** The shortest time over which a rate is measured, ms. */
const SMOOTH = 150;

/** One counter of bytes over time. */
export class Track {
  readonly #points: { at: number; bytes: number }[] = [];

  /** Takes a reading. */
  add(at: number, bytes: number): void {
    this.#points.push({ at, bytes });
  }

  /** The count at a moment; between two readings in proportion, before the first nothing. */
  count(at = Infinity): number {
    const next = this.#points.findIndex((point) => point.at > at);
    if (next < 0) return this.#points.at(-1)?.bytes ?? 0;
    const a = this.#points[next - 1];
    const b = this.#points[next]!;
    return a === undefined ? 0 : a.bytes + (b.bytes - a.bytes) * (at - a.at) / (b.at - a.at);
  }

  /** The mean rate between two moments, bytes per second. */
  rate(from: number, to: number): number {
    return to > from ? (this.count(to) - this.count(from)) * 1000 / (to - from) : 0;
  }
}

/** The path that a subflow takes: they are told apart by the third number of their 10.0.n.x addresses. */
export function pathOf({ remote }: Pick<SubflowSample, "remote">): number {
  return Number(/^10\.0\.(\d+)\./.exec(remote)?.[1] ?? 1);
}

/** One transfer, seen from both ends. Times are those of `Date.now()`. */
export class History {
  readonly #tracks = new Map<number, Track>();
  readonly #subflows = new Map<number, SubflowSample>();
  /** What the receiver has. */
  readonly received = new Track();
  /** When the first sample was taken. */
  start = 0;
  /** When the last sample was taken. */
  end = 0;

  /** The paths that subflows took, by number. */
  get paths(): number[] {
    return [...this.#tracks.keys()].sort((a, b) => a - b);
  }

  /** Every subflow that ever was, as it was seen last. */
  get subflows(): SubflowSample[] {
    return [...this.#subflows.values()].sort((a, b) => a.id - b.id);
  }

  /** What a path carried, seen from the sender. */
  track(path: number): Track {
    return this.#tracks.get(path) ?? new Track();
  }

  /** Takes a sample. */
  add({ at, subflows }: Sample): void {
    if (this.start === 0) {
      this.start = at;
      this.received.add(at, 0);
    }
    this.end = at;
    for (const subflow of subflows) {
      // Segments beyond a hole may be dropped again by the peer: the counter here does not fall for that.
      const arrived = Math.max(subflow.arrived, this.#subflows.get(subflow.id)?.arrived ?? 0);
      this.#subflows.set(subflow.id, { ...subflow, arrived });
    }
    for (const path of new Set(subflows.map(pathOf))) {
      let track = this.#tracks.get(path);
      if (track === undefined) {
        // A path that joins later has carried nothing until now.
        this.#tracks.set(path, track = new Track());
        if (at > this.start) track.add(this.start, 0);
      }
      const own = this.subflows.filter((subflow) => pathOf(subflow) === path);
      track.add(at, own.reduce((sum, { arrived }) => sum + arrived, 0));
    }
  }

  /**
   * A path's rates over the whole time, in equal steps. Each is measured over a little more than its step where steps are
   * short, as samples come in steps as well.
   */
  rates(path: number, steps: number): number[] {
    const track = this.track(path);
    const step = (this.end - this.start) / steps;
    const half = Math.max(step, SMOOTH) / 2;
    return Array.from({ length: steps }, (_, index) => {
      const middle = this.start + (index + 0.5) * step;
      return track.rate(Math.max(this.start, middle - half), Math.min(this.end, middle + half));
    });
  }
}
