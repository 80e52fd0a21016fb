/**
 * The server's side of WebSockets on Node, by the package `ws`. It is loaded with the first one.
 *
 * @module
 */
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { WebSocketPeer } from "../../ffi/mod.ts";
import { FAREWELL, type ServedWebSocket } from "./web_socket.ts";

/** The parts of a socket of `ws` in use here. */
interface WsSocket {
  binaryType: string;
  readonly bufferedAmount: number;
  send(data: string | Uint8Array): void;
  close(code?: number, reason?: string): void;
  on(event: "message", listener: (data: Uint8Array, isBinary: boolean) => void): void;
  on(event: "close", listener: (code: number, reason: Uint8Array) => void): void;
  on(event: "error", listener: () => void): void;
}

/** The parts of `ws` in use here. */
interface Ws {
  WebSocketServer: new (options: {
    noServer: true;
    clientTracking: false;
    closeTimeout: number;
    handleProtocols(): string | false;
  }) => {
    handleUpgrade(message: IncomingMessage, socket: Duplex, head: Uint8Array, done: (socket: WsSocket) => void): void;
  };
}

class Peer implements WebSocketPeer {
  readonly #socket: WsSocket;

  constructor(socket: WsSocket) {
    this.#socket = socket;
  }

  get bufferedAmount(): number {
    return this.#socket.bufferedAmount;
  }

  send(data: string | Uint8Array): void {
    this.#socket.send(data);
  }

  close(code?: number, reason?: string): void {
    this.#socket.close(code, reason);
  }
}

/**
 * Does the handshake, and tells the owner what becomes of it.
 *
 * @throws When `ws` is not installed.
 */
export async function acceptWebSocket(
  message: IncomingMessage,
  socket: Duplex,
  head: Uint8Array,
  owner: ServedWebSocket,
): Promise<void> {
  const { WebSocketServer } = await import("ws") as unknown as Ws;
  const server = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    closeTimeout: FAREWELL,
    handleProtocols: () => owner.protocol === "" ? false : owner.protocol,
  });
  let opened = false;
  // A handshake that it refuses, it answers itself; then the socket's end is all that is told.
  socket.once("close", () => opened || owner.closed(1006, ""));
  server.handleUpgrade(message, socket, head, (peer) => {
    opened = true;
    peer.on("message", (data, isBinary) => owner.message(isBinary ? data : new TextDecoder().decode(data)));
    peer.on("close", (code, reason) => owner.closed(code, new TextDecoder().decode(reason)));
    peer.on("error", () => {}); // `close` follows, with the code
    owner.opened(new Peer(peer));
  });
}
