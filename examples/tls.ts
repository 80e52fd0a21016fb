/**
 * A TLS server and its client, both over MPTCP, with the same certificate on both sides.
 *
 *   deno run --allow-ffi --allow-read --allow-net examples/tls.ts CERT.pem KEY.pem        bun … , node …
 */
import { readFileSync } from "node:fs";
import process from "node:process";
import { connectTls, listenTls } from "@mptcp/mptcp";

const [certFile = "cert.pem", keyFile = "key.pem"] = process.argv.slice(2);
const [cert, key] = [readFileSync(certFile, "utf8"), readFileSync(keyFile, "utf8")];

using listener = listenTls({ hostname: "127.0.0.1", port: 0, cert, key, alpnProtocols: ["echo/1"] });
const served = listener.accept().then((conn) => conn.readable.pipeTo(conn.writable));

using conn = await connectTls({
  port: listener.addr.port,
  serverName: "localhost",
  caCerts: [cert],
  alpnProtocols: ["echo/1"],
});
await conn.write(new TextEncoder().encode("a secret"));
await conn.closeWrite();
console.log(`${await new Response(conn.readable).text()}, by ${conn.alpnProtocol}`);
await served;
