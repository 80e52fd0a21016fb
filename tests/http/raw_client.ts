/** An HTTP/1.1 client that sends what it is told, byte by byte, over a connection of ours. */
import { Buffer } from "node:buffer";
import { type Conn, connect, type ConnectOptions } from "@mptcp/mptcp";
import type { HttpServer } from "../../http/serve.ts";
import { utf8 } from "../net/pair.ts";

/** One answer. */
export interface RawResponse {
  status: number;
  statusText: string;
  /** Names in lower case; in the order in which they came. */
  headers: [name: string, value: string][];
  /** Chunks put together, as UTF-8. */
  body: string;
  header(name: string): string | undefined;
}

const latin1 = (text: string) => new Uint8Array(Buffer.from(text, "latin1"));

/** See the module's comment. Text, but for bodies, is Latin-1: one character, one byte. */
export class RawClient implements Disposable {
  readonly conn: Conn;
  readonly #buffer = new Uint8Array(1 << 16);
  #rest = "";

  constructor(conn: Conn) {
    this.conn = conn;
  }

  /** Connects to a server of this host. */
  static async open(server: HttpServer, options: Partial<ConnectOptions> = {}): Promise<RawClient> {
    const { hostname, port } = server.addr;
    const target = hostname === "0.0.0.0" ? "127.0.0.1" : hostname === "::" ? "::1" : hostname;
    return new RawClient(await connect({ hostname: target, port, ...options }));
  }

  async send(text: string): Promise<void> {
    await this.conn.write(latin1(text));
  }

  /** Sends a request with `Host`, and a body with its length. */
  async request(line: string, headers: readonly string[] = [], body?: string): Promise<void> {
    const length = body === undefined ? [] : [`Content-Length: ${utf8(body).length}`];
    await this.send([`${line} HTTP/1.1`, "Host: test", ...headers, ...length, "", ""].join("\r\n"));
    if (body) await this.conn.write(utf8(body));
  }

  /** Sends a request and reads its answer. */
  async ask(line: string, headers: readonly string[] = [], body?: string): Promise<RawResponse> {
    await this.request(line, headers, body);
    return await this.response(line.startsWith("HEAD "));
  }

  /** More of what comes; `false` at the end. */
  async #more(): Promise<boolean> {
    const count = await this.conn.read(this.#buffer);
    if (count === null) return false;
    this.#rest += Buffer.from(this.#buffer.buffer, 0, count).toString("latin1");
    return true;
  }

  async #until(mark: string): Promise<string> {
    for (;;) {
      const at = this.#rest.indexOf(mark);
      if (at >= 0) {
        const text = this.#rest.slice(0, at);
        this.#rest = this.#rest.slice(at + mark.length);
        return text;
      }
      if (!await this.#more()) throw new Error(`the connection ended before ${JSON.stringify(mark)}: ${this.#rest}`);
    }
  }

  async #exactly(length: number): Promise<string> {
    while (this.#rest.length < length) {
      if (!await this.#more()) throw new Error(`the connection ended after ${this.#rest.length} of ${length} bytes`);
    }
    const text = this.#rest.slice(0, length);
    this.#rest = this.#rest.slice(length);
    return text;
  }

  /** The next bytes, so many. */
  async bytes(length: number): Promise<Uint8Array> {
    return latin1(await this.#exactly(length));
  }

  /** The next head alone. */
  async head(): Promise<RawResponse> {
    const [first = "", ...lines] = (await this.#until("\r\n\r\n")).split("\r\n");
    const [, status = "", statusText = ""] = /^HTTP\/1\.[01] (\d+) ?(.*)$/.exec(first) ?? [];
    const headers = lines.map((line): [string, string] => {
      const colon = line.indexOf(":");
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
    });
    const header = (name: string) => headers.find((pair) => pair[0] === name)?.[1];
    return { status: Number(status), statusText, headers, body: "", header };
  }

  /** The next chunk of a chunked body; `null` for the last. */
  async chunk(): Promise<string | null> {
    const length = parseInt(await this.#until("\r\n"), 16);
    const text = await this.#exactly(length);
    await this.#until("\r\n");
    return length === 0 ? null : text;
  }

  /** The next answer. */
  async response(toHead = false): Promise<RawResponse> {
    const response = await this.head();
    const { status, header } = response;
    if (toHead || status < 200 || status === 204 || status === 304) return response;
    if (header("transfer-encoding") === "chunked") {
      for (let text; (text = await this.chunk()) !== null;) response.body += text;
    } else if (header("content-length") !== undefined) {
      response.body = await this.#exactly(Number(header("content-length")));
    } else {
      response.body = await this.rest();
    }
    response.body = new TextDecoder().decode(latin1(response.body));
    return response;
  }

  /** Everything up to the end of the connection, however it ends. */
  async rest(): Promise<string> {
    while (await this.#more().catch(() => false));
    const text = this.#rest;
    this.#rest = "";
    return text;
  }

  [Symbol.dispose](): void {
    this.conn.close();
  }
}
