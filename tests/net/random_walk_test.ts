import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { describe, it } from "node:test";
import { type Conn, MptcpError } from "@mptcp/mptcp";
import { openAtLast, openSockets, pair, pattern } from "./pair.ts";

/** A small generator of numbers (xorshift32): a walk that failed can be walked again by its seed. */
function numbers(seed: number): (below: number) => number {
  let state = seed * 2654435761 | 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

const DATA = pattern(1 << 20);
/** How long an end may wait for the news that the other one is gone, ms. */
const PATIENCE = 3000;

/** One end: writes the pattern in pieces, reads it in pieces, and at some time closes, resets or half-closes. */
class Walker {
  readonly conn: Conn;
  readonly #next: (below: number) => number;
  read = 0;
  written = 0;
  /** The end of the peer's stream was seen, not an error. */
  ended = false;
  /** It has reset the connection. */
  gone = false;

  constructor(conn: Conn, next: (below: number) => number) {
    this.conn = conn;
    this.#next = next;
  }

  async reads(): Promise<void> {
    const buffer = new Uint8Array(1 + this.#next(100_000));
    for (;;) {
      const count = await this.conn.read(buffer.subarray(0, 1 + this.#next(buffer.length)));
      if (count === null) {
        this.ended = true;
        return;
      }
      for (const at of [0, count >> 1, count - 1]) {
        assertEquals(buffer[at], DATA[(this.read + at) % DATA.length], `byte ${this.read + at}`);
      }
      this.read += count;
    }
  }

  async writes(): Promise<void> {
    for (let step = this.#next(40); step > 0; step--) {
      const start = this.written % DATA.length;
      const length = Math.min(1 + this.#next(this.#next(4) === 0 ? 500_000 : 2_000), DATA.length - start);
      this.written += await this.conn.write(DATA.subarray(start, start + length));
      if (this.#next(4) === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    const last = this.#next(10);
    if (last === 0) {
      this.gone = true;
      this.conn.reset();
    } // Not while the peer may still write: nobody tells it, and the kernel lets it wait for a minute (see README, Limits).
    else if (last === 1 && this.ended) this.conn.close();
    else await this.conn.closeWrite();
  }
}

describe("random walks of both ends", () => {
  for (const seed of [1, 2, 3, 4, 5, 6, 7, 8]) {
    it(`end, keep the bytes in order and leave nothing: seed ${seed}`, async () => {
      { // what a runtime opens on first use
        await using ends = await pair();
        const reading = ends.server.read(new Uint8Array(1));
        await ends.client.write(new Uint8Array(1));
        await reading;
      }
      const before = openSockets();
      for (let round = 0; round < 15; round++) {
        const next = numbers(seed * 1000 + round);
        await using ends = await pair();
        const walkers = [new Walker(ends.client, next), new Walker(ends.server, next)];
        // Some of the kernel's MP_FASTCLOSE are lost: the other end would then wait for net.mptcp.close_timeout, a minute.
        const late = setTimeout(() => {
          if (walkers.some(({ gone }) => gone)) { for (const { conn } of walkers) conn.close(); }
        }, PATIENCE);
        const outcomes = await Promise.allSettled(walkers.flatMap((walker) => [walker.reads(), walker.writes()]));
        clearTimeout(late);
        for (const outcome of outcomes) {
          // A close or a reset of either end may end the other's calls, always by an error of ours.
          if (outcome.status === "rejected") assertInstanceOf(outcome.reason, MptcpError, String(outcome.reason));
        }
        const [client, server] = walkers as [Walker, Walker];
        for (const [reader, writer] of [[client, server], [server, client]] as const) {
          assert(reader.read <= writer.written + DATA.length, "never more than was written");
          if (outcomes.every(({ status }) => status === "fulfilled")) {
            assertEquals([reader.ended, reader.read], [true, writer.written], `round ${round}`);
          }
        }
      }
      assertEquals(await openAtLast(openSockets, before), before);
    });
  }
});
