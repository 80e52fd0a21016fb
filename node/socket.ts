/**
 * A socket of `node:net` that dials over MPTCP.
 *
 * @module
 */
import {
  type IpcSocketConnectOpts,
  Socket,
  type SocketConnectOpts,
  type SocketConstructorOpts,
  type TcpSocketConnectOpts,
} from "node:net";
import process from "node:process";
import { addAbortSignal } from "node:stream";
import { type SocketTarget, type System, system, unsupportedReason } from "../ffi/mod.ts";
import { requiredError, unsupportedFallback } from "../net/fallback.ts";
import type { SocketOptions } from "../net/options.ts";
import { type Origin, originOf } from "../net/path_control.ts";
import { hasProcessPolicies } from "../net/process_policies.ts";
import { listenToEvents } from "../paths/event_hub.ts";
import { connectArguments } from "./connect_arguments.ts";
import { type ControlOwner, SocketControl } from "./control.ts";
import { Dialer } from "./dialer.ts";
import { socketOptionsOf } from "./socket_options.ts";

/** Options of the constructor: those of `net.Socket`, and how to make the sockets that it will connect by. */
export interface MptcpSocketOptions extends SocketConstructorOpts, SocketOptions {}

/** Options of `connect` for a host and a port: those of `net.Socket`, and more. */
export interface MptcpSocketConnectOptions extends TcpSocketConnectOpts, SocketOptions {
  /**
   * Destroys the socket, connected or not, with an `AbortError`: as of `net.createConnection`.
   *
   * @default {undefined}
   */
  signal?: AbortSignal;
  /**
   * Milliseconds without traffic after which `"timeout"` is emitted: as `setTimeout`.
   *
   * @default {undefined}
   */
  timeout?: number;
  /**
   * Sends small segments at once (TCP_NODELAY).
   *
   * @default {undefined} the constructor's
   */
  noDelay?: boolean;
  /**
   * Probes an idle peer (SO_KEEPALIVE).
   *
   * @default {undefined} the constructor's
   */
  keepAlive?: boolean;
  /**
   * Milliseconds of silence before the first probe.
   *
   * @default {undefined} the constructor's, or the kernel's
   */
  keepAliveInitialDelay?: number;
}

/**
 * A `net.Socket` that connects over MPTCP, and over TCP where MPTCP cannot be had. All else is the runtime's own socket:
 * events, errors, timeouts, backpressure.
 *
 * @example Use it where a library asks for a socket
 * ```ts no-assert
 * import { MptcpSocket } from "@mptcp/mptcp/node";
 * import { createServer } from "node:net";
 *
 * const server = createServer((socket) => socket.end("hello")).listen(0, "127.0.0.1", () => {
 *   const { port } = server.address() as { port: number };
 *   const socket = new MptcpSocket().connect(port, "127.0.0.1", () => {
 *     console.log(socket.mptcp.isMultipath(), socket.mptcp.fallback());
 *   });
 *   socket.on("data", (text) => console.log(String(text)));
 *   socket.on("close", () => server.close());
 * });
 * ```
 */
export class MptcpSocket extends Socket {
  readonly #options: SocketOptions;
  readonly #signal: AbortSignal | undefined;
  #dialer: Dialer | null = null;
  #control!: SocketControl;
  #owner!: ControlOwner;

  /**
   * Makes a socket that is not connected yet.
   *
   * @param options Those of `net.Socket`, and `mptcp`, `receiveBuffer`, `sendBuffer`, `congestion` for all that it connects.
   * @throws {TypeError} When an option has the wrong type.
   * @throws {RangeError} When a number is out of range.
   */
  constructor(options?: MptcpSocketOptions) {
    super(options);
    this.#options = socketOptionsOf(options);
    this.#signal = options?.signal;
    this.#renew(this.#options);
  }

  /** The connection's MPTCP side: what it became, its subflows, its options. A new one for each call of `connect`. */
  get mptcp(): SocketControl {
    return this.#control;
  }

