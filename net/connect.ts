/**
 * Opening connections.
 *
 * @module
 */
import { hostPort, MptcpError } from "../kernel/error.ts";
import { Conn } from "./conn.ts";
import { dial } from "./dial.ts";
import { checkConnectOptions, type ConnectOptions } from "./options.ts";

/**
 * Connects to a server, by MPTCP where this host and the peer have it.
 *
 * @returns The connection; `conn.isMultipath()` tells what it became, `conn.fallback()` when and why it is plain TCP.
 * @throws {TypeError} When an option has the wrong type.
 * @throws {RangeError} When a number is out of range.
 * @throws {MptcpError} When connecting fails; with `mptcp: "require"` also when the result would be plain TCP.
 * @throws {DOMException} Named `TimeoutError`, after `timeout`.
 *
 * @example Fetch a page by hand, and tell whether it came by MPTCP
 * ```ts ignore
 * import { connect } from "@mptcp/mptcp";
 *
 * using conn = await connect({ hostname: "check.mptcp.dev", port: 80, timeout: 5000 });
 * await conn.write(new TextEncoder().encode("GET / HTTP/1.0\r\nHost: check.mptcp.dev\r\n\r\n"));
 * console.log(await new Response(conn.readable).text());
 * console.log(conn.fallback()?.message ?? "by MPTCP");
 * ```
 */
export async function connect(options: ConnectOptions): Promise<Conn> {
  checkConnectOptions(options);
  const { channel, refused } = await dial(options);
  const conn = new Conn(channel, { side: "client", wanted: options.mptcp !== "off", refused });
  if (options.mptcp === "require" && !conn.isMultipath()) {
    const { hostname = "127.0.0.1", port } = options;
    const reason = conn.fallback()?.message ?? "the connection is plain TCP";
    conn.close();
    throw new MptcpError("EOPNOTSUPP", `Cannot connect to ${hostPort(hostname, port)} by MPTCP: ${reason}`, {
      syscall: "connect",
      address: conn.remoteAddr.hostname,
      port,
      hint: 'mptcp: "prefer" takes plain TCP as well',
    });
  }
  return conn;
}
