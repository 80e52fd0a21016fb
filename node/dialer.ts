/**
 * The sockets under a `net.Socket`'s connection attempts: MPTCP, or TCP where that is refused or not wanted.
 *
 * @module
 */
import type { SocketDialer, System } from "../ffi/mod.ts";
import { EINVAL } from "../kernel/errno.ts";
import { MptcpError } from "../kernel/error.ts";
import { sockaddrOf } from "../net/address.ts";
import { bindLocal } from "../net/dial.ts";
import { handshakeFallback, watchCounters } from "../net/fallback.ts";
import type { SocketOptions } from "../net/options.ts";
import { makeSocket } from "../net/socket.ts";
import { isMptcp } from "../paths/connection.ts";
import type { ControlState } from "./control.ts";

/** See the module's comment. */
export class Dialer implements SocketDialer {
  readonly #system: System;
  readonly #options: SocketOptions;
  readonly #state: ControlState;
  /** Our own word on what failed; the runtime makes its error of the errno alone. */
  failure: unknown = null;

  /** @param state Told what the connection became. */
  constructor(system: System, options: SocketOptions, state: ControlState) {
    this.#system = system;
    this.#options = options;
    this.#state = state;
    if (options.mptcp !== "off") watchCounters();
  }

  open(version: 4 | 6, localAddress: string | undefined, localPort: number | undefined): number {
    const { libc } = this.#system;
    let fd = -1;
    try {
      const made = makeSocket(libc, version, this.#options);
      fd = made.fd;
      this.#state.fallback = made.refused;
      if (localAddress || localPort) bindLocal(libc, fd, version, localAddress || undefined, localPort);
      return fd;
    } catch (error) {
      if (fd >= 0) libc.close(fd);
      return this.#failed(error);
    }
  }

  sockaddr(address: string, port: number): Uint8Array | number {
    try {
      return sockaddrOf(this.#system.libc, address, port);
    } catch (error) {
      return this.#failed(error);
    }
  }

  connected(fd: number): number {
    const state = this.#state;
    state.wasMultipath = state.wanted && state.fallback === null && isMptcp(fd);
    if (state.wasMultipath || !state.wanted) return 0;
    // The cause is looked up now, as the counters are fresh.
    state.fallback ??= handshakeFallback();
    if (this.#options.mptcp !== "require") return 0;
    return this.#failed(
      new MptcpError("EOPNOTSUPP", `Cannot connect by MPTCP: ${state.fallback.message}`, {
        syscall: "connect",
        hint: 'mptcp: "prefer" takes plain TCP as well',
      }),
    );
  }

  #failed(error: unknown): number {
    this.failure = error;
    return (error instanceof MptcpError ? error.errno : 0) || -EINVAL;
  }
}
