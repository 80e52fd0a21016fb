/**
 * Serving by the runtime's own HTTP server (Deno, Bun), with a listening socket of ours.
 *
 * The runtime's server begins on a port of loopback that nobody knows. There the takeover is tried in full: a first listener of
 * ours takes the place of the runtime's, and a request of our own must be answered over it. Only then the real listener takes
 * the same place in the same way; clients have waited in its queue meanwhile, and never meet a server that is not ready. If
 * anything fails, the runtime's server stays on loopback, and the connections are relayed to it.
 *
 * @module
 */
import process from "node:process";
import type { HttpHost, HttpHostClients, HttpHostServer, System } from "../../ffi/mod.ts";
import type { Addr } from "../../kernel/sockaddr.ts";
import { Arrivals } from "../../net/arrivals.ts";
import { Conn } from "../../net/conn.ts";
import { listenerOn, type ListeningSocket, openListeningSocket } from "../../net/listen.ts";
import type { Listener } from "../../net/listener.ts";
import type { Subflow } from "../../paths/connection.ts";
import { readText } from "../../paths/proc.ts";
import { AcceptedSockets, plainAddr } from "./accepted_sockets.ts";
import type { Answers } from "./answers.ts";
import type { Engine } from "./engine.ts";
import { askFirst } from "./first_request.ts";
import { type Origin, ServeInfo } from "./info.ts";
import type { ServeOptions } from "./options.ts";
import { Relay } from "./relay.ts";
import { ListenerPlace, type Means, Unsuitable } from "../../net/takeover.ts";
import { OpenSockets, UpgradeResponse } from "./web_socket.ts";

/** What the takeover is done with. Tests exchange a part, to see what becomes of a step that fails. */
export interface Steps extends Means {
  /** Sends the first request. */
  askFirst: typeof askFirst;
}

/** The way to an answer: none where the request became a WebSocket. */
type Handle = (request: Request, source: unknown) => Response | undefined | Promise<Response | undefined>;

const LOOPBACK = "127.0.0.1";

/**
 * Begins to serve.
 *
 * @param options Checked ones.
 * @throws As `openListeningSocket` does; and what the runtime throws, of a certificate for example.
 */
export async function serveByRuntime(
  system: System,
  http: HttpHost,
  answers: Answers,
  options: ServeOptions,
  steps: Steps = { libc: system.libc, readText, askFirst },
): Promise<Engine> {
  const listening = openListeningSocket(system.libc, options);
  let ours = true;
  let runtime: RuntimeServer | undefined;
  try {
    runtime = new RuntimeServer(http, options, answers);
    let reason: string;
    try {
      const place = await rehearse(runtime, options, steps);
      // From here to the handler nothing else runs: whoever is in the queue meets a server that is ready.
      place.put(listening.fd);
      return nativeEngine(runtime, new AcceptedSockets(steps, listening.addr), listening, options);
    } catch (error) {
      if (!(error instanceof Unsuitable)) throw error;
      reason = error.message;
    }
    await runtime.server.close();
    runtime = new RuntimeServer(http, options, answers);
    ours = false;
    const engine = portableEngine(runtime, system, listening, options, reason);
    announce(reason);
    return engine;
  } catch (error) {
    await runtime?.server.close();
    throw error;
  } finally {
    // In the native way the runtime has a descriptor of its own by now.
    if (ours) system.libc.close(listening.fd);
  }
}

/** What was announced: once is enough for a program that begins to serve again and again. */
const announced = new Set<string>();

/** Nobody looks at `server.mode` without a reason to, and the portable way costs half of the speed or more. */
function announce(reason: string): void {
  if (announced.has(reason)) return;
  announced.add(reason);
  const message = `serve relays its connections to the runtime's HTTP server, which is slower: ${reason}`;
  process.emitWarning(message, { type: "MptcpWarning", code: "MPTCP_SERVE_PORTABLE" });
}

/** The runtime's server, on loopback, with a handler that can be exchanged. */
class RuntimeServer {
  readonly server: HttpHostServer;
  /** Those WebSockets that the runtime does not close by itself. */
  readonly sockets: OpenSockets = new OpenSockets();
  readonly answers: Answers;
  readonly #upgrades: boolean;
  #handle: Handle = () => new Response(null, { status: 503 });

  constructor(http: HttpHost, { cert, key }: ServeOptions, answers: Answers) {
    this.answers = answers;
    this.#upgrades = http.upgradeWebSocket === null;
    this.server = http.serve({
      hostname: LOOPBACK,
      port: 0,
      cert,
      key,
      handle: (request, source) => this.#handle(request, source),
      failed: answers.failed,
    });
  }

