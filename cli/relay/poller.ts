/**
 * A thread's own event loop: an epoll set, and who is to be told of each descriptor.
 *
 * The thread sits in `epoll_wait` itself. That is as fast as C, the same on all runtimes, and leaves the runtimes' loops out of
 * it; a thread that does so does nothing else.
 *
 * @module
 */
import { EVENT, EVENT_SIZE, type Libc } from "../../ffi/mod.ts";
import {
  EPOLL_CTL_ADD,
  EPOLL_CTL_DEL,
  EPOLL_CTL_MOD,
  EPOLLET,
  EPOLLIN,
  EPOLLOUT,
  EPOLLRDHUP,
  SOCK_CLOEXEC,
} from "../../kernel/constants.ts";
import { check } from "../../kernel/error.ts";
import { HOST_LITTLE_ENDIAN } from "../../kernel/struct.ts";

/** Whoever is told that something has happened to a descriptor. */
export interface Handler {
  ready(events: number): void;
}

/** All that can happen to a stream; each change is told once (edge-triggered), so that nothing is ever asked for anew. */
export const STREAM_EVENTS: number = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;

const BATCH = 256;
/** In 32-bit words: the kernel packs `struct epoll_event` on x86-64 only. */
const WORDS = EVENT_SIZE / 4;
/** The descriptor, which is put into the low half of `data`. */
const DATA = WORDS - (HOST_LITTLE_ENDIAN ? 2 : 1);

/** See the module's comment. */
export class Poller {
  readonly #libc: Libc;
  readonly #epoll: number;
  readonly #event = new Uint8Array(16);
  readonly #words = new Int32Array(BATCH * WORDS);
  readonly #bytes = new Uint8Array(this.#words.buffer);
  readonly #handlers: (Handler | undefined)[] = [];
  #closing: number[] = [];

  constructor(libc: Libc) {
    this.#libc = libc;
    this.#epoll = check(libc.epollCreate(SOCK_CLOEXEC), "epoll_create1");
  }

  /** Watches a descriptor. What holds already is told at once. */
  add(fd: number, events: number, handler: Handler): void {
    this.#handlers[fd] = handler;
    check(this.#control(EPOLL_CTL_ADD, fd, events), "epoll_ctl");
  }

  /** Watches a watched descriptor for others, for somebody else. What holds already is told at once. */
  change(fd: number, events: number, handler: Handler): void {
    this.#handlers[fd] = handler;
    check(this.#control(EPOLL_CTL_MOD, fd, events), "epoll_ctl");
  }

  /** Watches it no longer. */
  remove(fd: number): void {
    this.#handlers[fd] = undefined;
    this.#control(EPOLL_CTL_DEL, fd, 0);
  }

  /**
   * Watches it no longer and closes it, when the events that have come are dealt with: until then its number is not given to
   * another, which would get its events.
   */
  close(fd: number): void {
    this.#handlers[fd] = undefined;
    this.#closing.push(fd);
  }

  /**
   * Waits for events and tells their handlers.
   *
   * @param timeout ms; -1 for as long as it takes.
   */
  turn(timeout: number): void {
    this.closeNow();
    const count = this.#libc.epollWait(this.#epoll, this.#bytes, timeout);
    for (let at = 0; at < count * WORDS; at += WORDS) {
      this.#handlers[this.#words[at + DATA]!]?.ready(this.#words[at]!);
    }
  }

  /** Closes what is to be closed. */
  closeNow(): void {
    if (this.#closing.length === 0) return;
    for (const fd of this.#closing) this.#libc.close(fd);
    this.#closing = [];
  }

  /** The end of it. */
  end(): void {
    this.closeNow();
    this.#libc.close(this.#epoll);
  }

  #control(operation: number, fd: number, events: number): number {
    EVENT.encode(new DataView(this.#event.buffer), 0, { events: events >>> 0, data: BigInt(fd) });
    return this.#libc.epollCtl(this.#epoll, operation, fd, this.#event);
  }
}
