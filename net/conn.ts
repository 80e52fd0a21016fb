/**
 * One connection, shaped as `Deno.TcpConn`, with what MPTCP adds.
 *
 * @module
 */
import type { Socket } from "node:net";
import { type Channel, type StreamChannel, system, unsupportedReason } from "../ffi/mod.ts";
import { IPPROTO_TCP, SO_KEEPALIVE, SOL_SOCKET, TCP_NODELAY } from "../kernel/constants.ts";
import { MptcpError } from "../kernel/error.ts";
import type { MptcpInfo } from "../kernel/mptcp_info.ts";
import type { Addr } from "../kernel/sockaddr.ts";
import * as kernel from "../paths/connection.ts";
import type { Subflow } from "../paths/connection.ts";
import { getSocketOption, setSocketOption } from "../paths/socket_options.ts";
import { closeSubflow, setSubflowBackup } from "../paths/subflow_control.ts";
import { ByteIo, closedError } from "./byte_io.ts";
import { acceptedFallback, establishedFallback, type Fallback, handshakeFallback } from "./fallback.ts";
import { readableOf, type StreamSource, writableOf } from "./streams.ts";

/** Where a connection comes from. */
export interface Origin {
  /** Who began it. */
  side: "client" | "server";
  /** Whether MPTCP was wanted. */
  wanted: boolean;
  /** Why the socket was not made as MPTCP, if it was to be. */
  refused: Fallback | null;
}

/** What a connection said last, for questions after its streams have closed it. */
interface LastWords {
  info: MptcpInfo | null;
  subflows: Subflow[];
  multipath: boolean;
}

/**
 * One connection: a byte stream over one or more TCP paths, or over plain TCP where MPTCP was not to be had.
 *
 * Made by `connect` and by `Listener.accept`. It must be closed: by `close()`, by `using`, or by ending both `readable` and
 * `writable`. After `close()` every call throws an `MptcpError` with code `"EBADF"`, and `fd` is -1.
 *
 * @example Send a line, read the answer
 * ```ts
 * import { connect, listen } from "@mptcp/mptcp";
 *
 * using listener = listen({ hostname: "127.0.0.1", port: 0 });
 * const served = listener.accept().then((conn) => conn.readable.pipeTo(conn.writable));
 *
 * using conn = await connect({ port: listener.addr.port });
 * await conn.write(new TextEncoder().encode("hello\n"));
 * await conn.closeWrite();
 * const answer = new Uint8Array(64);
 * const count = await conn.read(answer);
 * console.log(conn.isMultipath(), new TextDecoder().decode(answer.subarray(0, count ?? 0)));
 * await served;
 * ```
 */
export class Conn implements Disposable, AsyncDisposable {
  /** The bytes. */
  readonly #channel: Channel;
  /** The descriptor: the same channel, but for TLS. */
  readonly #control: Channel;
  readonly #io: ByteIo;
  readonly #origin: Origin;
  readonly #local: Addr;
  readonly #remote: Addr;
  #fallback: Fallback | null;
  readonly #wasMultipath: boolean;
  #closed = false;
  #lastWords: LastWords | null = null;
  #locked: string | null = null;
  #readable: ReadableStream<Uint8Array<ArrayBuffer>> | null = null;
  #writable: WritableStream<Uint8Array<ArrayBufferLike>> | null = null;
  #endedSides = 0;

  /**
   * Connections are made by `connect` and `Listener.accept`.
   *
   * @param channel The byte stream.
   * @param origin Where it comes from.
   * @param control The channel that has the descriptor, where that is another (TLS).
   */
  constructor(channel: Channel, origin: Origin, control: Channel = channel) {
    this.#channel = channel;
    this.#control = control;
    this.#origin = origin;
    this.#io = new ByteIo(channel);
    const { fd } = control;
    this.#local = nameOf(control.localAddr, () => kernel.localAddress(fd));
    this.#remote = nameOf(control.remoteAddr, () => kernel.peerAddress(fd));
    this.#wasMultipath = origin.wanted && origin.refused === null && this.#controllable && kernel.isMptcp(fd);
    this.#fallback = origin.refused;
    // For a client the cause is looked up now, as the counters are fresh; for a server's many clients when somebody asks.
    if (origin.side === "client") this.#handshakeFallback();
  }

