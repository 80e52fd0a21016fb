/**
 * A server of `node:net` that listens over MPTCP.
 *
 * @module
 */
import { type AddressInfo, type ListenOptions, Server, type ServerOpts, type Socket } from "node:net";
import type { Fallback } from "../net/fallback.ts";
import type { SocketOptions } from "../net/options.ts";
import type { SocketControl } from "./control.ts";
import { Listening } from "./listening.ts";
import { socketOptionsOf } from "./socket_options.ts";

/** Options of {@linkcode createServer}: those of `net.createServer`, and how to make the socket that listens. */
export interface MptcpServerOptions extends ServerOpts, SocketOptions {}

/** Options of `listen`: those of `net.Server`, and how to make the socket that listens. */
export interface MptcpListenOptions extends ListenOptions, SocketOptions {}

/** A socket that an {@linkcode MptcpServer} accepted. */
export interface AcceptedSocket extends Socket {
  /** Its MPTCP side: `isMultipath()` is false for clients that came by plain TCP. */
  readonly mptcp: SocketControl;
}

/**
 * A `net.Server` that listens over MPTCP, and over TCP where this host has no MPTCP. Clients of plain TCP are served as well.
 *
 * In a cluster each worker listens for itself: pass `reusePort` to share a port. Deno's workers cannot: `EOPNOTSUPP`.
 */
export class MptcpServer extends Server {
  readonly #listening: Listening;

  /**
   * Made by {@linkcode createServer}.
   *
   * @param options Those of `net.createServer`, and `mptcp`, `receiveBuffer`, `sendBuffer`, `congestion`, `paths`.
   * @param listener Called for each accepted socket, which has its MPTCP side as `mptcp`.
   * @throws {TypeError} When an option has the wrong type.
   * @throws {RangeError} When a number is out of range.
   */
  constructor(options: MptcpServerOptions = {}, listener?: (socket: AcceptedSocket) => void) {
    super(options, listener as (socket: Socket) => void);
    this.#listening = new Listening(this, socketOptionsOf(options));
  }

  /** Whether it listens by MPTCP, so that MPTCP clients get MPTCP connections. */
  get mptcp(): boolean {
    return this.#listening.mptcp;
  }

  /** Why it listens by plain TCP though MPTCP was wanted; `null` when it is as wanted. */
  fallback(): Fallback | null {
    return this.#listening.refused;
  }

  /**
   * Listens, in all the ways of `net.Server`: paths, handles and descriptors of others are listened to as ever.
   *
   * @param args `(port?, host?, backlog?, listener?)`, or `(options, listener?)`, or `(path, listener?)`.
   * @returns This server; an `"error"` event tells of a failure, with the code of the kernel.
   */
  override listen(port?: number, hostname?: string, backlog?: number, listeningListener?: () => void): this;
  /** Listens on a port of an address. */
  override listen(port?: number, hostname?: string, listeningListener?: () => void): this;
  /** Listens on a port of all addresses. */
  override listen(port?: number, backlog?: number, listeningListener?: () => void): this;
  /** Listens on a port of all addresses. */
  override listen(port?: number, listeningListener?: () => void): this;
  /** Listens on a Unix socket, as `net.Server` does. */
  override listen(path: string, backlog?: number, listeningListener?: () => void): this;
  /** Listens on a Unix socket, as `net.Server` does. */
  override listen(path: string, listeningListener?: () => void): this;
  /** Listens as the options say. */
  override listen(options: MptcpListenOptions, listeningListener?: () => void): this;
  /** Listens on what another one has made: a handle, a server, `{ fd }`; as `net.Server` does. */
  // deno-lint-ignore no-explicit-any
  override listen(handle: any, backlog?: number, listeningListener?: () => void): this;
  /** Listens on what another one has made, with the runtime's own backlog. */
  // deno-lint-ignore no-explicit-any
  override listen(handle: any, listeningListener?: () => void): this;
  override listen(...args: unknown[]): this {
    const native = super.listen as (...args: unknown[]) => unknown;
    this.#listening.listen(args, (...given) => native.apply(this, given));
    return this;
  }

  /** Where it listens, as `net.Server` tells it. */
  override address(): AddressInfo | string | null {
    return this.#address() ?? super.address();
  }

  #address(): AddressInfo | null {
    // Asked from within the constructor of a runtime's server.
    return #listening in this ? this.#listening.address : null;
  }

  /** Stops listening; the sockets that it accepted live on. */
  override close(callback?: (error?: Error) => void): this {
    this.#listening.close();
    return super.close(callback);
  }

  /** Called by the runtime; a socket has its MPTCP side before anyone hears of it. */
  // deno-lint-ignore no-explicit-any
  override emit(event: any, ...args: any[]): boolean {
    if (event === "connection") this.#listening.accepted(args[0] as Socket);
    return super.emit(event, ...args);
  }
}

/**
 * Makes a server: `net.createServer` over MPTCP.
 *
 * @param options Those of `net.createServer`, and `mptcp`, `receiveBuffer`, `sendBuffer`, `congestion`, `paths`.
 * @param listener Called for each accepted socket, which has its MPTCP side as `mptcp`.
 *
 * @example Tell clients by what they came
 * ```ts no-assert
 * import { createConnection, createServer } from "@mptcp/mptcp/node";
 *
 * const server = createServer((socket) => socket.end(socket.mptcp.isMultipath() ? "by MPTCP\n" : "by TCP\n"));
 * server.listen(0, "127.0.0.1", () => {
 *   const { port } = server.address() as { port: number };
 *   const client = createConnection(port, "127.0.0.1");
 *   client.on("data", (text) => console.log(String(text)));
 *   client.on("close", () => server.close());
 * });
 * ```
 */
export function createServer(options?: MptcpServerOptions, listener?: (socket: AcceptedSocket) => void): MptcpServer;
/** Makes a server with the default options. */
export function createServer(listener?: (socket: AcceptedSocket) => void): MptcpServer;
export function createServer(
  options: MptcpServerOptions | ((socket: AcceptedSocket) => void) = {},
  listener?: (socket: AcceptedSocket) => void,
): MptcpServer {
  return typeof options === "function" ? new MptcpServer({}, options) : new MptcpServer(options, listener);
}
