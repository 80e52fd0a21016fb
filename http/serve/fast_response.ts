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
/** Made for Node's own `WebAssembly.compileStreaming`, which takes true responses only. */
const WASM = "application/wasm";
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
      if (name.length === 12 && name.toLowerCase() === "content-type") {
        if (value.startsWith(WASM)) return null;
        typed = true;
      }
      list.push(name, value);
    }
  }
  if (!typed) list.push("content-type", type);
  return { status, statusText, headers: list, body: typeof body === "string" || body === null ? body : body.slice() };
}

/** The runtime's own. It is looked up once: the global one may be replaced, see `override_global_objects.ts`. */
const Native = Response;

/** A `Response` that becomes a true one only when somebody asks for what only that has. */
class LazyResponse {
  #whole: WholeResponse | null;
  #true: Response | null = null;

  /** Takes the parts of a response, if they are all that it has. */
  static take(response: Response): WholeResponse | null {
    return #whole in response ? (response as LazyResponse).#whole : null;
  }

  constructor(whole: WholeResponse) {
    this.#whole = whole;
  }

  get #truth(): Response {
    if (this.#true === null) {
      const { body, status, headers } = this.#whole!;
      const pairs: [string, string][] = [];
      for (let index = 0; index < headers.length; index += 2) pairs.push([headers[index]!, headers[index + 1]!]);
      this.#true = new Native(body as BodyInit | null, { status, headers: pairs });
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
  /** What `console.log` shows. */
  [Symbol.for("nodejs.util.inspect.custom")](): Response {
    return this.#truth;
  }
}

Object.setPrototypeOf(LazyResponse.prototype, Native.prototype);
Object.defineProperty(LazyResponse.prototype, "constructor", { value: Native, writable: true, configurable: true });

const lazy = (whole: WholeResponse): Response => new LazyResponse(whole) as unknown as Response;

/** `Response.json` */
function json(data: unknown, init?: ResponseInit): Response {
  const text = JSON.stringify(data);
  const whole = text === undefined ? null : wholeOf(text, init, JSON_TYPE);
  return whole === null ? Native.json(data, init) : lazy(whole);
}

/** Node's `Response` in all but this: what is simple is made lazily. */
function fast(): typeof Response {
  const proxy: typeof Response = new Proxy(Native, {
    construct(target, args, newTarget) {
      const [body = null, init] = args as [unknown, ResponseInit | undefined];
      // A class that extends it gets what it expects.
      const whole = newTarget === proxy ? wholeOf(body, init ?? undefined, TEXT) : null;
      return whole === null ? Reflect.construct(target, args, newTarget) : lazy(whole);
    },
    get: (target, name) => name === "json" ? json : Reflect.get(target, name),
  });
  return proxy;
}

/**
 * `Response`, but cheap on Node, where making and reading a true one costs half of a small exchange; on the other runtimes it is
 * `Response` itself. `serve` puts it in the place of the global one, see `overrideGlobalObjects`; else use it as that:
 * `import { FastResponse as Response, serve } from "@mptcp/mptcp/http"`.
 */
export const FastResponse: typeof Response = runtime === "node" ? fast() : Native;

/** The response as a whole, where it is there as one. */
export const takeWhole: (response: Response) => WholeResponse | null = runtime === "node" ? LazyResponse.take : () => null;

/** How many bytes a body has. */
export function sizeOf(body: string | Uint8Array): number {
  return typeof body === "string" ? Buffer.byteLength(body) : body.length;
}
