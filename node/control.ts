/**
 * What MPTCP adds to a socket of Node's kind: what the kernel tells about the connection, and what it can be told.
 *
 * @module
 */
import type { Socket } from "node:net";
import { system, unsupportedReason } from "../ffi/mod.ts";
import { MptcpError } from "../kernel/error.ts";
import type { MptcpInfo } from "../kernel/mptcp_info.ts";
import { acceptedFallback, establishedFallback, type Fallback, handshakeFallback } from "../net/fallback.ts";
import * as kernel from "../paths/connection.ts";
import type { Subflow } from "../paths/connection.ts";
import { getSocketOption, setSocketOption } from "../paths/socket_options.ts";
import { closeSubflow, setSubflowBackup } from "../paths/subflow_control.ts";

/** What is known of a connection besides what the kernel tells. Kept by its socket. */
export interface ControlState {
  /** Who began it. */
  side: "client" | "server";
  /** Whether MPTCP was wanted. */
  wanted: boolean;
  /** Whether it came out of the handshake as MPTCP; `null` while nobody has asked. */
  wasMultipath: boolean | null;
  /** When and why it is plain TCP, as far as it is known. */
  fallback: Fallback | null;
}

/**
 * The MPTCP side of a socket: the part of `Conn` that is about paths and not about bytes.
 *
 * Before the socket is connected and after it is closed `fd` is -1, and the calls throw an `MptcpError` with code `"EBADF"`,
 * but for `fallback()`, which tells what is known.
 */
export class SocketControl {
  readonly #socket: Socket;
  readonly #state: ControlState;

  /** Sockets have one as `socket.mptcp`, or by `mptcpOf(socket)`. */
  constructor(socket: Socket, state: ControlState) {
    this.#socket = socket;
    this.#state = state;
  }

  /** The descriptor; -1 while not connected, and on hosts without FFI. It stays the socket's: do not close it. */
  get fd(): number {
    return this.#socket.connecting ? -1 : system()?.loop.descriptorOf(this.#socket) ?? -1;
  }

  /** The descriptor, for one synchronous stretch. */
  #descriptor(what: string): number {
    const { fd } = this;
    if (fd >= 0) return fd;
    if (system() === null) {
      throw new MptcpError("EOPNOTSUPP", `Cannot ${what}: ${unsupportedReason() ?? "this host has no FFI"}`, {
        syscall: what,
      });
    }
    throw new MptcpError("EBADF", `Cannot ${what}: the socket is not connected`, { syscall: what });
  }

  /** Whether it is MPTCP by its making, which a fallback later on does not change. */
  #wasMultipath(fd: number): boolean {
    const state = this.#state;
    return state.wasMultipath ??= state.wanted && state.fallback === null && kernel.isMptcp(fd);
  }

  /** The local 32-bit key under which netlink commands and events name the connection; `null` when it is plain TCP. */
  get token(): number | null {
    return this.info()?.token ?? null;
  }

  /** Whether the connection speaks MPTCP now. The kernel is asked each time. */
  isMultipath(): boolean {
    if (system() === null) return false;
    const fd = this.#descriptor("isMultipath");
    return this.#wasMultipath(fd) && kernel.isMptcp(fd);
  }

  /**
   * When and why the connection is plain TCP; `null` while it speaks MPTCP, while it is not connected, and when TCP was asked
   * for (`mptcp: "off"`).
   */
  fallback(): Fallback | null {
    const state = this.#state;
    if (state.fallback !== null || !state.wanted) return state.fallback;
    const { fd } = this;
    if (fd < 0) return null;
    if (!this.#wasMultipath(fd)) state.fallback = state.side === "client" ? handshakeFallback() : acceptedFallback();
    else if (!kernel.isMptcp(fd)) state.fallback = establishedFallback();
    return state.fallback;
  }

  /** `struct mptcp_info`: what the kernel tells about the whole connection; `null` when it is plain TCP. */
  info(): MptcpInfo | null {
    if (system() === null) return null;
    const fd = this.#descriptor("info");
    return this.#wasMultipath(fd) ? kernel.mptcpInfo(fd) : null;
  }

  /** The live subflows, by one atomic read of the kernel. Of a connection that is plain TCP one entry with id 0. */
  subflows(): Subflow[] {
    if (system() !== null) return kernel.subflows(this.#descriptor("subflows"));
    const { localAddress = "", localPort = 0, remoteAddress = "", remotePort = 0 } = this.#socket;
    return [kernel.plainSubflow(
      { transport: "tcp", hostname: localAddress, port: localPort },
      { transport: "tcp", hostname: remoteAddress, port: remotePort },
    )];
  }

  /**
   * Closes one subflow of this connection, which goes on over the others. Needs CAP_NET_ADMIN over the network namespace.
   *
   * @param id `Subflow.id`
   * @throws {MptcpError} As `Conn.closeSubflow`.
   */
  closeSubflow(id: number): Promise<void> {
    return this.#attempt((fd) => closeSubflow(fd, id), "close the subflow");
  }

  /**
   * Makes a subflow a backup, used while no other works, or a regular one again; the peer is told (MP_PRIO).
   *
   * @param id `Subflow.id`
   * @throws {MptcpError} As `Conn.setSubflowBackup`.
   */
  setSubflowBackup(id: number, backup: boolean): Promise<void> {
    return this.#attempt((fd) => setSubflowBackup(fd, id, backup), "change the subflow's priority");
  }

  /** Does something with the descriptor; what it throws becomes a rejection. */
  #attempt(work: (fd: number) => void, what: string): Promise<void> {
    return new Promise((resolve) => {
      work(this.#descriptor(what));
      resolve();
    });
  }

  /**
   * Reads a socket option of the whole connection.
   *
   * @param level Such as 1 (SOL_SOCKET), 6 (SOL_TCP) or 284 (SOL_MPTCP).
   * @param name The option's number at that level.
   * @returns An `int` option's value.
   * @throws {MptcpError} With a hint, when MPTCP does not support the option.
   */
  getOption(level: number, name: number): number;
  /**
   * Reads the bytes of a socket option of the whole connection.
   *
   * @param size How many bytes to ask for, 1 to 65536.
   * @returns As many bytes as the kernel gave.
   */
  getOption(level: number, name: number, size: number): Uint8Array;
  getOption(level: number, name: number, size?: number): number | Uint8Array {
    return getSocketOption(this.#descriptor("getsockopt"), level, name, size);
  }

  /**
   * Sets a socket option of the whole connection, so of all present and future subflows.
   *
   * @param value A number for an `int` option, or the option's bytes.
   * @throws {MptcpError} With a hint, when MPTCP does not support the option.
   */
  setOption(level: number, name: number, value: number | Uint8Array): void {
    setSocketOption(this.#descriptor("setsockopt"), level, name, value);
  }
}
