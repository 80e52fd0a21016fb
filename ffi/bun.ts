/**
 * The Bun adapter: `bun:ffi`; `Bun.connect({ fd })` and `Bun.listen({ fd })` watch descriptors.
 *
 * Bun closes a descriptor of its own accord once both sides have ended. So it never gets ours: it watches a duplicate
 * (the *watcher*), and both are closed in the same moment, as a duplicate left behind would hold back the FIN.
 *
 * @module
 */
import { dlopen, ptr, read } from "bun:ffi";
import { Buffer } from "node:buffer";
import type { LookupOptions } from "node:dns";
import { isIP, Socket } from "node:net";
import process from "node:process";
import { clearImmediate, setImmediate } from "node:timers";
import { IPPROTO_TCP, SHUT_WR, SO_ERROR, SOL_SOCKET, TCP_NODELAY } from "../kernel/constants.ts";
import { EAGAIN, EALREADY, ECANCELED, EINPROGRESS, EISCONN } from "../kernel/errno.ts";
import { check, systemError } from "../kernel/error.ts";
import type {
  Acceptor,
  AcceptorOwner,
  Adapter,
  Channel,
  ChannelOwner,
  EventLoop,
  SocketDialer,
  SocketTarget,
  System,
  Target,
  Watcher,
} from "./adapter.ts";
import { type AttemptHost, Attempts, socketError } from "./attempts.ts";
import { BunHttp, type BunHttpApi } from "./bun_http.ts";
import { Libc } from "./libc.ts";
import { openFirst } from "./libc_paths.ts";
import { bindCalls, SYMBOLS } from "./symbols.ts";

/** The parts of a Bun socket in use here. */
interface BunSocket {
  readonly fd: number;
  data: BunChannel;
  write(bytes: Uint8Array): number;
  pause(): void;
  resume(): void;
  close(): void;
  ref(): void;
  unref(): void;
}

interface BunHandlers {
  open?(socket: BunSocket): void;
  data(socket: BunSocket, bytes: Uint8Array): void;
  drain(socket: BunSocket): void;
  end(socket: BunSocket): void;
  close(socket: BunSocket, error?: unknown): void;
  error(socket: BunSocket, error: unknown): void;
}

/** The parts of the `Bun` namespace in use here. */
interface BunApi {
  connect(options: {
    fd: number;
    data: BunChannel;
    allowHalfOpen: boolean;
    pauseOnConnect: boolean;
    socket: BunHandlers;
  }): Promise<BunSocket>;
  listen(options: { fd: number; backlog: number; allowHalfOpen: boolean; socket: BunHandlers }): {
    stop(closeActiveConnections?: boolean): void;
    ref(): void;
    unref(): void;
  };
}

/** The parts of a `net.Socket` of Bun that its type does not show. */
interface BunNetSocket {
  _handle: { readonly fd: number } | null;
  _host: string;
  _sockname: unknown;
  _unrefTimer(): void;
  connecting: boolean;
}

const bunSocket = (socket: Socket): BunNetSocket => socket as unknown as BunNetSocket;

const bun = (globalThis as unknown as { Bun: BunApi }).Bun;

const EMPTY = new Uint8Array(0);

/** One set of functions for all sockets, as Bun wants it: `socket.data` is the channel. */
const HANDLERS: BunHandlers = {
  data: (socket, bytes) => socket.data.onReadable(bytes),
  drain: (socket) => socket.data.onWritable(),
  end: (socket) => socket.data.onReadable(EMPTY),
  close: (socket, error) => socket.data.onClosed(error),
  error: () => {}, // `close` follows, with the error
};

class BunChannel implements Channel {
  owner: ChannelOwner | null = null;
  readonly #libc: Libc;
  #fd: number;
  #watcher: BunSocket | null = null;
  /** The watcher is gone for good: both sides have ended, or the connection failed. */
  #over = false;
  #given: Socket | null = null;
  #ref = true;
  #reading = false;
  #paused = true;
  #rest: Uint8Array | null = null;
  #written: ((error: unknown) => void) | null = null;
  #connected: ((error: unknown) => void) | null = null;

  constructor(libc: Libc, fd: number) {
    this.#libc = libc;
    this.#fd = fd;
  }

