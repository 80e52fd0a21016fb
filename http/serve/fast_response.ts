/**
 * A `Response` that is cheap on Node.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { runtime } from "../../ffi/mod.ts";

/** A response that is there as a whole. */
export interface WholeResponse {
  status: number;
  statusText: string;
  /** Names and values in turn. */
  headers: string[];
  body: string | Uint8Array | null;
}

const NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
/** Without the spaces that `Headers` would take away. */
const VALUE = /^(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?$/;
const TEXT = "text/plain;charset=UTF-8";
const JSON_TYPE = "application/json";
/** Statuses that have no body. */
export const BODILESS: ReadonlySet<number> = new Set([101, 103, 204, 205, 304]);

/** The parts of a response that are simple, which nearly all have; `null` for others. */
function wholeOf(body: unknown, init: ResponseInit | undefined, type: string): WholeResponse | null {
  if (body !== null && typeof body !== "string" && !(body instanceof Uint8Array)) return null;
  const { status = 200, statusText = "", headers } = init ?? {};
  if (!Number.isInteger(status) || status < 200 || status > 599 || statusText !== "") return null;
  if (body !== null && BODILESS.has(status)) return null;
  const list: string[] = [];
  let typed = typeof body !== "string";
  if (headers !== undefined) {
    // A null prototype or an object's: whatever else it is, `Headers` shall read it.
    if (!Array.isArray(headers) && Object.getPrototypeOf(headers) !== Object.prototype) return null;
    for (const pair of Array.isArray(headers) ? headers : Object.entries(headers)) {
      const [name, value] = pair as [unknown, unknown];
      if (typeof name !== "string" || typeof value !== "string" || !NAME.test(name) || !VALUE.test(value)) return null;
      typed ||= name.length === 12 && name.toLowerCase() === "content-type";
      list.push(name, value);
    }
  }
  if (!typed) list.push("content-type", type);
  return { status, statusText, headers: list, body: typeof body === "string" || body === null ? body : body.slice() };
}

/** A `Response` that becomes a true one only when somebody asks for what only that has. */
class LazyResponse {
  #whole: WholeResponse | null;
  #true: Response | null = null;

  /** Takes the parts of a response, if they are all that it has. */
  static take(response: Response): WholeResponse | null {
    return #whole in response ? (response as LazyResponse).#whole : null;
  }

  constructor(body: BodyInit | null = null, init?: ResponseInit, type: string = TEXT) {
    this.#whole = wholeOf(body, init, type);
    if (this.#whole === null) this.#true = new Response(body, init);
  }

  static json(data: unknown, init?: ResponseInit): LazyResponse {
    const text = JSON.stringify(data);
    if (text === undefined) throw new TypeError("Cannot make JSON of that");
    const response = new LazyResponse(text, init, JSON_TYPE);
    if (response.#whole === null) response.#true = Response.json(data, init);
    return response;
  }

  static error(): Response {
    return Response.error();
  }

  static redirect(url: string | URL, status?: number): Response {
    return Response.redirect(url, status);
  }

  get #truth(): Response {
    if (this.#true === null) {
      const { body, status, headers } = this.#whole!;
      const pairs: [string, string][] = [];
      for (let index = 0; index < headers.length; index += 2) pairs.push([headers[index]!, headers[index + 1]!]);
      this.#true = new Response(body as BodyInit | null, { status, headers: pairs });
    }
    this.#whole = null; // from now on the true one may be changed
    return this.#true;
  }

  get status(): number {
    return this.#whole?.status ?? this.#truth.status;
  }
  get ok(): boolean {
    return this.status >= 200 && this.status <= 299;
  }
  get statusText(): string {
    return this.#whole?.statusText ?? this.#truth.statusText;
  }
  get headers(): Headers {
    return this.#truth.headers;
  }
  get body(): ReadableStream<Uint8Array<ArrayBuffer>> | null {
    return this.#truth.body;
  }
  get bodyUsed(): boolean {
    return this.#true?.bodyUsed ?? false;
  }
  get redirected(): boolean {
    return false;
  }
  get type(): ResponseType {
    return this.#true?.type ?? "default";
  }
  get url(): string {
    return "";
  }
  text(): Promise<string> {
    return this.#truth.text();
  }
  json(): Promise<unknown> {
    return this.#truth.json();
  }
  bytes(): Promise<Uint8Array<ArrayBuffer>> {
    return this.#truth.bytes();
  }
  arrayBuffer(): Promise<ArrayBuffer> {
    return this.#truth.arrayBuffer();
  }
  blob(): Promise<Blob> {
    return this.#truth.blob();
  }
  formData(): Promise<FormData> {
    return this.#truth.formData();
  }
  clone(): Response {
    return this.#truth.clone();
  }
}

Object.setPrototypeOf(LazyResponse.prototype, Response.prototype);
Object.setPrototypeOf(LazyResponse, Response);
Object.defineProperty(LazyResponse.prototype, Symbol.toStringTag, { value: "Response", configurable: true });

/**
 * `Response`, but cheap on Node, where making and reading a true one costs a third of a small exchange; on the other runtimes
 * it is `Response` itself. Use it as that one: `import { FastResponse as Response, serve } from "@mptcp/mptcp/http"`. Only
 * Node's own functions that want a true `Response` do not take it: for them, `clone()` gives one.
 */
export const FastResponse: typeof Response = runtime === "node" ? LazyResponse as unknown as typeof Response : Response;

/** The response as a whole, where it is there as one. */
export const takeWhole: (response: Response) => WholeResponse | null = runtime === "node" ? LazyResponse.take : () => null;

/** How many bytes a body has. */
export function sizeOf(body: string | Uint8Array): number {
  return typeof body === "string" ? Buffer.byteLength(body) : body.length;
}
