/**
 * A relayed connection: a client's socket and a target's, and a flow in each direction.
 *
 * @module
 */
import type { Libc } from "../../ffi/mod.ts";
import { EPOLLERR } from "../../kernel/constants.ts";
import type { BufferPool } from "./buffers.ts";
import { Flow, type Progress, type Side } from "./flow.ts";
import { AT } from "./messages.ts";
import type { Handler, Poller } from "./poller.ts";

/** What a pair needs of its thread. */
export interface PairHost {
  readonly libc: Libc;
  readonly poller: Poller;
  readonly buffers: BufferPool;
  /** See `messages.ts`. */
  readonly counters: Float64Array;
  /** The time of this turn, ms. */
  readonly now: number;
  /** Calls the pair again when others have had their turn. */
  again(pair: Pair): void;
  /** The pair is over, its sockets are closed. */
  over(pair: Pair): void;
}

/** See the module's comment. */
export class Pair {
  readonly #host: PairHost;
  readonly #client: Side;
  readonly #target: Side;
  readonly #out: Flow;
  readonly #in: Flow;
  #closed = false;
  /** A further turn is coming. */
  #queued = false;
  /** When something moved last, ms. */
  active: number;

  /** @param early What the client has sent already. */
  constructor(host: PairHost, client: Side, target: Side, early: Uint8Array | null = null) {
    this.#host = host;
    this.#client = client;
    this.#target = target;
    this.#out = new Flow(host.libc, host.buffers, client, target, early);
    this.#in = new Flow(host.libc, host.buffers, target, client);
    this.active = host.now;
  }

  /** The handlers of the two sockets' events. */
  handlers(): readonly [client: Handler, target: Handler] {
    const handler = (side: Side, from: Flow): Handler => ({
      ready: (events) => {
        side.note(events);
        this.pump();
        // A flow that cannot deliver does not receive either, and would not see that its source is gone.
        if (events & EPOLLERR && !this.#closed && !from.ended) this.abort();
      },
    });
    return [handler(this.#client, this.#out), handler(this.#target, this.#in)];
  }

  /** Moves what can be moved, in both directions. */
  pump(): void {
    this.#queued = false;
    if (this.#closed) return;
    const out = this.#run(this.#out, AT.bytesOut);
    const back = this.#run(this.#in, AT.bytesIn);
    if (out === "broken" || back === "broken") return this.abort();
    if (out === "ended" && back === "ended") return this.close();
    if ((out === "more" || back === "more") && !this.#queued) {
      this.#queued = true;
      this.#host.again(this);
    }
  }

  #run(flow: Flow, counter: number): Progress {
    const progress = flow.pump();
    if (flow.moved > 0) {
      this.#host.counters[counter]! += flow.moved;
      flow.moved = 0;
      this.active = this.#host.now;
    }
    return progress;
  }

  /** Closes both connections; what the kernel has taken still goes out. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#out.release();
    this.#in.release();
    this.#host.poller.close(this.#client.fd);
    this.#host.poller.close(this.#target.fd);
    this.#host.over(this);
  }

  /** Aborts both: whichever end is still there sees a reset. */
  abort(): void {
    if (this.#closed) return;
    this.#host.counters[AT.resets]!++;
    for (const { fd } of [this.#client, this.#target]) this.#host.libc.resetOnClose(fd);
    this.close();
  }
}
