/**
 * A channel on Deno: writes that have to wait do so by the reactor.
 *
 * Deno's own socket fails such a write with EPIPE, and ends our side, when the peer ends its side meanwhile (Deno 2.9, also
 * over plain TCP). A half-closed connection must go on taking bytes.
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

/** The part of a stream that its type does not show. */
interface Destroyable {
  _destroy(error: Error | null, callback: (error?: Error | null) => void): void;
}

const destroyable = (socket: Socket): Destroyable => socket as unknown as Destroyable;
const prototype = destroyable(Socket.prototype);

/** See the module's comment. */
export class DenoChannel extends NetChannel {
  readonly #reactor: Reactor;
  /** What a write waits for, or -1. */
  #waiting = -1;

  /** @param fd A connected descriptor, the channel's from now on. */
  constructor(libc: Libc, reactor: Reactor, fd: number) {
    super(libc, fd);
    this.#reactor = reactor;
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
    destroyable(socket)._destroy = prototype._destroy;
    return socket;
  }

  protected override adopted(socket: Socket): void {
    // The last moment in which the descriptor is certainly ours.
    destroyable(socket)._destroy = (error, callback) => {
      this.#forget();
      prototype._destroy.call(socket, error, callback);
    };
  }

  /** The reactor must not know a descriptor that is about to be closed: its number is used again. */
  #forget(): void {
    if (this.#waiting >= 0) this.#reactor.cancel(this.#waiting);
    this.#waiting = -1;
  }
}
