/**
 * undici's connection pools over our connections.
 *
 * The subpath matters: Bun replaces the bare "undici" by a shim of its own, whose `fetch` is Bun's and ignores connectors, so
 * that everything would go by plain TCP in silence.
 *
 * @module
 */
import { Client, type Dispatcher } from "undici/index.js";
import { runtime } from "../../ffi/mod.ts";
import { hostPort, MptcpError } from "../../kernel/error.ts";
import { connect } from "../../net/connect.ts";
import type { ConnectOptions } from "../../net/options.ts";
import { connectTls } from "../../net/tls.ts";
import { ConnStream } from "./conn_stream.ts";
import { Connection } from "./connection.ts";
import type { Carrier, Exchange } from "./exchange.ts";
import type { ConnectionOptions } from "./options.ts";

/** Long enough for the kernel to try MPTCP, and then plain TCP where something on the way drops MPTCP's packets (7 s). */
const CONNECT_TIMEOUT = 30_000;

/** What undici asks a connector for. */
interface Target {
  hostname: string;
  protocol: string;
  port: string;
  servername?: string | null;
}

type Done = (...result: [error: null, socket: never] | [error: Error, socket: null]) => void;

async function open(target: Target, options: ConnectionOptions, signal: AbortSignal): Promise<Connection> {
  const { caCerts, ...rest } = options;
  const secure = target.protocol === "https:";
  const { hostname } = target;
  const port = Number(target.port) || (secure ? 443 : 80);
  const common: ConnectOptions = {
    ...rest,
    hostname,
    port,
    noDelay: true,
    keepAlive: true,
    signal,
    timeout: CONNECT_TIMEOUT,
  };
  try {
    if (!secure) {
      const conn = await connect(common);
      return new Connection(conn, conn.toNode());
    }
    const conn = await connectTls({
      ...common,
      ...(caCerts === undefined ? {} : { caCerts }),
      ...(target.servername ? { serverName: target.servername } : {}),
      alpnProtocols: ["http/1.1"],
    });
    // Deno loses the end of a TLS socket that is paused, which backpressure does all the time.
    return new Connection(conn, runtime === "deno" ? new ConnStream(conn) : conn.toNode());
  } catch (error) {
    if (!(error instanceof DOMException && error.name === "TimeoutError")) throw error;
    const message = `Cannot connect to ${hostPort(hostname, port)}: no answer in ${CONNECT_TIMEOUT / 1000} s`;
    throw new MptcpError("ETIMEDOUT", message, { syscall: "connect", address: hostname, port, cause: error });
  }
}

/** One of undici's clients, which has one connection at a time and here one request at a time. */
class Line implements Carrier {
  readonly #home: Home;
  readonly #origin: string;
  readonly #client: Client;
  #exchange: Exchange | null = null;
  #attempt: AbortController | null = null;
  connection: Connection | null = null;

  constructor(home: Home, origin: string) {
    this.#home = home;
    this.#origin = origin;
    this.#client = new Client(origin, {
      // undici's HTTP/2 would need node:http2 on streams that are no sockets, which not every runtime has.
      allowH2: false,
      useMilo: false,
      connect: (target, done) => this.#connect(target as Target, done as Done),
    });
  }

  get isIdle(): boolean {
    return this.#exchange === null;
  }

  dispatch(options: Dispatcher.DispatchOptions, exchange: Exchange): boolean {
    this.#exchange = exchange;
    exchange.carrier = this;
    return this.#client.dispatch(options, exchange);
  }

  over(exchange: Exchange): void {
    if (this.#exchange !== exchange) return;
    this.#exchange = null;
    if (this.connection === null || this.connection.socket.destroyed) this.#home.remove(this, this.#origin);
    else this.#home.freed(this, this.#origin);
  }

  abandon(): void {
    this.#attempt?.abort(
      new MptcpError("ECANCELED", "Connecting was given up: nobody waits for it", { syscall: "connect" }),
    );
  }

  /** Waits for the request that is under way. */
  close(): Promise<void> {
    return this.#client.close();
  }

  #connect(target: Target, done: Done): void {
    const attempt = this.#attempt = new AbortController();
    open(target, this.#home.options, attempt.signal).then((connection) => {
      this.#attempt = null;
      this.connection = connection;
      connection.socket.once("close", () => {
        if (this.isIdle) this.#home.remove(this, this.#origin);
      });
      done(null, connection.socket as never);
    }, (error) => {
      this.#attempt = null;
      done(error, null);
    });
  }
}

/** The connections to one origin. */
interface Lines {
  all: Set<Line>;
  /** Those without a request; the one used last is at the end, and goes first. */
  idle: Line[];
}

/**
 * The connections of one set of options.
 *
 * Not undici's own pool: that one takes a connection for busy until the turn of the event loop after a response, and so opens
 * a second one for requests that follow each other at once.
 */
export class Home {
  readonly options: ConnectionOptions;
  readonly #origins = new Map<string, Lines>();

  constructor(options: ConnectionOptions) {
    this.options = options;
  }

  /** Whether it has no connection, nor makes one. */
  get isUnused(): boolean {
    return this.#origins.size === 0;
  }

  /** Sends a request by a connection that is idle, else by a new one. */
  dispatch(options: Dispatcher.DispatchOptions, exchange: Exchange, origin: string): boolean {
    let lines = this.#origins.get(origin);
    if (lines === undefined) this.#origins.set(origin, lines = { all: new Set(), idle: [] });
    let line = lines.idle.pop();
    if (line === undefined) lines.all.add(line = new Line(this, origin));
    return line.dispatch(options, exchange);
  }

  /** A line's request is over; its connection serves another. */
  freed(line: Line, origin: string): void {
    this.#origins.get(origin)?.idle.push(line);
  }

  /** A line has lost its connection. */
  remove(line: Line, origin: string): void {
    const lines = this.#origins.get(origin);
    if (!lines?.all.delete(line)) return;
    const index = lines.idle.lastIndexOf(line);
    if (index >= 0) lines.idle.splice(index, 1);
    if (lines.all.size === 0) this.#origins.delete(origin);
  }

  /** Closes the connections that no request uses. */
  closeIdle(): void {
    for (const line of this.#all) if (line.isIdle) line.connection?.socket.destroy();
  }

  /** Closes all connections, each when its request has come to an end. */
  async close(): Promise<void> {
    await Promise.all(this.#all.map((line) => line.close()));
  }

  get #all(): Line[] {
    return [...this.#origins.values()].flatMap(({ all }) => [...all]);
  }
}
