/**
 * Reading and writing a channel with promises: requests in order, backpressure both ways, an end for every pending one.
 *
 * A request is tried at once; only when the kernel has nothing (or takes nothing) is the event loop asked. As a loop of
 * requests that succeed at once would keep every timer and every other socket waiting, one in a while is made to wait for
 * a turn of the event loop.
 *
 * @module
 */
import { setImmediate } from "node:timers";
import { type Channel, fromNodeError } from "../ffi/mod.ts";
import { EAGAIN, EBADF, EINTR, EPIPE } from "../kernel/errno.ts";
import { MptcpError, systemError } from "../kernel/error.ts";

/** How many bytes may move within one turn of the event loop, by requests that succeed at once. */
const TURN_BYTES = 4 << 20;
/** And how many requests. */
const TURN_REQUESTS = 64;

interface ReadRequest {
  into: Uint8Array;
  resolve(count: number | null): void;
  reject(error: unknown): void;
}

interface WriteRequest {
  bytes: Uint8Array;
  resolve(count: number): void;
  reject(error: unknown): void;
}

/** The error of every call after `close()`. */
export function closedError(syscall: string): MptcpError {
  return new MptcpError("EBADF", `Cannot ${syscall}: the connection is closed`, { syscall });
}

const EMPTY = new Uint8Array(0);

/** Results of `recv` and `send` after which one waits. EBADF: the runtime has closed the descriptor, and `closed` will tell why. */
const TRANSIENT: readonly number[] = [-EAGAIN, -EINTR, -EBADF];

/** What the runtimes say of a write that had to go because the descriptor did. */
const CANCELLED = /^(ECANCELED|ERR_STREAM_DESTROYED|ERR_SOCKET_CLOSED)$/;

/** See the module's comment. */
export class ByteIo {
  readonly #channel: Channel;
  readonly #onGone: (error: unknown) => void;
  /** Read by the runtime and not yet by us. */
  #chunks: Uint8Array[] = [];
  #reads: ReadRequest[] = [];
  #writes: WriteRequest[] = [];
  /** Nobody but the event loop may read until `readable` comes. */
  #waiting = false;
  /** Numbers the waits, so that a late answer to an earlier one is known for what it is. */
  #waits = 0;
  #writing = false;
  #ended = false;
  #writeEnded = false;
  /** Broken both ways. */
  #error: unknown = null;
  /** The peer does not read any more (EPIPE); what it sent can still be read. */
  #writeError: unknown = null;
  #closed = false;
  #turnBytes = 0;
  #turnRequests = 0;

  /**
   * @param channel Whose owner this becomes.
   * @param onGone Called once when the runtime has closed the descriptor by itself.
   */
  constructor(channel: Channel, onGone: (error: unknown) => void = () => {}) {
    this.#channel = channel;
    this.#onGone = onGone;
    channel.owner = this;
  }

  /** Whether the end of the stream was read. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Whether `closeWrite` was called. */
  get writeEnded(): boolean {
    return this.#writeEnded;
  }

  /** Whether a request is waiting. */
  get busy(): boolean {
    return this.#reads.length > 0 || this.#writes.length > 0;
  }

  /** What the runtime read and nobody took, given away. */
  takeRest(): Uint8Array {
    const chunks = this.#chunks;
    this.#chunks = [];
    if (chunks.length <= 1) return chunks[0] ?? EMPTY;
    const rest = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
    let offset = 0;
    for (const chunk of chunks) {
      rest.set(chunk, offset);
      offset += chunk.length;
    }
    return rest;
  }

