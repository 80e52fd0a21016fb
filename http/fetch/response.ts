/**
 * The runtime's own `Response`, with what undici's knows besides and with what the kernel says of the connection.
 *
 * @module
 */
import { isReadable } from "node:stream";
import type { Response as UndiciResponse } from "undici/index.js";
import { runtime } from "../../ffi/mod.ts";
import type { Connection, ResponsePaths } from "./connection.ts";

/** A `Response` of `fetch`. */
export interface FetchResponse extends Response {
  /**
   * What carried the response, of redirected ones the last. While the connection lives (it serves further requests), each
   * look asks the kernel anew; afterwards it is what the kernel said when the connection closed. `null` where there was no
   * connection: for `data:` and `blob:` addresses.
   */
  readonly mptcp: ResponsePaths | null;
  /** As of `Response`; with the same `mptcp`. */
  clone(): FetchResponse;
}

/**
 * undici cancels the body of a response that nobody holds any longer. Who holds a body needs it all the same: it holds the
 * response.
 */
const holders = new WeakMap<ReadableStream, UndiciResponse>();

/** What a status line may say by the standard; servers say more. */
const REASON = /^[\t\x20-\x7e\x80-\xff]*$/;

const refuse = (): never => {
  throw new TypeError("Cannot change the headers of a response: they are immutable");
};
const IMMUTABLE: PropertyDescriptorMap = Object.fromEntries(
  ["append", "delete", "set"].map((name) => [name, { value: refuse, configurable: true }]),
);

/**
 * `init` for the runtime's class, as far as that allows what came. On Node none of it: the headers would be copied for every
 * response, and all that depends on them is overridden.
 */
function initOf({ status, statusText, headers }: UndiciResponse): ResponseInit {
  if (runtime === "node") return {};
  return {
    status: status >= 200 && status <= 599 ? status : 200,
    statusText: REASON.test(statusText) ? statusText : "",
    headers: [...headers] as unknown as HeadersInit, // else the runtimes ask undici's class for one after another
  };
}

/** See the module's comment. */
class Fetched extends Response {
  readonly #inner: UndiciResponse;
  readonly #connection: Connection | null;
  #headers: Headers | null = null;

  constructor(inner: UndiciResponse, connection: Connection | null, body: BodyInit | null) {
    super(body, initOf(inner));
    this.#inner = inner;
    this.#connection = connection;
  }

  get mptcp(): ResponsePaths | null {
    return this.#connection?.paths ?? null;
  }

  override get url(): string {
    return this.#inner.url;
  }

  override get type(): ResponseType {
    return this.#inner.type;
  }

  override get redirected(): boolean {
    return this.#inner.redirected;
  }

  override get status(): number {
    // Node looks at it within its own constructor.
    return #inner in this ? this.#inner.status : super.status;
  }

  override get ok(): boolean {
    return this.#inner.ok;
  }

  override get statusText(): string {
    return this.#inner.statusText;
  }

  override get headers(): Headers {
    if (this.#headers === null) {
      // Node's knows undici's class.
      this.#headers = runtime === "node" ? new Headers(this.#inner.headers as unknown as HeadersInit) : super.headers;
      Object.defineProperties(this.#headers, IMMUTABLE);
    }
    return this.#headers;
  }

  override get body(): ReadableStream<Uint8Array<ArrayBuffer>> | null {
    const body = super.body;
    if (body !== null) holders.set(body, this.#inner);
    return body;
  }

  override async blob(): Promise<Blob> {
    const blob = await super.blob();
    const type = this.headers.get("content-type");
    // Bun forgets the type where the body was given as a stream; on Node it was not told of it.
    return blob.type === "" && type?.includes("/") ? blob.slice(0, blob.size, type) : blob;
  }

  override formData(): Promise<FormData> {
    if (runtime !== "node") return super.formData();
    return new Response(super.body, { headers: this.headers }).formData();
  }

  override clone(): Fetched {
    return new Fetched(this.#inner, this.#connection, super.clone().body);
  }
}

/** The name under which Node's streams say whether they can be read. */
const READABLE = Symbol.for("nodejs.stream.readable");

/**
 * undici fails a body that breaks off only if `isReadable(body)`, which on Deno does not know web streams: its reader would
 * wait for ever. Failing a stream that has ended does nothing, so it may as well always say yes.
 */
function markReadable(body: ReadableStream): void {
  if (isReadable(body as never) === null) Object.defineProperty(body, READABLE, { value: true });
}

/**
 * The response for the caller.
 *
 * @param inner undici's response; its body is handed on, not copied.
 * @param connection What carried it.
 */
export function responseOf(inner: UndiciResponse, connection: Connection | null): FetchResponse {
  const body = inner.body as ReadableStream | null;
  if (body !== null) markReadable(body);
  return new Fetched(inner, connection, body);
}
