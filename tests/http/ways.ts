/** The ways of serving that this runtime has, each behind the same function. */
import { system } from "../../ffi/mod.ts";
import { readText } from "../../paths/proc.ts";
import { type HttpServer, serve, type ServeHandler, type ServeOptions } from "../../http/serve.ts";
import { begin } from "../../http/serve/begin.ts";
import { serveByRuntime, type Steps } from "../../http/serve/runtime_engine.ts";
import { Unsuitable } from "../../net/takeover.ts";
import { askFirst } from "../../http/serve/first_request.ts";

/** Begins to serve on loopback. */
export type Start = (handler: ServeHandler, options?: Partial<ServeOptions>) => Promise<HttpServer>;

/** The way that `serve` takes here. */
export const native: Start = (handler, options = {}) => serve(handler, { hostname: "127.0.0.1", port: 0, ...options });

/** Begins with some of the takeover's steps exchanged. Only where `system().http` is. */
export function startWith(
  steps: Partial<Steps>,
  handler: ServeHandler,
  options: Partial<ServeOptions> = {},
): Promise<HttpServer> {
  const host = system()!;
  const all = { hostname: "127.0.0.1", port: 0, ...options };
  const own = { libc: host.libc, readText, askFirst, ...steps };
  return begin(handler, all, (answers) => serveByRuntime(host, host.http!, answers, all, own));
}

const portable: Start = (handler, options) => {
  const fail = () => Promise.reject(new Unsuitable("the test wants it so"));
  return startWith({ askFirst: fail }, handler, options);
};

/** See the module's comment. */
export const WAYS: readonly (readonly [name: string, start: Start])[] = system()?.http
  ? [["native", native], ["portable", portable]]
  : [["native", native]];
