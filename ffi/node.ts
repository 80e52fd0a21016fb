/**
 * The Node adapter: `node:ffi`; `net.Socket` connects and adopts, `net.Server` accepts.
 *
 * @module
 */
import cluster from "node:cluster";
import { createServer, type Server, Socket } from "node:net";
import process from "node:process";
import { EISCONN, errnoNumber } from "../kernel/errno.ts";
import { systemError } from "../kernel/error.ts";
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
import { Libc } from "./libc.ts";
import { openFirst } from "./libc_paths.ts";
import { type ConnectRequest, type Handle, handleOf, onHandles, unknownSockets } from "./net_handle.ts";
import { NodeChannel } from "./node_channel.ts";
import { type ReadHandle, Readiness } from "./readiness.ts";
import { bindCalls, type CType, SYMBOLS } from "./symbols.ts";

/** The parts of `node:ffi` in use here; its types are younger than the oldest `@types/node` that users have. */
interface NodeFfi {
  dlopen(path: string, symbols: Record<string, { arguments: string[]; return: string }>): {
    // deno-lint-ignore no-explicit-any
    functions: Record<string, (...args: any[]) => any>;
  };
  getInt32(pointer: bigint): number;
  getRawPointer(bytes: Uint8Array): bigint;
}

/** libuv's pipe. */
interface Pipe extends ReadHandle {
  open(fd: number): number | undefined;
  close(): void;
  ref(): void;
  unref(): void;
}

/** The parts of Node's bindings of libuv's handles in use here. */
interface Bindings {
  pipe_wrap: { Pipe: new (type: number) => Pipe; constants: { SOCKET: number } };
  tcp_wrap: { TCP: new (type: number) => { open(fd: number): number | undefined }; constants: { SERVER: number } };
}

/** Deprecated in documentation only (DEP0111), and there is no other way to make a handle. */
function binding<N extends keyof Bindings>(name: N): Bindings[N] {
  return (process as unknown as { binding(name: N): Bindings[N] }).binding(name);
}

const TYPES: Readonly<Record<CType, string>> = {
  i32: "i32",
  u32: "u32",
  usize: "u64",
  buffer: "buffer",
  pointer: "pointer",
};

const ffi: NodeFfi = await loadFfi();

/** Loads `node:ffi` without its ExperimentalWarning: a library must not print on its user's terminal. */
async function loadFfi(): Promise<NodeFfi> {
  const emitWarning = process.emitWarning;
  process.emitWarning = ((...args: Parameters<typeof emitWarning>) => {
    if (!String(args[0]).startsWith("FFI is an experimental feature")) emitWarning.apply(process, args);
  }) as typeof emitWarning;
  try {
    return await import("node:ffi") as unknown as NodeFfi;
  } finally {
    process.emitWarning = emitWarning;
  }
}

function declarations(): Record<string, { arguments: string[]; return: string }> {
  const result: Record<string, { arguments: string[]; return: string }> = {};
  for (const [name, { args, result: type }] of Object.entries(SYMBOLS)) {
    result[name] = { arguments: args.map((arg) => TYPES[arg]), return: TYPES[type] };
  }
  return result;
}

/** `node:ffi` wants a bigint for a `size_t`, which is the third argument wherever there is one. */
function withSizes(
  functions: ReturnType<NodeFfi["dlopen"]>["functions"],
): ReturnType<NodeFfi["dlopen"]>["functions"] {
  const result = { ...functions };
  for (const [name, { args }] of Object.entries(SYMBOLS)) {
    if (!(args as readonly CType[]).includes("usize")) continue;
    const call = functions[name]!;
    result[name] = args.length === 3
      ? (fd: number, bytes: Uint8Array, size: number) => call(fd, bytes, BigInt(size))
      : (fd: number, bytes: Uint8Array, size: number, flags: number) => call(fd, bytes, BigInt(size), flags);
  }
  return result;
}

const EMPTY = new Uint8Array(0);

/** As it is before anybody replaces it: `./auto` makes sockets connect by descriptors of its own. */
const nativeConnect = Socket.prototype.connect as (this: Socket, target: SocketTarget) => void;

class NodeLoop implements EventLoop {
  readonly #libc: Libc;

  constructor(libc: Libc) {
    this.#libc = libc;
  }

