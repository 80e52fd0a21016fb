/**
 * The runtime's own `Request` and `FormData`, as undici wants them: its classes are others.
 *
 * @module
 */
import { FormData as UndiciFormData, type RequestInit as UndiciInit } from "undici/index.js";
import { setImmediate } from "node:timers";
import { Upload } from "./upload.ts";

/** As much of a request's body is held to find out whether it is at hand as a whole. */
const REPLAYABLE = 1 << 16;

/** Of undici and of the runtimes' `RequestInit`, what is used here. */
type Init = Record<string, unknown> & { body?: unknown };

/** What goes to undici's `fetch`. */
export interface Prepared {
  url: string;
  init: UndiciInit;
  /** The body, where that is a stream. */
  upload: Upload | null;
}

const isRequest = (input: unknown): input is Request => typeof Request === "function" && input instanceof Request;

/**
 * Prepares the arguments of `fetch` for undici's.
 *
 * @throws {TypeError} When the request's body was used before.
 */
export function prepare(input: RequestInfo | URL, init: RequestInit | undefined): Prepared | Promise<Prepared> {
  if (isRequest(input)) return fromRequest(input, init);
  return withBody(`${input}`, { ...init });
}

function withBody(url: string, init: Init): Prepared {
  const { body } = init;
  let upload: Upload | null = null;
  if (body !== undefined && body !== null) {
    if (isForm(body)) init.body = copyOf(body);
    else if (!(body instanceof UndiciFormData)) upload = body instanceof Upload ? body : Upload.of(body);
  }
  if (upload !== null) {
    init.body = upload.stream;
    init["duplex"] ??= "half"; // the other runtimes do without
  }
  return { url, init: init as UndiciInit, upload };
}

function isForm(body: unknown): body is FormData {
  return typeof FormData === "function" && body instanceof FormData && !(body instanceof UndiciFormData);
}

/** The entries as they are: a file is not read. */
function copyOf(form: FormData): UndiciFormData {
  const copy = new UndiciFormData();
  for (const [name, value] of form) {
    if (typeof value === "string") copy.append(name, value);
    else copy.append(name, value as never, value.name);
  }
  return copy;
}

const MODES: readonly string[] = ["cors", "no-cors", "same-origin"];

async function fromRequest(request: Request, init: RequestInit = {}): Promise<Prepared> {
  const {
    url,
    method,
    headers,
    redirect,
    signal,
    credentials,
    cache,
    integrity,
    keepalive,
    mode,
    referrer,
    referrerPolicy,
  } = request;
  const own: Init = { method, headers: [...headers], redirect, signal };
  // Not all runtimes have these; where they do, what means "by default" is left out.
  if (credentials) own["credentials"] = credentials;
  if (cache) own["cache"] = cache;
  if (integrity) own["integrity"] = integrity;
  if (keepalive) own["keepalive"] = keepalive;
  if (MODES.includes(mode)) own["mode"] = mode;
  if (referrer && referrer !== "about:client") own["referrer"] = referrer;
  if (referrerPolicy) own["referrerPolicy"] = referrerPolicy;
  for (const [name, value] of Object.entries(init)) if (value !== undefined) own[name] = value;
  if (init.body === undefined && request.body !== null) {
    if (request.bodyUsed) throw new TypeError("Cannot fetch: the request's body was used already");
    own.body = await settledBody(request.body);
  }
  return withBody(url, own);
}

/**
 * A `Request` shows its body as a stream only, also where it was made of a text. As bytes it has a Content-Length, and can be
 * sent again after a redirect; so what is at hand at once is taken as bytes. What takes its time stays a stream.
 */
async function settledBody(body: ReadableStream<Uint8Array>): Promise<Uint8Array | Upload> {
  const reader = body.getReader();
  const chunks: Uint8Array[] = [];
  let size = 0;
  for (;;) {
    const next = reader.read();
    const result = await Promise.race([next, new Promise<null>((resolve) => setImmediate(() => resolve(null)))]);
    if (result?.done) return chunks.length === 1 ? chunks[0]! : joined(chunks, size);
    if (result) {
      chunks.push(result.value);
      size += result.value.length;
    }
    if (result === null || (size > REPLAYABLE && chunks.length > 1)) {
      return new Upload(reader, chunks, result ? null : next);
    }
  }
}

function joined(chunks: readonly Uint8Array[], size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  let offset = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.length;
  }
  return bytes;
}
