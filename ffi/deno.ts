/**
 * The Deno adapter: `Deno.dlopen`; a `net.Socket` adopts connected descriptors, a reactor watches the others.
 *
 * @module
 */
import cluster from "node:cluster";
import type { Socket } from "node:net";
import { setImmediate } from "node:timers";
import { EPOLLIN, EPOLLOUT, SO_COOKIE, SO_ERROR, SOCK_CLOEXEC, SOCK_NONBLOCK, SOL_SOCKET } from "../kernel/constants.ts";
import { EAGAIN, EALREADY, ECANCELED, EINPROGRESS, EISCONN } from "../kernel/errno.ts";
import { MptcpError, systemError } from "../kernel/error.ts";
import { decodeSockaddr, SOCKADDR_STORAGE_SIZE } from "../kernel/sockaddr.ts";
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
import { DenoHttp, type DenoHttpApi } from "./deno_http.ts";
import { Libc } from "./libc.ts";
import { openFirst } from "./libc_paths.ts";
import { DenoChannel } from "./deno_channel.ts";
import { type ConnectRequest, type Handle, handleOf, onHandles, type SocketName, unknownSockets } from "./net_handle.ts";
import { Reactor, type ReactorHost } from "./reactor.ts";
import { bindCalls, type CType, SYMBOLS } from "./symbols.ts";

/** The parts of the `Deno` namespace in use here. Reached by globalThis, so that the file checks without Deno's types. */
interface DenoApi {
  dlopen(path: string, symbols: Record<string, unknown>): {
    // deno-lint-ignore no-explicit-any
    symbols: Record<string, (...args: any[]) => any>;
  };
  errors: { NotCapable: new (message: string) => Error };
  internal: PropertyKey;
  [key: PropertyKey]: unknown;
}

const deno = (globalThis as unknown as { Deno: DenoApi }).Deno;

/** How many connections are accepted in one turn, before other work gets its turn. */
const ACCEPT_BATCH = 64;

/** Addresses cross as numbers, see `open`. */
const typeOf = (type: CType): string => type === "pointer" ? "usize" : type;

function declarations(): Record<string, unknown> {
  const result: Record<string, unknown> = {};
  for (const [name, { args, result: type }] of Object.entries(SYMBOLS)) {
    result[name] = { parameters: args.map(typeOf), result: typeOf(type), nonblocking: name === "epoll_wait" };
  }
  return result;
}

/** `ref` and `unref` of a pending FFI call are not public in Deno; without them a listener's `unref()` has no effect. */
function setCallRef(call: Promise<unknown>, ref: boolean): void {
  const internals = deno[deno.internal] as {
    core?: { refOpPromise?(call: Promise<unknown>): void; unrefOpPromise?(call: Promise<unknown>): void };
  } | undefined;
  if (ref) internals?.core?.refOpPromise?.(call);
  else internals?.core?.unrefOpPromise?.(call);
}

/** How far descriptors are searched: `fs.nr_open` as a rule. */
const MAX_DESCRIPTORS = 1 << 20;

/** The descriptors of handles, as far as they are known: Deno does not tell them. */
const descriptors = new WeakMap<Handle, number>();

/** What a handle says of its own end, said of a descriptor. */
function nameOf(libc: Libc, fd: number, name: SocketName): number {
  const bytes = new Uint8Array(SOCKADDR_STORAGE_SIZE);
  const length = libc.getsockname(fd, bytes);
  if (length < 0) return length;
  const { hostname, port } = decodeSockaddr(bytes, 0, length)!;
  Object.assign(name, { address: hostname, port, family: hostname.includes(":") ? "IPv6" : "IPv4" });
  return 0;
}

/** A connect that is done at once is told as late as others: who has waited for microtasks alone must not miss it. */
function nextTurn(result: number): Promise<number> {
  return new Promise((resolve) => setImmediate(() => resolve(result)));
}

class DenoLoop implements EventLoop {
  readonly #libc: Libc;
  readonly #epollWait: ReactorHost["epollWait"];
  #made: Reactor | null = null;

  constructor(libc: Libc, epollWait: ReactorHost["epollWait"]) {
    this.#libc = libc;
    this.#epollWait = epollWait;
  }

