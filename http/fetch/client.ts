/**
 * `fetch` itself: from a call to undici's `fetch` over the connections of its options, and back.
 *
 * @module
 */
import { type Dispatcher, fetch as undiciFetch } from "undici/index.js";
import type { Readable } from "node:stream";
import { clearTimeout, setTimeout } from "node:timers";
import type { Connection } from "./connection.ts";
import { Home } from "./dispatcher.ts";
import { Exchange, type ExchangeOwner } from "./exchange.ts";
import { prepare, type Prepared } from "./input.ts";
import { checkTimeout, type ConnectionOptions, connectionOptions, evidentlySame, type FetchOptions } from "./options.ts";
import { type FetchResponse, responseOf } from "./response.ts";
import { StoppableBody, type Upload } from "./upload.ts";

/** Sets of options that are remembered though they have no connection. */
const HOMES = 64;

/** One call of `fetch`; to undici it is the dispatcher, that is what leads to connections. */
class Call implements ExchangeOwner {
  readonly #home: Home;
  readonly #timeout: number | undefined;
  readonly #upload: Upload | null;
  #body: StoppableBody | null = null;
  #abort: AbortController | null = null;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #exchange: Exchange | null = null;
  #signal: AbortSignal | null = null;
  /** What the last response came by. */
  connection: Connection | null = null;
  readonly strict: boolean;

  constructor(home: Home, timeout: number | undefined, { init: { signal }, upload }: Prepared) {
    this.#home = home;
    this.#upload = upload;
    this.#timeout = timeout === undefined ? undefined : Math.min(timeout, 2 ** 31 - 1);
    this.#signal = signal ?? null;
    this.strict = home.options.mptcp === "require";
  }

  /** Follows the caller's signal and the timeout, until `headersCame`. */
  watch(): AbortSignal | null {
    const signal = this.#signal;
    if (this.#timeout !== undefined) {
      this.#abort = new AbortController();
      this.#signal = signal !== null ? AbortSignal.any([signal, this.#abort.signal]) : this.#abort.signal;
      this.#timer = setTimeout(() => this.#expire("no response"), this.#timeout);
    }
    this.#signal?.addEventListener("abort", this.#abandon, { once: true });
    return this.#signal;
  }

  /** From now on undici watches the time. */
  headersCame(): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
    this.#signal?.removeEventListener("abort", this.#abandon);
  }

  readonly #abandon = (): void => {
    this.failed(this.#signal?.reason);
    this.#exchange?.abandon();
  };

  #expire(what: string): DOMException {
    const reason = new DOMException(`Cannot fetch: ${what} in ${this.#timeout} ms`, "TimeoutError");
    this.#abort!.abort(reason);
    return reason;
  }

  /** undici's interface: one exchange, of which each redirect makes another. */
  dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    const origin = `${options.origin}`;
    const exchange = this.#exchange = new Exchange(this, handler, origin);
    const { body } = options as { body?: AsyncIterable<unknown> | null };
    this.#body = body ? new StoppableBody(body) : null;
    if (this.#body !== null) options.body = this.#body as unknown as Readable;
    if (this.#timeout !== undefined) Object.assign(options, { headersTimeout: 0, bodyTimeout: this.#timeout });
    return this.#home.dispatch(options, exchange, origin);
  }

  carriedBy(connection: Connection | null): void {
    this.connection = connection;
  }

  failed(reason: unknown): void {
    this.#body?.stop();
    this.#upload?.stop(reason);
  }

  progressed(): void {
    this.#timer?.refresh();
  }

  stalled(error: Error): Error {
    return this.#timeout === undefined ? error : this.#expire("no further bytes of the response");
  }
}

/** Thrown as it is: the user has to grant it, and looks for this name. */
function missingPermission(error: unknown): unknown {
  const cause = error instanceof TypeError ? error.cause : undefined;
  return cause instanceof Error && /^(NotCapable|PermissionDenied)$/.test(cause.name) ? cause : error;
}

/** The calls that share connections. */
export class FetchClient {
  readonly #defaults: ConnectionOptions;
  #plain: Home | null = null;
  /** By their options. */
  readonly #homes = new Map<string, Home>();
  /** The options of the last call that had any, and what was found by them. */
  #last: [ConnectionOptions, Home] | null = null;

  constructor(defaults: ConnectionOptions) {
    this.#defaults = defaults;
  }

  async fetch(input: RequestInfo | URL, init: (RequestInit & FetchOptions) | undefined): Promise<FetchResponse> {
    checkTimeout(init?.timeout);
    const home = this.#homeOf(init);
    let prepared = prepare(input, init);
    if (prepared instanceof Promise) prepared = await prepared;
    const call = new Call(home, init?.timeout, prepared);
    const signal = call.watch();
    try {
      const dispatcher = call as unknown as Dispatcher;
      const inner = await undiciFetch(prepared.url, Object.assign(prepared.init, { signal, dispatcher }));
      return responseOf(inner, call.connection);
    } catch (error) {
      call.failed(error);
      throw missingPermission(error);
    } finally {
      call.headersCame();
    }
  }

  closeIdle(): void {
    for (const home of this.#all) home.closeIdle();
  }

  async close(): Promise<void> {
    await Promise.all(this.#all.map((home) => home.close()));
  }

  #homeOf(init: ConnectionOptions | undefined): Home {
    if (init !== undefined && this.#last !== null && evidentlySame(init, this.#last[0])) return this.#last[1];
    const options = init && connectionOptions(init);
    if (!options) return this.#plain ??= new Home(this.#defaults);
    const all = { ...this.#defaults, ...options };
    const key = JSON.stringify(all);
    let home = this.#homes.get(key);
    if (home === undefined) {
      if (this.#homes.size >= HOMES) this.#forgetUnused();
      this.#homes.set(key, home = new Home(all));
    }
    this.#last = [options, home];
    return home;
  }

  #forgetUnused(): void {
    this.#last = null;
    for (const [key, home] of this.#homes) if (home.isUnused) this.#homes.delete(key);
  }

  get #all(): Home[] {
    return this.#plain === null ? [...this.#homes.values()] : [this.#plain, ...this.#homes.values()];
  }
}
