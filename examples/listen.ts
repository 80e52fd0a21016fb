/**
 * An echo server over MPTCP, which tells what each connection is. TCP clients are served too.
 *
 *   deno run --allow-ffi examples/listen.ts [PORT]        bun … , node …
 */
import process from "node:process";
import { type Conn, listen } from "@mptcp/mptcp";

async function echo(conn: Conn): Promise<void> {
  const { hostname, port } = conn.remoteAddr;
  console.log(`${hostname} ${port}: ${conn.isMultipath() ? "MPTCP" : `TCP, ${conn.fallback()?.message}`}`);
  const buffer = new Uint8Array(64 * 1024);
  try {
    for (let count = await conn.read(buffer); count !== null; count = await conn.read(buffer)) {
      await conn.write(buffer.subarray(0, count));
    }
    await conn.closeWrite();
  } finally {
    conn.close();
  }
}

// All addresses, so that a client's further paths find it at each of them.
using listener = listen({ hostname: "::", port: Number(process.argv[2] ?? 0) });
console.log(`listening on port ${listener.addr.port}`);
process.on("SIGINT", () => listener.close());
for await (const conn of listener) echo(conn).catch((error) => console.error(error.message));
