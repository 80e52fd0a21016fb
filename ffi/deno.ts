/**
 * The Deno adapter: `Deno.dlopen`; a `net.Socket` adopts connected descriptors, a reactor watches the others.
 *
 * @module
 */
import { EPOLLIN, EPOLLOUT, SO_ERROR, SOCK_CLOEXEC, SOCK_NONBLOCK, SOL_SOCKET } from "../kernel/constants.ts";
import { EAGAIN, EINPROGRESS } from "../kernel/errno.ts";
import { systemError } from "../kernel/error.ts";
import type {
  Acceptor,
  AcceptorOwner,
  Adapter,
  Channel,
  ChannelOwner,
  EventLoop,
  System,
  Target,
  Watcher,
} from "./adapter.ts";
import { Libc } from "./libc.ts";
import { openFirst } from "./libc_paths.ts";
import { NetChannel } from "./net_channel.ts";
import { Reactor, type ReactorHost } from "./reactor.ts";
import { bindCalls, type CType, SYMBOLS } from "./symbols.ts";

/** The parts of the `Deno` namespace in use here. Reached by globalThis, so that the file checks without Deno's types. */
interface DenoApi {
  dlopen(path: string, symbols: Record<string, unknown>): {
    // deno-lint-ignore no-explicit-any
    symbols: Record<string, (...args: any[]) => any>;
  };
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
    const reactor = this.#reactor;
    try {
      signal.throwIfAborted();
      let result = this.#libc.connect(fd, target.sockaddr);
      if (result === -EINPROGRESS) {
        const stop = () => reactor.cancel(fd);
        signal.addEventListener("abort", stop, { once: true });
        await reactor.wait(fd, EPOLLOUT);
        signal.removeEventListener("abort", stop);
        signal.throwIfAborted();
        reactor.cancel(fd);
        const error = this.#libc.getInt(fd, SOL_SOCKET, SO_ERROR);
        result = error > 0 ? -error : error;
      }
      if (result < 0) {
        throw systemError(result, "connect", { address: target.address, port: target.port });
      }
    } catch (error) {
      this.#libc.close(fd);
      throw error;
    }
    return new NetChannel(this.#libc, fd);
  }

  listen(fd: number, _backlog: number, owner: AcceptorOwner): Acceptor {
    return new DenoAcceptor(this.#libc, this.#reactor, fd, owner);
  }

  watch(fd: number, owner: ChannelOwner): Watcher {
    return new DenoWatcher(this.#libc, this.#reactor, fd, owner);
  }
}

const EMPTY = new Uint8Array(0);

/** A descriptor that the reactor watches for something to read. */
abstract class Watched {
  protected readonly libc: Libc;
  readonly #reactor: Reactor;
  #fd: number;
  #ref = true;
  #waiting = false;

  constructor(libc: Libc, reactor: Reactor, fd: number) {
    this.libc = libc;
    this.#reactor = reactor;
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
    this.#reactor.wait(this.#fd, EPOLLIN, this.#ref).then(
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
    this.#reactor.cancel(fd);
    this.libc.close(fd);
  }

  setRef(ref: boolean): void {
    this.#ref = ref;
    this.#reactor.setRef(this.#fd, ref);
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
        this.#owner.accepted(new NetChannel(this.libc, fd));
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
    return { libc, loop: new DenoLoop(libc, symbols.epoll_wait as ReactorHost["epollWait"]) };
  },
};
