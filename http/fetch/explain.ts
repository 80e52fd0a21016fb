/**
 * What undici and the sockets say of a failure, in words that tell what happened to the response.
 *
 * @module
 */
import { errnoMeaning, errnoNumber } from "../../kernel/errno.ts";
import { MptcpError } from "../../kernel/error.ts";

/** Messages of undici's `UND_ERR_SOCKET`, and what they mean. */
const SOCKET: Readonly<Record<string, string>> = {
  "other side closed": "the server closed the connection",
  "closed": "the connection was closed",
  "bad response": "the server sent a response that nobody asked for",
  "bad upgrade": "the server changed the protocol, which nobody asked for",
};

/** undici's codes, and what they mean. */
const CODES: Readonly<Record<string, string>> = {
  UND_ERR_HEADERS_TIMEOUT: "no headers for five minutes",
  UND_ERR_BODY_TIMEOUT: "no further bytes for five minutes",
  UND_ERR_HEADERS_OVERFLOW: "its headers are larger than is allowed (16 KiB)",
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: "it is not as long as its Content-Length says",
  UND_ERR_REQ_CONTENT_LENGTH_MISMATCH: "the request's body is not as long as its Content-Length says",
  UND_ERR_CLOSED: "the client was closed",
  UND_ERR_DESTROYED: "the client was closed",
};

/** For undici's parser errors, which have no code. */
const NOT_HTTP = "EPROTO";

function meaning(code: string, message: string): string | undefined {
  if (code === "UND_ERR_SOCKET") return SOCKET[message] ?? message;
  if (code === NOT_HTTP) return `it is not HTTP/1.1: ${message.match(/\(([^()]*)\)$/)?.[1] ?? message}`;
  if (code === "ECONNRESET") return "the server reset the connection (ECONNRESET)";
  return CODES[code] ?? (errnoNumber(code) === undefined ? undefined : `${errnoMeaning(code)} (${code})`);
}

/**
 * A failure of the exchange as an `MptcpError` with the same code; anything else (an abort, an error of the caller's own
 * stream, one that is explained already) as it is.
 *
 * @param origin Whose response it is.
 * @param begun Whether its headers had come.
 */
export function explain(error: Error, origin: string, begun: boolean): Error {
  const { code = error.name === "HTTPParserError" ? NOT_HTTP : undefined } = error as { code?: unknown };
  if (typeof code !== "string" || error instanceof MptcpError || error instanceof DOMException) return error;
  const why = meaning(code, error.message);
  if (why === undefined) return error;
  const what = begun ? `Response of ${origin} is incomplete` : `No response from ${origin}`;
  return new MptcpError(code, `${what}: ${why}`, { syscall: begun ? "read" : "fetch", cause: error });
}
