/**
 * Agents of `node:http` and `node:https` that dial over MPTCP.
 *
 * @module
 */
import { Agent as PlainAgent, type AgentOptions as PlainAgentOptions } from "node:http";
import { Agent as TlsAgent, type AgentOptions as TlsAgentOptions } from "node:https";
import type { Duplex } from "node:stream";
import type { SocketOptions } from "../net/options.ts";
import { createConnection, type MptcpSocketConnectOptions } from "./socket.ts";
import { socketOptionsOf } from "./socket_options.ts";

/** Options of {@linkcode HttpAgent}. */
export interface HttpAgentOptions extends PlainAgentOptions, SocketOptions {}

/** Options of {@linkcode HttpsAgent}. */
export interface HttpsAgentOptions extends TlsAgentOptions, SocketOptions {}

/** What the runtime wants to be told of a new connection, unless it is returned. */
export type ConnectionCreated = (error: Error | null, stream: Duplex) => void;

/** The part of a connection's name in the pool that is ours: one of other options is another one. */
function nameOf(options: SocketOptions): string {
  return Object.entries(options).map(([name, value]) => `:${name}=${value}`).join("");
}

/**
 * An `http.Agent` whose connections are MPTCP, and TCP where MPTCP cannot be had. Pooling, keep-alive, timeouts are the
 * runtime's own.
 *
 * `mptcp` and the like can be said for each request too, as an option of `http.request`.
 *
 * @example
 * ```ts no-assert
 * import { HttpAgent } from "@mptcp/mptcp/node";
 * import { get } from "node:http";
 *
 * const agent = new HttpAgent({ keepAlive: true, mptcp: "prefer" });
 * get("http://check.mptcp.dev", { agent }, (response) => response.pipe(process.stdout)).on("error", console.error);
 * ```
 */
export class HttpAgent extends PlainAgent {
  readonly #options: SocketOptions;

  /**
   * Makes an agent.
   *
   * @param options Those of `http.Agent`, and `mptcp`, `receiveBuffer`, `sendBuffer`, `congestion`, `paths`.
   * @throws {TypeError} When an option has the wrong type.
   * @throws {RangeError} When a number is out of range.
   */
  constructor(options?: HttpAgentOptions) {
    super(options);
    this.#options = socketOptionsOf(options);
  }

  /** The name under which connections are pooled. */
  override getName(options?: object): string {
    return super.getName(options) + nameOf(socketOptionsOf(this.#options, options));
  }

  /** Called by the runtime for a connection that is not in the pool. */
  override createConnection(options: object, _created?: ConnectionCreated): Duplex {
    return createConnection({ ...this.#options, ...options } as MptcpSocketConnectOptions);
  }
}

/**
 * An `https.Agent` whose connections are MPTCP, and TCP where MPTCP cannot be had: TLS, the cache of its sessions and all
 * else is the runtime's own.
 */
export class HttpsAgent extends TlsAgent {
  readonly #options: SocketOptions;

  /**
   * Makes an agent.
   *
   * @param options Those of `https.Agent`, and `mptcp`, `receiveBuffer`, `sendBuffer`, `congestion`, `paths`.
   * @throws {TypeError} When an option has the wrong type.
   * @throws {RangeError} When a number is out of range.
   */
  constructor(options?: HttpsAgentOptions) {
    super(options);
    this.#options = socketOptionsOf(options);
  }

  /** The name under which connections are pooled. */
  override getName(options?: object): string {
    return super.getName(options) + nameOf(socketOptionsOf(this.#options, options));
  }

  /** Called by the runtime for a connection that is not in the pool. */
  override createConnection(options: object, created?: ConnectionCreated): Duplex | null | undefined {
    const socket = createConnection({ ...this.#options, ...options } as MptcpSocketConnectOptions);
    return super.createConnection({ ...options, socket } as Parameters<TlsAgent["createConnection"]>[0], created);
  }
}
