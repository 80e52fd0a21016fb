/**
 * `fetch` over MPTCP.
 *
 * @module
 */
import { MptcpError } from "../kernel/error.ts";
import type { FetchClient } from "./fetch/client.ts";
import { type ConnectionOptions, connectionOptions, type FetchOptions } from "./fetch/options.ts";
import type { FetchResponse } from "./fetch/response.ts";

export type { ResponsePaths } from "./fetch/connection.ts";
export type { ConnectionOptions, FetchOptions } from "./fetch/options.ts";
export type { FetchResponse } from "./fetch/response.ts";

/** What `fetch` takes: WHATWG's own, and how to connect. */
export interface FetchInit extends RequestInit, FetchOptions {
  /** WHATWG's mark of a body that is a stream; not needed here. */
  duplex?: "half";
}

/** Connections of one's own, see `createClient`. */
export interface HttpClient extends AsyncDisposable {
  /** As `fetch`, over this client's connections. It need not be called as a method. */
  readonly fetch: (input: RequestInfo | URL, init?: FetchInit) => Promise<FetchResponse>;
  /** Closes the connections that no request uses. The client goes on. */
  closeIdle(): void;
  /**
   * Lets the requests under way come to their end, bodies included, and closes all connections. Further calls of `fetch`
   * reject with an `MptcpError` with code `"EBADF"`.
   */
  close(): Promise<void>;
}

class Client implements HttpClient {
  readonly #defaults: ConnectionOptions;
  /** Loaded with the first call: undici reads the environment when it loads, which an import must not ask to be permitted. */
  #loading: Promise<FetchClient> | null = null;
  #loaded: FetchClient | null = null;
  #closed = false;

  constructor(defaults: ConnectionOptions) {
    this.#defaults = connectionOptions(defaults) ?? {};
  }

  readonly fetch = async (input: RequestInfo | URL, init?: FetchInit): Promise<FetchResponse> => {
    const client = this.#loaded ?? await this.#load();
    if (this.#closed) throw new MptcpError("EBADF", "Cannot fetch: the client is closed", { syscall: "fetch" });
    return await client.fetch(input, init);
  };

  #load(): Promise<FetchClient> {
    return this.#loading ??= import("./fetch/client.ts").then(({ FetchClient }) => {
      return this.#loaded = new FetchClient(this.#defaults);
    });
  }

  closeIdle(): void {
    this.#loaded?.closeIdle();
  }

  async close(): Promise<void> {
    this.#closed = true;
    const client = await this.#loading;
    await client?.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/**
 * Makes a client: connections of its own for its requests, which it can close.
 *
 * @param defaults For every request that does not say otherwise.
 * @throws {TypeError} When an option has the wrong type.
 * @throws {RangeError} When a number is out of range.
 *
 * @example Refuse to go by plain TCP
 * ```ts ignore
 * import { createClient } from "@mptcp/mptcp/http";
 *
 * await using client = createClient({ mptcp: "require" });
 * const response = await client.fetch("http://check.mptcp.dev/");
 * console.log(await response.text());
 * ```
 */
export function createClient(defaults: ConnectionOptions = {}): HttpClient {
  return new Client(defaults);
}

const shared = new Client({});

/**
 * `fetch`, as WHATWG's and of each runtime, over MPTCP where this host and the server have it. It stands on undici.
 *
 * Connections are kept for the requests that follow, as long as these want the same options, and do not keep the process
 * alive. Proxies of the environment are ignored, cookies are not kept, and there is no cache.
 *
 * @param input The address, or a `Request` of the runtime.
 * @param init WHATWG's own, with the runtime's classes, and how to connect.
 * @returns A `Response` of the runtime; `response.mptcp` tells what carried it.
 * @throws {TypeError} When an argument is wrong; and, as by the standard, `"fetch failed"` when the network fails: `cause` is
 * then an `MptcpError` with the reason. A body that breaks off fails its reader in the same way, with `"terminated"`.
 * @throws {RangeError} When a number is out of range.
 * @throws {DOMException} Named `TimeoutError`, after `timeout`. After an abort it is `signal.reason` that is thrown.
 *
 * @example Fetch a page, and tell what carried it
 * ```ts ignore
 * import { fetch } from "@mptcp/mptcp/http";
 *
 * const response = await fetch("https://example.com/", { timeout: 10_000 });
 * console.log(response.status, (await response.text()).length);
 * console.log(response.mptcp?.isMultipath ? "by MPTCP" : "by TCP", response.mptcp?.subflows.length);
 * ```
 */
export function fetch(input: RequestInfo | URL, init?: FetchInit): Promise<FetchResponse> {
  return shared.fetch(input, init);
}

/** Closes the connections of `fetch` that no request uses, which otherwise close a few seconds later by themselves. */
export function closeIdle(): void {
  shared.closeIdle();
}
