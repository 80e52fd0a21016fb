/** An HTTP server written by hand over this library's listener, so that a test can answer whatever it likes. */
import { type Conn, listen, type Listener, type ListenOptions, listenTls } from "@mptcp/mptcp";
import { CERT, KEY } from "../net/certificate.ts";
import { text, utf8 } from "../net/pair.ts";

/** What a client sent. */
export interface Received {
  conn: Conn;
  method: string;
  target: string;
  /** By their names in small letters. */
  headers: Map<string, string>;
  body: Uint8Array<ArrayBuffer>;
}

/** What to send back; nothing when the handler has written to the connection itself. */
export type Handler = (request: Received) => string | Uint8Array | void | Promise<string | Uint8Array | void>;

/** A response as it goes over the wire. */
export function answer(body: string, headers: Record<string, string> = {}, status = "200 OK"): string {
  const lines = Object.entries({ "Content-Length": `${utf8(body).length}`, ...headers }).map(([name, value]) =>
    `${name}: ${value}\r\n`
  );
  return `HTTP/1.1 ${status}\r\n${lines.join("")}\r\n${body}`;
}

const end = new Error("the client has closed the connection");

/** Reads lines and blocks. */
class Reader {
  readonly #conn: Conn;
  #bytes = new Uint8Array(0);

  constructor(conn: Conn) {
    this.#conn = conn;
  }

  async #more(): Promise<void> {
    const chunk = new Uint8Array(1 << 16);
    const count = await this.#conn.read(chunk);
    if (count === null) throw end;
    const bytes = new Uint8Array(this.#bytes.length + count);
    bytes.set(this.#bytes);
    bytes.set(chunk.subarray(0, count), this.#bytes.length);
    this.#bytes = bytes;
  }

  async line(): Promise<string> {
    for (;;) {
      const at = this.#bytes.indexOf(10);
      if (at >= 0) return text(await this.block(at + 1)).replace(/\r?\n$/, "");
      await this.#more();
    }
  }

  async block(length: number): Promise<Uint8Array<ArrayBuffer>> {
    while (this.#bytes.length < length) await this.#more();
    const block = this.#bytes.slice(0, length);
    this.#bytes = this.#bytes.slice(length);
    return block;
  }
}

async function receive(conn: Conn, reader: Reader): Promise<Received> {
  const [method = "", target = ""] = (await reader.line()).split(" ");
  const headers = new Map<string, string>();
  for (let line = await reader.line(); line !== ""; line = await reader.line()) {
    const at = line.indexOf(":");
    headers.set(line.slice(0, at).toLowerCase(), line.slice(at + 1).trim());
  }
  const parts: Uint8Array[] = [];
  if (headers.get("transfer-encoding") === "chunked") {
    for (;;) {
      const size = Number.parseInt(await reader.line(), 16);
      const chunk = await reader.block(size);
      await reader.line();
      if (size === 0) break;
      parts.push(chunk);
    }
  } else {
    parts.push(await reader.block(Number(headers.get("content-length") ?? 0)));
  }
  return { conn, method, target, headers, body: new Uint8Array(await new Blob(parts as BlobPart[]).arrayBuffer()) };
}

/** See the module's comment. */
export class RawServer implements Disposable {
  readonly #listener: Listener;
  readonly #handler: Handler;
  readonly url: string;
  readonly port: number;
  /** Every connection that was accepted. */
  readonly conns: Conn[] = [];
  /** How many of them have ended. */
  ended = 0;
  /** Every request that was received as a whole. */
  readonly requests: Received[] = [];
  /** What went wrong in a handler. */
  readonly errors: unknown[] = [];

  constructor(handler: Handler, { tls = false, ...options }: Partial<ListenOptions> & { tls?: boolean } = {}) {
    const where = { hostname: "127.0.0.1", port: 0, ...options };
    this.#listener = tls ? listenTls({ ...where, cert: CERT, key: KEY }) : listen(where);
    this.#handler = handler;
    this.port = this.#listener.addr.port;
    this.url = `${tls ? "https" : "http"}://127.0.0.1:${this.port}`;
    this.#serve();
  }

  async #serve(): Promise<void> {
    for await (const conn of this.#listener) {
      this.conns.push(conn);
      this.#converse(conn).catch((error) => {
        if (error !== end && (error as { code?: string }).code === undefined) this.errors.push(error);
      }).finally(() => {
        this.ended++;
        conn.close();
      });
    }
  }

  async #converse(conn: Conn): Promise<void> {
    const reader = new Reader(conn);
    for (;;) {
      const request = await receive(conn, reader);
      this.requests.push(request);
      const reply = await this.#handler(request);
      if (reply !== undefined) await conn.write(typeof reply === "string" ? utf8(reply) : reply);
    }
  }

  [Symbol.dispose](): void {
    this.#listener.close();
    for (const conn of this.conns) conn.close();
    if (this.errors.length > 0) throw new AggregateError(this.errors, "A handler has failed");
  }
}

/** The reason below `fetch failed` and `terminated`. */
export async function failure(
  promise: Promise<unknown>,
): Promise<Error & { code?: string; hint?: string; cause?: unknown }> {
  try {
    await promise;
  } catch (error) {
    return error as Error;
  }
  throw new Error("It did not fail");
}