  /**
   * libuv connects whatever descriptor the handle has. The handle exists as soon as `connect` returns, the connection is
   * started only on the next tick: in between our descriptor is put in.
   */
  connect(fd: number, target: Target, signal: AbortSignal): Promise<Channel> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        this.#libc.close(fd);
        return reject(signal.reason);
      }
      const socket = new Socket({ allowHalfOpen: true });
      const channel = new NodeChannel(this.#libc, fd, socket);
      nativeConnect.call(socket, { host: target.address, port: target.port, autoSelectFamily: false });
      const opened = handleOf(socket)?.open(fd) ?? -errnoNumber("EBADF")!;
      const abort = () => {
        channel.close();
        reject(signal.reason);
      };
      const over = () => signal.removeEventListener("abort", abort);
      const failed = (error: unknown) => {
        over();
        channel.close();
        const errno = (error as { errno?: number }).errno;
        const { address, port } = target;
        reject(typeof errno === "number" ? systemError(errno, "connect", { address, port, cause: error }) : error);
      };
      if (opened < 0) {
        this.#libc.close(fd);
        return failed({ errno: opened });
      }
      signal.addEventListener("abort", abort, { once: true });
      socket.once("error", failed);
      socket.once("connect", () => {
        over();
        socket.off("error", failed);
        resolve(channel);
      });
    });
  }

  connectSocket(
    socket: Socket,
    target: SocketTarget,
    begin: (target: SocketTarget) => void,
    dialer: SocketDialer,
  ): void {
    if (!onHandles(socket, (handle) => this.#dialBy(handle, dialer))) throw unknownSockets();
    begin(target);
  }

  /** libuv connects whatever descriptor the handle has. */
  #dialBy(handle: Handle, dialer: SocketDialer): void {
    const native = Object.getPrototypeOf(handle) as Handle;
    let made = false;
    let connected = false;
    const make = (version: 4 | 6, address?: string, port?: number): number => {
      if (made) return 0;
      const fd = dialer.open(version, address, port);
      if (fd < 0) return fd;
      const opened = handle.open(fd);
      if (opened < 0) this.#libc.close(fd);
      else made = true;
      return opened;
    };
    const connecting = (version: 4 | 6, request: ConnectRequest): number => {
      // The kernel's first answer to this would be 0, as if it had connected just now.
      if (connected) return -EISCONN;
      const { oncomplete } = request;
      request.oncomplete = (status, ...rest) => {
        connected = status === 0;
        oncomplete!(connected ? dialer.connected(handle.fd!) : status, ...rest);
      };
      return make(version);
    };
    handle.bind = (address, port) => make(4, address, port);
    handle.bind6 = (address, port) => make(6, address, port);
    handle.connect = (request, address, port) => {
      return connecting(4, request) || native.connect.call(handle, request, address, port);
    };
    handle.connect6 = (request, address, port) => {
      return connecting(6, request) || native.connect6.call(handle, request, address, port);
    };
  }

  descriptorOf(socket: Socket, ending = false): number {
    return socket.destroyed && !ending ? -1 : handleOf(socket)?.fd ?? -1;
  }

  listen(fd: number, backlog: number, owner: AcceptorOwner): Acceptor {
    return new NodeAcceptor(this.#libc, this.listenArguments(fd, backlog), fd, owner);
  }

  /** In a cluster's worker Node takes a descriptor for one of the primary's, and asks for that; a handle it takes as it is. */
  listenArguments(fd: number, backlog: number): unknown[] {
    if (!cluster.isWorker) return [{ fd, backlog, exclusive: true }];
    const { TCP, constants } = binding("tcp_wrap");
    const handle = new TCP(constants.SERVER);
    const opened = handle.open(fd) ?? 0;
    if (opened < 0) throw systemError(opened, "uv_tcp_open");
    return [handle, backlog];
  }

  /**
   * `net.Socket` takes descriptors of streams only; libuv's pipe, on which it stands, takes any that can be read, such as a
   * netlink socket.
   */
  watch(fd: number, owner: ChannelOwner): Watcher {
    const { Pipe, constants } = binding("pipe_wrap");
    const handle = new Pipe(constants.SOCKET);
    const opened = handle.open(fd) ?? 0;
    if (opened < 0) {
      this.#libc.close(fd);
      throw systemError(opened, "uv_pipe_open");
    }
    return new NodeWatcher(handle, owner);
  }
}

class NodeWatcher implements Watcher {
  readonly #handle: Pipe;
  readonly #owner: ChannelOwner;
  readonly #readiness: Readiness;
  #closed = false;

  constructor(handle: Pipe, owner: ChannelOwner) {
    this.#handle = handle;
    this.#owner = owner;
    this.#readiness = new Readiness(handle, () => this.#closed || owner.readable(EMPTY));
  }

  awaitReadable(): void {
    if (this.#closed) return;
    const result = this.#readiness.await();
    if (result < 0) this.#owner.closed(systemError(result, "read"));
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#handle.close();
  }

  setRef(ref: boolean): void {
    ref ? this.#handle.ref() : this.#handle.unref();
  }
}

class NodeAcceptor implements Acceptor {
  readonly #server: Server;
  #fd: number;

  constructor(libc: Libc, target: unknown[], fd: number, owner: AcceptorOwner) {
    this.#fd = fd;
    // Paused: a socket that reads keeps the process alive.
    this.#server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => {
      owner.accepted(new NodeChannel(libc, handleOf(socket)!.fd!, socket));
    });
    this.#server.on("error", (error) => owner.failed(error));
    (this.#server.listen as (...target: unknown[]) => unknown).apply(this.#server, target);
  }

  get fd(): number {
    return this.#fd;
  }

  awaitConnection(): void {
    // libuv accepts by itself
  }

  close(): void {
    if (this.#fd < 0) return;
    this.#fd = -1;
    this.#server.close();
  }

  setRef(ref: boolean): void {
    ref ? this.#server.ref() : this.#server.unref();
  }
}

/** See the module's comment. */
export const adapter: Adapter = {
  runtime: "node",
  open(paths: readonly string[]): System {
    const { functions } = openFirst(paths, (path) => ffi.dlopen(path, declarations()));
    const errno = () => ffi.getInt32(functions.__errno_location!());
    const libc = new Libc(bindCalls(withSizes(functions), errno), (bytes) => ffi.getRawPointer(bytes));
    return { libc, loop: new NodeLoop(libc), http: null };
  },
};
