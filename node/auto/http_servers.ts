/**
 * HTTP servers that are no `net.Server`s and take no descriptor, as those of Bun: the runtime listens, and then an MPTCP
 * socket takes the place of its own (`net/takeover.ts`).
 *
 * @module
 */
import type { Server } from "node:http";
import process from "node:process";
import type { System } from "../../ffi/mod.ts";
import { IPPROTO_IPV6, IPV6_V6ONLY, SO_REUSEPORT, SOL_SOCKET } from "../../kernel/constants.ts";
import { MptcpError } from "../../kernel/error.ts";
import { openListeningSocket } from "../../net/listen.ts";
import { ListenerPlace, type Means, Unsuitable } from "../../net/takeover.ts";
import { localAddress } from "../../paths/connection.ts";
import { readText } from "../../paths/proc.ts";
import { requestOf } from "../listening.ts";
import type { Method } from "./replace.ts";
import { warn } from "./warn.ts";

/** What `listen` is called with. */
type Args = readonly unknown[];

/**
 * Listens as the runtime does, then by MPTCP at the same address. All within one synchronous stretch: nobody knows of the
 * address in between.
 *
 * @param native The server's own `listen`.
 */
export function listenByTakeover(host: System, server: Server, args: Args, native: Method): unknown {
  const result = native.apply(server, [...args]);
  const address = server.address();
  // The runtime says by an event why it does not listen.
  if (!server.listening || address === null || typeof address === "string") return result;
  const means: Means = { libc: host.libc, readText };
  let place: ListenerPlace;
  try {
    place = ListenerPlace.find(means, address.port, address.address);
  } catch (error) {
    if (!(error instanceof Unsuitable)) throw error;
    warn(`Cannot listen for HTTP by MPTCP: ${error.message}; the server is plain TCP`);
    return result;
  }
  try {
    replaceListener(means, place, requestOf(args)!.options.backlog);
  } catch (error) {
    // Its former socket is gone by now.
    server.close();
    const failure = error instanceof Unsuitable
      ? new MptcpError("EOPNOTSUPP", `Cannot listen for HTTP by MPTCP: ${error.message}`, {
        syscall: "listen",
        hint: "MPTCP_AUTO=clients leaves servers alone",
      })
      : error;
    process.nextTick(() => server.emit("error", failure));
  }
  return result;
}

/** The address is free only when nobody listens there: another listener takes the place for a moment. */
function replaceListener(means: Means, place: ListenerPlace, backlog: number | undefined): void {
  const { libc } = means;
  const { hostname, port } = localAddress(place.fd);
  const reusePort = libc.getInt(place.fd, SOL_SOCKET, SO_REUSEPORT) === 1;
  const ipv6Only = hostname.includes(":") && libc.getInt(place.fd, IPPROTO_IPV6, IPV6_V6ONLY) === 1;
  const put = (options: Parameters<typeof openListeningSocket>[1]) => {
    const { fd } = openListeningSocket(libc, options);
    try {
      place.put(fd);
    } finally {
      libc.close(fd); // the runtime has a descriptor of its own by now
    }
  };
  put({ hostname: "127.0.0.1", port: 0 });
  put({ hostname, port, reusePort, ipv6Only, ...(backlog ? { backlog } : {}) });
}