  #renew(chosen: SocketOptions): Origin {
    const origin = originOf("client", chosen, null);
    this.#control = new SocketControl(this, origin, (owner) => this.#owner = owner);
    return origin;
  }

  /**
   * Connects, as `net.Socket.connect` does: events and errors are its own. A `path` (a Unix socket) is connected as ever.
   *
   * With `mptcp: "require"` a connection that came out as plain TCP is an `"error"` with code `"EOPNOTSUPP"`.
   *
   * @param options Host and port, and what else `net.Socket` takes; `mptcp` and the like override the constructor's.
   * @param listener Called once on `"connect"`.
   * @returns This socket.
   * @throws {TypeError} When an option has the wrong type.
   * @throws {RangeError} When a number is out of range.
   */
  override connect(options: MptcpSocketConnectOptions | IpcSocketConnectOpts, listener?: () => void): this;
  /** Connects to a port of a host. */
  override connect(port: number, host: string, listener?: () => void): this;
  /** Connects to a port of localhost. */
  override connect(port: number, listener?: () => void): this;
  /** Connects to a Unix socket, as `net.Socket` does. */
  override connect(path: string, listener?: () => void): this;
  override connect(...args: unknown[]): this {
    const { options, listener } = connectArguments<SocketConnectOpts & { fd?: number }>(args);
    const begin = (target: SocketConnectOpts) => void super.connect(target, listener);
    if ("path" in options && options.path || options.fd !== undefined) {
      this.#dialer = null;
      begin(options);
      return this;
    }
    this.#dial(options as MptcpSocketConnectOptions, begin);
    return this;
  }

  #dial(options: MptcpSocketConnectOptions, begin: (target: SocketTarget) => void): void {
    const { noDelay, keepAlive, keepAliveInitialDelay, timeout, signal } = options;
    const chosen = socketOptionsOf(this.#options, options);
    const origin = this.#renew(chosen);
    if (chosen.paths === "userspace" || hasProcessPolicies()) {
      this.prependOnceListener("connect", () => this.#owner.begun());
    }
    if (timeout) this.setTimeout(timeout);
    if (noDelay !== undefined) this.setNoDelay(noDelay);
    if (keepAlive !== undefined) this.setKeepAlive(keepAlive, keepAliveInitialDelay);
    let host: System | null;
    try {
      host = system();
    } catch (error) {
      // A missing permission, which the runtime's own connect does not throw either.
      process.nextTick(() => this.destroy(error as Error));
      return;
    }
    if (host !== null && chosen.paths === "userspace") {
      const listening = listenToEvents(); // from before it is connected, so that nothing is missed
      if (listening !== null) this.once("close", () => listening.close());
    }
    this.#dialer = host === null ? null : new Dialer(host, chosen, origin);
    if (host !== null) host.loop.connectSocket(this, options, begin, this.#dialer!);
    else this.#dialPlain(options, begin, chosen, origin);
    // The constructor's own signal is listened to already; but connecting has revived a socket that it had destroyed.
    if (signal && (signal !== this.#signal || signal.aborted)) addAbortSignal(signal, this);
  }

  /** Called by the stream machinery, once, when the socket is closed. */
  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    // A signal that is aborted already destroys the socket from within its own constructor.
    if (!(#owner in this)) return super._destroy(error, done);
    const dialer = this.#dialer;
    if (dialer !== null) this.#owner.ending();
    super._destroy(error && (dialer?.explain(error) ?? error), done);
  }

  /** On a host without FFI. */
  #dialPlain(
    options: MptcpSocketConnectOptions,
    begin: (target: SocketTarget) => void,
    chosen: SocketOptions,
    origin: Origin,
  ): void {
    begin(options);
    if (chosen.mptcp === "off") return;
    const fallback = unsupportedFallback(unsupportedReason() ?? "no FFI");
    origin.fallback = fallback;
    if (chosen.mptcp !== "require") return;
    process.nextTick(() => this.destroy(requiredError(fallback)));
  }
}

/**
 * Connects a new {@linkcode MptcpSocket}: `net.createConnection` over MPTCP.
 *
 * @param options Those of the socket's constructor and of its `connect`.
 * @param listener Called once on `"connect"`.
 * @returns The socket, at once.
 */
export function createConnection(
  options: MptcpSocketOptions & (MptcpSocketConnectOptions | IpcSocketConnectOpts),
  listener?: () => void,
): MptcpSocket;
/** Connects to a port of a host. */
export function createConnection(port: number, host: string, listener?: () => void): MptcpSocket;
/** Connects to a port of localhost. */
export function createConnection(port: number, listener?: () => void): MptcpSocket;
/** Connects to a Unix socket. */
export function createConnection(path: string, listener?: () => void): MptcpSocket;
export function createConnection(...args: unknown[]): MptcpSocket {
  const { options, listener } = connectArguments<MptcpSocketConnectOptions>(args);
  return new MptcpSocket(options).connect(options, listener);
}
