/**
 * Opens a path of one connection for each local address that is given, and tells what happens to them.
 *
 *   sudo deno run --allow-ffi --allow-net examples/paths.ts HOST PORT LOCAL_ADDRESS[=REMOTE_ADDRESS] …        bun … , node …
 *
 * It needs CAP_NET_ADMIN over its network namespace, to manage the paths by itself.
 */
import process from "node:process";
import { connect } from "@mptcp/mptcp";

const [hostname = "127.0.0.1", port = "7777", ...addresses] = process.argv.slice(2);
const conn = await connect({ hostname, port: Number(port), paths: "userspace", mptcp: "require" });

const events = conn.events();
const told = (async () => {
  for await (const event of events) {
    const where = "local" in event ? ` ${event.local.hostname} → ${event.remote.hostname}` : "";
    console.log(`${event.type}${where}`);
  }
})();

for (const address of addresses) {
  const [localAddress, remoteAddress] = address.split("=");
  try {
    await conn.openSubflow({ localAddress: localAddress!, ...(remoteAddress && { remoteAddress }), timeout: 5000 });
  } catch (error) {
    console.log((error as Error).message);
  }
}
await conn.write(new Uint8Array(1 << 20));
const back = new Uint8Array(1 << 16);
for (let left = 1 << 20; left > 0;) left -= await conn.read(back) ?? left;
for (const { id, local, tcpInfo } of conn.subflows()) {
  console.log(`path ${id} from ${local.hostname} carried ${tcpInfo.bytesAcked} bytes`);
}
conn.close();
await told;
