/**
 * basic-ftp's errors as those of this package. What the server refuses stays an `FTPError` with its code.
 *
 * @module
 */
import { FTPError } from "basic-ftp";
import { errnoNumber } from "../kernel/errno.ts";
import { MptcpError } from "../kernel/error.ts";
import { tlsError } from "../net/tls.ts";

/** basic-ftp's messages, and the codes and words for them. */
const KNOWN: readonly (readonly [pattern: RegExp, code: string, message: string, hint?: string])[] = [
  [/^User closed client/, "EBADF", "The FTP client is closed", "access() opens it again"],
  [/^(Server sent FIN|Server closed connection|Socket closed due)/, "ECONNRESET", "The FTP server closed the connection"],
  [/^FTP control response exceeded/, "EMSGSIZE", "The FTP server's answer is longer than 64 KiB"],
  [/^StringWriter: Maximum bytes/, "EMSGSIZE", "The listing is too long", "maxListingBytes sets how long it may be"],
  [
    /^This library only supports/,
    "EPROTO",
    "The listing is in no known format",
    "client.parseList can be set to a function",
  ],
  [/^Unexpected FTP response/, "EPROTO", "The FTP server asks for something in the middle of a transfer"],
];

const CLOSED = "Client is closed because ";

/** Errors that pass through whatever they look like. */
const passing = new WeakSet<object>();

/** An error that is the user's: the reason of an abort, or what a stream or the file system said. */
export function asItIs<T>(error: T): T {
  if (typeof error === "object" && error !== null) passing.add(error);
  return error;
}

/**
 * Makes an error of ours of one of basic-ftp, of a socket or of TLS. Those of the file system, of streams of the user and
 * what is ours already pass through.
 *
 * @param timeout The client's, for the message.
 */
export function explain(error: unknown, timeout: number): unknown {
  if (!(error instanceof Error) || passing.has(error)) return error;
  if (error instanceof FTPError || error instanceof MptcpError) return error;
  const { message } = error;
  const { code, path, syscall, address, port } = error as NodeJS.ErrnoException & { address?: string; port?: number };
  if (path !== undefined || error.name !== "Error") return error;
  if (message.startsWith(CLOSED)) {
    const reason = explain(Object.assign(new Error(message.slice(CLOSED.length)), code === "0" ? {} : { code }), timeout);
    const why = (reason as Error).message.replace(/^The FTP client is closed(: )?/, "");
    const words = `The FTP client is closed${why && `: ${why}`}`;
    return new MptcpError("EBADF", words, { hint: "access() opens it again", cause: error });
  }
  if (/^Timeout/.test(message)) {
    return new DOMException(`The FTP server was silent for ${timeout} ms`, "TimeoutError");
  }
  for (const [pattern, code, words, hint] of KNOWN) {
    if (pattern.test(message)) return new MptcpError(code, words, { hint, cause: error });
  }
  if (code === undefined) {
    // Its answers that cannot be parsed.
    return /^Can't parse/.test(message) ? new MptcpError("EPROTO", message, { cause: error }) : error;
  }
  if (errnoNumber(code) !== undefined || syscall !== undefined) {
    return new MptcpError(code, message, { syscall, address, port, cause: error });
  }
  return /^(ERR_STREAM|ABORT_ERR)/.test(code) ? error : tlsError(error);
}
