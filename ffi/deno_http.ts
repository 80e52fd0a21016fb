/**
 * Deno's own HTTP server.
 *
 * @module
 */
import type { Addr } from "../kernel/sockaddr.ts";
import type { HttpHost, HttpHostOptions, HttpHostServer, UpgradedWebSocket } from "./adapter.ts";

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

class RunningServer implements HttpHostServer {
  readonly #server: Server;
  readonly #stop: AbortController;

  constructor(server: Server, stop: AbortController) {
    this.#server = server;
    this.#stop = stop;
  }

  get port(): number {
    return this.#server.addr.port;
  }

  remoteAddr(_request: Request, source: unknown): Addr {
    const { hostname, port } = (source as Source).remoteAddr;
    return { transport: "tcp", hostname, port };
  }

  upgrade(): boolean {
    return false; // `upgradeWebSocket` does it
  }

  shutdown(): Promise<void> {
    return this.#server.shutdown();
  }

  close(): Promise<void> {
    this.#stop.abort();
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
    const server = this.#api.serve(
      { hostname, port, ...tls, signal: stop.signal, onListen() {}, onError: failed },
      handle as (request: Request, source: Source) => Response,
    );
    return new RunningServer(server, stop);
  }

  upgradeWebSocket(request: Request, options: { protocol?: string }): UpgradedWebSocket {
    return this.#api.upgradeWebSocket(request, options);
  }
}
