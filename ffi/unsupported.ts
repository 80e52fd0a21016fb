/**
 * Hosts where no libc can be opened: macOS, Windows, runtimes without FFI. Connections are plain TCP by `node:net`, and
 * the reason is told; nothing throws at import.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { type AddressInfo, createServer, type Server, Socket } from "node:net";
import { EAGAIN, errnoNumber } from "../kernel/errno.ts";
import { MptcpError, systemError } from "../kernel/error.ts";
import type { Addr } from "../kernel/sockaddr.ts";
import type { Acceptor, AcceptorOwner, Channel, ChannelOwner } from "./adapter.ts";

/** What a plain connection or listener can be asked for. */
export interface PlainOptions {
  localAddress?: string | undefined;
  localPort?: number | undefined;
  backlog?: number | undefined;
  reusePort?: boolean | undefined;
  ipv6Only?: boolean | undefined;
}

/** Backpressure on a stream. */
export interface Flow {
  pause(): void;
  resume(): void;
}

const EMPTY = new Uint8Array(0);

/** An error of `node:net` as one of ours; what is not a system error passes through. */
export function fromNodeError(error: unknown, syscall: string, address?: string, port?: number): unknown {
  if (error instanceof MptcpError) return error;
  const { code, errno } = (error ?? {}) as { code?: string; errno?: number };
  const number = code === undefined ? undefined : errnoNumber(code);
  if (number === undefined && typeof errno !== "number") return error;
  return systemError(number ?? errno!, syscall, { address, port, cause: error });
}

/**
 * A channel over any stream socket of the runtime: plain TCP here, TLS in `net/`. There is no descriptor to try, so `recv`
 * and `send` never succeed at once, and every byte comes by the event loop.
 */
export class StreamChannel implements Channel {
  owner: ChannelOwner | null = null;
  /** The stream itself. */
  readonly socket: Socket;
  readonly #flow: Flow;
  #ended = false;
  #queue: Uint8Array[] = [];
  #reading = false;
  #given = false;
  #error: unknown;