  get fd(): number {
    const socket = this.#given;
    if (socket !== null && (socket.destroyed || !(socket as unknown as { _handle: unknown })._handle)) return -1;
    return this.#fd;
  }

  recv(into: Uint8Array): number {
    return this.#libc.recv(this.fd, into);
  }

  send(bytes: Uint8Array): number {
    return this.#libc.send(this.fd, bytes);
  }

  /** Waits until a connection that was begun has succeeded or failed. */
  connected(done: (error: unknown) => void): void {
    this.#connected = done;
    this.#watch();
  }

  /** Takes the socket that Bun accepted for its watcher. */
  accepted(watcher: BunSocket): void {
    watcher.data = this;
    this.#libc.setInt(this.#fd, IPPROTO_TCP, TCP_NODELAY, 0); // Bun has switched it on
    watcher.pause();
    watcher.unref();
    this.#watcher = watcher;
  }

  /** Gives the descriptor up; nothing else may be called then. */
  release(): number {
    const fd = this.#fd;
    this.#fd = -1;
    this.owner = null;
    this.#unwatch();
    return fd;
  }

  awaitReadable(): void {
    this.#reading = true;
    this.#watch();
    if (this.#over) return queueMicrotask(() => this.onReadable(EMPTY));
    this.#applyRef();
    if (!this.#paused) return;
    this.#paused = false;
    this.#watcher?.resume();
  }

  write(bytes: Uint8Array, done: (error: unknown) => void): void {
    this.#rest = bytes;
    this.#written = done;
    this.#watch();
    if (this.#over) return queueMicrotask(() => this.onWritable());
    // A write that does not go through is what makes Bun tell when the socket is writable again.
    if (this.#watcher) this.#advance(this.#watcher.write(bytes));
  }

  closeWrite(done: (error: unknown) => void): void {
    const result = this.#libc.shutdown(this.fd, SHUT_WR);
    done(result < 0 ? systemError(result, "shutdown") : null);
  }

  close(): void {
    this.owner = null;
    const fd = this.#fd;
    this.#fd = -1;
    if (this.#given) return void this.#given.destroy();
    this.#unwatch();
    if (fd >= 0) this.#libc.close(fd);
  }

  reset(): void {
    this.#libc.resetOnClose(this.fd);
    this.close();
  }

  setRef(ref: boolean): void {
    this.#ref = ref;
    if (this.#given) ref ? this.#given.ref() : this.#given.unref();
    else this.#applyRef();
  }

  toNode(rest: Uint8Array): Socket {
    this.#unwatch();
    const socket = new Socket({ allowHalfOpen: true });
    this.#given = socket;
    socket.once("close", () => {
      this.#fd = -1;
      const owner = this.owner;
      this.owner = null;
      owner?.closed(null);
    });
    (socket.connect as unknown as (options: { fd: number }) => void).call(socket, { fd: this.#fd });
    if (rest.length > 0) socket.unshift(Buffer.from(rest));
    if (!this.#ref) socket.unref();
    return socket;
  }

  onReadable(bytes: Uint8Array): void {
    if (!this.#reading && !this.#paused) {
      // Nobody waits: no more of it. While reads are waited for one after another, pausing would only cost.
      this.#paused = true;
      this.#watcher?.pause();
    }
    this.#reading = false;
    this.#applyRef();
    this.owner?.readable(bytes);
  }

  onWritable(): void {
    if (this.#connected) return this.#settleConnect(null);
    const rest = this.#rest;
    if (rest === null) return;
    const count = this.#libc.send(this.fd, rest);
    if (count < 0 && count !== -EAGAIN) return this.#settleWrite(systemError(count, "send"));
    this.#advance(Math.max(count, 0));
    // Not all went: a write through Bun, though it will not go either, asks for the next `drain`.
    if (this.#rest && this.#watcher) this.#advance(this.#watcher.write(this.#rest));
  }

  onClosed(error: unknown): void {
    this.#watcher = null;
    this.#over = true;
    if (this.#connected) return this.#settleConnect(error ?? systemError(ECANCELED, "connect"));
    if (error) {
      this.#settleWrite(error);
      const owner = this.owner;
      this.owner = null;
      const fd = this.#fd;
      this.#fd = -1;
      this.#libc.close(fd);
      owner?.closed(error);
      return;
    }
    // Both sides have ended; our descriptor stays for as long as its owner wants it.
    if (this.#rest) this.onWritable();
    if (this.#reading) this.onReadable(EMPTY);
  }

  #advance(count: number): void {
    if (this.#rest === null) return;
    if (count < this.#rest.length) {
      if (count > 0) this.#rest = this.#rest.subarray(count);
      this.#applyRef();
    } else {
      this.#settleWrite(null);
    }
  }

  #settleWrite(error: unknown): void {
    const done = this.#written;
    this.#rest = this.#written = null;
    this.#applyRef();
    done?.(error);
  }

  #settleConnect(error: unknown): void {
    const done = this.#connected;
    this.#connected = null;
    this.#applyRef();
    done?.(error);
  }

  #watch(): void {
    if (this.#watcher !== null || this.#over) return;
    const duplicate = check(this.#libc.dup(this.#fd), "fcntl");
    const noDelay = this.#libc.getInt(this.#fd, IPPROTO_TCP, TCP_NODELAY);
    bun.connect({
      fd: duplicate,
      data: this,
      allowHalfOpen: true,
      pauseOnConnect: true,
      // Bun calls `open` before `connect` returns.
      socket: { ...HANDLERS, open: (socket) => this.#watcher = socket },
    }).catch((error) => this.onClosed(error));
    if (noDelay === 0) this.#libc.setInt(this.#fd, IPPROTO_TCP, TCP_NODELAY, 0); // Bun has switched it on
    this.#applyRef();
  }

  #unwatch(): void {
    const watcher = this.#watcher;
    this.#watcher = null;
    this.#over = true;
    this.#reading = false;
    this.#rest = this.#written = this.#connected = null;
    watcher?.close();
  }

  /** An open socket keeps Bun alive, a waiting one is meant to. */
  #applyRef(): void {
    const waiting = this.#reading || this.#rest !== null || this.#connected !== null;
    if (this.#ref && waiting) this.#watcher?.ref();
    else this.#watcher?.unref();
  }
}

class BunAcceptor implements Acceptor {
  readonly #listener: ReturnType<BunApi["listen"]>;
  #fd: number;

  constructor(libc: Libc, fd: number, backlog: number, owner: AcceptorOwner) {
    this.#fd = fd;
    this.#listener = bun.listen({
      fd,
      backlog,
      allowHalfOpen: true,
      socket: {
        ...HANDLERS,
        open: (socket) => {
          const own = libc.dup(socket.fd);
          if (own < 0) {
            socket.close();
            return owner.failed(systemError(own, "fcntl"));
          }
          const channel = new BunChannel(libc, own);
          channel.accepted(socket);
          owner.accepted(channel);
        },
      },
    });
  }

  get fd(): number {
    return this.#fd;
  }

  awaitConnection(): void {
    // Bun accepts by itself
  }

  close(): void {
    if (this.#fd < 0) return;
    this.#fd = -1;
    this.#listener.stop();
  }

  setRef(ref: boolean): void {
    ref ? this.#listener.ref() : this.#listener.unref();
  }
}

/** The descriptor of one attempt of a `net.Socket`, until the socket gets it. */
class BunAttempt implements AttemptHost {
  readonly #libc: Libc;
  readonly #socket: Socket;
  readonly #dialer: SocketDialer;
  #fd = -1;
  #channel: BunChannel | null = null;
  #ref = true;

  constructor(libc: Libc, socket: Socket, dialer: SocketDialer) {
    this.#libc = libc;
    this.#socket = socket;
    this.#dialer = dialer;
  }

  open(version: 4 | 6, localAddress: string | undefined, localPort: number | undefined): number {
    this.#fd = this.#dialer.open(version, localAddress, localPort);
    return Math.min(this.#fd, 0);
  }

  /** Whether the attempt keeps the process alive, and later the socket. */
  setRef(ref: boolean): void {
    this.#ref = ref;
    this.#channel?.setRef(ref);
  }

  discard(): void {
    if (this.#fd >= 0) this.#libc.close(this.#fd);
    this.#fd = -1;
  }

  connect(address: string, port: number, done: (result: number) => void): () => void {
    const fd = this.#fd;
    this.#fd = -1;
    const channel = this.#channel = new BunChannel(this.#libc, fd);
    channel.setRef(this.#ref);
    const finish = (result: number) => {
      this.#channel = null;
      const fd = channel.release();
      const refused = result || this.#dialer.connected(fd);
      if (refused < 0) {
        this.#libc.close(fd);
        return done(refused);
      }
      done(0);
      adopt(this.#socket, fd, this.#ref);
    };
    const sockaddr = this.#dialer.sockaddr(address, port);
    const begun = typeof sockaddr === "number" ? sockaddr : this.#libc.connect(fd, sockaddr);
    if (begun !== -EINPROGRESS) {
      const turn = setImmediate(() => finish(begun));
      return () => {
        clearImmediate(turn);
        channel.close();
      };
    }
    channel.connected((error) => {
      // Bun has taken SO_ERROR already and put it into its error.
      const errno = (error as { errno?: number } | null)?.errno ?? (error ? ECANCELED : 0);
      finish(-Math.abs(errno));
    });
    return () => channel.close();
  }
}

/** The members of a socket whose keys are symbols of Bun's own, by the symbols' names. */
function hidden(socket: Socket, name: string): unknown {
  const symbol = Object.getOwnPropertySymbols(socket).find(({ description }) => description === name);
  return symbol && (socket as unknown as Record<symbol, unknown>)[symbol];
}

/** What Bun keeps beside the native sockets that its `net.Socket` connects. */
interface NetData {
  self: Socket;
  req: { oncomplete(): void };
}

type NetHandle = Omit<BunSocket, "data"> & {
  data: NetData;
  setNoDelay(on: boolean): void;
  setKeepAlive(on: boolean, delay: number): void;
  setTypeOfService?(value: number): void;
};

/** How Bun's `net.Socket` handles its native ones. */
type NetHandlers = Omit<BunHandlers, "open"> & { open(handle: NetHandle): void };

/** The handlers, made to tell the socket of its handle, which Bun's own `connect` would have given to it before. */
const adopting = new WeakMap<NetHandlers, NetHandlers>();

function adoptingBy(handlers: NetHandlers): NetHandlers {
  let result = adopting.get(handlers);
  if (result === undefined) {
    const open = (handle: NetHandle) => {
      bunSocket(handle.data.self)._handle = handle;
      handlers.open(handle);
    };
    adopting.set(handlers, result = { ...handlers, open });
  }
  return result;
}

/**
 * Gives a connected descriptor to a socket that waits for one, which then says `connect` and `ready`.
 *
 * `Socket.connect({ fd })` would do it, but with other handlers than those of a connection: errors come without the socket
 * being destroyed, and `onread` is ignored. It stands in where a Bun without these handlers is met.
 */
function adopt(socket: Socket, fd: number, ref: boolean): void {
  const handlers = hidden(socket, "khandlers") as NetHandlers | undefined;
  if (handlers === undefined) {
    const connect = Socket.prototype.connect as unknown as (options: { fd: number }) => void;
    connect.call(socket, { fd });
    if (!ref) socket.unref();
    return;
  }
  const paused = socket.isPaused();
  const oncomplete = () => {
    const handle = bunSocket(socket)._handle as NetHandle;
    if (!ref) handle.unref();
    bunSocket(socket)._sockname = null;
    bunSocket(socket).connecting = false;
    bunSocket(socket)._unrefTimer();
    const service = hidden(socket, "kSetTOS");
    if (typeof service === "number") handle.setTypeOfService?.(service);
    if (hidden(socket, "kSetNoDelay")) handle.setNoDelay(true);
    if (hidden(socket, "kSetKeepAlive")) handle.setKeepAlive(true, Number(hidden(socket, "kSetKeepAliveInitialDelay")));
    socket.emit("connect");
    socket.emit("ready");
    if (!socket.destroyed && !socket.isPaused()) socket.read(0);
  };
  const options = {
    fd,
    data: { self: socket, req: { oncomplete } },
    allowHalfOpen: true,
    pauseOnConnect: paused,
    socket: adoptingBy(handlers),
  };
  bun.connect(options as unknown as Parameters<BunApi["connect"]>[0]).catch((error) => socket.destroy(error));
}

class BunLoop implements EventLoop {
  readonly #libc: Libc;

  constructor(libc: Libc) {
    this.#libc = libc;
  }

  connect(fd: number, target: Target, signal: AbortSignal): Promise<Channel> {
    return new Promise((resolve, reject) => {
      const channel = new BunChannel(this.#libc, fd);
      const { address, port } = target;
      const finish = (error: unknown) => {
        signal.removeEventListener("abort", abort);
        if (!error) return resolve(channel);
        // Bun has taken SO_ERROR already and put it into its error.
        const errno = (error as { errno?: number }).errno || this.#libc.getInt(fd, SOL_SOCKET, SO_ERROR) || ECANCELED;
        channel.close();
        reject(systemError(errno, "connect", { address, port }));
      };
      const abort = () => {
        channel.close();
        reject(signal.reason);
      };
      if (signal.aborted) return abort();
      const result = this.#libc.connect(fd, target.sockaddr);
      if (result === 0) return resolve(channel);
      if (result !== -EINPROGRESS) return finish({ errno: result });
      signal.addEventListener("abort", abort, { once: true });
      channel.connected(finish);
    });
  }

  /**
   * Bun's sockets make their descriptors by themselves. So the socket is told to look a name up, which makes it check its
   * options and wait; the answer never comes, and in its place it gets a connected descriptor.
   */
  connectSocket(
    socket: Socket,
    target: SocketTarget,
    begin: (target: SocketTarget) => void,
    dialer: SocketDialer,
  ): void {
    const { host, lookup } = target;
    const wrong = (host !== undefined && typeof host !== "string") || (lookup != null && typeof lookup !== "function");
    if (wrong) return begin(target); // throws
    const busy = socket.connecting ? EALREADY : this.descriptorOf(socket) >= 0 ? EISCONN : 0;
    if (busy) {
      const error = socketError(busy, "connect", host || "localhost", Number(target.port));
      return process.nextTick(() => socket.destroy(error));
    }
    let asked: LookupOptions = {};
    const wait = (_host: string, options: LookupOptions) => asked = options;
    begin({ ...target, host: "localhost", lookup: wait as unknown as NonNullable<typeof lookup> });
    bunSocket(socket)._host = host || "localhost";
    const handle = bunSocket(socket)._handle! as Partial<NetHandle>;
    const native = Object.getPrototypeOf(handle) as NetHandle;
    const attempt = new BunAttempt(this.#libc, socket, dialer);
    const attempts = new Attempts(socket, target, attempt);
    // The socket's own handle stands for the attempts until there is one that is connected.
    handle.close = () => {
      attempts.stop();
      native.close.call(handle as NetHandle);
    };
    handle.ref = () => attempt.setRef(true);
    handle.unref = () => attempt.setRef(false);
    attempts.start(host && isIP(host) ? null : asked);
  }

  descriptorOf(socket: Socket, ending = false): number {
    const handle = socket.destroyed && !ending ? null : bunSocket(socket)._handle;
    return handle?.fd ?? -1;
  }

  listen(fd: number, backlog: number, owner: AcceptorOwner): Acceptor {
    return new BunAcceptor(this.#libc, fd, backlog, owner);
  }

  listenArguments(fd: number, backlog: number): unknown[] {
    return [{ fd, backlog, exclusive: true }];
  }

  watch(fd: number, owner: ChannelOwner): Watcher {
    const channel = new BunChannel(this.#libc, fd);
    channel.owner = owner;
    return channel;
  }
}

function declarations(): Record<string, { args: string[]; returns: string }> {
  const types: Readonly<Record<string, string>> = { buffer: "ptr", pointer: "ptr" };
  const result: Record<string, { args: string[]; returns: string }> = {};
  for (const [name, { args, result: type }] of Object.entries(SYMBOLS)) {
    result[name] = { args: args.map((arg) => types[arg] ?? arg), returns: types[type] ?? type };
  }
  return result;
}

/** See the module's comment. */
export const adapter: Adapter = {
  runtime: "bun",
  open(paths: readonly string[]): System {
    const { symbols } = openFirst(paths, (path) => dlopen(path, declarations()));
    const errno = () => read.i32(symbols.__errno_location!(), 0);
    const libc = new Libc(bindCalls(symbols, errno), (bytes) => BigInt(ptr(bytes)));
    return { libc, loop: new BunLoop(libc), http: new BunHttp(bun as unknown as BunHttpApi) };
  },
};
