/**
 * Serving by `node:http`: Node's own way, which takes our listening socket as it is; and the way of hosts without FFI, where
 * there is plain TCP only.
 *
 * @module
 */
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, ServerResponse } from "node:http";
import { createSecureServer, type ServerHttp2Session } from "node:http2";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import { fromNodeError, runtime, type System, unsupportedReason } from "../../ffi/mod.ts";
import { MptcpError } from "../../kernel/error.ts";
import type { Addr } from "../../kernel/sockaddr.ts";
import { unsupportedFallback } from "../../net/fallback.ts";
import { listenAddress, openListeningSocket } from "../../net/listen.ts";
import { isMptcp, plainSubflow, type Subflow, subflows } from "../../paths/connection.ts";
import { hostPort } from "../../kernel/error.ts";
import { plainAddr } from "./accepted_sockets.ts";
import type { Answers } from "./answers.ts";
import type { Engine } from "./engine.ts";
import { type Origin, ServeInfo } from "./info.ts";
import { type Exchange, ServedRequest } from "./node_request.ts";
import { send } from "./node_response.ts";
import { acceptWebSocket } from "./node_web_socket.ts";
import type { ServeOptions } from "./options.ts";
import { OpenSockets, UpgradeResponse } from "./web_socket.ts";

const BACKLOG = 511;

/** What this file keeps at a socket: the response that was begun last. */
const CURRENT = Symbol("current response");

type KnownSocket = Socket & { [CURRENT]?: ServerResponse };

/** Where connections come from that have an owner elsewhere. */
function originOf(system: System | null): Origin {
  const descriptor = (socket: unknown) => system === null ? -1 : system.loop.descriptorOf(socket as Socket);
  return {
    remoteAddr: (_request, source) => addressOf(source as Socket),
    isMultipath(_remote, source) {
      const fd = descriptor(source);
      return fd >= 0 && isMptcp(fd);
    },
    subflows(remote, source): Subflow[] {
      const socket = source as Socket;
      const fd = descriptor(source);
      if (fd >= 0) return subflows(fd);
      if (system !== null || socket.destroyed) return [];
      const { localAddress = "", localPort = 0 } = socket;
      return [plainSubflow(plainAddr({ transport: "tcp", hostname: localAddress, port: localPort }), remote)];
    },
  };
}

function addressOf({ remoteAddress = "", remotePort = 0 }: Socket): Addr {
  return plainAddr({ transport: "tcp", hostname: remoteAddress, port: remotePort });
}

/** A server of `node:http` that answers by a handler. */
class NodeServer {
  readonly server: Server;
  readonly #scheme: "http://" | "https://";
  readonly #answers: Answers;
  readonly #origin: Origin;
  /** All connections, those of TLS also under their encrypted side. */
  readonly #connections = new Set<KnownSocket>();
  readonly #sessions = new Set<ServerHttp2Session>();
  readonly #webSockets = new OpenSockets();
  #ending = false;
  /** The authority that was seen last, and what became of it: clients of one server agree, mostly. */
  #host = "";
  #base = "";

