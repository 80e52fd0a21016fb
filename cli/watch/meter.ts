/**
 * Growing counters in, rates and their recent past out.
 *
 * @module
 */
import type { ConnectionReading, SubflowReading } from "./reading.ts";
import { Ring } from "./ring.ts";

/** What has a counter for each direction, with its rates, bytes per second. */
export interface Rates {
  sending: number;
  receiving: number;
}

/** A subflow and how it does. */
export interface SubflowView extends SubflowReading, Rates {
  /** Segments sent again since the reading before. */
  retransmitted: number;
  /** Both directions together, bytes per second, the oldest first. */
  history: readonly number[];
}

/** A connection and how it does. */
export interface ConnectionView extends Omit<ConnectionReading, "subflows">, Rates {
  history: readonly number[];
  subflows: SubflowView[];
}

/** All of them at one moment. */
export interface View extends Rates {
  /** As `Date.now()`. */
  at: number;
  connections: ConnectionView[];
}

interface Track {
  sent: number;
  received: number;
  retransmits: number;
  at: number;
  rates: Rates;
  history: Ring;
  seen: number;
}

/** See the module's comment. It forgets what is gone. */
export class Meter {
  readonly #tracks = new Map<string, Track>();
  readonly #length: number;
  #round = 0;

  /** @param length How many rates are kept. */
  constructor(length: number) {
    this.#length = length;
  }

  /**
   * Takes a reading.
   *
   * @param at When, ms.
   */
  add(at: number, readings: readonly ConnectionReading[]): View {
    this.#round++;
    const connections = readings.map((reading): ConnectionView => {
      const subflows = reading.subflows.map((subflow): SubflowView => {
        return { ...subflow, ...this.#rates(`${reading.key}/${subflow.key}`, at, subflow) };
      });
      const { sending, receiving, history } = this.#rates(reading.key, at, { ...reading, retransmits: 0 });
      return { ...reading, sending, receiving, history, subflows };
    });
    for (const [key, { seen }] of this.#tracks) if (seen !== this.#round) this.#tracks.delete(key);
    const sum = (of: (view: ConnectionView) => number) => connections.reduce((total, view) => total + of(view), 0);
    return { at, sending: sum(({ sending }) => sending), receiving: sum(({ receiving }) => receiving), connections };
  }

  #rates(key: string, at: number, now: Pick<SubflowReading, "sent" | "received" | "retransmits">) {
    const { sent, received, retransmits } = now;
    let track = this.#tracks.get(key);
    let retransmitted = 0;
    if (track === undefined) {
      // How long it took to get here nobody knows, so it has no rate yet.
      track = {
        sent,
        received,
        retransmits,
        at,
        rates: { sending: 0, receiving: 0 },
        history: new Ring(this.#length),
        seen: this.#round,
      };
      this.#tracks.set(key, track);
    } else {
      const ms = at - track.at;
      // Two readings of one moment tell nothing; what stood there stays. A counter never falls, but for a mistake.
      if (ms > 0) {
        const rate = (by: number) => Math.max(0, by) * 1000 / ms;
        track.rates = { sending: rate(sent - track.sent), receiving: rate(received - track.received) };
        retransmitted = Math.max(0, retransmits - track.retransmits);
        Object.assign(track, { sent, received, retransmits, at });
      }
      track.seen = this.#round;
    }
    const { sending, receiving } = track.rates;
    track.history.push(sending + receiving);
    return { sending, receiving, retransmitted, history: track.history.values() };
  }
}
