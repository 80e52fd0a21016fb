/**
 * Connects by MPTCP, sends a line, and tells what the connection became.
 *
 *   deno run --allow-ffi --allow-net examples/connect.ts HOST PORT        bun … , node …
 */
import process from "node:process";
import { connect } from "@mptcp/mptcp";

const [hostname = "127.0.0.1", port = "7777"] = process.argv.slice(2);
using conn = await connect({ hostname, port: Number(port), timeout: 5000 });
const buffer = new Uint8Array(1024);
await conn.write(new TextEncoder().encode("hello over several paths"));
const count = await conn.read(buffer);
console.log(new TextDecoder().decode(buffer.subarray(0, count ?? 0)));

console.log(conn.isMultipath() ? "MPTCP" : `TCP: ${conn.fallback()?.message}`);
for (const { id, local, remote, tcpInfo } of conn.subflows()) {
  console.log(`path ${id}: ${local.hostname} → ${remote.hostname}, ${(tcpInfo.rtt ?? 0) / 1000} ms`);
}
