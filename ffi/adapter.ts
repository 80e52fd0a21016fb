/**
 * What the rest of the package asks of a runtime: libc, and an event loop that takes over descriptors. Each of
 * `deno.ts`, `bun.ts`, `node.ts` and `unsupported.ts` gives one `Adapter`.
 *
 * The types are our own, not the runtimes': published types must not name `Deno.*` or `Bun.*`, which users of the other
 * runtimes do not have.
 *
 * @module
 */
import type { Socket, TcpSocketConnectOpts } from "node:net";
import type { Addr } from "../kernel/sockaddr.ts";
import type { Libc } from "./libc.ts";

/** The runtimes that can be told apart. */
export type RuntimeName = "deno" | "bun" | "node";

/** What a channel tells its owner. Each call comes from the event loop, never from within a call to the channel. */
export interface ChannelOwner {
  /**
   * The awaited readiness has come. `bytes` were read by the runtime already and lie before anything that `recv` will
   * give; they are empty when the runtime only knows that `recv` will not block (so also at the end of the stream).
   * The array is the owner's to keep. It may also come unasked, once: a runtime may have read before it could be stopped.
   */
  readable(bytes: Uint8Array): void;
  /** The runtime closed the descriptor by itself, with the error if there was one. Never called after `close()`. */
  closed(error: unknown): void;
}

/**
 * One connected byte stream in the care of the runtime's event loop: a descriptor of ours (adopted as late as possible),
 * or a stream of the runtime. `recv` and `send` only try; the two `await`ing calls use the event loop.
 */
export interface Channel {
  /** Told what happens; set once, right after the channel was made. */
  owner: ChannelOwner | null;
  /** The descriptor, -1 from the moment that it is closed. Use it within the synchronous stretch in which it was read. */
  readonly fd: number;
  /** Our end, where the kernel cannot be asked (no FFI). */
  readonly localAddr?: Addr;
  /** The peer's end, where the kernel cannot be asked (no FFI). */
  readonly remoteAddr?: Addr;
  /** Receives what is there: the count, 0 at the end of the stream, `-EAGAIN` when nothing is there, or `-errno`. */
  recv(into: Uint8Array): number;
  /** Sends what the kernel takes at once: the count, `-EAGAIN`, or `-errno`. Not while a `write` is under way. */
  send(bytes: Uint8Array): number;
  /** Asks for one `owner.readable`. Until it comes, `recv` must not be called. */
  awaitReadable(): void;
  /** Writes all of `bytes`, waiting as long as that takes; then calls back once. One at a time. */
  write(bytes: Uint8Array, done: (error: unknown) => void): void;
  /** Ends the writing side (FIN). Not while a `write` is under way. */
  closeWrite(done: (error: unknown) => void): void;
  /** Closes the descriptor now. What was asked and not answered stays unanswered. */
  close(): void;
  /** Closes the descriptor now, abortively: the peer sees a reset. */
  reset(): void;
  /** Whether a wait keeps the process alive. @default {true} */
  setRef(ref: boolean): void;
  /**
   * Gives the connection away as a `net.Socket`. `rest` was read and not consumed: the socket reads it first.
   * From then on the channel only keeps watch over the descriptor's life, which may be another one than before.
   *
   * @throws {MptcpError} When there is no descriptor to be had.
   */
  toNode(rest: Uint8Array): Socket;
}

/** A listening descriptor in the care of the runtime's event loop. */
export interface Acceptor {
  /** The descriptor, -1 once closed. */
  readonly fd: number;
  /** The bound address, where the kernel cannot be asked (no FFI). */
  readonly addr?: Addr;
  /** Asks for connections: `accepted` or `failed` will be called, once or more often. */
  awaitConnection(): void;
  /** Stops listening. */
  close(): void;
  /** Whether waiting for connections keeps the process alive. @default {true} */
  setRef(ref: boolean): void;
}

/** Told by an acceptor, from the event loop. */
export interface AcceptorOwner {
  accepted(channel: Channel): void;
  failed(error: unknown): void;
}

/** Where a connection should go. */
export interface Target {
  /** The IP literal. */
  address: string;
  port: number;
  /** The same as a sockaddr. */
  sockaddr: Uint8Array;
}

/** A descriptor of any kind that is watched for something to read. */
export interface Watcher {
  /**
   * Asks for one call of `readable`. Bytes may have been read already, as with {@linkcode ChannelOwner}: of a socket of
   * datagrams, one of them.
   */
  awaitReadable(): void;
  /** Stops watching and closes the descriptor. */
  close(): void;
  /** Whether a wait keeps the process alive. @default {true} */
  setRef(ref: boolean): void;
}

/** Makes the sockets that a `net.Socket` connects by. No call throws: the runtime makes an error of an errno. */
export interface SocketDialer {
  /**
   * A new non-blocking socket for one attempt, bound when a local address or port is given.
   *
   * @returns The descriptor, or `-errno`.
   */
  open(version: 4 | 6, localAddress: string | undefined, localPort: number | undefined): number;
  /** An address as a sockaddr, or `-errno`. */
  sockaddr(address: string, port: number): Uint8Array | number;
  /**
   * A descriptor of `open` has connected; the socket does not say so yet.
   *
   * @returns 0, or `-errno` to let the attempt fail after all.
   */
  connected(fd: number): number;
}

