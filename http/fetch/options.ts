/**
 * What `fetch` takes besides WHATWG's own, checked before anything is opened.
 *
 * @module
 */
import { show } from "../../kernel/argument_checks.ts";
import { ipVersion } from "../../kernel/ip.ts";
import { checkConnectOptions, type SocketOptions } from "../../net/options.ts";

/** How the connections of a request are made. Requests share connections only when they agree in all of this. */
export interface ConnectionOptions extends SocketOptions {
  /**
   * Certificates of authorities to trust besides the runtime's own, as PEM texts.
   *
   * @default {[]}
   */
  caCerts?: string[];
  /**
   * The local IP address to connect from; only servers' addresses of its family are tried.
   *
   * @default {undefined} the kernel chooses
   */
  localAddress?: string;
}

/** What `fetch` takes besides WHATWG's own. */
export interface FetchOptions extends ConnectionOptions {
  /**
   * Milliseconds that may pass without progress: until the response's headers are there (names, connecting, TLS, redirects
   * included; each piece of the request's body that goes out starts the time anew), and then for each further piece of the
   * response's body, while it is being read. Then whatever waits rejects with a `DOMException` named `TimeoutError`; a body's
   * reader up to a second later, as undici's clock for it is a coarse one.
   *
   * For one limit over everything, pass `signal: AbortSignal.timeout(ms)`.
   *
   * @default {undefined} 30 seconds for connecting, 5 minutes for each of the others
   */
  timeout?: number;
}

const NAMES: readonly (keyof ConnectionOptions)[] = [
  "mptcp",
  "caCerts",
  "localAddress",
  "receiveBuffer",
  "sendBuffer",
  "congestion",
  "paths",
];

/** Whether two ask for the same, as far as that can be said at a glance: of lists it cannot. */
export function evidentlySame(one: ConnectionOptions, other: ConnectionOptions): boolean {
  return NAMES.every((name) => one[name] === other[name]) && one.caCerts === undefined;
}

/**
 * The connection options among others.
 *
 * @returns `null` when there are none.
 * @throws {TypeError} When one has the wrong type.
 * @throws {RangeError} When a number is out of range.
 */
export function connectionOptions(from: ConnectionOptions): ConnectionOptions | null {
  let found: Record<string, unknown> | null = null;
  for (const name of NAMES) if (from[name] !== undefined) (found ??= {})[name] = from[name];
  if (found === null) return null;
  const { caCerts, ...rest } = found as ConnectionOptions;
  checkConnectOptions({ ...rest, port: 1 });
  const { localAddress } = rest;
  if (localAddress !== undefined && ipVersion(localAddress) === 0) {
    throw new TypeError(`Cannot use localAddress ${show(localAddress)}: it is not an IP address`);
  }
  if (caCerts !== undefined && (!Array.isArray(caCerts) || caCerts.some((each) => typeof each !== "string"))) {
    throw new TypeError(`Cannot use caCerts ${show(caCerts)}: it must be an array of strings`);
  }
  return found;
}

/**
 * Checks `timeout`.
 *
 * @throws {TypeError} When it is no number.
 * @throws {RangeError} When it is negative.
 */
export function checkTimeout(timeout: number | undefined): void {
  if (timeout !== undefined) checkConnectOptions({ timeout, port: 1 });
}
