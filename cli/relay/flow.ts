/**
 * One direction of a relayed connection: bytes from one socket to another, as fast as the slower one takes them.
 *
 * Between two plain TCP sockets they go by `splice` through a pipe, and never come here. With MPTCP at one end the kernel
 * would copy them for each splice, and into fresh pages: there one buffer, used again and again for all connections, costs a
 * third less CPU (docs/cli.md has the numbers).
 *
 * @module
 */
import type { Libc } from "../../ffi/mod.ts";
import {
  EPOLLERR,
  EPOLLHUP,
  EPOLLIN,
  EPOLLOUT,
  EPOLLRDHUP,
  SHUT_WR,
  SPLICE_F_MOVE,
  SPLICE_F_NONBLOCK,
} from "../../kernel/constants.ts";
import { EAGAIN, EINTR } from "../../kernel/errno.ts";
import type { BufferPool } from "./buffers.ts";

/** How much may move in one direction before others have their turn, bytes. */
const BUDGET = 1 << 20;
const FLAGS = SPLICE_F_MOVE | SPLICE_F_NONBLOCK;

/** One of the two sockets. What is possible was told by an edge, and holds until a call says `EAGAIN`. */
export class Side {
  readonly fd: number;
  /** Plain TCP: `splice` is worth it. */
  readonly plain: boolean;
  readable = true;
  writable = true;
  /** The peer has sent its FIN, or worse: a short read is not the end of what can be read. */
  hungUp = false;

  constructor(fd: number, plain: boolean) {
    this.fd = fd;
    this.plain = plain;
  }

  /** Notes what epoll tells. */
  note(events: number): void {
    const over = events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR);
    if (over) this.hungUp = true;
    if (over || events & EPOLLIN) this.readable = true;
    if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) this.writable = true;
  }
}

/** How far a flow got: it waits for an event, it could go on at once, its end was passed on, or an end is broken. */
export type Progress = "waits" | "more" | "ended" | "broken";

/** See the module's comment. */
export class Flow {
  readonly #libc: Libc;
  readonly #buffers: BufferPool;
  readonly #from: Side;
  readonly #to: Side;
  /** Whether to splice. */
  #splices: boolean;
  /** Received and not sent. */
  #rest: Uint8Array | null;
  #pipe: readonly [read: number, write: number] | null = null;
  #piped = 0;
  #eof = false;
  #ended = false;
  /** How many bytes have moved since this was set to 0. */
  moved = 0;

  /** @param rest What was received already. */
  constructor(libc: Libc, buffers: BufferPool, from: Side, to: Side, rest: Uint8Array | null = null) {
    this.#libc = libc;
    this.#buffers = buffers;
    this.#from = from;
    this.#to = to;
    this.#splices = from.plain && to.plain;
    this.#rest = rest === null ? null : buffers.keep(rest, 0, rest.length);
  }

  /** Whether the end of the stream was passed on. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Moves what can be moved. */
  pump(): Progress {
    if (this.#ended) return "ended";
    const limit = this.moved + BUDGET;
    for (;;) {
      const held = this.#deliver();
      if (held !== null) return held;
      if (this.#eof) return this.#finish();
      if (!this.#from.readable || !this.#to.writable) return "waits";
      if (this.moved >= limit) return "more";
      const received = this.#splices ? this.#spliceIn() : this.#copy();
      if (received !== null) return received;
    }
  }

  /** Gives back what it holds; to be called once the connection is over. */
  release(): void {
    if (this.#rest !== null) this.#buffers.drop(this.#rest);
    this.#rest = null;
    if (this.#pipe !== null) this.#buffers.givePipe(this.#pipe, this.#piped === 0);
    this.#pipe = null;
  }

  /** Sends what was received before; `null` when nothing of it is left. */
  #deliver(): Progress | null {
    while (this.#rest !== null) {
      if (!this.#to.writable) return "waits";
      const count = this.#libc.send(this.#to.fd, this.#rest);
      if (count === -EINTR) continue;
      if (count < 0) return this.#notSent(count);
      this.moved += count;
      const { length } = this.#rest;
      this.#buffers.drop(this.#rest);
      this.#rest = count < length ? this.#buffers.keep(this.#rest, count, length) : null;
    }
    while (this.#piped > 0) {
      if (!this.#to.writable) return "waits";
      const count = this.#libc.splice(this.#pipe![0], this.#to.fd, this.#piped, FLAGS);
      if (count === -EINTR) continue;
      if (count < 0) return this.#notSent(count);
      this.#piped -= count;
      this.moved += count;
    }
    if (this.#pipe !== null && !this.#from.readable) {
      this.#buffers.givePipe(this.#pipe, true);
      this.#pipe = null;
    }
    return null;
  }

  #notSent(result: number): Progress {
    if (result !== -EAGAIN) return "broken";
    this.#to.writable = false;
    return "waits";
  }

  /** Receives once, into the buffer of all, and sends it on at once; `null` to go on. */
  #copy(): Progress | null {
    const buffer = this.#buffers.shared;
    const count = this.#libc.recv(this.#from.fd, buffer);
    if (count <= 0) return this.#received(count);
    // That was all: what comes now makes another edge. (An end that has come already does not.)
    if (count < buffer.length && !this.#from.hungUp) this.#from.readable = false;
    const sent = this.#libc.send(this.#to.fd, count === buffer.length ? buffer : buffer.subarray(0, count));
    if (sent === count) {
      this.moved += count;
      return null;
    }
    if (sent < 0 && sent !== -EAGAIN && sent !== -EINTR) return "broken";
    if (sent === -EAGAIN) this.#to.writable = false;
    this.moved += Math.max(sent, 0);
    this.#rest = this.#buffers.keep(buffer, Math.max(sent, 0), count);
    return null;
  }

  /** Fills the pipe once; `null` to go on. */
  #spliceIn(): Progress | null {
    this.#pipe ??= this.#buffers.takePipe();
    if (this.#pipe === null) {
      this.#splices = false; // out of descriptors
      return null;
    }
    const count = this.#libc.splice(this.#from.fd, this.#pipe[1], this.#buffers.pipeSize, FLAGS);
    if (count <= 0) return this.#received(count);
    this.#piped = count;
    return null;
  }

  /** After a receiving call that brought nothing; `null` to go on. */
  #received(result: number): Progress | null {
    if (result === -EAGAIN) this.#from.readable = false;
    else if (result === 0) this.#eof = true;
    else if (result !== -EINTR) return "broken";
    return null;
  }

  /** Passes the end of the stream on. */
  #finish(): Progress {
    this.release();
    this.#ended = true;
    return this.#libc.shutdown(this.#to.fd, SHUT_WR) < 0 ? "broken" : "ended";
  }
}
