/**
 * Connecting to a target: its addresses in turn, until one answers.
 *
 * @module
 */
import type { Libc } from "../../ffi/mod.ts";
import { EPOLLET, EPOLLOUT, SO_ERROR, SOL_SOCKET } from "../../kernel/constants.ts";
import { EINPROGRESS, ETIMEDOUT } from "../../kernel/errno.ts";
import { MptcpError } from "../../kernel/error.ts";
import { ipVersion } from "../../kernel/ip.ts";
import { sockaddrOf } from "../../net/address.ts";
import { makeSocket } from "../../net/socket.ts";
import type { ResolvedTarget } from "./messages.ts";
import type { Handler, Poller } from "./poller.ts";

/** What a dial needs of its thread. */
export interface DialHost {
  readonly libc: Libc;
  readonly poller: Poller;
  /** Whether to connect by MPTCP. */
  readonly mptcp: boolean;
}

/** See the module's comment. */
export class Dial implements Handler {
  readonly #host: DialHost;
  readonly #target: ResolvedTarget;
  readonly #done: (result: number) => void;
  #next = 0;
  #fd = -1;
  #error = -ETIMEDOUT;
  /** When it is given up, by the thread's clock. */
  readonly deadline: number;

  /**
   * @param done Called once: the connected descriptor, watched by the poller for being writable; or the last `-errno`.
   * Perhaps before `start` returns.
   */
  constructor(host: DialHost, target: ResolvedTarget, deadline: number, done: (result: number) => void) {
    this.#host = host;
    this.#target = target;
    this.#done = done;
    this.deadline = deadline;
  }

  /** Tries the next address. */
  start(): void {
    const { libc, poller, mptcp } = this.#host;
    const { addresses, port } = this.#target;
    while (this.#next < addresses.length) {
      const address = addresses[this.#next++]!;
      let fd = -1;
      try {
        const version = ipVersion(address) === 6 ? 6 : 4;
        fd = makeSocket(libc, version, { mptcp: mptcp ? "require" : "off" }).fd;
        const result = libc.connect(fd, sockaddrOf(libc, address, port));
        if (result !== 0 && result !== -EINPROGRESS) {
          this.#error = result;
          libc.close(fd);
          continue;
        }
        poller.add(fd, EPOLLOUT | EPOLLET, this);
        this.#fd = fd;
        if (result === 0) this.ready();
        return;
      } catch (error) {
        if (!(error instanceof MptcpError)) throw error;
        this.#error = error.errno;
        if (fd >= 0) libc.close(fd);
      }
    }
    this.#done(this.#error);
  }

  /** `Handler` */
  ready(): void {
    const fd = this.#fd;
    if (fd < 0) return;
    const error = this.#host.libc.getInt(fd, SOL_SOCKET, SO_ERROR);
    this.#fd = -1;
    if (error === 0) return this.#done(fd);
    this.#error = -Math.abs(error);
    this.#host.poller.close(fd);
    this.start();
  }

  /** Gives up. */
  cancel(error: number = -ETIMEDOUT): void {
    if (this.#fd >= 0) this.#host.poller.close(this.#fd);
    this.#fd = -1;
    this.#done(error);
  }
}