  /** Whether there is a descriptor of ours, so that the kernel can be asked. */
  get #controllable(): boolean {
    return this.#control.localAddr === undefined && system() !== null;
  }

  /** The descriptor, for one synchronous stretch; -1 on a host without FFI. */
  #open(syscall: string): number {
    const fd = this.#closed ? -1 : this.#control.fd;
    if (this.#closed || (fd < 0 && this.#controllable)) throw closedError(syscall);
    return fd;
  }

  /** Our end: of the initial subflow, also when that is gone. */
  get localAddr(): Addr {
    return this.#local;
  }

  /** The peer's end of the initial subflow. */
  get remoteAddr(): Addr {
    return this.#remote;
  }

  /** The descriptor; -1 once closed, and on hosts without FFI. It stays ours: do not close it. */
  get fd(): number {
    return this.#closed ? -1 : this.#control.fd;
  }

  /**
   * Reads up to `p.length` bytes into `p`. Several reads at once are served in order.
   *
   * @returns How many bytes were read, or `null` at the end of the stream; 0 only for an empty `p`.
   * @throws {TypeError} When `p` is not a `Uint8Array`, or is detached.
   * @throws {MptcpError} `ECONNRESET` when the peer aborted, `EBADF` after `close()`.
   */
  read(p: Uint8Array): Promise<number | null> {
    const wrong = this.#refuse("read", p);
    return wrong === null ? this.#io.read(p) : Promise.reject(wrong);
  }

  /**
   * Writes all of `p`. It is done when the kernel has taken every byte; do not change `p` before.
   *
   * @returns `p.length`
   * @throws {TypeError} When `p` is not a `Uint8Array`, or is detached.
   * @throws {MptcpError} `EPIPE` or `ECONNRESET` when the peer is gone, `EBADF` after `close()`.
   */
  write(p: Uint8Array): Promise<number> {
    const wrong = this.#refuse("write", p);
    return wrong === null ? this.#io.write(p) : Promise.reject(wrong);
  }

  /**
   * Ends the writing side (FIN) after everything written before; reading goes on. A second call does nothing.
   *
   * @throws {MptcpError} When the connection is closed or broken.
   */
  closeWrite(): Promise<void> {
    const wrong = this.#refuse("closeWrite");
    return wrong === null ? this.#io.closeWrite() : Promise.reject(wrong);
  }

  /**
   * The received bytes as a byte stream, with BYOB readers. It keeps backpressure: nothing is read that nobody asked for.
   * When it has ended or was cancelled and `writable` has ended too, the connection is closed.
   */
  get readable(): ReadableStream<Uint8Array<ArrayBuffer>> {
    return this.#readable ??= readableOf(this.#streamSource());
  }

  /** Takes the bytes to send. Closing it is `closeWrite()`, aborting it `reset()`. */
  get writable(): WritableStream<Uint8Array<ArrayBufferLike>> {
    return this.#writable ??= writableOf(this.#streamSource());
  }

  #streamSource(): StreamSource {
    return {
      read: (into) => this.read(into),
      write: (bytes) => this.write(bytes),
      closeWrite: () => this.closeWrite(),
      aborted: () => this.reset(),
      ended: (side) => {
        this.#endedSides |= side === "readable" ? 1 : 2;
        if (this.#endedSides !== 3 || this.fd < 0) return;
        this.#lastWords = { info: this.info(), subflows: this.subflows(), multipath: this.isMultipath() };
        this.close();
      },
    };
  }

  /** Closes the connection: what was written still goes out, then FIN. Pending calls reject. A second call does nothing. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#io.close();
    this.#channel.close();
  }

  /** Aborts the connection: the peer sees a reset (MP_FASTCLOSE, or RST over plain TCP). */
  reset(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#io.close();
    this.#channel.reset();
  }

  /** Lets pending reads and writes keep the process alive, as they do at first. */
  ref(): void {
    this.#channel.setRef(true);
  }

  /** Lets the process end in spite of pending reads and writes. */
  unref(): void {
    this.#channel.setRef(false);
  }

  /**
   * Sends small segments at once (TCP_NODELAY), on all subflows.
   *
   * @param noDelay @default {true}
   */
  setNoDelay(noDelay = true): void {
    if (this.#controllable) this.setOption(IPPROTO_TCP, TCP_NODELAY, noDelay ? 1 : 0);
    else (this.#control as StreamChannel).socket.setNoDelay(noDelay);
  }

  /**
   * Probes an idle peer (SO_KEEPALIVE), on all subflows.
   *
   * @param keepAlive @default {true}
   */
  setKeepAlive(keepAlive = true): void {
    if (this.#controllable) this.setOption(SOL_SOCKET, SO_KEEPALIVE, keepAlive ? 1 : 0);
    else (this.#control as StreamChannel).socket.setKeepAlive(keepAlive);
  }

  /**
   * Gives the connection to Node's ecosystem as a `net.Socket`. This object is then locked: its bytes go to the socket, while
   * `info()`, `subflows()` and the like go on as long as the socket lives.
   *
   * @throws {TypeError} When it is locked already, or a read or a write is pending.
   * @throws {MptcpError} When it is closed.
   */
  toNode(): Socket {
    const wrong = this.#refuse("toNode");
    if (wrong !== null) throw wrong;
    if (this.#io.busy) throw new TypeError("Cannot convert: a read or a write is pending");
    if (this.#readable?.locked || this.#writable?.locked) throw new TypeError("Cannot convert: a stream is locked");
    this.#locked = "toNode() gave it away";
    return this.#channel.toNode(this.#io.takeRest());
  }

  /** The local 32-bit key under which netlink commands and events name the connection; `null` when it is plain TCP. */
  get token(): number | null {
    return this.info()?.token ?? null;
  }

  /** Whether the connection speaks MPTCP now. The kernel is asked each time. */
  isMultipath(): boolean {
    if (this.#lastWords) return this.#lastWords.multipath;
    const fd = this.#open("isMultipath");
    return this.#wasMultipath && kernel.isMptcp(fd);
  }

  /**
   * When and why the connection is plain TCP; `null` while it speaks MPTCP, and when TCP was asked for (`mptcp: "off"`).
   * The kernel tells that a connection fell back, its counters tell why: where other connections fall back in the same
   * moment, the cause may be theirs.
   */
  fallback(): Fallback | null {
    this.#handshakeFallback();
    if (this.#fallback === null && this.#wasMultipath && !this.isMultipath()) this.#fallback = establishedFallback();
    return this.#fallback;
  }

  #handshakeFallback(): void {
    const { wanted, side } = this.#origin;
    if (this.#fallback !== null || !wanted || this.#wasMultipath) return;
    this.#fallback = side === "client" ? handshakeFallback() : acceptedFallback();
  }

  /** `struct mptcp_info`: what the kernel tells about the whole connection; `null` when it is plain TCP. */
  info(): MptcpInfo | null {
    if (this.#lastWords) return this.#lastWords.info;
    const fd = this.#open("info");
    return this.#wasMultipath ? kernel.mptcpInfo(fd) : null;
  }

  /**
   * The live subflows, by one atomic read of the kernel. Of a connection that is plain TCP one entry with id 0.
   *
   * @example Print each path's round-trip time in milliseconds
   * ```ts
   * import { connect, listen } from "@mptcp/mptcp";
   *
   * using listener = listen({ port: 0 });
   * using conn = await connect({ port: listener.addr.port });
   * for (const { id, local, remote, tcpInfo } of conn.subflows()) {
   *   console.log(id, local.hostname, remote.hostname, (tcpInfo.rtt ?? 0) / 1000);
   * }
   * ```
   */
  subflows(): Subflow[] {
    if (this.#lastWords) return this.#lastWords.subflows;
    const fd = this.#open("subflows");
    return this.#controllable ? kernel.subflows(fd) : [kernel.plainSubflow(this.#local, this.#remote)];
  }

  /**
   * Closes one subflow of this connection, which goes on over the others. Needs CAP_NET_ADMIN over the network namespace.
   * Under the kernel's path manager the peer sees a reset of that path, and the kernel does not open it anew.
   *
   * @param id `Subflow.id`
   * @throws {MptcpError} `EINVAL` for an id that no live subflow has, `EPERM` without the privilege, `EOPNOTSUPP` when the
   * connection is plain TCP.
   */
  closeSubflow(id: number): Promise<void> {
    return this.#attempt((fd) => closeSubflow(fd, id), "close the subflow");
  }

  /**
   * Makes a subflow a backup, used while no other works, or a regular one again; the peer is told (MP_PRIO). For connections
   * under the userspace path manager; needs CAP_NET_ADMIN over the network namespace.
   *
   * @param id `Subflow.id`
   * @throws {MptcpError} `EOPNOTSUPP` under the kernel's path manager, which changes priorities for all connections at once:
   * see `PathManager.setEndpointFlags`.
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

  #descriptor(syscall: string): number {
    const fd = this.#open(syscall);
    if (this.#controllable) return fd;
    throw new MptcpError("EOPNOTSUPP", `Cannot ${syscall}: ${unsupportedReason() ?? "this host has no FFI"}`, { syscall });
  }

  /** `close()` */
  [Symbol.dispose](): void {
    this.close();
  }

  /** `close()` */
  [Symbol.asyncDispose](): Promise<void> {
    this.close();
    return Promise.resolve();
  }

  /** Why a call cannot be made, if it cannot. */
  #refuse(what: string, p?: unknown): Error | null {
    if (p !== undefined || what === "read" || what === "write") {
      if (!(p instanceof Uint8Array)) return new TypeError(`Cannot ${what}: a Uint8Array is needed`);
      if (p.length === 0 && isDetached(p)) return new TypeError(`Cannot ${what}: the array is detached`);
    }
    if (this.#closed) return closedError(what);
    if (this.#locked !== null) return new TypeError(`Cannot ${what}: the connection is locked, ${this.#locked}`);
    return null;
  }
}

/** Also true for a view that a shrunk buffer has left out of bounds. */
function isDetached({ buffer, byteOffset, length }: Uint8Array): boolean {
  if ((buffer as ArrayBuffer & { detached?: boolean }).detached) return true;
  return length === 0 && byteOffset > buffer.byteLength;
}

function nameOf(known: Addr | undefined, ask: () => Addr): Addr {
  if (known !== undefined) return known;
  try {
    return ask();
  } catch (error) {
    // A peer that is gone already: the connection can be read to its end, but its addresses are no longer told.
    if (error instanceof MptcpError) return { transport: "tcp", hostname: "", port: 0 };
    throw error;
  }
}