  /** Exchanges the handler. */
  use(handle: Handle): void {
    if (!this.#upgrades) {
      this.#handle = handle;
      return;
    }
    this.#handle = (request, source) => {
      const response = handle(request, source);
      return response instanceof Promise
        ? response.then((response) => this.#upgrade(request, source, response))
        : this.#upgrade(request, source, response);
    };
  }

  #upgrade(request: Request, source: unknown, response: Response | undefined): Response | undefined {
    if (!(response instanceof UpgradeResponse)) return response;
    const { socket } = response;
    if (this.server.upgrade(request, source, socket.protocol, socket)) {
      this.sockets.add(socket);
      return undefined;
    }
    socket.closed(1006, "");
    return new Response("Bad Request", { status: 400 });
  }

  async shutdown(clients: HttpHostClients): Promise<void> {
    this.sockets.goAway();
    await this.server.shutdown(clients);
  }
}

/**
 * Tries the takeover with a listener of loopback.
 *
 * @returns The place for the real one.
 * @throws {Unsuitable} When it did not work.
 */
async function rehearse(runtime: RuntimeServer, options: ServeOptions, steps: Steps): Promise<ListenerPlace> {
  const place = ListenerPlace.find(steps, runtime.server.port);
  const { mptcp = "prefer" } = options;
  const trial = openListeningSocket(steps.libc, { hostname: LOOPBACK, port: 0, mptcp });
  try {
    place.put(trial.fd);
  } finally {
    steps.libc.close(trial.fd);
  }
  const word = crypto.randomUUID();
  runtime.use(({ url }) => url.endsWith(`/${word}`) ? new Response(word) : new Response(null, { status: 503 }));
  await steps.askFirst(trial.addr, word, options.cert !== undefined);
  return place;
}

/** Connections that the runtime has accepted. */
class NativeOrigin implements Origin {
  readonly #server: HttpHostServer;
  readonly #sockets: AcceptedSockets;

  constructor(server: HttpHostServer, sockets: AcceptedSockets) {
    this.#server = server;
    this.#sockets = sockets;
  }

  remoteAddr(request: Request, source: unknown): Addr {
    return plainAddr(this.#server.remoteAddr(request, source));
  }

  isMultipath(remote: Addr): boolean {
    return this.#sockets.isMultipath(remote);
  }

  subflows(remote: Addr): Subflow[] {
    return this.#sockets.subflows(remote);
  }
}

function nativeEngine(
  runtime: RuntimeServer,
  sockets: AcceptedSockets,
  listening: ListeningSocket,
  options: ServeOptions,
): Engine {
  const { addr, refused } = listening;
  const origin = new NativeOrigin(runtime.server, sockets);
  const { answer } = runtime.answers;
  runtime.use((request, source) => answer(request, new ServeInfo(origin, request, source)));
  return {
    addr,
    refused,
    mptcp: isMptcpListener(listening, options),
    mode: "native",
    reason: null,
    shutdown: () => runtime.shutdown(sockets),
    close: () => runtime.server.close(),
    setRef: (ref) => runtime.server.setRef(ref),
  };
}

/** Starts the relay. `listening` is the relay's from the call on. */
function portableEngine(
  runtime: RuntimeServer,
  system: System,
  listening: ListeningSocket,
  options: ServeOptions,
  reason: string,
): Engine {
  const { addr, refused } = listening;
  const { server, answers: { answer } } = runtime;
  const arrivals = new Arrivals(options);
  let listener: Listener;
  try {
    listener = listenerOn(system, listening, options, (channel, origin) => new Conn(channel, origin), arrivals);
  } catch (error) {
    arrivals.close();
    throw error;
  }
  const relay = new Relay(listener, { hostname: LOOPBACK, port: server.port });
  runtime.use((request, source) => {
    const conn = relay.connOf(server.remoteAddr(request, source).port);
    // Somebody on this host who found the port.
    if (conn === undefined) return new Response("Forbidden", { status: 403 });
    return answer(request, new ServeInfo(relay, request, conn));
  });
  return {
    addr,
    refused,
    mptcp: isMptcpListener(listening, options),
    mode: "portable",
    reason,
    async shutdown() {
      listener.close();
      await runtime.shutdown(relay);
      await relay.finished();
    },
    async close() {
      relay.close();
      await server.close();
    },
    setRef(ref) {
      relay.setRef(ref);
      server.setRef(ref);
    },
  };
}

const isMptcpListener = ({ refused }: ListeningSocket, { mptcp }: ServeOptions): boolean =>
  mptcp !== "off" && refused === null;
