/**
 * Which path carried what, and when: of all transfers, one after the other on one time line.
 *
 * @module
 */
import { Track } from "../demo/history.ts";

/** What one path did in one transfer. */
export interface PathShare {
  /** Numbered in the order in which they were first seen. */
  path: number;
  /** Both its addresses. */
  name: string;
  bytes: number;
  /** Of all bytes of the transfer, from 0 to 1. */
  share: number;
}

interface Reading {
  key: string;
  name: string;
  bytes: number;
}

/** See the module's comment. */
export class PathLog {
  readonly #numbers = new Map<string, number>();
  readonly #tracks = new Map<number, Track>();
  /** Of the transfer under way: subflows' counters as they were last. */
  #last = new Map<string, Reading>();
  /** Of the transfers before, by path. */
  readonly #before = new Map<number, number>();
  #begin = 0;
  #end = 0;

  /** The length of the time line so far, ms. */
  get duration(): number {
    return this.#end;
  }

  /** The paths' numbers and names. */
  get names(): ReadonlyMap<number, string> {
    return new Map([...this.#numbers].map(([name, number]) => [number, name]));
  }

  /**
   * Takes the counters of a transfer's subflows.
   *
   * @param at Since the transfer's beginning, ms.
   */
  add(at: number, readings: readonly Reading[]): void {
    this.#end = Math.max(this.#end, this.#begin + at);
    for (const reading of readings) {
      const before = this.#last.get(reading.key)?.bytes ?? 0;
      this.#last.set(reading.key, { ...reading, bytes: Math.max(before, reading.bytes) });
    }
    for (const [path, bytes] of this.#sums()) {
      let track = this.#tracks.get(path);
      if (track === undefined) {
        this.#tracks.set(path, track = new Track());
        track.add(this.#begin, 0);
      }
      track.add(this.#begin + at, (this.#before.get(path) ?? 0) + bytes);
    }
  }

  /** Ends a transfer, and tells what each path carried in it. */
  finish(): PathShare[] {
    const sums = this.#sums();
    const total = [...sums.values()].reduce((sum, bytes) => sum + bytes, 0);
    const names = this.names;
    for (const [path, bytes] of sums) this.#before.set(path, (this.#before.get(path) ?? 0) + bytes);
    this.#last = new Map();
    this.#begin = this.#end;
    return [...sums].sort(([a], [b]) => a - b).map(([path, bytes]) => {
      return { path, name: names.get(path)!, bytes, share: total > 0 ? bytes / total : 0 };
    });
  }

  /** A path's rates on the whole time line, bytes per second, in equal steps. */
  rates(path: number, steps: number): number[] {
    const track = this.#tracks.get(path) ?? new Track();
    const step = this.#end / steps;
    // Readings come in steps, too.
    const half = Math.max(step, 250) / 2;
    return Array.from({ length: steps }, (_, index) => {
      const middle = (index + 0.5) * step;
      return track.rate(Math.max(0, middle - half), Math.min(this.#end, middle + half));
    });
  }

  #sums(): Map<number, number> {
    const sums = new Map<number, number>();
    for (const { name, bytes } of this.#last.values()) {
      if (!this.#numbers.has(name)) this.#numbers.set(name, this.#numbers.size + 1);
      const path = this.#numbers.get(name)!;
      sums.set(path, (sums.get(path) ?? 0) + bytes);
    }
    return sums;
  }
}
