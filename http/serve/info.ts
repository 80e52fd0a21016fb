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

/**
 * What a handler is told besides the request. Everything is found out when it is looked at, so it costs nothing to those who
 * do not look; look before the response is sent.
 */
export class ServeInfo {
  readonly #origin: Origin;
  readonly #request: Request;
  readonly #source: unknown;
  #remoteAddr: Addr | null = null;

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
   * Whether the request's connection speaks MPTCP, as the kernel says now.
   *
   * Deno and Bun do not tell which of a client's connections a request came over. Should a client use one of its ports for
   * several of this host's addresses at once, this is `true` only if it is so for all; that such a one has come is noticed within
   * a second. (A server that listens on one address has no such clients.)
   */
  get isMultipath(): boolean {
    return this.#origin.isMultipath(this.remoteAddr, this.#source);
  }

  /**
   * The live subflows of the request's connection: what they have carried, their round-trip times and so on. One entry with id
   * 0 for a plain TCP client; none when the connection is over.
   */
  subflows(): Subflow[] {
    return this.#origin.subflows(this.remoteAddr, this.#source);
  }
}
