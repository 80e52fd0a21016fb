/**
 * WebSockets on the server's side, on all three runtimes.
 *
 * @module
 */
import { system, type UpgradedWebSocket, type WebSocketOwner, type WebSocketPeer } from "../../ffi/mod.ts";
import { ServedRequest } from "./node_request.ts";

/** Options of `upgradeWebSocket`. */
export interface UpgradeWebSocketOptions {
  /**
   * The subprotocol that the server has chosen of those that the client offers.
   *
   * @default {undefined} none
   */
  protocol?: string;
}

/** How long the clients have to close their WebSockets when the server ends, ms. */
export const FAREWELL = 2000;

const TYPES = ["open", "message", "close", "error"] as const;

type Listener = ((event: Event) => unknown) | null;

/**
 * A `WebSocket`, for runtimes whose own is for clients only. It is the browser's, with two differences: `send` takes no `Blob`,
 * and there are no extensions.
 */
export class ServedWebSocket extends EventTarget implements WebSocketOwner {
  readonly CONNECTING = 0;
  readonly OPEN = 1;
  readonly CLOSING = 2;
  readonly CLOSED = 3;
  readonly url: string;
  readonly protocol: string;
  readonly extensions = "";
  binaryType: "blob" | "arraybuffer" = "blob";
  readonly #listeners = new Map<string, Listener>();
  #peer: WebSocketPeer | null = null;
  #state: 0 | 1 | 2 | 3 = 0;
  #closing: [code: number | undefined, reason: string | undefined] | null = null;
  /** Whether the peer is being told to close. */
  #telling = false;

  constructor(url: string, protocol: string) {
    super();
    this.url = url;
    this.protocol = protocol;
  }

  get readyState(): number {
    return this.#state;
  }

  get bufferedAmount(): number {
    return this.#peer?.bufferedAmount ?? 0;
  }

