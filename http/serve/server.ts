/**
 * A running server, shaped as `Deno.HttpServer`.
 *
 * @module
 */
import type { Addr } from "../../kernel/sockaddr.ts";
import type { Fallback } from "../../net/fallback.ts";
import type { Engine } from "./engine.ts";

/** An HTTP server that runs. Made by `serve`. */
export class HttpServer implements AsyncDisposable {
  readonly #engine: Engine;
  readonly #over = Promise.withResolvers<void>();
  #ending: Promise<void> | null = null;

  /**
   * Servers are made by `serve`.
   *
   * @param engine The way of serving.
   */
  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** The address and port that it listens on. */
  get addr(): Addr {
    return this.#engine.addr;
  }

  /** Whether the listening socket is MPTCP, so that MPTCP clients get MPTCP connections. */
  get mptcp(): boolean {
    return this.#engine.mptcp;
  }

  /** Why the listening socket is plain TCP though MPTCP was wanted; `null` when it is as wanted. */
  fallback(): Fallback | null {
    return this.#engine.refused;
  }

  /**
   * How the connections get to the runtime's HTTP server. `"native"`: it accepts them itself, at its full speed. `"portable"`:
   * they are relayed to it, as it did not take our socket; then `reason` tells why, and a process warning with the code
   * `MPTCP_SERVE_PORTABLE` has said so, once for each reason.
   */
  get mode(): "native" | "portable" {
    return this.#engine.mode;
  }

  /** Why `mode` is `"portable"`; else `null`. */
  get reason(): string | null {
    return this.#engine.reason;
  }

  /** Done when the server has ended, by whatever. It never rejects. */
  get finished(): Promise<void> {
    return this.#over.promise;
  }

  /**
   * Ends the server gracefully: no new connection is accepted, requests under way are answered to their end, idle connections
   * are closed, and WebSockets too (1001). A second call waits for the same end.
   */
  shutdown(): Promise<void> {
    this.#ending ??= this.#engine.shutdown();
    return this.#end(this.#ending);
  }

  /** Ends the server now: requests under way are cut off. */
  close(): Promise<void> {
    return this.#end(this.#engine.close());
  }

  /** Lets the server keep the process alive, as it does at first. */
  ref(): void {
    this.#engine.setRef(true);
  }

  /** Lets the process end in spite of the server. */
  unref(): void {
    this.#engine.setRef(false);
  }

  /** `shutdown()` */
  [Symbol.asyncDispose](): Promise<void> {
    return this.shutdown();
  }

  #end(work: Promise<void>): Promise<void> {
    work.then(this.#over.resolve, this.#over.resolve);
    return work;
  }
}
