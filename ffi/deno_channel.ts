/**
 * A channel on Deno.
 *
 * Readiness: the socket reads into a small buffer, again and again the same, and stops. What else is there comes by `recv`.
 * Reading by the stream would allocate 64 KiB for each wait.
 *
 * Writes that have to wait do so by the reactor. Deno's own socket fails such a write with EPIPE, and ends our side, when the
 * peer ends its side meanwhile (Deno 2.9, also over plain TCP). A half-closed connection must go on taking bytes.
 *
 * @module
 */
import { Socket } from "node:net";
import { EPOLLOUT } from "../kernel/constants.ts";
import { EAGAIN, EINTR } from "../kernel/errno.ts";
import { systemError } from "../kernel/error.ts";
import type { Libc } from "./libc.ts";
import { NetChannel } from "./net_channel.ts";
import type { Reactor } from "./reactor.ts";

/** The parts of a `net.Socket` that its type does not show. */
interface Inner {
  _destroy(error: Error | null, callback: (error?: Error | null) => void): void;
  _read(size: number): void;
  push(chunk: null): boolean;
}

const inner = (socket: Socket): Inner => socket as unknown as Inner;
const prototype = inner(Socket.prototype);

const EMPTY = new Uint8Array(0);
/** What Deno reads by itself: all of what is there, as a rule, and little where there is much. */
const SCOUT = 4096;

/** See the module's comment. */
export class DenoChannel extends NetChannel {
  readonly #reactor: Reactor;
  /** Whether the socket was made to read into a buffer of ours. */
  #reads = false;
  #telling = false;
  #again = false;
  /** What a write waits for, or -1. */
  #waiting = -1;

  /** @param fd A connected descriptor, the channel's from now on. */
  constructor(libc: Libc, reactor: Reactor, fd: number) {
    super(libc, fd);
    this.#reactor = reactor;
  }

  awaitReadable(): void {
    const socket = this.#reads ? this.adopt() : this.#adoptToRead();
    // While it tells, Deno must only be told to go on: it would stop a reading that is begun anew.
    if (this.#telling) this.#again = true;
    else prototype._read.call(socket, 0);
  }

  override write(bytes: Uint8Array, done: (error: unknown) => void): void {
    const fd = this.fd;
    if (fd < 0) return super.write(bytes, done); // tells what is wrong
    this.#waiting = fd;
    this.#reactor.wait(fd, EPOLLOUT, this.keepsAlive).then((events) => {
      if (events === 0 || this.fd < 0) return; // closed meanwhile: the owner knows
      this.#forget();
      const count = this.send(bytes);
      if (count === bytes.length) return done(null);
      if (count < 0 && count !== -EAGAIN && count !== -EINTR) return done(systemError(count, "send"));
      this.write(bytes.subarray(Math.max(count, 0)), done);
    }, done);
  }

  override close(): void {
    this.#forget();
    super.close();
  }

  override setRef(ref: boolean): void {
    if (this.#waiting >= 0) this.#reactor.setRef(this.#waiting, ref);
    super.setRef(ref);
  }

  override toNode(rest: Uint8Array): Socket {
    const socket = super.toNode(rest);
    inner(socket)._destroy = prototype._destroy;
    return socket;
  }

  protected override detach(): boolean {
    const spoilt = this.#reads;
    this.#reads = false;
    return spoilt;
  }

  protected override adopted(socket: Socket): void {
    // The last moment in which the descriptor is certainly ours.
    inner(socket)._destroy = (error, callback) => {
      this.#forget();
      prototype._destroy.call(socket, error, callback);
    };
  }

  #adoptToRead(): Socket {
    this.#reads = true;
    const buffer = new Uint8Array(SCOUT);
    const socket = this.adopt({ onread: { buffer, callback: (count) => this.#tell(buffer.slice(0, count)) } });
    inner(socket).push = () => this.#tell(EMPTY); // the end of the stream
    return socket;
  }

  /** @returns Whether to read on. */
  #tell(bytes: Uint8Array): boolean {
    this.#telling = true;
    this.#again = false;
    this.owner?.readable(bytes);
    this.#telling = false;
    return this.#again;
  }

  /** The reactor must not know a descriptor that is about to be closed: its number is used again. */
  #forget(): void {
    if (this.#waiting >= 0) this.#reactor.cancel(this.#waiting);
    this.#waiting = -1;
  }
}
