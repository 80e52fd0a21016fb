/**
 * Readiness of descriptors that no runtime stream can watch, for Deno: sockets that are still connecting, and listeners.
 * One epoll set serves all; one helper thread sits in `epoll_wait`, and only while somebody waits.
 *
 * @module
 */
import {
  EPOLL_CTL_ADD,
  EPOLL_CTL_DEL,
  EPOLL_CTL_MOD,
  EPOLLONESHOT,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
} from "../kernel/constants.ts";
import { EEXIST } from "../kernel/errno.ts";
import { check } from "../kernel/error.ts";
import { viewOf } from "../kernel/struct.ts";
import { EVENT, EVENT_SIZE } from "./epoll_event.ts";
import type { Libc } from "./libc.ts";

const BATCH = 64;
/** `EFD_NONBLOCK | EFD_CLOEXEC`, and likewise for epoll. */
const FLAGS = SOCK_NONBLOCK | SOCK_CLOEXEC;

interface Waiter {
  resolve: (events: number) => void;
  ref: boolean;
}

/** What the reactor needs of the runtime. */
export interface ReactorHost {
  /** `epoll_wait` on another thread. */
  epollWait(epoll: number, events: Uint8Array, max: number, timeout: number): Promise<number>;
  /** Whether that pending call keeps the process alive. */
  setRef(call: Promise<number>, ref: boolean): void;
}

/** See the module's comment. */
export class Reactor {
  readonly #libc: Libc;
  readonly #host: ReactorHost;
  readonly #epoll: number;
  readonly #wake: number;
  readonly #event = new Uint8Array(16);
  readonly #ready = new Uint8Array(EVENT_SIZE * BATCH);
  readonly #count = new Uint8Array(8);
  readonly #waiters = new Map<number, Waiter>();
  #call: Promise<number> | null = null;

  constructor(libc: Libc, host: ReactorHost) {
    this.#libc = libc;
    this.#host = host;
    this.#epoll = check(libc.epollCreate(SOCK_CLOEXEC), "epoll_create1");
    this.#wake = check(libc.eventfd(FLAGS), "eventfd");
    check(this.#control(EPOLL_CTL_ADD, this.#wake, 1), "epoll_ctl");
  }

  /**
   * Waits once for any of `events`. One waiter for each descriptor.
   *
   * @returns The events that came, or 0 after `cancel`.
   */
  wait(fd: number, events: number, ref = true): Promise<number> {
    return new Promise((resolve, reject) => {
      const armed = events | EPOLLONESHOT;
      let result = this.#control(EPOLL_CTL_ADD, fd, armed);
      if (result === -EEXIST) result = this.#control(EPOLL_CTL_MOD, fd, armed); // a listener, waited for before
      if (result < 0) return reject(check(result, "epoll_ctl"));
      this.#waiters.set(fd, { resolve, ref });
      if (this.#call === null) this.#loop();
      else this.#applyRef();
    });
  }

  /** Forgets a descriptor; a wait for it ends with 0. To be called before the descriptor is closed. */
  cancel(fd: number): void {
    this.#control(EPOLL_CTL_DEL, fd, 0);
    const waiter = this.#waiters.get(fd);
    if (!waiter) return;
    this.#waiters.delete(fd);
    waiter.resolve(0);
    if (this.#waiters.size === 0) this.#interrupt();
    else this.#applyRef();
  }

  /** Whether the wait for `fd` keeps the process alive. */
  setRef(fd: number, ref: boolean): void {
    const waiter = this.#waiters.get(fd);
    if (!waiter) return;
    waiter.ref = ref;
    this.#applyRef();
  }

  async #loop(): Promise<void> {
    while (this.#waiters.size > 0) {
      this.#call = this.#host.epollWait(this.#epoll, this.#ready, BATCH, -1);
      this.#applyRef();
      const count = await this.#call;
      const view = viewOf(this.#ready);
      for (let index = 0; index < count; index++) {
        const { events, data } = EVENT.decode(view, index * EVENT_SIZE, EVENT_SIZE);
        const fd = Number(data);
        if (fd === this.#wake) {
          this.#libc.read(this.#wake, this.#count);
          continue;
        }
        const waiter = this.#waiters.get(fd);
        this.#waiters.delete(fd);
        waiter?.resolve(events!);
      }
    }
    this.#call = null;
  }

  /** Ends a pending `epoll_wait`, so that its thread goes back to the pool. */
  #interrupt(): void {
    new BigUint64Array(this.#count.buffer)[0] = 1n;
    this.#libc.write(this.#wake, this.#count);
  }

  #applyRef(): void {
    if (this.#call === null) return;
    let ref = false;
    for (const waiter of this.#waiters.values()) ref ||= waiter.ref;
    this.#host.setRef(this.#call, ref);
  }

  #control(operation: number, fd: number, events: number): number {
    EVENT.encode(viewOf(this.#event), 0, { events: events >>> 0, data: BigInt(fd) });
    return this.#libc.epollCtl(this.#epoll, operation, fd, this.#event);
  }
}
