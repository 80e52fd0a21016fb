/**
 * The portable way to the runtime's HTTP server: connections are accepted here, and their bytes relayed to the server over
 * loopback. Slower than the native way, and everything else is the same: it is the same server.
 *
 * @module
 */
import type { Addr } from "../../kernel/sockaddr.ts";
import { connect } from "../../net/connect.ts";
import type { Conn } from "../../net/conn.ts";
import type { Listener } from "../../net/listener.ts";
import type { Subflow } from "../../paths/connection.ts";
import type { Origin } from "./info.ts";

/** What is moved at once. */
const CHUNK = 1 << 16;
/** How long a client may take to close a connection that the server has ended, ms; and a pause when accepting failed. */
const LINGER = 1000;
const PAUSE = 100;

/** See the module's comment. What comes with a request is its client's connection. */
export class Relay implements Origin {
  readonly #listener: Listener;
  readonly #server: { hostname: string; port: number };
  /** The clients' connections, by the ports from which they are relayed. */
  readonly #byPort = new Map<number, Conn>();
  readonly #open = new Set<Conn>();
  /** The clients that have sent nothing yet. */
  readonly #silent = new Set<Conn>();
  readonly #running = new Set<Promise<void>>();
  #ref = true;
  #closed = false;

  /** @param server Where the runtime's server listens. */
  constructor(listener: Listener, server: { hostname: string; port: number }) {
    this.#listener = listener;
    this.#server = server;
    this.#accept();
  }

  /** The client's connection that is relayed from a port, if one is. */
  connOf(port: number): Conn | undefined {
    return this.#byPort.get(port);
  }

  remoteAddr(_request: Request, conn: unknown): Addr {
    return (conn as Conn).remoteAddr;
  }

  isMultipath(_remote: Addr, conn: unknown): boolean {
    return (conn as Conn).fd >= 0 && (conn as Conn).isMultipath();
  }

  subflows(_remote: Addr, conn: unknown): Subflow[] {
    return (conn as Conn).fd >= 0 ? (conn as Conn).subflows() : [];
  }

  /** Whether any client is connected. */
  get any(): boolean {
    return this.#byPort.size > 0;
  }

  /** To be called when the server has ended. Done when no connection is left. */
  async finished(): Promise<void> {
    for (const conn of this.#silent) conn.close();
    await Promise.all(this.#running);
  }

  /** Ends all connections. */
  cut(): void {
    for (const conn of this.#open) conn.reset();
  }

  /** Cuts everything off. */
  close(): void {
    this.#closed = true;
    this.#listener.close();
    this.cut();
  }

  /** Whether listening and open connections keep the process alive. */
  setRef(ref: boolean): void {
    this.#ref = ref;
    for (const each of [this.#listener, ...this.#open]) ref ? each.ref() : each.unref();
  }

  async #accept(): Promise<void> {
    for (;;) {
      try {
        const conn = await this.#listener.accept();
        const work = this.#relay(conn).finally(() => this.#running.delete(work));
        this.#running.add(work);
      } catch (error) {
        if ((error as { code?: string }).code === "EBADF") return; // closed
        // Out of descriptors, as a rule: others end meanwhile.
        await new Promise((resolve) => setTimeout(resolve, PAUSE));
      }
    }
  }

  async #relay(outer: Conn): Promise<void> {
    this.#keep(outer);
    let inner: Conn | undefined;
    let port = 0;
    let timer: ReturnType<typeof setTimeout> | undefined;
    try {
      // A silent client is nothing to the server: Bun's does not even accept it, and could not end it.
      const first = await this.#first(outer);
      if (first === null) return;
      inner = await connect({ ...this.#server, mptcp: "off", noDelay: true });
      this.#keep(inner);
      outer.setNoDelay();
      port = inner.localAddr.port;
      this.#byPort.set(port, outer);
      if (this.#closed) throw new Error("closed meanwhile");
      await inner.write(first);
      const answered = pump(inner, outer).then(() => timer = setTimeout(() => outer.close(), LINGER));
      await Promise.all([pump(outer, inner), answered]);
    } catch {
      // Whatever happened to one end, happens to the other.
      outer.reset();
      inner?.reset();
    } finally {
      clearTimeout(timer);
      outer.close();
      inner?.close();
      this.#open.delete(outer);
      if (inner) this.#open.delete(inner);
      if (this.#byPort.get(port) === outer) this.#byPort.delete(port);
    }
  }

  /** The first bytes that a client sends; `null` when it leaves without a word. */
  async #first(client: Conn): Promise<Uint8Array | null> {
    const buffer = new Uint8Array(CHUNK);
    this.#silent.add(client);
    try {
      const count = await client.read(buffer);
      return count === null ? null : buffer.subarray(0, count);
    } finally {
      this.#silent.delete(client);
    }
  }

  #keep(conn: Conn): void {
    this.#open.add(conn);
    if (!this.#ref) conn.unref();
  }
}

/** Moves bytes until they end, and then says so. Nothing is read that has not been written. */
async function pump(from: Conn, to: Conn): Promise<void> {
  const buffer = new Uint8Array(CHUNK);
  for (;;) {
    const count = await from.read(buffer);
    if (count === null) return await to.closeWrite();
    await to.write(buffer.subarray(0, count));
  }
}
