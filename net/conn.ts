/**
 * One connection, shaped as `Deno.TcpConn`, with what MPTCP adds.
 *
 * @module
 */
import type { Socket } from "node:net";
import { type Channel, type StreamChannel, system } from "../ffi/mod.ts";
import { IPPROTO_TCP, SO_KEEPALIVE, SOL_SOCKET, TCP_NODELAY } from "../kernel/constants.ts";
import { MptcpError } from "../kernel/error.ts";
import type { Addr } from "../kernel/sockaddr.ts";
import { localAddress, peerAddress } from "../paths/connection.ts";
import { ByteIo, closedError } from "./byte_io.ts";
import { type Origin, PathControl } from "./path_control.ts";
import { readableOf, type StreamSource, writableOf } from "./streams.ts";

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
export class Conn extends PathControl implements Disposable, AsyncDisposable {
  /** The bytes. */
  readonly #channel: Channel;
  /** The descriptor: the same channel, but for TLS. */
  readonly #control: Channel;
  readonly #io: ByteIo;
  readonly #local: Addr;
  readonly #remote: Addr;
  #closed = false;
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
    super(origin);
    this.#channel = channel;
    this.#control = control;
    this.#io = new ByteIo(channel, (error) => this.ended(error));
    const { fd } = control;
    this.#local = nameOf(control.localAddr, () => localAddress(fd));
    this.#remote = nameOf(control.remoteAddr, () => peerAddress(fd));
    this.begun();
  }

  /** Our end: of the initial subflow, also when that is gone. */
  override get localAddr(): Addr {
    return this.#local;
  }

  /** The peer's end of the initial subflow. */
  override get remoteAddr(): Addr {
    return this.#remote;
  }

  /** The descriptor; -1 once closed, and on hosts without FFI. It stays ours: do not close it. */
  override get fd(): number {
    // Without libc a runtime's own descriptor is of no use here: nobody can be asked about it.
    return this.#closed || system() === null ? -1 : this.#control.fd;
  }

  /** Whether it is open, also where there is no descriptor to tell. */
  protected override get isOpen(): boolean {
    return !this.#closed;
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
        this.keepLastWords();
        this.close();
      },
    };
  }

  /** Closes the connection: what was written still goes out, then FIN. Pending calls reject. A second call does nothing. */
  close(): void {
    if (this.#closed) return;
    this.ending();
    this.#closed = true;
    this.#io.close();
    this.#channel.close();
    this.ended();
  }

  /** Aborts the connection: the peer sees a reset (MP_FASTCLOSE, or RST over plain TCP). */
  reset(): void {
    if (this.#closed) return;
    this.ending();
    this.#closed = true;
    this.#io.close();
    this.#channel.reset();
    this.ended();
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
    if (system() !== null) this.setOption(IPPROTO_TCP, TCP_NODELAY, noDelay ? 1 : 0);
    else (this.#control as StreamChannel).socket.setNoDelay(noDelay);
  }

  /**
   * Probes an idle peer (SO_KEEPALIVE), on all subflows.
   *
   * @param keepAlive @default {true}
   */
  setKeepAlive(keepAlive = true): void {
    if (system() !== null) this.setOption(SOL_SOCKET, SO_KEEPALIVE, keepAlive ? 1 : 0);
    else (this.#control as StreamChannel).socket.setKeepAlive(keepAlive);
  }

  /**
   * Gives the connection to Node's ecosystem as a `net.Socket`. This object is then locked: its bytes go to the socket, while
   * `info()`, `subflows()` and the like go on as long as the socket lives.
   *
   * @throws {TypeError} When it is locked already, or a read or a write is pending.
   * @throws {MptcpError} When it is closed; `EMFILE` when there is no descriptor to be had, and then it gets closed.
   */
  toNode(): Socket {
    const wrong = this.#refuse("toNode");
    if (wrong !== null) throw wrong;
    if (this.#io.busy) throw new TypeError("Cannot convert: a read or a write is pending");
    if (this.#readable?.locked || this.#writable?.locked) throw new TypeError("Cannot convert: a stream is locked");
    try {
      const socket = this.#channel.toNode(this.#io.takeRest());
      this.#locked = "toNode() gave it away";
      socket.once("close", () => this.ended());
      return socket;
    } catch (error) {
      this.close();
      throw error;
    }
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
