/**
 * The runtime's own servers, listening over MPTCP.
 *
 * All that listens by `node:net` goes by one method, `net.Server.prototype.listen`: TLS, HTTP/2, and HTTP where its servers
 * are `net.Server`s.
 *
 * @module
 */
import cluster from "node:cluster";
import { Server as HttpServer } from "node:http";
import { Server } from "node:net";
import { runtime, type System } from "../../ffi/mod.ts";
import { Listening, requestOf } from "../listening.ts";
import { rememberServer } from "../mptcp_of.ts";
import { MptcpServer } from "../server.ts";
import { listenByTakeover } from "./http_servers.ts";
import { type Method, replaceMethod } from "./replace.ts";

/**
 * Whether the runtime's own way is to be taken: for what is no TCP port, and for what a cluster's worker asks the primary for;
 * that listens by MPTCP if it has this, too.
 */
function isOthers(args: readonly unknown[]): boolean {
  const request = requestOf(args);
  if (request === null) return true;
  const { exclusive, reusePort } = request.options;
  if (!cluster.isWorker) return false;
  return runtime === "deno" || (!exclusive && !reusePort);
}

/**
 * Makes the runtime's servers listen over MPTCP.
 *
 * @returns Undoes it; what listens goes on.
 */
export function replaceListen(host: System): () => void {
  const known = new WeakMap<Server, Listening>();
  const undo = [
    replaceMethod(Server.prototype, "listen", (native) =>
      function (this: Server, ...args) {
        if (this instanceof MptcpServer || isOthers(args)) return native.apply(this, args);
        let listening = known.get(this);
        if (listening === undefined) {
          const made = listening = new Listening(this, {}, false);
          known.set(this, made);
          rememberServer(this, () => made.origin());
        }
        listening.listen(args, (...given) => native.apply(this, given));
        return this;
      }),
    replaceMethod(Server.prototype, "close", (native) =>
      function (this: Server, ...args) {
        known.get(this)?.close();
        return native.apply(this, args);
      }),
  ];
  // Bun's HTTP servers are something else.
  if (!(HttpServer.prototype instanceof Server)) {
    const listen = (native: Method): Method =>
      function (this: HttpServer, ...args) {
        return isOthers(args) ? native.apply(this, args) : listenByTakeover(host, this, args, native);
      };
    undo.push(replaceMethod((HttpServer as { prototype: object }).prototype, "listen", listen));
  }
  return () => undo.forEach((each) => each());
}