  send(data: string | ArrayBuffer | ArrayBufferView): void {
    if (this.#state === 0) throw new DOMException("Cannot send: the WebSocket is not open yet", "InvalidStateError");
    if (typeof data !== "string" && !(data instanceof ArrayBuffer) && !ArrayBuffer.isView(data)) {
      throw new TypeError("Cannot send: a string, an ArrayBuffer or a view of one is needed");
    }
    if (this.#state !== 1) return;
    this.#peer!.send(typeof data === "string" ? data : bytesOf(data));
  }

  close(code?: number, reason?: string): void {
    if (code !== undefined && code !== 1000 && !(code >= 3000 && code <= 4999)) {
      throw new DOMException(`Cannot close with ${code}: it must be 1000, or from 3000 to 4999`, "InvalidAccessError");
    }
    if (reason !== undefined && new TextEncoder().encode(reason).length > 123) {
      throw new DOMException("Cannot close: the reason has more than 123 bytes", "SyntaxError");
    }
    this.#close(code, reason);
  }

  /** Closes it because the server ends. */
  goAway(): void {
    this.#close(1001);
  }

  #close(code?: number, reason?: string): void {
    if (this.#state > 1) return;
    this.#closing = [code, reason];
    this.#state = 2;
    this.#telling = true;
    this.#peer?.close(code, reason);
    this.#telling = false;
  }

  opened(peer: WebSocketPeer): void {
    this.#peer = peer;
    if (this.#closing) return peer.close(...this.#closing);
    this.#state = 1;
    this.dispatchEvent(new Event("open"));
  }

  message(data: string | Uint8Array): void {
    if (this.#state !== 1) return;
    const own = typeof data === "string" ? data : new Uint8Array(data).buffer; // a copy, though it be a Buffer
    const value = typeof own === "string" || this.binaryType === "arraybuffer" ? own : new Blob([own]);
    this.dispatchEvent(new MessageEvent("message", { data: value }));
  }

  closed(code: number, reason: string): void {
    if (this.#state === 3) return;
    // Bun tells of the end while it is asked for it; nobody expects events in the middle of a call.
    if (this.#telling) return queueMicrotask(() => this.closed(code, reason));
    this.#state = 3;
    this.#peer = null;
    const wasClean = code !== 1006;
    if (!wasClean) this.dispatchEvent(new Event("error"));
    this.dispatchEvent(new CloseEvent("close", { code, reason, wasClean }));
  }

  get onopen(): Listener {
    return this.#on("open");
  }
  set onopen(listener: Listener) {
    this.#set("open", listener);
  }
  get onmessage(): Listener {
    return this.#on("message");
  }
  set onmessage(listener: Listener) {
    this.#set("message", listener);
  }
  get onclose(): Listener {
    return this.#on("close");
  }
  set onclose(listener: Listener) {
    this.#set("close", listener);
  }
  get onerror(): Listener {
    return this.#on("error");
  }
  set onerror(listener: Listener) {
    this.#set("error", listener);
  }

  #on(type: typeof TYPES[number]): Listener {
    return this.#listeners.get(type) ?? null;
  }

  #set(type: typeof TYPES[number], listener: Listener): void {
    // One listener for all time, as the order among the others is that of the first assignment.
    if (!this.#listeners.has(type)) {
      this.addEventListener(type, (event) => this.#listeners.get(type)?.call(this, event as Event));
    }
    this.#listeners.set(type, typeof listener === "function" ? listener : null);
  }
}

function bytesOf(data: ArrayBuffer | ArrayBufferView): Uint8Array {
  return data instanceof ArrayBuffer ? new Uint8Array(data) : new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

/** What a handler gives for a request that becomes a WebSocket. It is never sent as it is. */
export class UpgradeResponse extends Response {
  readonly #socket: ServedWebSocket;

  constructor(socket: ServedWebSocket) {
    super(null);
    this.#socket = socket;
  }

  get socket(): ServedWebSocket {
    return this.#socket;
  }

  override get status(): number {
    return 101;
  }

  override get statusText(): string {
    return "Switching Protocols";
  }

  override get ok(): boolean {
    return false;
  }
}

/** The open WebSockets of a server. */
export class OpenSockets {
  readonly #sockets = new Set<ServedWebSocket>();

  /** Keeps a socket until it is closed. */
  add(socket: ServedWebSocket): void {
    this.#sockets.add(socket);
    socket.addEventListener("close", () => this.#sockets.delete(socket), { once: true });
  }

  /** Closes all. */
  goAway(): void {
    for (const socket of this.#sockets) socket.goAway();
  }

  /** Closes all; done when the clients have agreed, or did not do so in time. */
  async gone(): Promise<void> {
    this.goAway();
    const closed = [...this.#sockets].map((socket) => {
      return new Promise((resolve) => socket.addEventListener("close", resolve, { once: true }));
    });
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise((resolve) => timer = setTimeout(resolve, FAREWELL));
    await Promise.race([Promise.all(closed), late]);
    clearTimeout(timer);
  }
}

/**
 * Makes a WebSocket of a request that asks for one. The handler must give the `response` back; the socket opens then.
 *
 * The socket is Deno's own on Deno, else one with the same members. When the server ends, it is closed with 1001.
 *
 * @throws {TypeError} When the request asks for no WebSocket.
 *
 * @example Echo
 * ```ts
 * import { serve, upgradeWebSocket } from "@mptcp/mptcp/http";
 *
 * await using server = await serve((request) => {
 *   const { socket, response } = upgradeWebSocket(request);
 *   socket.onmessage = ({ data }) => socket.send(data);
 *   return response;
 * }, { hostname: "127.0.0.1", port: 0 });
 *
 * const socket = new WebSocket(`ws://127.0.0.1:${server.addr.port}/`);
 * const answer = new Promise((resolve) => socket.onmessage = ({ data }) => resolve(data));
 * socket.onopen = () => socket.send("hello");
 * console.log(await answer);
 * ```
 */
export function upgradeWebSocket(request: Request, options: UpgradeWebSocketOptions = {}): UpgradedWebSocket {
  const { protocol } = options;
  const { headers } = request;
  const words = (name: string) => (headers.get(name) ?? "").toLowerCase().split(",").map((word) => word.trim());
  if (request.method !== "GET" || !words("upgrade").includes("websocket") || !words("connection").includes("upgrade")) {
    throw new TypeError("Cannot upgrade: the request does not ask for a WebSocket");
  }
  if (
    protocol !== undefined &&
    !(headers.get("sec-websocket-protocol") ?? "").split(",").some((each) => each.trim() === protocol)
  ) {
    throw new TypeError(`Cannot upgrade: the client does not offer the subprotocol ${JSON.stringify(protocol)}`);
  }
  const http = request instanceof ServedRequest ? null : system()?.http;
  if (http?.upgradeWebSocket) return http.upgradeWebSocket(request, protocol === undefined ? {} : { protocol });
  const socket = new ServedWebSocket(request.url.replace(/^http/, "ws"), protocol ?? "");
  return { socket: socket as unknown as WebSocket, response: new UpgradeResponse(socket) };
}
