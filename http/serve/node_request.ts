/**
 * A `Request` over a request of `node:http`.
 *
 * Making a true `Request` takes longer than all the rest of a small exchange, and most handlers look at no more than the
 * method, the path and a header. So this one answers such questions itself, and makes the true one when somebody asks for what
 * only that has. `request instanceof Request` holds. Node's own `fetch` and `new Request` take the true one only:
 * `request.clone()`.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import type { IncomingMessage } from "node:http";
import { MptcpError } from "../../kernel/error.ts";

/** What ends with the exchange: the response, or the socket where there is none. */
export interface Exchange {
  once(event: "close", listener: () => void): unknown;
  /** Whether everything was sent. */
  readonly writableFinished: boolean;
  readonly destroyed: boolean;
}

function clientGone(): MptcpError {
  return new MptcpError("ECONNRESET", "Cannot read the request's body: the client closed the connection", {
    syscall: "read",
  });
}

/** See the module's comment. */
export class ServedRequest {
  readonly #message: IncomingMessage;
  readonly #exchange: Exchange;
  /** What the URL is made of. */
  readonly #base: string;
  readonly #target: string;
  #url: string | null = null;
  #headers: Headers | null = null;
  #true: Request | null = null;
  #abort: AbortController | null = null;
  #used = false;

  /**
   * @param base Scheme and authority.
   * @param target What comes behind them.
   */
  constructor(message: IncomingMessage, exchange: Exchange, base: string, target: string) {
    this.#message = message;
    this.#exchange = exchange;
    this.#base = base;
    this.#target = target;
  }

  get method(): string {
    return this.#message.method!;
  }

  get url(): string {
    return this.#url ??= new URL(this.#base + this.#target).href;
  }

  get headers(): Headers {
    return this.#headers ??= headersOf(this.#message);
  }

  get signal(): AbortSignal {
    if (this.#abort === null) {
      const abort = this.#abort = new AbortController();
      const exchange = this.#exchange;
      const over = () => {
        if (!exchange.writableFinished) abort.abort(new DOMException("The client closed the connection", "AbortError"));
      };
      if (exchange.destroyed) over();
      else exchange.once("close", over);
    }
    return this.#abort.signal;
  }

  get body(): ReadableStream<Uint8Array<ArrayBuffer>> | null {
    return this.#hasBody ? this.#truth.body : null;
  }

  get bodyUsed(): boolean {
    return this.#used || (this.#true?.bodyUsed ?? false);
  }

  async text(): Promise<string> {
    return this.#true ? await this.#true.text() : new TextDecoder().decode(await this.#take());
  }

  async json(): Promise<unknown> {
    return this.#true ? await this.#true.json() : JSON.parse(new TextDecoder().decode(await this.#take()));
  }

  async bytes(): Promise<Uint8Array<ArrayBuffer>> {
    return this.#true ? new Uint8Array(await this.#true.arrayBuffer()) : await this.#take();
  }

  async arrayBuffer(): Promise<ArrayBuffer> {
    return (await this.bytes()).buffer;
  }

  async blob(): Promise<Blob> {
    return new Blob([await this.bytes()], { type: this.#type });
  }

  async formData(): Promise<FormData> {
    return await new Response(await this.bytes(), { headers: { "content-type": this.#type } }).formData();
  }

  /** A true `Request`. */
  clone(): Request {
    if (this.bodyUsed) throw new TypeError("Cannot clone: the body has been used");
    return this.#truth.clone();
  }

  // The rest is what the constructor of `Request` makes of nothing.
  get cache(): RequestCache {
    return this.#truth.cache;
  }
  get credentials(): RequestCredentials {
    return this.#truth.credentials;
  }
  get destination(): RequestDestination {
    return this.#truth.destination;
  }
  get integrity(): string {
    return this.#truth.integrity;
  }
  get keepalive(): boolean {
    return this.#truth.keepalive;
  }
  get mode(): RequestMode {
    return this.#truth.mode;
  }
  get redirect(): RequestRedirect {
    return this.#truth.redirect;
  }
  get referrer(): string {
    return this.#truth.referrer;
  }
  get referrerPolicy(): ReferrerPolicy {
    return this.#truth.referrerPolicy;
  }
  get duplex(): "half" {
    return "half";
  }

  get #type(): string {
    return this.headers.get("content-type") ?? "";
  }

  get #hasBody(): boolean {
    const { method, headers, httpVersionMajor } = this.#message;
    if (method === "GET" || method === "HEAD") return false;
    const length = headers["content-length"];
    return length === undefined ? httpVersionMajor > 1 || headers["transfer-encoding"] !== undefined : length !== "0";
  }

  get #truth(): Request {
    if (this.#true !== null) return this.#true;
    const { url, headers, method, signal } = this;
    const init: RequestInit & { duplex: "half" } = { method, headers, signal, duplex: "half" };
    if (this.#hasBody) init.body = this.#used ? "" : streamOf(this.#message);
    this.#true = new Request(url, init);
    this.#headers = this.#true.headers; // what is changed in one is changed in the other
    return this.#true;
  }

  /** The whole body. */
  #take(): Promise<Uint8Array<ArrayBuffer>> {
    if (this.#used) return Promise.reject(new TypeError("Cannot read the request's body: it has been read already"));
    if (!this.#hasBody) return Promise.resolve(new Uint8Array(0));
    this.#used = true;
    const message = this.#message;
    return new Promise((resolve, reject) => {
      const chunks: Uint8Array[] = [];
      message.on("data", (chunk: Uint8Array) => chunks.push(chunk));
      message.once("end", () => resolve(joined(chunks)));
      message.once("error", () => reject(clientGone()));
      message.once("close", () => reject(clientGone())); // too late, where it has ended
      if (message.destroyed && !message.readableEnded) reject(clientGone());
    });
  }
}

Object.setPrototypeOf(ServedRequest.prototype, Request.prototype);
Object.defineProperty(ServedRequest.prototype, Symbol.toStringTag, { value: "Request", configurable: true });

function joined(chunks: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = Buffer.concat(chunks);
  // Of its own: a small one would be a part of a buffer that others share.
  return all.length === all.buffer.byteLength ? new Uint8Array(all.buffer as ArrayBuffer) : new Uint8Array(all);
}

function headersOf({ rawHeaders }: IncomingMessage): Headers {
  const headers = new Headers();
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    // HTTP/2 has the request line among them, as `:method` and so on.
    if (!rawHeaders[index]!.startsWith(":")) headers.append(rawHeaders[index]!, rawHeaders[index + 1]!);
  }
  return headers;
}

/** The body as a stream that reads no further than somebody wants. */
function streamOf(message: IncomingMessage): ReadableStream<Uint8Array<ArrayBuffer>> {
  let over = false;
  return new ReadableStream({
    type: "bytes",
    start(controller) {
      message.on("data", (chunk: Uint8Array) => {
        if (over) return;
        message.pause();
        controller.enqueue(new Uint8Array(chunk)); // a copy: the stream wants the whole buffer for its own
      });
      message.once("end", () => {
        if (over) return;
        over = true;
        controller.close();
        controller.byobRequest?.respond(0);
      });
      const gone = () => {
        if (over) return;
        over = true;
        controller.error(clientGone());
      };
      message.once("error", gone);
      message.once("close", gone);
      message.pause();
      if (message.destroyed && !message.readableEnded) gone();
    },
    pull() {
      message.resume();
    },
    cancel() {
      over = true;
      message.resume(); // what is still to come is thrown away
    },
  });
}