  /** Reads up to `into.length` bytes; `null` at the end of the stream. */
  read(into: Uint8Array): Promise<number | null> {
    if (this.#closed) return Promise.reject(closedError("read"));
    if (into.length === 0) return Promise.resolve(0);
    if (this.#reads.length === 0 && this.#mayGoOn()) {
      try {
        const count = this.#tryRead(into);
        if (count !== undefined) return Promise.resolve(count);
      } catch (error) {
        return Promise.reject(error);
      }
    }
    return new Promise((resolve, reject) => {
      this.#reads.push({ into, resolve, reject });
      if (this.#reads.length === 1) this.#await();
    });
  }

  /** Writes all of `bytes`. */
  write(bytes: Uint8Array): Promise<number> {
    if (this.#closed) return Promise.reject(closedError("write"));
    const broken = this.#error ?? this.#writeError;
    if (broken !== null) return Promise.reject(broken);
    if (this.#writeEnded) return Promise.reject(systemError(EPIPE, "write", { detail: "closeWrite was called" }));
    if (bytes.length === 0) return Promise.resolve(0);
    let sent = 0;
    if (this.#writes.length === 0 && this.#mayGoOn()) {
      const count = this.#channel.send(bytes);
      if (count === bytes.length) {
        this.#spend(count);
        return Promise.resolve(count);
      }
      if (count < 0 && !TRANSIENT.includes(count)) return Promise.reject(this.#fail(count, "send"));
      sent = Math.max(count, 0);
    }
    const total = bytes.length;
    return new Promise((resolve, reject) => {
      this.#writes.push({ bytes: bytes.subarray(sent), resolve: () => resolve(total), reject });
      if (!this.#writing) this.#writeNext();
    });
  }

  /** Ends the writing side when everything before it is written. */
  async closeWrite(): Promise<void> {
    if (this.#closed) throw closedError("shutdown");
    if (this.#writeEnded) return;
    this.#writeEnded = true;
    if (this.#writes.length > 0) {
      await new Promise<void>((resolve, reject) => {
        this.#writes.push({ bytes: EMPTY, resolve: () => resolve(), reject });
      });
    }
    if (this.#error !== null) throw this.#error;
    if (this.#closed) throw closedError("shutdown");
    await new Promise<void>((resolve, reject) => {
      this.#channel.closeWrite((error) => error ? reject(error) : resolve());
    });
  }

  /** Ends every pending request with an error. The channel is closed by the caller. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#chunks = [];
    this.#settleAll((syscall) => closedError(syscall));
  }

  /** `ChannelOwner` */
  readable(bytes: Uint8Array): void {
    if (bytes.length > 0) this.#chunks.push(bytes);
    this.#waiting = false;
    this.#waits++;
    this.#newTurn();
    this.#serve();
  }

  /** `ChannelOwner` */
  closed(error: unknown): void {
    this.#error ??= error ? fromNodeError(error, "read") : closedError("read");
    this.#settleAll(() => this.#error);
    this.#onGone(error);
  }

  /** Gives the waiting reads what there is, in order. */
  #serve(): void {
    while (this.#reads.length > 0) {
      const request = this.#reads[0]!;
      let count: number | null | undefined;
      try {
        if (!this.#mayGoOn()) return this.#await();
        // The array may have been resized or transferred away while it waited; nothing was read into it then.
        if (request.into.length === 0) throw new TypeError("Cannot read: the array was detached or emptied while waiting");
        count = this.#tryRead(request.into);
      } catch (error) {
        this.#reads.shift();
        request.reject(error);
        continue;
      }
      if (count === undefined) return this.#await();
      this.#reads.shift();
      request.resolve(count);
    }
  }

  /** The count, `null` at the end, `undefined` when nothing is there yet. */
  #tryRead(into: Uint8Array): number | null | undefined {
    let count = 0;
    const [chunk] = this.#chunks;
    if (chunk !== undefined) {
      count = Math.min(chunk.length, into.length);
      into.set(count === chunk.length ? chunk : chunk.subarray(0, count));
      if (count === chunk.length) this.#chunks.shift();
      else this.#chunks[0] = chunk.subarray(count);
      // What the runtime read may be only the beginning of what is there.
      if (count === into.length || this.#chunks.length > 0 || this.#waiting) return this.#spend(count);
    } else if (this.#ended) {
      return null;
    } else if (this.#error !== null) {
      throw this.#error;
    } else if (this.#waiting) {
      return undefined;
    }
    const more = this.#channel.recv(count === 0 ? into : into.subarray(count));
    if (more > 0) return this.#spend(count + more);
    const error = more === 0 || TRANSIENT.includes(more) ? null : this.#fail(more, "recv");
    if (more === 0) this.#ended = true;
    // The kernel tells an error once, and then an end: what was kept here comes with the next read.
    if (count > 0) return this.#spend(count);
    if (error !== null) throw error;
    return more === 0 ? null : undefined;
  }

  /** Asks the event loop for readiness, or for a turn when this one's budget is spent. */
  #await(): void {
    if (this.#waiting) return;
    this.#waiting = true;
    if (this.#mayGoOn()) return this.#channel.awaitReadable();
    const wait = this.#waits;
    setImmediate(() => {
      if (!this.#closed && this.#waits === wait) this.readable(EMPTY);
    });
  }

  /** Starts the first of the waiting writes. */
  #writeNext(): void {
    const [request] = this.#writes;
    if (request === undefined) return;
    this.#writing = true;
    const done = (error: unknown) => {
      if (this.#writes[0] !== request) return; // settled by close()
      // Cancelled because the runtime has closed the descriptor: `closed` will tell why.
      if (error && this.#channel.fd < 0 && CANCELLED.test((error as { code?: string }).code ?? "")) return;
      this.#writing = false;
      this.#writes.shift();
      this.#newTurn();
      if (error) request.reject(this.#keep(fromNodeError(error, "send")));
      else request.resolve(0);
      this.#writeNext();
    };
    const broken = this.#error ?? this.#writeError;
    if (broken !== null) return done(broken);
    if (request.bytes.length === 0) return done(null);
    if (this.#mayGoOn()) return this.#channel.write(request.bytes, done);
    setImmediate(() => {
      if (this.#writes[0] !== request) return;
      this.#newTurn();
      const count = this.#channel.send(request.bytes);
      if (count === request.bytes.length) return done(null);
      this.#channel.write(request.bytes.subarray(Math.max(count, 0)), done);
    });
  }

  #fail(errno: number, syscall: string): unknown {
    return this.#keep(systemError(errno, syscall));
  }

  #keep(error: unknown): unknown {
    if ((error as { code?: string }).code === "EPIPE") return this.#writeError ??= error;
    return this.#error ??= error;
  }

  #settleAll(error: (syscall: string) => unknown): void {
    const reads = this.#reads;
    const writes = this.#writes;
    this.#reads = [];
    this.#writes = [];
    this.#writing = false;
    for (const request of reads) request.reject(error("read"));
    for (const request of writes) request.reject(error("write"));
  }

  #mayGoOn(): boolean {
    return this.#turnBytes < TURN_BYTES && this.#turnRequests < TURN_REQUESTS;
  }

  #newTurn(): void {
    this.#turnBytes = this.#turnRequests = 0;
  }

  #spend(count: number): number {
    this.#turnBytes += count;
    this.#turnRequests++;
    return count;
  }
}
