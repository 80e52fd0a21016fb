/**
 * The one error class of the package, and the funnel from the kernel's errno to it.
 *
 * @module
 */
import { codeNumber, errnoMeaning, errnoName } from "./errno.ts";
import { hintFor } from "./hints.ts";

/** What is known about a failure besides its errno. Absent members stay `undefined` on the error. */
export interface MptcpErrorOptions extends ErrorOptions {
  /** The system call or operation that failed, such as `"connect"`. */
  syscall?: string | undefined;
  /** The address the failed operation was about. */
  address?: string | undefined;
  /** The port the failed operation was about. */
  port?: number | undefined;
  /** The kernel's own words (netlink extended acknowledgement). */
  detail?: string | undefined;
  /** What a person can do about it. */
  hint?: string | undefined;
}

/**
 * Every failure of this package, except wrong arguments (`TypeError`, `RangeError`), an abort (`signal.reason`), a
 * timeout (`DOMException` named `TimeoutError`) and a missing Deno permission, which all pass through as they are.
 *
 * @example Tell a refused connection from other failures
 * ```ts ignore
 * import { connect, MptcpError } from "@mptcp/mptcp";
 *
 * try {
 *   await connect({ hostname: "127.0.0.1", port: 1 });
 * } catch (error) {
 *   if (error instanceof MptcpError && error.code === "ECONNREFUSED") console.log("nobody listens:", error.message);
 *   else throw error;
 * }
 * ```
 */
export class MptcpError extends Error {
  /** The name of the error: the kernel's errno name such as `"ECONNREFUSED"`, or one of the resolver's. */
  readonly code: string;
  /**
   * The errno, negative as in Node (`-111`); for the resolver's codes libuv's (`-3008`), and for codes without a number, such as
   * TLS's, that of EPROTO (`-71`).
   */
  readonly errno: number;
  /** The system call or operation that failed. */
  readonly syscall: string | undefined;
  /** The address the operation was about. */
  readonly address: string | undefined;
  /** The port the operation was about. */
  readonly port: number | undefined;
  /** The kernel's extended-acknowledgement text. */
  readonly detail: string | undefined;
  /** What a person can do. */
  readonly hint: string | undefined;

  /**
   * Makes an error of this package.
   *
   * @param code The errno's name, or a name of one's own for what is not an errno.
   * @param message What failed and why, without a final period.
   * @param options What else is known.
   */
  constructor(code: string, message: string, options: MptcpErrorOptions = {}) {
    const text = options.hint ? `${message}; ${options.hint}` : message;
    super(text, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "MptcpError";
    this.code = code;
    this.errno = -codeNumber(code);
    this.syscall = options.syscall;
    this.address = options.address;
    this.port = options.port;
    this.detail = options.detail;
    this.hint = options.hint;
  }
}

/** Formats an address and a port as people write them, with brackets around IPv6. */
export function hostPort(address: string, port: number): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

/**
 * The error for a failed system call.
 *
 * @param errno The errno with either sign.
 * @param syscall The call's name.
 * @param options What else is known; an address (and port) is also put into the message. Well-known failures have a hint.
 */
export function systemError(errno: number, syscall: string, options: MptcpErrorOptions = {}): MptcpError {
  const code = errnoName(errno);
  const { address, port, detail } = options;
  const target = address === undefined ? "" : ` ${port === undefined ? address : hostPort(address, port)}`;
  const reason = detail ?? errnoMeaning(code);
  const hint = options.hint ?? hintFor(syscall, code);
  return new MptcpError(code, `${syscall}${target} failed: ${reason} (${code})`, { ...options, syscall, hint });
}

/**
 * The errno funnel: every result of a system call goes through here.
 *
 * @param result The call's result, `-errno` when it failed.
 * @returns The result, when it is not an error.
 * @throws {MptcpError} When `result` is negative.
 */
export function check(result: number, syscall: string, options?: MptcpErrorOptions): number {
  if (result < 0) throw systemError(result, syscall, options);
  return result;
}
