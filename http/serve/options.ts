/**
 * The options of `serve`, checked before any system call.
 *
 * @module
 */
import { checkBoolean, checkObject, show } from "../../kernel/argument_checks.ts";
import type { Addr } from "../../kernel/sockaddr.ts";
import { checkListenOptions, type ListenOptions } from "../../net/options.ts";
import { listenAddress } from "../../net/listen.ts";
import type { ServeInfo } from "./info.ts";

/** Answers one request. */
export type ServeHandler = (request: Request, info: ServeInfo) => Response | Promise<Response>;

/** Options of `serve`: those of `listen`, and what HTTP needs besides. */
export interface ServeOptions extends Omit<ListenOptions, "paths"> {
  /** The certificate, PEM, followed by the chain if there is one; with `key`: HTTPS. */
  cert?: string;
  /** The key of `cert`, PEM. */
  key?: string;
  /** Ends the server as `shutdown()` does; before it runs, `serve` rejects with `signal.reason`. */
  signal?: AbortSignal;
  /** Called once, when the server can be reached, with its address. */
  onListen?: (addr: Addr) => void;
  /**
   * Answers in place of a handler that threw, rejected, or gave what is no `Response`.
   *
   * @default {undefined} the error goes to standard error, the client gets 500
   */
  onError?: (error: unknown) => Response | Promise<Response>;
  /**
   * On Node, whether the global `Response` is `FastResponse` while the server runs: else a small exchange costs half as much
   * again. It is the same to all who use it. The other runtimes do not need it, and there nothing is replaced.
   *
   * @default {true}
   */
  overrideGlobalObjects?: boolean;
}

/**
 * Checks what `serve` was called with.
 *
 * @throws {TypeError} When something has the wrong type.
 * @throws {RangeError} When a number is out of range.
 */
export function checkServe(handler: unknown, options: ServeOptions): void {
  if (typeof handler !== "function") throw new TypeError(`Cannot serve with ${show(handler)}: a handler is needed first`);
  checkObject("options", options);
  checkListenOptions(options);
  listenAddress(options.hostname);
  if ((options as ListenOptions).paths !== undefined) {
    throw new TypeError("Cannot serve with paths: the connections are the runtime's, and nobody could ask for subflows");
  }
  const { cert, key, signal, onListen, onError, overrideGlobalObjects } = options;
  checkBoolean("overrideGlobalObjects", overrideGlobalObjects);
  for (const [name, value] of Object.entries({ cert, key })) {
    if (value === undefined) continue;
    if (typeof value !== "string" || value === "") throw new TypeError(`Cannot use ${name}: it must be a PEM text`);
  }
  if ((cert === undefined) !== (key === undefined)) throw new TypeError("Cannot serve: cert and key belong together");
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw new TypeError(`Cannot use signal ${show(signal)}: it must be an AbortSignal`);
  }
  for (const [name, value] of Object.entries({ onListen, onError })) {
    if (value !== undefined && typeof value !== "function") {
      throw new TypeError(`Cannot use ${name} ${show(value)}: it must be a function`);
    }
  }
}