/** What `net.Socket.connect` takes to connect to a host. */
export type SocketTarget = TcpSocketConnectOpts;

/** A runtime's event loop, for descriptors of ours. */
export interface EventLoop {
  /**
   * Connects a descriptor. The loop owns `fd` from the call on: a failure closes it, a success gives its channel.
   * Rejects with `signal.reason` after an abort, and else with an `MptcpError`.
   */
  connect(fd: number, target: Target, signal: AbortSignal): Promise<Channel>;
  /**
   * Connects a `net.Socket` with descriptors of ours, and otherwise as the runtime does: lookups, attempts, events, errors.
   *
   * @param begin The socket's own `connect`. It throws what it throws of wrong options.
   */
  connectSocket(socket: Socket, target: SocketTarget, begin: (target: SocketTarget) => void, dialer: SocketDialer): void;
  /**
   * The descriptor that a `net.Socket` stands on, for one synchronous stretch; -1 when there is none.
   *
   * @param ending Asked from within `_destroy`, just before the descriptor is closed. @default {false}
   */
  descriptorOf(socket: Socket, ending?: boolean): number;
  /** Takes over a listening descriptor; it owns `fd` from the call on. */
  listen(fd: number, backlog: number, owner: AcceptorOwner): Acceptor;
  /**
   * What `net.Server.listen` is to be called with, to listen by a descriptor.
   *
   * @throws {MptcpError} `EOPNOTSUPP`, in a cluster's worker on Deno.
   */
  listenArguments(fd: number, backlog: number): unknown[];
  /** Watches a non-blocking socket of datagrams, such as netlink; it owns `fd` from the call on. */
  watch(fd: number, owner: ChannelOwner): Watcher;
}

/** What a WebSocket's host tells the socket's owner, from the event loop. */
export interface WebSocketOwner {
  /** The handshake is over: `peer` can be used. */
  opened(peer: WebSocketPeer): void;
  /** A message came. The bytes are the owner's to keep. */
  message(data: string | Uint8Array): void;
  /** It is over; nothing more will be told. */
  closed(code: number, reason: string): void;
}

/** The far end of a WebSocket, as its host gives it. */
export interface WebSocketPeer {
  /** Bytes that were sent and are not in the kernel yet. */
  readonly bufferedAmount: number;
  send(data: string | Uint8Array): void;
  /** Begins the closing handshake. */
  close(code?: number, reason?: string): void;
}

/** What a runtime's own HTTP server is to do. */
export interface HttpHostOptions {
  hostname: string;
  /** 0 for any. */
  port: number;
  /** PEM, with `key`: HTTPS. */
  cert?: string | undefined;
  key?: string | undefined;
  /**
   * Answers a request; it neither throws nor rejects. No response means that the request was upgraded.
   *
   * @param source The runtime's own, only for the server's `remoteAddr` and `upgrade`.
   */
  handle(request: Request, source: unknown): Response | undefined | Promise<Response | undefined>;
  /** Answers in place of a response that the runtime could not send. */
  failed(error: unknown): Response | Promise<Response>;
}

/** The clients of a runtime's HTTP server, as the kernel knows them. */
export interface HttpHostClients {
  /** Whether any is connected. */
  readonly any: boolean;
  /** Ends all connections. */
  cut(): void;
}

/** A running HTTP server of the runtime. */
export interface HttpHostServer {
  /** The port that the runtime bound. */
  readonly port: number;
  /** Where a request came from. To be asked before it is answered. */
  remoteAddr(request: Request, source: unknown): Addr;
  /**
   * Makes a WebSocket of a request, for those runtimes whose server does that.
   *
   * @returns Whether it worked.
   */
  upgrade(request: Request, source: unknown, protocol: string, owner: WebSocketOwner): boolean;
  /**
   * Stops accepting, and closes each connection once no request is under way on it.
   *
   * @param clients Whoever is connected.
   */
  shutdown(clients: HttpHostClients): Promise<void>;
  /** Closes everything now, also while `shutdown` is under way. */
  close(): Promise<void>;
  /** Whether it keeps the process alive. @default {true} */
  setRef(ref: boolean): void;
}

/** What `upgradeWebSocket` gives. */
export interface UpgradedWebSocket {
  /** The server's end. It opens once the response is given back. */
  socket: WebSocket;
  /** What the handler must answer with. */
  response: Response;
}

/** A runtime that has an HTTP server of requests and responses. */
export interface HttpHost {
  /** Starts a server, synchronously. @throws What the runtime throws. */
  serve(options: HttpHostOptions): HttpHostServer;
  /** Makes a WebSocket of a request, for those runtimes that do so by the request alone; else `null`. */
  upgradeWebSocket: ((request: Request, options: { protocol?: string }) => UpgradedWebSocket) | null;
}

/** A host with FFI: everything is to be had that the kernel has. */
export interface System {
  readonly libc: Libc;
  readonly loop: EventLoop;
  /** The runtime's own HTTP server; `null` where there is only `node:http`. */
  readonly http: HttpHost | null;
}

/** What an adapter's file exports. */
export interface Adapter {
  readonly runtime: RuntimeName;
  /**
   * Opens libc from the first path that works.
   *
   * @throws What the runtime throws when a permission is missing; and an `Error` when no path works.
   */
  open(paths: readonly string[]): System;
  /** The runtime's own error for a name that may not be resolved, where its resolver hides that one. */
  deniedName?(hostname: string): Error;
}