  constructor(answers: Answers, origin: Origin, { cert, key }: ServeOptions) {
    this.#answers = answers;
    this.#origin = origin;
    const tls = cert !== undefined && key !== undefined;
    this.#scheme = tls ? "https://" : "http://";
    const options = {
      requestTimeout: 0, // a large upload takes its time
      headersTimeout: 60_000, // a head does not
      shouldUpgradeCallback: ({ headers }: IncomingMessage) => headers.upgrade?.toLowerCase() === "websocket",
    };
    if (!tls) this.server = createServer(options);
    else if (runtime !== "node") this.server = createTlsServer({ ...options, cert, key });
    else this.server = createSecureServer({ ...options, cert, key, allowHTTP1: true }) as unknown as Server;
    this.server.on("session", (session: ServerHttp2Session) => {
      this.#sessions.add(session);
      session.once("close", () => this.#sessions.delete(session));
      if (this.#ending) session.close();
    });
    this.server.on("request", (message: IncomingMessage, to: ServerResponse) => this.#request(message, to));
    this.server.on("upgrade", (message: IncomingMessage, socket: Socket, head: Uint8Array) => {
      this.#upgrade(message, socket, head);
    });
    for (const event of ["connection", "secureConnection"]) {
      this.server.on(event, (socket: KnownSocket) => {
        this.#connections.add(socket);
        socket.once("close", () => this.#connections.delete(socket));
      });
    }
  }

  #request(message: IncomingMessage, to: ServerResponse): void {
    const { socket } = message;
    if (message.httpVersionMajor === 1) (socket as KnownSocket)[CURRENT] = to;
    const request = this.#requestOf(message, to);
    if (request === null) return this.#send(new Response(null, { status: 400 }), to);
    const response = this.#answers.answer(request, new ServeInfo(this.#origin, request, socket));
    if (response instanceof Promise) response.then((response) => this.#send(response, to));
    else this.#send(response, to);
  }

  /** `null` when the request names no place. */
  #requestOf(message: IncomingMessage, exchange: Exchange): Request | null {
    const target = message.url!;
    const { headers, socket } = message;
    const host = headers.host ?? headers[":authority"] as string | undefined ??
      hostPort(
        plainAddr({ transport: "tcp", hostname: socket.localAddress ?? "", port: 0 }).hostname,
        socket.localPort ?? 0,
      );
    if (host !== this.#host) {
      const base = `${this.#scheme}${host}`;
      if (!/^[^\s/\\?#@]+$/.test(host) || !URL.canParse(base)) return null;
      this.#host = host;
      this.#base = base;
    }
    if (target.startsWith("/")) return made(message, exchange, this.#base, target);
    if (target === "*") return made(message, exchange, this.#base, "/*");
    // As for a proxy: the target says it all (RFC 9112, 3.2.2).
    return /^https?:\/\//i.test(target) && URL.canParse(target) ? made(message, exchange, "", target) : null;
  }

  #send(response: Response, to: ServerResponse, again = false): void {
    if (this.#ending) to.shouldKeepAlive = false;
    const fail = (error: unknown) => {
      // Once the head is out, only the connection's end can say that something is wrong.
      if (to.headersSent || again) return void to.destroy();
      const answer = this.#answers.failed(error);
      if (answer instanceof Promise) answer.then((answer) => this.#send(answer, to, true));
      else this.#send(answer, to, true);
    };
    try {
      const sending = send(response, to);
      if (sending !== undefined) sending.catch(fail);
    } catch (error) {
      fail(error);
    }
  }

  /** A request for a WebSocket. What comes from here on over the socket is ours to answer. */
  async #upgrade(message: IncomingMessage, socket: Socket, head: Uint8Array): Promise<void> {
    socket.on("error", () => {});
    const request = this.#requestOf(message, socket);
    const response = request === null
      ? new Response(null, { status: 400 })
      : await this.#answers.answer(request, new ServeInfo(this.#origin, request, socket));
    if (response instanceof UpgradeResponse) {
      try {
        this.#webSockets.add(response.socket);
        return await acceptWebSocket(message, socket, head, response.socket);
      } catch (error) {
        response.socket.closed(1006, "");
        return this.#refuse(await this.#answers.failed(error), message, socket);
      }
    }
    this.#refuse(response, message, socket);
  }

  /** Answers by an ordinary response after all, and ends the connection. */
  #refuse(response: Response, message: IncomingMessage, socket: Socket): void {
    const to = new ServerResponse(message);
    to.assignSocket(socket);
    (socket as KnownSocket)[CURRENT] = to;
    to.shouldKeepAlive = false;
    socket.once("close", () => to.destroy());
    to.once("finish", () => socket.destroySoon());
    socket.resume();
    this.#send(response, to);
  }

  /** Waits for requests under way; idle connections, and those with half a request, are closed. */
  async shutdown(): Promise<void> {
    this.#ending = true;
    const closed = new Promise<void>((resolve) => this.server.close(() => resolve()));
    await this.#webSockets.gone();
    const sessions = [...this.#sessions].map((session) => new Promise<void>((resolve) => session.close(resolve)));
    await Promise.all([...sessions, ...[...this.#connections].map(answered)]);
    this.#cut();
    await closed;
  }

  async close(): Promise<void> {
    this.#ending = true;
    const closed = new Promise<void>((resolve) => this.server.close(() => resolve()));
    this.#cut();
    await closed;
  }

  #cut(): void {
    for (const socket of this.#connections) socket.destroy();
  }

  setRef(ref: boolean): void {
    ref ? this.server.ref() : this.server.unref();
  }
}

function made(message: IncomingMessage, exchange: Exchange, base: string, target: string): Request {
  return new ServedRequest(message, exchange, base, target) as unknown as Request;
}

/** Waits until the last response that was begun on a connection is out. */
async function answered(socket: KnownSocket): Promise<void> {
  const current = socket[CURRENT];
  if (current === undefined || current.writableFinished || current.destroyed || socket.destroyed) return;
  await new Promise((resolve) => {
    current.once("close", resolve);
    socket.once("close", resolve);
  });
}

/**
 * Begins to serve.
 *
 * @param system `null` on a host without FFI.
 * @param options Checked ones.
 */
export async function serveByNode(system: System | null, answers: Answers, options: ServeOptions): Promise<Engine> {
  const node = new NodeServer(answers, originOf(system), options); // first: it may refuse the certificate
  const { server } = node;
  const { port, backlog = BACKLOG, ipv6Only = false, reusePort = false } = options;
  const common = {
    shutdown: () => node.shutdown(),
    close: () => node.close(),
    setRef: (ref: boolean) => node.setRef(ref),
  };
  const wanted = options.mptcp !== "off";
  if (system !== null) {
    const { fd, addr, refused } = openListeningSocket(system.libc, options);
    (server.listen as (...target: unknown[]) => unknown).apply(server, system.loop.listenArguments(fd, backlog));
    await listening(server, addr);
    return { ...common, addr, refused, mptcp: wanted && refused === null, mode: "native", reason: null };
  }
  const refused = wanted ? unsupportedFallback(unsupportedReason() ?? "no FFI") : null;
  if (refused !== null && options.mptcp === "require") {
    throw new MptcpError(refused.code, `Cannot make an MPTCP socket: ${refused.message}`, { syscall: "socket" });
  }
  const host = listenAddress(options.hostname);
  server.listen({ host, port, backlog, ipv6Only, reusePort, exclusive: true });
  await listening(server, { transport: "tcp", hostname: host, port });
  const bound = server.address() as AddressInfo;
  const addr: Addr = { transport: "tcp", hostname: bound.address, port: bound.port };
  return runtime === "node"
    ? { ...common, addr, refused, mptcp: false, mode: "native", reason: null }
    : { ...common, addr, refused, mptcp: false, mode: "portable", reason: unsupportedReason() };
}

async function listening(server: Server, { hostname, port }: Addr): Promise<void> {
  try {
    await once(server, "listening");
  } catch (error) {
    throw fromNodeError(error, "listen", hostname, port);
  }
}