  /**
   * @param socket A connected stream, or one that is about to be.
   * @param flow How it is stopped and started, where not by the stream itself.
   */
  constructor(socket: Socket, flow: Flow = socket) {
    this.socket = socket;
    this.#flow = flow;
    socket.on("data", this.#onData);
    socket.once("end", this.#onEnd);
    socket.on("error", this.#onError);
    socket.once("close", this.#onClose);
    flow.pause();
  }

  /** No descriptor that anyone may use. */
  get fd(): number {
    const socket = this.socket as unknown as { _handle: { fd?: number } | null };
    return this.socket.destroyed ? -1 : socket._handle?.fd ?? -1;
  }

  /** Our end. */
  get localAddr(): Addr {
    const { localAddress, localPort } = this.socket;
    return { transport: "tcp", hostname: plainAddress(localAddress), port: localPort ?? 0 };
  }

  /** The peer's end. */
  get remoteAddr(): Addr {
    const { remoteAddress, remotePort } = this.socket;
    return { transport: "tcp", hostname: plainAddress(remoteAddress), port: remotePort ?? 0 };
  }

  recv(into: Uint8Array): number {
    const chunk = this.#queue[0];
    if (chunk === undefined) return this.#ended ? 0 : -EAGAIN;
    const count = Math.min(chunk.length, into.length);
    into.set(chunk.subarray(0, count));
    if (count === chunk.length) this.#queue.shift();
    else this.#queue[0] = chunk.subarray(count);
    return count;
  }

  send(_bytes: Uint8Array): number {
    return -EAGAIN;
  }

  awaitReadable(): void {
    this.#reading = true;
    if (this.#queue.length > 0 || this.#ended) queueMicrotask(() => this.#answer());
    else this.#flow.resume();
  }

  write(bytes: Uint8Array, done: (error: unknown) => void): void {
    this.socket.write(bytes, (error) => done(error ?? null));
  }

  closeWrite(done: (error: unknown) => void): void {
    this.socket.end(() => done(null));
  }

  close(): void {
    this.owner = null;
    this.socket.destroy();
  }

  reset(): void {
    this.owner = null;
    if (typeof this.socket.resetAndDestroy === "function") this.socket.resetAndDestroy();
    else this.socket.destroy();
  }

  setRef(ref: boolean): void {
    ref ? this.socket.ref?.() : this.socket.unref?.();
  }

  toNode(rest: Uint8Array): Socket {
    this.#given = true;
    this.socket.off("data", this.#onData);
    this.socket.off("end", this.#onEnd);
    this.socket.off("error", this.#onError);
    const waiting = [rest, ...this.#queue].filter((chunk) => chunk.length > 0);
    this.#queue = [];
    if (waiting.length > 0) this.socket.unshift(Buffer.concat(waiting));
    return this.socket;
  }

  readonly #onData = (chunk: Uint8Array): void => {
    this.#queue.push(chunk);
    if (!this.#reading) this.#flow.pause();
    this.#answer();
  };

  readonly #onEnd = (): void => {
    this.#ended = true;
    this.#answer();
  };

  readonly #onError = (error: unknown): void => {
    this.#error = error;
  };

  readonly #onClose = (): void => {
    const owner = this.owner;
    this.owner = null;
    if (this.#ended && !this.#error && !this.#given) {
      if (this.#reading) owner?.readable(EMPTY);
      return;
    }
    owner?.closed(this.#error ? fromNodeError(this.#error, "read") : null);
  };

  #answer(): void {
    if (!this.#reading) return;
    this.#reading = false;
    this.owner?.readable(EMPTY);
  }
}

/** `::ffff:a.b.c.d` as the IPv4 address that it is. */
function plainAddress(address: string | undefined): string {
  return address?.replace(/^::ffff:(?=\d+\.\d+\.\d+\.\d+$)/i, "") ?? "";
}

/** Connects by plain TCP. */
export function connectPlain(
  address: string,
  port: number,
  options: PlainOptions,
  signal: AbortSignal,
): Promise<StreamChannel> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const socket = new Socket({ allowHalfOpen: true });
    const { localAddress, localPort } = options;
    socket.connect({
      host: address,
      port,
      autoSelectFamily: false,
      ...(localAddress === undefined ? {} : { localAddress }),
      ...(localPort === undefined ? {} : { localPort }),
    });
    const abort = () => {
      socket.destroy();
      reject(signal.reason);
    };
    const failed = (error: unknown) => {
      signal.removeEventListener("abort", abort);
      reject(fromNodeError(error, "connect", address, port));
    };
    signal.addEventListener("abort", abort, { once: true });
    socket.on("error", failed);
    socket.once("connect", () => {
      signal.removeEventListener("abort", abort);
      socket.off("error", failed);
      resolve(new StreamChannel(socket));
    });
  });
}

/** `UV_TCP_IPV6ONLY` and `UV_TCP_REUSEPORT` */
const IPV6_ONLY = 1;
const REUSE_PORT = 2;

/**
 * Binds before it returns, so that the port can be told at once. `listen` with a host does so on Bun only: Node and Deno
 * look the host up first, be it an address. What they call then has been there, under this name, since Node 0.x.
 */
function bindNow(server: Server, host: string, port: number, options: PlainOptions): void {
  const { backlog = 511, ipv6Only = false, reusePort = false } = options;
  const inner = server as unknown as {
    _listen2?(address: string, port: number, family: 4 | 6, backlog: number, fd: undefined, flags: number): void;
  };
  if (typeof inner._listen2 === "function") {
    const flags = (ipv6Only ? IPV6_ONLY : 0) | (reusePort ? REUSE_PORT : 0);
    inner._listen2(host, port, host.includes(":") ? 6 : 4, backlog, undefined, flags);
  } else {
    server.listen({ host, port, backlog, ipv6Only, reusePort, exclusive: true });
  }
}

class PlainAcceptor implements Acceptor {
  readonly #server: Server;
  readonly #requested: Addr;
  #closed = false;

  constructor(hostname: string, port: number, options: PlainOptions, owner: AcceptorOwner) {
    this.#requested = { transport: "tcp", hostname, port };
    this.#server = createServer({ allowHalfOpen: true }, (socket) => owner.accepted(new StreamChannel(socket)));
    this.#server.on("error", (error) => owner.failed(fromNodeError(error, "listen", hostname, port)));
    bindNow(this.#server, hostname, port, options);
  }

  /** None that anyone may use. */
  get fd(): number {
    return this.#closed ? -1 : (this.#server as unknown as { _handle: { fd?: number } | null })._handle?.fd ?? -1;
  }

  /** What was asked for, where binding failed: `accept` tells why. */
  get addr(): Addr {
    const bound = this.#server.address() as AddressInfo | null;
    return bound ? { transport: "tcp", hostname: bound.address, port: bound.port } : this.#requested;
  }

  awaitConnection(): void {
    // the runtime accepts by itself
  }

  close(): void {
    this.#closed = true;
    this.#server.close();
  }

  setRef(ref: boolean): void {
    ref ? this.#server.ref() : this.#server.unref();
  }
}

/** Listens by plain TCP. */
export function listenPlain(hostname: string, port: number, options: PlainOptions, owner: AcceptorOwner): Acceptor {
  return new PlainAcceptor(hostname, port, options, owner);
}