  get #reactor(): Reactor {
    return this.#made ??= new Reactor(this.#libc, { epollWait: this.#epollWait, setRef: setCallRef });
  }

  async connect(fd: number, target: Target, signal: AbortSignal): Promise<Channel> {
    try {
      signal.throwIfAborted();
      let result = this.#libc.connect(fd, target.sockaddr);
      if (result === -EINPROGRESS) {
        const stop = () => this.#reactor.cancel(fd);
        signal.addEventListener("abort", stop, { once: true });
        result = await this.#connected(fd);
        signal.removeEventListener("abort", stop);
        signal.throwIfAborted();
      }
      if (result < 0) {
        throw systemError(result, "connect", { address: target.address, port: target.port });
      }
    } catch (error) {
      this.#libc.close(fd);
      throw error;
    }
    return new DenoChannel(this.#libc, this.#reactor, fd);
  }

  /** Waits until a connection that was begun has succeeded (0) or failed (`-errno`), or until `reactor.cancel(fd)`. */
  async #connected(fd: number, ref = true): Promise<number> {
    const events = await this.#reactor.wait(fd, EPOLLOUT, ref);
    if (events === 0) return -ECANCELED;
    this.#reactor.cancel(fd);
    const error = this.#libc.getInt(fd, SOL_SOCKET, SO_ERROR);
    return error > 0 ? -error : error;
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

  /**
   * Deno's handle makes its own TCP socket when it connects, whatever descriptor it has. So we connect, and it gets the
   * descriptor when that is done.
   */
  #dialBy(handle: Handle, dialer: SocketDialer): void {
    const native = Object.getPrototypeOf(handle) as Handle;
    const libc = this.#libc;
    /** Ours, until the handle has it. */
    let fd = -1;
    let given = false;
    let begun = false;
    let ref = true;
    const make = (version: 4 | 6, address?: string, port?: number): number => {
      if (given) return -EISCONN;
      if (fd < 0) fd = dialer.open(version, address, port);
      return Math.min(fd, 0);
    };
    const drop = () => {
      if (fd < 0) return;
      this.#reactor.cancel(fd);
      libc.close(fd);
      fd = -1;
    };
    const connect = (version: 4 | 6) => (request: ConnectRequest, address: string, port: number): number => {
      if (begun && !given) return -EALREADY;
      const made = make(version);
      if (made < 0) return made;
      begun = true;
      const sockaddr = dialer.sockaddr(address, port);
      if (typeof sockaddr === "number") return sockaddr;
      const result = libc.connect(fd, sockaddr);
      const ended = result === -EINPROGRESS ? this.#connected(fd, ref) : nextTurn(result);
      ended.then((status) => {
        if (fd < 0) return; // closed meanwhile
        const result = status || dialer.connected(fd) || native.open.call(handle, fd);
        if (result < 0) {
          drop();
        } else {
          descriptors.set(handle, fd);
          given = true;
          fd = -1;
        }
        request.oncomplete?.(result, handle, request, true, true);
      });
      return 0;
    };
    handle.bind = (address, port) => make(4, address, port);
    handle.bind6 = (address, port) => make(6, address, port);
    handle.connect = connect(4);
    handle.connect6 = connect(6);
    handle.getsockname = (name) => fd < 0 ? native.getsockname.call(handle, name) : nameOf(libc, fd, name);
    handle.close = (done) => {
      drop();
      native.close.call(handle, done);
    };
    handle.ref = () => {
      ref = true;
      this.#reactor.setRef(fd, ref);
      native.ref.call(handle);
    };
    handle.unref = () => {
      ref = false;
      this.#reactor.setRef(fd, ref);
      native.unref.call(handle);
    };
  }

  descriptorOf(socket: Socket, ending = false): number {
    const handle = socket.destroyed && !ending ? null : handleOf(socket);
    if (handle === null) return -1;
    const known = descriptors.get(handle);
    if (known !== undefined) return known;
    const found = this.#findDescriptor(handle);
    if (found >= 0) descriptors.set(handle, found);
    return found;
  }

  /**
   * The descriptor of a handle that Deno made: it tells a duplicate at most. The kernel gives every socket a number of its
   * own (SO_COOKIE), and low descriptors first.
   */
  #findDescriptor(handle: Handle): number {
    const duplicate = handle.fdForIpc?.() ?? -1;
    if (duplicate < 0) return -1;
    const libc = this.#libc;
    const wanted = new Uint8Array(8);
    const cookie = new Uint8Array(8);
    const view = new DataView(cookie.buffer);
    let found = -1;
    if (libc.getsockopt(duplicate, SOL_SOCKET, SO_COOKIE, wanted) === 8) {
      const number = new DataView(wanted.buffer).getBigUint64(0);
      for (let fd = 0; fd < MAX_DESCRIPTORS && found < 0; fd++) {
        if (fd === duplicate || libc.getsockopt(fd, SOL_SOCKET, SO_COOKIE, cookie) !== 8) continue;
        if (view.getBigUint64(0) === number) found = fd;
      }
    }
    libc.close(duplicate);
    return found;
  }

  listen(fd: number, _backlog: number, owner: AcceptorOwner): Acceptor {
    return new DenoAcceptor(this.#libc, this.#reactor, fd, owner);
  }

  listenArguments(fd: number, backlog: number): unknown[] {
    if (cluster.isWorker) {
      const why = "in a cluster's worker Deno asks the primary for all that a server listens by";
      throw new MptcpError("EOPNOTSUPP", `Cannot listen by MPTCP: ${why}`, { hint: "listen() works in a worker, too" });
    }
    return [{ fd, backlog, exclusive: true }];
  }

  watch(fd: number, owner: ChannelOwner): Watcher {
    return new DenoWatcher(this.#libc, this.#reactor, fd, owner);
  }
}

const EMPTY = new Uint8Array(0);

/** A descriptor that the reactor watches for something to read. */
abstract class Watched {
  protected readonly libc: Libc;
  protected readonly reactor: Reactor;
  #fd: number;
  #ref = true;
  #waiting = false;

  constructor(libc: Libc, reactor: Reactor, fd: number) {
    this.libc = libc;
    this.reactor = reactor;
    this.#fd = fd;
  }

  get fd(): number {
    return this.#fd;
  }

  protected abstract ready(): void;
  protected abstract broken(error: unknown): void;

  protected wait(): void {
    if (this.#waiting || this.#fd < 0) return;
    this.#waiting = true;
    this.reactor.wait(this.#fd, EPOLLIN, this.#ref).then(
      () => {
        this.#waiting = false;
        if (this.#fd >= 0) this.ready();
      },
      (error) => {
        this.#waiting = false;
        this.broken(error);
      },
    );
  }

  close(): void {
    const fd = this.#fd;
    if (fd < 0) return;
    this.#fd = -1;
    this.reactor.cancel(fd);
    this.libc.close(fd);
  }

  setRef(ref: boolean): void {
    this.#ref = ref;
    this.reactor.setRef(this.#fd, ref);
  }
}

class DenoWatcher extends Watched implements Watcher {
  readonly #owner: ChannelOwner;

  constructor(libc: Libc, reactor: Reactor, fd: number, owner: ChannelOwner) {
    super(libc, reactor, fd);
    this.#owner = owner;
  }

  awaitReadable(): void {
    this.wait();
  }

  protected override ready(): void {
    this.#owner.readable(EMPTY);
  }

  protected override broken(error: unknown): void {
    this.#owner.closed(error);
  }
}

class DenoAcceptor extends Watched implements Acceptor {
  readonly #owner: AcceptorOwner;

  constructor(libc: Libc, reactor: Reactor, fd: number, owner: AcceptorOwner) {
    super(libc, reactor, fd);
    this.#owner = owner;
  }

  awaitConnection(): void {
    this.wait();
  }

  protected override ready(): void {
    // The descriptor is read anew each time: an owner may close the listener from within `accepted`.
    for (let count = 0; count < ACCEPT_BATCH && this.fd >= 0; count++) {
      const fd = this.libc.accept(this.fd, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd >= 0) {
        this.#owner.accepted(new DenoChannel(this.libc, this.reactor, fd));
        continue;
      }
      if (fd !== -EAGAIN) this.#owner.failed(systemError(fd, "accept"));
      else if (count === 0) this.wait(); // another process took it
      return;
    }
  }

  protected override broken(error: unknown): void {
    this.#owner.failed(error);
  }
}

/** See the module's comment. */
export const adapter: Adapter = {
  runtime: "deno",
  deniedName: (hostname) =>
    new deno.errors.NotCapable(`Requires net access to "${hostname}", run again with the --allow-net flag`),
  open(paths: readonly string[]): System {
    const { symbols } = openFirst(paths, (path) => deno.dlopen(path, declarations()));
    // Deno's own UnsafePointer and UnsafePointerView want the unrestricted --allow-ffi; with memcpy, which copies from any
    // address and returns its target's, `--allow-ffi=<libc>` is enough.
    const { memcpy, __errno_location } = symbols;
    const cell = new Int32Array(1);
    const errno = () => {
      memcpy!(cell, __errno_location!(), 4n);
      return cell[0]!;
    };
    const addressOf = (bytes: Uint8Array) => BigInt(memcpy!(bytes, 0n, 0n));
    const libc = new Libc(bindCalls(symbols, errno), addressOf);
    return {
      libc,
      loop: new DenoLoop(libc, symbols.epoll_wait as ReactorHost["epollWait"]),
      http: new DenoHttp(deno as unknown as DenoHttpApi),
    };
  },
};
