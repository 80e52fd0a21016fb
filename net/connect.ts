/**
 * Opening connections.
 *
 * @module
 */
import { Conn } from "./conn.ts";
import { withDeadline } from "./deadline.ts";
import { connectingTo, dial } from "./dial.ts";
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
  const { channel, origin } = await withDeadline(options, connectingTo(options), (signal) => dial(options, signal));
  return new Conn(channel, origin);
}
