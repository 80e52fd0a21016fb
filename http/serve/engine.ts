/**
 * What stands behind an `HttpServer`: one way of serving.
 *
 * @module
 */
import type { Addr } from "../../kernel/sockaddr.ts";
import type { Fallback } from "../../net/fallback.ts";

/** See the module's comment. */
export interface Engine {
  /** The bound address. */
  readonly addr: Addr;
  /** Whether the listening socket is MPTCP. */
  readonly mptcp: boolean;
  /** Why it is not, if it was to be. */
  readonly refused: Fallback | null;
  /** `"native"`: the runtime's own HTTP server accepts the connections itself. */
  readonly mode: "native" | "portable";
  /** Why not `"native"`. */
  readonly reason: string | null;
  /** Stops accepting; done when every request under way is answered and every connection closed. */
  shutdown(): Promise<void>;
  /** Ends everything now. */
  close(): Promise<void>;
  /** Whether the server keeps the process alive. */
  setRef(ref: boolean): void;
}
