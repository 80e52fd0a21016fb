/** The client's side of a WebSocket, frame by frame, right or wrong as the test wants it. */
import type { HttpServer } from "../../http/serve.ts";
import type { ConnectOptions } from "@mptcp/mptcp";
import { utf8 } from "../net/pair.ts";
import { RawClient, type RawResponse } from "./raw_client.ts";

export const CONTINUATION = 0, TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10;

/** One frame, as it came. */
export interface Frame {
  opcode: number;
  fin: boolean;
  bytes: Uint8Array;
  /** The bytes as text. */
  text: string;
  /** Of a close frame; 1005 where it has none. */
  code: number;
}

/** How a frame is to be sent. */
export interface FrameOptions {
  /** Whether it is the message's last. @default {true} */
  fin?: boolean;
  /** Whether it is masked, as a client's must be. @default {true} */
  masked?: boolean;
}

/** A frame's bytes. */
export function frame(
  opcode: number,
  payload: string | Uint8Array,
  { fin = true, masked = true }: FrameOptions = {},
): Uint8Array {
  const data = typeof payload === "string" ? utf8(payload) : payload;
  const { length } = data;
  const extra = length < 126 ? 0 : length < 65536 ? 2 : 8;
  const at = 2 + extra;
  const bytes = new Uint8Array(at + (masked ? 4 : 0) + length);
  const view = new DataView(bytes.buffer);
  bytes[0] = (fin ? 0x80 : 0) | opcode;
  bytes[1] = (masked ? 0x80 : 0) | (extra === 0 ? length : extra === 2 ? 126 : 127);
  if (extra === 2) view.setUint16(2, length);
  if (extra === 8) view.setBigUint64(2, BigInt(length));
  if (!masked) {
    bytes.set(data, at);
    return bytes;
  }
  const mask = [0x12, 0x34, 0x56, 0x78];
  bytes.set(mask, at);
  for (let index = 0; index < length; index++) bytes[at + 4 + index] = data[index]! ^ mask[index & 3]!;
  return bytes;
}

/** What a close frame carries. */
export function closing(code: number, reason = ""): Uint8Array {
  return Uint8Array.of(code >> 8, code & 255, ...utf8(reason));
}

/** The head of a request for a WebSocket, with the example key of RFC 6455. */
export function handshake(path: string, headers: readonly string[] = []): string {
  return [
    `GET ${path} HTTP/1.1`,
    "Host: test",
    "Upgrade: websocket",
    "Connection: keep-alive, Upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
    ...headers,
    "",
    "",
  ].join("\r\n");
}

/** What a server must answer to that key. */
export const ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/** See the module's comment. */
export class RawWebSocket implements Disposable {
  readonly client: RawClient;
  /** What the server answered to the handshake. */
  readonly answer: RawResponse;

  constructor(client: RawClient, answer: RawResponse) {
    this.client = client;
    this.answer = answer;
  }

  /** Opens one. */
  static async open(server: HttpServer, path = "/", options: Partial<ConnectOptions> = {}): Promise<RawWebSocket> {
    return await RawWebSocket.over(await RawClient.open(server, { mptcp: "require", ...options }), path);
  }

  /** Opens one on a connection. */
  static async over(client: RawClient, path = "/", headers: readonly string[] = []): Promise<RawWebSocket> {
    await client.send(handshake(path, headers));
    const answer = await client.head();
    if (answer.status !== 101) throw new Error(`The server answered ${answer.status}`);
    return new RawWebSocket(client, answer);
  }

  async send(opcode: number, payload: string | Uint8Array = "", options?: FrameOptions): Promise<void> {
    const bytes = frame(opcode, payload, options);
    for (let at = 0; at < bytes.length;) at += await this.client.conn.write(bytes.subarray(at, at + (1 << 16)));
  }

  /** The next frame. */
  async next(): Promise<Frame> {
    const [first = 0, second = 0] = await this.client.bytes(2);
    let length = second & 127;
    if (length >= 126) {
      const more = await this.client.bytes(length === 126 ? 2 : 8);
      length = more.reduce((sum, byte) => sum * 256 + byte, 0);
    }
    const bytes = await this.client.bytes(length);
    const opcode = first & 15;
    const code = opcode === CLOSE && length >= 2 ? bytes[0]! << 8 | bytes[1]! : 1005;
    const text = new TextDecoder().decode(opcode === CLOSE ? bytes.subarray(2) : bytes);
    return { opcode, fin: first >= 128, bytes, text, code };
  }

  /** The next message, put together; pongs are passed over. */
  async message(): Promise<{ opcode: number; bytes: Uint8Array; text: string }> {
    let opcode = 0;
    const parts: Uint8Array[] = [];
    for (;;) {
      const frame = await this.next();
      if (frame.opcode === CLOSE) throw new Error(`closed: ${frame.code} ${frame.text}`);
      if (frame.opcode >= CLOSE) continue;
      if (frame.opcode !== CONTINUATION) opcode = frame.opcode;
      parts.push(frame.bytes);
      if (!frame.fin) continue;
      const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
      let at = 0;
      for (const part of parts) {
        bytes.set(part, at);
        at += part.length;
      }
      return { opcode, bytes, text: new TextDecoder().decode(bytes) };
    }
  }

  /** The code of the close frame that comes next; `null` when the connection ends without one. */
  async closed(): Promise<number | null> {
    for (;;) {
      const frame = await this.next().catch(() => null);
      if (frame === null) return null;
      if (frame.opcode === CLOSE) return frame.code;
    }
  }

  [Symbol.dispose](): void {
    this.client[Symbol.dispose]();
  }
}
