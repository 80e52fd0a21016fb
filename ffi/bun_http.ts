/**
 * Bun's own HTTP server.
 *
 * @module
 */
import type { Addr } from "../kernel/sockaddr.ts";
import type {
  HttpHost,
  HttpHostClients,
  HttpHostOptions,
  HttpHostServer,
  WebSocketOwner,
  WebSocketPeer,
} from "./adapter.ts";

/** The parts of a server's WebSocket in use here. */
interface BunWebSocket {
  readonly data: WebSocketOwner;
  send(data: string | Uint8Array): number;
  close(code?: number, reason?: string): void;
  terminate(): void;
  getBufferedAmount(): number;
}

/** The parts of a running server in use here. */
interface Server {
  readonly port: number;
  /** Requests that are not answered to the end. */
  readonly pendingRequests: number;
  readonly pendingWebSockets: number;
  requestIP(request: Request): { address: string; port: number } | null;
  upgrade(request: Request, options: { data: WebSocketOwner; headers: Record<string, string> }): boolean;
  stop(closeActiveConnections?: boolean): Promise<void>;
  ref(): void;
  unref(): void;
}

/** The parts of the runtime's namespace in use here. */
export interface BunHttpApi {
  serve(options: {
    hostname: string;
    port: number;
    tls?: { cert: string; key: string };
    development: false;
    idleTimeout: number;
    maxRequestBodySize: number;
    fetch(request: Request, server: Server): Response | undefined | Promise<Response | undefined>;
    error(error: unknown): Response | Promise<Response>;
    websocket: {
      backpressureLimit: number;
      open(socket: BunWebSocket): void;
      message(socket: BunWebSocket, data: string | Uint8Array): void;
      close(socket: BunWebSocket, code: number, reason: string): void;
    };
  }): Server;
}

/** Of bytes that a WebSocket's client has not taken yet. Beyond its limit (16 MB by default) Bun throws messages away. */
const NO_LIMIT = 0xffff_ffff;
/** How often a server that is to end is asked whether the last request is answered: Bun has no event for it. ms */
const ASK_EVERY = 5;
/** After how many times the clients are looked for. */
const LOOK_EVERY = 20;
/** How long clients may take to agree to the end of their WebSockets, ms. */
const FAREWELL = 2000;

class Peer implements WebSocketPeer {
  readonly #socket: BunWebSocket;

  constructor(socket: BunWebSocket) {
    this.#socket = socket;
  }

  get bufferedAmount(): number {
    return this.#socket.getBufferedAmount();
  }

  send(data: string | Uint8Array): void {
    // 0: Bun has thrown the message away. Nobody shall take what comes after it for all.
    if (this.#socket.send(data) === 0 && data.length > 0) this.#socket.terminate();
  }

  close(code?: number, reason?: string): void {
    this.#socket.close(code, reason);
  }
}

class RunningServer implements HttpHostServer {
  readonly #server: Server;

  constructor(server: Server) {
    this.#server = server;
  }

  get port(): number {
    return this.#server.port;
  }

  remoteAddr(request: Request, _source: unknown): Addr {
    const { address, port } = this.#server.requestIP(request) ?? { address: "", port: 0 };
    return { transport: "tcp", hostname: address, port };
  }

  upgrade(request: Request, _source: unknown, protocol: string, owner: WebSocketOwner): boolean {
    const headers: Record<string, string> = protocol === "" ? {} : { "Sec-WebSocket-Protocol": protocol };
    return this.#server.upgrade(request, { data: owner, headers });
  }

  /**
   * Bun's own way waits for ever for a client that sent half a request, or none. And it may go on counting a request whose
   * client has reset the connection in the middle of a large response: so the clients count, too.
   */
  async shutdown(clients: HttpHostClients): Promise<void> {
    const server = this.#server;
    server.stop();
    const late = Date.now() + FAREWELL;
    for (let turn = 1;; turn++) {
      if (server.pendingRequests === 0 && (server.pendingWebSockets === 0 || Date.now() > late)) break;
      if (turn % LOOK_EVERY === 0 && !clients.any) break;
      await new Promise((resolve) => setTimeout(resolve, ASK_EVERY));
    }
    await this.close();
  }

  async close(): Promise<void> {
    await this.#server.stop(true);
  }

  setRef(ref: boolean): void {
    ref ? this.#server.ref() : this.#server.unref();
  }
}

/** See the module's comment. */
export class BunHttp implements HttpHost {
  readonly #api: BunHttpApi;
  readonly upgradeWebSocket = null;

  /** @param api The runtime's namespace. */
  constructor(api: BunHttpApi) {
    this.#api = api;
  }

  serve({ hostname, port, cert, key, handle, failed }: HttpHostOptions): HttpHostServer {
    return new RunningServer(this.#api.serve({
      hostname,
      port,
      ...(cert === undefined || key === undefined ? {} : { tls: { cert, key } }),
      development: false,
      // As on the other runtimes: a handler takes the time that it needs, and a body has the size that it has.
      idleTimeout: 0,
      maxRequestBodySize: Number.MAX_SAFE_INTEGER,
      fetch: handle,
      error: failed,
      websocket: {
        backpressureLimit: NO_LIMIT,
        open: (socket) => socket.data.opened(new Peer(socket)),
        message: (socket, data) => socket.data.message(data),
        close: (socket, code, reason) => socket.data.closed(code, reason),
      },
    }));
  }
}
