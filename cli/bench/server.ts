/**
 * The serving end of `mptcp bench`: does what clients ask for, with one block of memory for each.
 *
 * @module
 */
import type { Conn } from "../../net/conn.ts";
import type { Listener } from "../../net/listener.ts";
import { type Answer, type Ask, askOf, Guard, line, LineReader, type Received } from "./wire.ts";

const BLOCK = 1 << 18;
/** So many at once; more are told so. */
const MOST = 500;
/** How long nothing may move, ms. */
const PATIENCE = 15_000;

/** What was done. */
export interface Served {
  connections: number;
  multipath: number;
  /** Those that did not speak as they should, or broke. */
  failed: number;
  received: number;
  sent: number;
}

/** Serves until the listener is closed and all is done. */
export class BenchServer {
  readonly #listener: Listener;
  readonly #open = new Map<Conn, Promise<void>>();
  readonly #zeros = new Uint8Array(BLOCK);
  readonly #done: (ask: Ask, conn: Conn, bytes: number) => void;
  /** Counters. */
  readonly served: Served = { connections: 0, multipath: 0, failed: 0, received: 0, sent: 0 };
  #ended = false;

  /** @param done Called after each upload, download and so on. */
  constructor(listener: Listener, done: (ask: Ask, conn: Conn, bytes: number) => void) {
    this.#listener = listener;
    this.#done = done;
  }

  /** Takes connections. */
  async run(): Promise<void> {
    for await (const conn of this.#listener) {
      const work = this.#serve(conn).catch(() => void this.served.failed++).finally(() => {
        this.#open.delete(conn);
        conn.close();
      });
      this.#open.set(conn, work);
    }
    await Promise.all(this.#open.values());
  }

  /** Ends all. */
  end(): void {
    this.#ended = true;
    this.#listener.close();
    for (const conn of this.#open.keys()) conn.reset();
  }

  async #serve(conn: Conn): Promise<void> {
    const { served } = this;
    using guard = new Guard(conn, PATIENCE);
    served.connections++;
    const reader = new LineReader(conn);
    const ask = askOf(await reader.next());
    const multipath = conn.isMultipath();
    if (multipath) served.multipath++;
    const refuse = async (error: string) => {
      await conn.write(line({ multipath, error } satisfies Answer));
      throw new Error(error);
    };
    if (ask === null) return await refuse("it does not speak as mptcp bench does");
    if (this.#open.size > MOST) return await refuse(`it has ${MOST} connections already`);
    conn.setNoDelay(true);
    guard.moved();
    await conn.write(line({ multipath }));
    const bytes = await this.#do(conn, ask, reader, guard);
    if (!this.#ended) this.#done(ask, conn, bytes);
  }

  async #do(conn: Conn, { mode, ms }: Ask, reader: LineReader, guard: Guard): Promise<number> {
    // Closed at once: the client's FIN may take its time, and they would pile up.
    if (mode === "connections") return 0;
    if (mode === "download") return await this.#send(conn, ms, guard);
    const block = new Uint8Array(mode === "upload" ? BLOCK : 1 << 14);
    let bytes = reader.rest.length;
    if (mode === "latency" && bytes > 0) await conn.write(reader.rest);
    for (let count; (count = await conn.read(block)) !== null; guard.moved()) {
      bytes += count;
      if (mode === "latency") await conn.write(block.subarray(0, count));
    }
    this.served.received += bytes;
    if (mode === "upload") await conn.write(line({ bytes, multipath: conn.isMultipath() } satisfies Received));
    return bytes;
  }

  async #send(conn: Conn, ms: number, guard: Guard): Promise<number> {
    const end = performance.now() + ms;
    let bytes = 0;
    for (; performance.now() < end; guard.moved()) bytes += await conn.write(this.#zeros);
    await conn.closeWrite();
    this.served.sent += bytes;
    // The client ends it when it has all.
    await conn.read(new Uint8Array(1));
    return bytes;
  }
}
