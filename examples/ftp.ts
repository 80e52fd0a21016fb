/**
 * Uploads a file by FTP and gets it back; control and data connections are MPTCP where the server has it.
 *
 *   deno run --allow-ffi --allow-read --allow-write --allow-net examples/ftp.ts HOST PORT USER PASSWORD FILE
 */
import { basename } from "node:path";
import process from "node:process";
import { FtpClient } from "@mptcp/mptcp/ftp";

const [host = "127.0.0.1", port = "21", user = "anonymous", password = "guest", file = "README.md"] = process.argv.slice(2);
const name = basename(file);

using client = new FtpClient();
await client.access({ host, port: Number(port), user, password });
console.log(`control: ${client.control.isMultipath() ? "MPTCP" : client.control.fallback()?.message}`);

client.trackProgress(({ type, bytes }) => console.error(`${type}: ${bytes} bytes`));
await client.uploadFrom(file, name);
await client.downloadTo(`${file}.back`, name);
client.trackProgress();
for (const entry of await client.list()) console.log(`${entry.name}, ${entry.size} bytes`);

for (const { kind, isMultipath, bytes, subflows, fallback } of client.dataConnections) {
  console.log(`${kind}: ${bytes} bytes, ${isMultipath ? `MPTCP, ${subflows.length} path(s)` : fallback?.message}`);
}
