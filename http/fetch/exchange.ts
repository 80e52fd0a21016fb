/**
 * One call of `fetch` on its way through undici: which connection carries it, and what goes wrong there.
 *
 * @module
 */
import type { Buffer } from "node:buffer";
import type { Dispatcher } from "undici/index.js";
import { MptcpError } from "../../kernel/error.ts";
import type { Connection } from "./connection.ts";
import { explain } from "./explain.ts";

type Handler = Required<Dispatcher.DispatchHandler>;

/** The connection that an exchange was given to, which may still have to be made. */
export interface Carrier {
  /** The connection, once it is made; a lost one may be replaced by another as long as the exchange has not begun. */
  readonly connection: Connection | null;
  /** The exchange has come to an end. */
  over(exchange: Exchange): void;
  /** Nobody waits for the exchange any longer. */
  abandon(): void;
}

/** What a call of `fetch` wants to know of its exchanges. */
export interface ExchangeOwner {
  /** Whether plain TCP will not do. */
  readonly strict: boolean;
  /** The response that begins comes by this connection. */
  carriedBy(connection: Connection | null): void;
  /** A piece of the request's body is out. */
  progressed(): void;
  /** The exchange has failed; the request's body is no longer needed. */
  failed(reason: unknown): void;
  /** The response's body has not gone on for as long as the call allows; what to fail it with. */
  stalled(error: Error): Error;
}

/**
 * Stands between undici's `fetch` and its connections. Each redirect is an exchange of its own.
 */
export class Exchange implements Dispatcher.DispatchHandler {
  readonly #owner: ExchangeOwner;
  readonly #handler: Handler;
  readonly #origin: string;
  #begun = false;
  /** Set when undici has chosen a connection. */
  carrier: Carrier | null = null;

  /**
   * @param handler undici's own.
   * @param origin Where the request goes.
   */
  constructor(owner: ExchangeOwner, handler: Dispatcher.DispatchHandler, origin: string) {
    this.#owner = owner;
    this.#handler = handler as Handler;
    this.#origin = origin;
  }

  /** Nobody waits any longer. */
  abandon(): void {
    this.carrier?.abandon();
  }

  /** The request is about to be written. */
  onRequestStart(controller: Dispatcher.DispatchController, context: unknown): void {
    if (this.#owner.strict && this.carrier?.connection?.isMultipath === false) {
      // It spoke MPTCP when it was made, and fell back since.
      return controller.abort(
        new MptcpError("EOPNOTSUPP", `No request to ${this.#origin} by MPTCP: the connection has fallen back to TCP`, {
          syscall: "fetch",
        }),
      );
    }
    this.#handler.onRequestStart(controller, context);
  }

  /** A piece of the request's body was given to the kernel or queued. */
  onBodySent(): void {
    this.#owner.progressed();
  }

  /** The first byte of the response is there. */
  onResponseStarted(): void {
    this.#handler.onResponseStarted();
  }

  /** The headers are there. */
  onResponseStart(
    controller: Dispatcher.DispatchController,
    status: number,
    headers: Parameters<Handler["onResponseStart"]>[2],
    text?: string,
  ): void {
    if (status >= 200) this.#begun = true;
    this.#owner.carriedBy(this.carrier?.connection ?? null);
    this.#handler.onResponseStart(controller, status, headers, text!);
  }

  /** A piece of the body is there. */
  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#handler.onResponseData(controller, chunk);
  }

  /** undici holds the response for complete. */
  onResponseEnd(controller: Dispatcher.DispatchController, trailers: Parameters<Handler["onResponseEnd"]>[1]): void {
    // A body that ends with the connection ends properly by a FIN alone; undici takes a reset for an end as well.
    const broken = this.carrier?.connection?.error;
    if (broken) return this.onResponseError(controller, broken);
    this.carrier?.over(this);
    this.#handler.onResponseEnd(controller, trailers);
  }

  /** It failed. */
  onResponseError(controller: Dispatcher.DispatchController, error: Error): void {
    this.carrier?.over(this);
    const stalled = (error as { code?: string }).code === "UND_ERR_BODY_TIMEOUT";
    const reason = stalled ? this.#owner.stalled(error) : error;
    const explained = explain(reason, this.#origin, this.#begun);
    this.#handler.onResponseError(controller, explained);
    this.#owner.failed(explained);
  }
}
