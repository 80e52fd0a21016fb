/**
 * One connection of `fetch`: the socket that undici speaks HTTP on, and what the kernel says of it.
 *
 * @module
 */
import type { Duplex } from "node:stream";
import { MptcpError } from "../../kernel/error.ts";
import type { Conn } from "../../net/conn.ts";
import type { Subflow } from "../../paths/connection.ts";

/** What carried a response. */
export interface ResponsePaths {
  /** Whether the connection spoke MPTCP. */
  isMultipath: boolean;
  /** Its live subflows; one entry with id 0 when it is plain TCP. */
  subflows: Subflow[];
}

/** See the module's comment. */
export class Connection {
  /** Where undici reads and writes. */
  readonly socket: Duplex;
  readonly #conn: Conn;
  #last: ResponsePaths | null = null;
  #error: Error | null = null;

  /**
   * @param conn The connection, from now on this object's.
   * @param socket Its bytes; closed by undici, which closes `conn`.
   */
  constructor(conn: Conn, socket: Duplex) {
    this.#conn = conn;
    this.socket = socket;
    const destroy = socket.destroy;
    // Every way to an end leads through here, while the descriptor is still open: the last moment to ask the kernel.
    socket.destroy = (error?: Error) => {
      this.#last ??= this.#ask();
      this.#error ??= error ?? null;
      return destroy.call(socket, error);
    };
    socket.once("close", () => conn.close());
  }

  /** Why the connection broke, if it did. */
  get error(): Error | null {
    return this.#error;
  }

  /** Whether the connection speaks MPTCP, by one system call. */
  get isMultipath(): boolean {
    return this.#last?.isMultipath ?? this.#conn.isMultipath();
  }

  /** What the kernel says now; of a connection that is closed, what it said last. */
  get paths(): ResponsePaths {
    return this.#last ?? this.#ask();
  }

  #ask(): ResponsePaths {
    try {
      return { isMultipath: this.#conn.isMultipath(), subflows: this.#conn.subflows() };
    } catch (error) {
      if (error instanceof MptcpError) return { isMultipath: false, subflows: [] };
      throw error;
    }
  }
}
