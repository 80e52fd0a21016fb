/**
 * Moves a file by `FtpClient`, whenever a line says so: `upload` or `download`. Each answer has the seconds that it took.
 *
 *   ftp_worker.ts PORT USER FILE
 *
 * @module
 */
import process from "node:process";
import { createInterface } from "node:readline";
import { FtpClient } from "../ftp/mod.ts";

const [port, user = "", file = ""] = process.argv.slice(2);

const client = new FtpClient({ mptcp: "require" });
await client.access({ host: "127.0.0.1", port: Number(port), user, password: "p" });

async function move(what: string): Promise<number> {
  const start = performance.now();
  if (what === "upload") await client.uploadFrom(file, "up");
  else await client.downloadTo(`${file}.${process.pid}`, "down");
  const seconds = (performance.now() - start) / 1000;
  if (!client.dataConnections.at(-1)!.isMultipath) throw new Error("plain TCP");
  return seconds;
}

console.log(JSON.stringify({ ready: true }));
for await (const what of createInterface({ input: process.stdin })) {
  const answer = await move(what).then((seconds) => ({ seconds }), (error) => ({ error: `${error}` }));
  console.log(JSON.stringify(answer));
}
process.exit(0);
