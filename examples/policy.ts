/**
 * Keeps all paths of a connection open and alive, and tells why each was opened or closed.
 *
 *   sudo deno run --allow-ffi --allow-net examples/policy.ts HOST PORT [SECONDS]        bun … , node …
 *
 * It needs CAP_NET_ADMIN over its network namespace, to manage the paths by itself. Pull a cable meanwhile.
 */
import process from "node:process";
import { connect } from "@mptcp/mptcp";
import { definePolicy, fullMesh, type PolicyHandle, selfHealing } from "@mptcp/mptcp/policy";

const [hostname = "127.0.0.1", port = "7777", seconds = "10"] = process.argv.slice(2);
using conn = await connect({ hostname, port: Number(port), paths: "userspace" });

async function tell(handle: PolicyHandle): Promise<void> {
  for await (const { policy, action, outcome, local, remote, reason } of handle.decisions()) {
    console.log(`${policy}: ${action} ${outcome} ${local ?? ""} ${remote ?? ""} because ${reason}`);
  }
}

// A policy of one's own: at most a hundred megabytes over the mobile network.
const budget = definePolicy({
  name: "budget",
  interval: 1000,
  tick(context) {
    const mobile = context.interfaces().filter(({ name }) => name.startsWith("wwan")).flatMap(({ addresses }) => addresses);
    for (const { id, local, tcpInfo } of context.subflows()) {
      if (!mobile.some(({ address }) => address === local.hostname)) continue;
      if ((tcpInfo.bytesSent ?? 0) + (tcpInfo.bytesReceived ?? 0) > 100e6) context.close(id, "its budget is spent");
    }
  },
});

const told = Promise.all([fullMesh(), selfHealing(), budget].map((policy) => tell(conn.use(policy))));
const block = new Uint8Array(1 << 16);
for (const end = Date.now() + Number(seconds) * 1000; Date.now() < end;) {
  await conn.write(block);
  for (let left = block.length; left > 0;) left -= await conn.read(block.subarray(0, left)) ?? left;
  await new Promise((resolve) => setTimeout(resolve, 100));
}
for (const { local, remote, tcpInfo } of conn.subflows()) {
  console.log(`${local.hostname} to ${remote.hostname} carried ${tcpInfo.bytesAcked} bytes`);
}
conn.close();
await told;
