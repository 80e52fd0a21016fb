/**
 * HTTP servers over MPTCP.
 *
 * @module
 */
import { system } from "../ffi/mod.ts";
import { begin } from "./serve/begin.ts";
import { serveByNode } from "./serve/node_engine.ts";
import type { ServeHandler, ServeOptions } from "./serve/options.ts";
import { serveByRuntime } from "./serve/runtime_engine.ts";
import type { HttpServer } from "./serve/server.ts";

export { FastResponse } from "./serve/fast_response.ts";
export { ServeInfo } from "./serve/info.ts";
export type { ServeHandler, ServeOptions } from "./serve/options.ts";
export { HttpServer } from "./serve/server.ts";
export { upgradeWebSocket, type UpgradeWebSocketOptions } from "./serve/web_socket.ts";

/**
 * Serves HTTP over MPTCP, by the runtime's own HTTP server. Plain TCP clients are served as well; `info` tells which a request
 * came from.
 *
 * With `cert` and `key` it is HTTPS, on Deno with HTTP/2. A handler that throws gets its client a 500; see `onError`.
 *
 * @param handler Answers one request.
 * @returns The server, when it can be reached.
 * @throws {TypeError} When an argument has the wrong type, or `hostname` is not an IP address.
 * @throws {RangeError} When a number is out of range.
 * @throws {MptcpError} `EADDRINUSE`, `EACCES` and the like; `EINVAL` when `cert` or `key` is none, or they are no pair; with
 * `mptcp: "require"` also when the host has no MPTCP.
 *
 * @example
 * ```ts
 * import { serve } from "@mptcp/mptcp/http";
 *
 * await using server = await serve((request, info) => {
 *   const { pathname } = new URL(request.url);
 *   return new Response(`${pathname} by ${info.isMultipath ? "MPTCP" : "TCP"} from ${info.remoteAddr.hostname}\n`);
 * }, { hostname: "127.0.0.1", port: 0 });
 *
 * const response = await fetch(`http://127.0.0.1:${server.addr.port}/hello`);
 * console.log(await response.text());
 * ```
 */
export async function serve(handler: ServeHandler, options: ServeOptions): Promise<HttpServer> {
  return await begin(handler, options, (answers) => {
    const host = system();
    return host?.http ? serveByRuntime(host, host.http, answers, options) : serveByNode(host, answers, options);
  });
}
