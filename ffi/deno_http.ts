/**
 * Deno's own HTTP server.
 *
 * @module
 */
import type { Addr } from "../kernel/sockaddr.ts";
import type { HttpHost, HttpHostClients, HttpHostOptions, HttpHostServer, UpgradedWebSocket } from "./adapter.ts";

/** The parts of a running server in use here. */
interface Server {
  readonly addr: { port: number };
  readonly finished: Promise<void>;
  shutdown(): Promise<void>;
  ref(): void;
  unref(): void;
}

/** What comes with a request. */
interface Source {
  readonly remoteAddr: { hostname: string; port: number };
  /** Settled when the response is sent, or the client gone. */
  readonly completed: Promise<void>;
}

/** The parts of the runtime's namespace in use here. */
export interface DenoHttpApi {
  serve(
    options: {
      hostname: string;
      port: number;
      cert?: string;
      key?: string;
      signal: AbortSignal;
      onListen(): void;
      onError(error: unknown): Response | Promise<Response>;
    },
    // It answers an upgraded request by a response of its own.
    handler: (request: Request, source: Source) => Response | Promise<Response>,
  ): Server;
  upgradeWebSocket(request: Request, options: { protocol?: string }): UpgradedWebSocket;
}

/** How long clients may take with a handshake when the server ends, and how often it is asked whether they still do. ms */
const FAREWELL = 1000;
const ASK_EVERY = 20;

/** Requests that are not answered to the end. */
class Pending {
  count = 0;

  /** The same handler, counted. */
  counting(handle: HttpHostOptions["handle"]): HttpHostOptions["handle"] {
    const over = () => void this.count--;
    return (request, source) => {
      this.count++;
      (source as Source).completed.then(over, over);
      return handle(request, source);
    };
  }
}

class RunningServer implements HttpHostServer {
  readonly #server: Server;
  readonly #stop: AbortController;
  readonly #pending: Pending | null;
  /** The clients of the server, once it is shutting down. */
  #ending: HttpHostClients | null = null;

  /** @param pending Only with TLS. */
  constructor(server: Server, stop: AbortController, pending: Pending | null) {
    this.#server = server;
    this.#stop = stop;
    this.#pending = pending;
  }

  get port(): number {
    return this.#server.addr.port;
  }

  remoteAddr(_request: Request, source: unknown): Addr {
    try {
      const { hostname, port } = (source as Source).remoteAddr;
      return { transport: "tcp", hostname, port };
    } catch (error) {
      // The request is answered, or its client gone: as on Bun, nobody can be named any more.
      if (error instanceof TypeError) return { transport: "tcp", hostname: "", port: 0 };
      throw error;
    }
  }

  upgrade(): boolean {
    return false; // `upgradeWebSocket` does it
  }

  /** Deno's own way waits for ever for a client that does not go on with its TLS handshake. */
  async shutdown(clients: HttpHostClients): Promise<void> {
    this.#ending = clients;
    let over = false;
    const ending = this.#server.shutdown().finally(() => over = true);
    if (this.#pending === null) return await ending;
    const late = Date.now() + FAREWELL;
    while (!over && (this.#pending.count > 0 || Date.now() < late)) {
      let timer: ReturnType<typeof setTimeout> | undefined;
      await Promise.race([ending, new Promise((resolve) => timer = setTimeout(resolve, ASK_EVERY))]);
      clearTimeout(timer);
    }
    if (!over) clients.cut();
    await ending;
  }

  close(): Promise<void> {
    // A server that is ending already cannot be aborted.
    if (this.#ending === null) this.#stop.abort();
    else this.#ending.cut();
    return this.#server.finished;
  }

  setRef(ref: boolean): void {
    ref ? this.#server.ref() : this.#server.unref();
  }
}

/** See the module's comment. */
export class DenoHttp implements HttpHost {
  readonly #api: DenoHttpApi;

  /** @param api The runtime's namespace. */
  constructor(api: DenoHttpApi) {
    this.#api = api;
  }

  serve({ hostname, port, cert, key, handle, failed }: HttpHostOptions): HttpHostServer {
    const stop = new AbortController();
    const tls = cert === undefined || key === undefined ? {} : { cert, key };
    const pending = cert === undefined ? null : new Pending();
    const server = this.#api.serve(
      { hostname, port, ...tls, signal: stop.signal, onListen() {}, onError: failed },
      (pending?.counting(handle) ?? handle) as (request: Request, source: Source) => Response,
    );
    return new RunningServer(server, stop, pending);
  }

  upgradeWebSocket(request: Request, options: { protocol?: string }): UpgradedWebSocket {
    return this.#api.upgradeWebSocket(request, options);
  }
}
