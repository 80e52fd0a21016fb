/**
 * Taking connections, shaped as `Deno.Listener`.
 *
 * @module
 */
import type { Acceptor, AcceptorOwner, Channel } from "../ffi/mod.ts";
import { MptcpError } from "../kernel/error.ts";
import type { Addr } from "../kernel/sockaddr.ts";
import type { Conn } from "./conn.ts";
import type { Fallback } from "./fallback.ts";
import { attachPolicy } from "./path_control.ts";
import { checkPolicy, type Policy, type PolicyHandle } from "./policy.ts";
import { PolicyUse } from "./policy_use.ts";

interface Waiter<C> {
  resolve(conn: C): void;
  reject(error: unknown): void;
}

/**
 * A listening socket. Iterate it, or call `accept`.
 *
 * An MPTCP listener takes plain TCP clients too: their connections are plain TCP and say so.
 *
 * @example Echo
 * ```ts no-assert
 * import { connect, listen } from "@mptcp/mptcp";
 *
 * using listener = listen({ port: 0 });
 * (async () => {
 *   for await (const conn of listener) conn.readable.pipeTo(conn.writable).catch(() => conn.close());
 * })();
 * using conn = await connect({ port: listener.addr.port });
 * ```
 */
export class Listener<C extends Conn = Conn> implements AsyncIterable<C>, Disposable, AsyncDisposable {
  readonly #acceptor: Acceptor;
  readonly #addr: Addr | null;
  readonly #refused: Fallback | null;
  readonly #wrap: (channel: Channel) => C | Promise<C>;
  readonly #onClose: () => void;
  readonly #ahead: number;
  readonly #waiting: C[] = [];
  readonly #waiters: Waiter<C>[] = [];
  readonly #policies = new Set<PolicyUse>();
  /** Connections that are being made of channels. */
  #making = 0;
  #closed = false;

  /** Whether the socket is MPTCP, so that MPTCP clients get MPTCP connections. */
  readonly mptcp: boolean;

  /**
   * Listeners are made by `listen` and `listenTls`.
   *
   * @param start Starts the acceptor for its owner.
   * @param addr The bound address; `null` where only the acceptor knows it.
   * @param mptcp Whether the socket is MPTCP.
   * @param refused Why it is not, if it was to be.
   * @param wrap Makes a connection of an accepted channel. Where that takes time (TLS), others are accepted meanwhile; a
   * channel that cannot become a connection is closed by it, and nobody is told.
   * @param onClose Called once, when it is closed.
   * @param ahead How many connections to make before anybody accepts them: where making one is more than taking it (TLS), its
   * client would wait until then.
   */
  constructor(
    start: (owner: AcceptorOwner) => Acceptor,
    addr: Addr | null,
    mptcp: boolean,
    refused: Fallback | null,
    wrap: (channel: Channel) => C | Promise<C>,
    onClose: () => void = () => {},
    ahead = 0,
  ) {
    this.#addr = addr;
    this.mptcp = mptcp;
    this.#refused = refused;
    this.#wrap = wrap;
    this.#onClose = onClose;
    this.#ahead = ahead;
    this.#acceptor = start({
      accepted: (channel) => this.#accepted(channel),
      failed: (error) => this.#failed(error),
    });
    this.#askForMore();
  }

  /** The address and port that it listens on. */
  get addr(): Addr {
    return this.#addr ?? this.#acceptor.addr!;
  }

  /** Why the socket is plain TCP though MPTCP was wanted; `null` when it is as wanted. */
  fallback(): Fallback | null {
    return this.#refused;
  }

  /**
   * Waits for the next connection. Several calls at once are served in order.
   *
   * @throws {MptcpError} `EBADF` when the listener is closed, also while waiting; `EMFILE` and the like when the host is out
   * of descriptors.
   */
  accept(): Promise<C> {
    if (this.#closed) return Promise.reject(this.#closedError());
    const conn = this.#waiting.shift();
    if (conn) {
      this.#askForMore();
      return Promise.resolve(conn);
    }
    return new Promise((resolve, reject) => {
      this.#waiters.push({ resolve, reject });
      this.#acceptor.awaitConnection();
    });
  }

  /** The connections, until the listener is closed. */
  async *[Symbol.asyncIterator](): AsyncIterableIterator<C> {
    while (!this.#closed) {
      try {
        yield await this.accept();
      } catch (error) {
        if (!this.#closed) throw error;
      }
    }
  }

  /**
   * Attaches a policy to every connection that it takes from now on: see `./policy`. Connections to which it cannot be
   * attached (plain TCP, or under the kernel's path manager) go on without it: a decision with action `"attach"` tells of each.
   *
   * @throws {TypeError} When it is no policy.
   * @throws {MptcpError} `EBADF` when the listener is closed.
   */
  use(policy: Policy): PolicyHandle {
    checkPolicy(policy);
    if (this.#closed) throw this.#closedError("use a policy");
    const use = new PolicyUse(policy, () => this.#policies.delete(use));
    this.#policies.add(use);
    return use;
  }

  /**
   * Stops listening at once. Pending `accept` calls reject, iterations end, connections that nobody accepted are closed;
   * accepted ones live on. A second call does nothing.
   */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#acceptor.close();
    this.#onClose();
    for (const use of [...this.#policies]) use.noMore();
    for (const conn of this.#waiting.splice(0)) conn.close();
    for (const { reject } of this.#waiters.splice(0)) reject(this.#closedError());
  }

  /** Lets waiting for connections keep the process alive, as it does at first. */
  ref(): void {
    this.#acceptor.setRef(true);
  }

  /** Lets the process end while it waits for connections. */
  unref(): void {
    this.#acceptor.setRef(false);
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

  #accepted(channel: Channel): void {
    if (this.#closed) return channel.close();
    try {
      const conn = this.#wrap(channel);
      if (conn instanceof Promise) this.#make(conn);
      else this.#deliver(conn);
    } catch (error) {
      channel.close();
      return this.#failed(error);
    }
    this.#askForMore();
  }

  async #make(conn: Promise<C>): Promise<void> {
    this.#making++;
    try {
      this.#deliver(await conn);
    } catch {
      // Whoever made it has closed it.
    }
    this.#making--;
    this.#askForMore();
  }

  #askForMore(): void {
    if (this.#closed) return;
    const more = this.#waiters.length > 0 || this.#making + this.#waiting.length < this.#ahead;
    if (more) this.#acceptor.awaitConnection();
  }

  #deliver(conn: C): void {
    if (this.#closed) return conn.close();
    for (const use of this.#policies) attachPolicy(conn, use);
    if (this.#waiters.length > 0) this.#waiters.shift()!.resolve(conn);
    else this.#waiting.push(conn);
  }

  #failed(error: unknown): void {
    // Without a waiter there is nobody to tell; the next accept tries again and meets the error itself.
    this.#waiters.shift()?.reject(error);
    if (this.#waiters.length > 0) this.#acceptor.awaitConnection();
  }

  #closedError(what = "accept"): MptcpError {
    return new MptcpError("EBADF", `Cannot ${what}: the listener is closed`, { syscall: what });
  }
}
