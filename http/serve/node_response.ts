/**
 * Sending a `Response` by `node:http`.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import type { ServerResponse } from "node:http";
import { BODILESS, sizeOf, takeWhole, type WholeResponse } from "./fast_response.ts";

/** Headers that are the connection's matter. HTTP/2 has none of them; chunks are for node:http to decide. */
const HTTP1_ONLY: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "transfer-encoding",
  "upgrade",
]);

/** How many microtasks a body that is there already takes to show itself. */
const TURNS = 6;

/** Up to so many bytes go out in one piece with the head, as a text does. */
const ONE_PIECE = 8192;

type Reader = ReadableStreamDefaultReader<Uint8Array>;
type Chunk = ReadableStreamReadResult<Uint8Array>;

/**
 * Sends a response.
 *
 * @returns When all is handed over, or nobody takes it any longer.
 * @throws When the response cannot be sent. Nothing of it is sent then, unless `to.headersSent`.
 */
export function send(response: Response, to: ServerResponse): void | Promise<void> {
  const whole = takeWhole(response);
  if (whole !== null) return sendWhole(whole, to);
  const { status, statusText } = response;
  if (status < 200 || status > 599) throw new RangeError(`Cannot answer with status ${status}: it must be from 200 to 599`);
  if (response.bodyUsed) throw new TypeError("Cannot answer: the body of the response has been used already");
  const headers: string[] = [];
  for (const [name, value] of response.headers) headers.push(name, value);
  const { body } = response;
  if (body === null) return sendWhole({ status, statusText, headers, body: null }, to);
  if (body.locked) throw new TypeError("Cannot answer: the body of the response is locked");
  return sendStream({ status, statusText, headers, body: null }, body.getReader(), to);
}

function sendWhole({ status, statusText, headers, body }: WholeResponse, to: ServerResponse): void {
  if (BODILESS.has(status)) {
    writeHead(to, status, statusText, headers);
    to.end();
    return;
  }
  const head = to.req.method === "HEAD";
  if (body === null && head) {
    writeHead(to, status, statusText, headers); // with whatever length the handler has given
    to.end();
    return;
  }
  const list = without(headers, "content-length");
  list.push("content-length", `${body === null ? 0 : sizeOf(body)}`);
  writeHead(to, status, statusText, list);
  if (body === null || head) to.end();
  else if (typeof body === "string") to.end(body);
  else if (body.length <= ONE_PIECE) to.end(viewed(body).toString("latin1"), "latin1");
  else to.end(body);
}

/** The same bytes, as what node:stream would make of them anyway. */
const viewed = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);

function without(headers: string[], unwanted: string): string[] {
  for (let index = 0; index < headers.length; index += 2) {
    const name = headers[index]!;
    if (name.length !== unwanted.length || name.toLowerCase() !== unwanted) continue;
    return headers.filter((_, at) => headers[at & ~1]!.toLowerCase() !== unwanted);
  }
  return headers;
}

function writeHead(to: ServerResponse, status: number, statusText: string, headers: string[]): void {
  const list = without(headers, "transfer-encoding");
  if (to.req.httpVersionMajor > 1) {
    to.writeHead(status, http2Headers(list));
  } else if (statusText === "") {
    to.writeHead(status, list);
  } else {
    to.writeHead(status, statusText, list);
  }
}

/** As `node:http2` wants them: names in lower case, the values of one name together. */
function http2Headers(list: readonly string[]): Record<string, string[]> {
  const headers: Record<string, string[]> = {};
  for (let index = 0; index < list.length; index += 2) {
    const name = list[index]!.toLowerCase();
    if (!HTTP1_ONLY.has(name)) (headers[name] ??= []).push(list[index + 1]!);
  }
  return headers;
}

/** Whether nobody takes the response any longer. */
function isGone(to: ServerResponse): boolean {
  return to.destroyed || ((to as { stream?: { destroyed: boolean } }).stream?.destroyed ?? false);
}

/** Whatever comes first: the result, or the end of some microtasks. */
async function soon(reading: Promise<Chunk>): Promise<Chunk | null> {
  let chunk: Chunk | null = null;
  reading.then((result) => chunk = result, () => {});
  for (let turn = 0; turn < TURNS && chunk === null; turn++) await null;
  return chunk;
}

/**
 * Sends a body that is a stream. One that is there already, such as a text, is sent as a whole with its length; else the
 * head goes out at once, and each chunk when it comes and the client has taken those before.
 */
async function sendStream(
  { status, statusText, headers }: WholeResponse,
  reader: Reader,
  to: ServerResponse,
): Promise<void> {
  const gone = () => void reader.cancel(new DOMException("The client closed the connection", "AbortError")).catch(() => {});
  to.once("close", gone);
  try {
    if (isGone(to)) return gone();
    let reading = reader.read();
    let chunk = await soon(reading);
    if (chunk !== null) {
      const { value = new Uint8Array(0), done } = chunk;
      const next = done ? null : reader.read();
      const second = next && await soon(next);
      if (next === null || second?.done) {
        return sendWhole({ status, statusText, headers, body: checkChunk(value) }, to);
      }
      reading = next;
      writeHead(to, status, statusText, headers);
      if (to.req.method !== "HEAD") await write(to, value);
    } else {
      writeHead(to, status, statusText, headers);
      to.flushHeaders();
    }
    if (to.req.method === "HEAD") {
      to.end();
      return void await reader.cancel();
    }
    for (;;) {
      chunk = await reading;
      if (chunk.done) break;
      await write(to, chunk.value);
      reading = reader.read();
    }
    to.end();
  } catch (error) {
    reader.cancel(error).catch(() => {});
    throw error;
  } finally {
    if (to.writableEnded) to.off("close", gone);
  }
}

function checkChunk(chunk: unknown): Uint8Array {
  if (chunk instanceof Uint8Array) return chunk;
  throw new TypeError("Cannot send: the body's stream gave something that is no Uint8Array");
}

/** Writes a chunk, and waits until there is room for the next. */
function write(to: ServerResponse, chunk: unknown): void | Promise<void> {
  const bytes = checkChunk(chunk);
  if (bytes.length === 0 || to.write(viewed(bytes)) || isGone(to)) return;
  return new Promise((resolve) => {
    const done = () => {
      to.off("drain", done).off("close", done);
      resolve();
    };
    to.on("drain", done).on("close", done);
  });
}
