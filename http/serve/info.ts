/**
 * What a handler is told about the connection that a request came over.
 *
 * @module
 */
import type { Addr } from "../../kernel/sockaddr.ts";
import type { Subflow } from "../../paths/connection.ts";

/** A way of serving, asked about the requests that came over it. `source` is what came with the request. */
export interface Origin {
  /** Where a request came from. */
  remoteAddr(request: Request, source: unknown): Addr;
  /** Whether its connection speaks MPTCP now; `false` when the connection is gone. */
  isMultipath(remote: Addr, source: unknown): boolean;
  /** The connection's live subflows; none when it is gone. */
  subflows(remote: Addr, source: unknown): Subflow[];
}

/** Looks at the connection while it is there for sure: for a handler that may keep its info and look later. */
export let lookNow: (info: ServeInfo) => void;

/**
 * What a handler is told besides the request. A handler that declares no second parameter pays nothing for it; one that finds
 * it otherwise (`arguments`, `...rest`) should look before the response is sent.
 */
export class ServeInfo {
  readonly #origin: Origin;
  readonly #request: Request;
  readonly #source: unknown;
  #remoteAddr: Addr | null = null;
  #wasMultipath = false;

  static {
    lookNow = (info) => void info.isMultipath;
  }

  /**
   * Made by the server.
   *
   * @param origin Who knows.
   * @param request The request.
   * @param source What came with it.
   */
  constructor(origin: Origin, request: Request, source: unknown) {
    this.#origin = origin;
    this.#request = request;
    this.#source = source;
  }

  /** The client's address and port: of the initial subflow, whatever other paths the connection has. */
  get remoteAddr(): Addr {
    return this.#remoteAddr ??= this.#origin.remoteAddr(this.#request, this.#source);
  }

  /**
   * Whether the request's connection speaks MPTCP, as the kernel says now; once it is over, whether it did.
   *
   * Deno and Bun do not tell which of a client's connections a request came over. Should a client use one of its ports for
   * several of this host's addresses at once, this is `true` only if it is so for all; that such a one has come is noticed within
   * a second. (A server that listens on one address has no such clients.)
   */
  get isMultipath(): boolean {
    const remote = this.remoteAddr;
    if (this.#origin.isMultipath(remote, this.#source)) return this.#wasMultipath = true;
    // Falling back leaves one entry, the end leaves none.
    if (this.#wasMultipath && this.#origin.subflows(remote, this.#source).length > 0) this.#wasMultipath = false;
    return this.#wasMultipath;
  }

  /**
   * The live subflows of the request's connection: what they have carried, their round-trip times and so on. One entry with id
   * 0 for a plain TCP client; none when the connection is over.
   */
  subflows(): Subflow[] {
    return this.#origin.subflows(this.remoteAddr, this.#source);
  }
}
