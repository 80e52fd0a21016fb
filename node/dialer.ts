/**
 * The sockets under a `net.Socket`'s connection attempts: MPTCP, or TCP where that is refused or not wanted.
 *
 * @module
 */
import type { SocketDialer, System } from "../ffi/mod.ts";
import { EINVAL, EOPNOTSUPP } from "../kernel/errno.ts";
import { hostPort, MptcpError } from "../kernel/error.ts";
import { sockaddrOf } from "../net/address.ts";
import { bindLocal } from "../net/dial.ts";
import { handshakeFallback, watchCounters } from "../net/fallback.ts";
import type { SocketOptions } from "../net/options.ts";
import type { Origin } from "../net/path_control.ts";
import { makeSocket } from "../net/socket.ts";
import { isMptcp } from "../paths/connection.ts";

/** See the module's comment. */
export class Dialer implements SocketDialer {
  readonly #system: System;
  readonly #options: SocketOptions;
  readonly #origin: Origin;
  /** What failed last; the runtime makes its error of the errno alone. */
  #failure: unknown = null;

  /** @param origin Told what the connection became. */
  constructor(system: System, options: SocketOptions, origin: Origin) {
    this.#system = system;
    this.#options = options;
    this.#origin = origin;
    if (options.mptcp !== "off") watchCounters();
  }

  open(version: 4 | 6, localAddress: string | undefined, localPort: number | undefined): number {
    const { libc } = this.#system;
    let fd = -1;
    try {
      const made = makeSocket(libc, version, this.#options);
      fd = made.fd;
      this.#origin.fallback = made.refused;
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
    const origin = this.#origin;
    origin.wasMultipath = origin.wanted && origin.fallback === null && isMptcp(fd);
    if (origin.wasMultipath || !origin.wanted) return 0;
    // The cause is looked up now, as the counters are fresh.
    origin.fallback ??= handshakeFallback();
    return this.#options.mptcp === "require" ? -EOPNOTSUPP : 0;
  }

  /** The runtime's error of an attempt, with all that there is to say about it. */
  explain(error: Error): Error {
    const { code, errno, syscall, address, port } = error as NodeJS.ErrnoException & { address?: string; port?: number };
    const { fallback } = this.#origin;
    // By its number: libuv has another name for it.
    if (errno === -EOPNOTSUPP && syscall === "connect" && this.#options.mptcp === "require" && fallback !== null) {
      const target = address === undefined ? "" : ` to ${hostPort(address, port ?? 0)}`;
      return new MptcpError("EOPNOTSUPP", `Cannot connect${target} by MPTCP: ${fallback.message}`, {
        syscall,
        address,
        port,
        hint: 'mptcp: "prefer" takes plain TCP as well',
        cause: error,
      });
    }
    const failure = this.#failure;
    // Of another call than connect or bind, such as one that sets an option.
    if (failure instanceof MptcpError && failure.code === code && failure.syscall !== syscall) error.cause ??= failure;
    return error;
  }

  #failed(error: unknown): number {
    this.#failure = error;
    return (error instanceof MptcpError ? error.errno : 0) || -EINVAL;
  }
}
