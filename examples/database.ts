/**
 * Queries PostgreSQL over MPTCP by `pg`, and tells over how many paths the answer came. The password is PGPASSWORD's.
 *
 *   deno run --allow-ffi --allow-net --allow-env --allow-read examples/database.ts HOST PORT USER        bun … , node …
 */
import process from "node:process";
import { MptcpSocket } from "@mptcp/mptcp/node";
import pg from "pg";

const [host = "127.0.0.1", port = "5432", user = "postgres"] = process.argv.slice(2);
const socket = new MptcpSocket();
const client = new pg.Client({ host, port: Number(port), user, stream: () => socket });
await client.connect();

const { rows } = await client.query<{ i: number; text: string }>(
  "SELECT i, repeat(md5(i::text), 32) AS text FROM generate_series(1, $1::int) AS i",
  [1000],
);
console.log(rows.length, "rows,", rows.reduce((sum, { text }) => sum + text.length, 0), "characters");

const { mptcp } = socket;
console.log(mptcp.isMultipath() ? "MPTCP" : `TCP: ${mptcp.fallback()?.message}`, `${mptcp.subflows().length} path(s)`);
await client.end();
