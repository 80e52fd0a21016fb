/** pg: parameters, a large result, notifications, a pool, TLS. */
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import pg from "pg";
import { MptcpSocket } from "../../../node/mod.ts";
import { CERT } from "../certificate.ts";
import { host, kept, port, released, scenario, sha256, tell } from "./stage.ts";

const options = { host, port, user: "postgres", database: "postgres", stream: () => kept(new MptcpSocket()) };

/** 4 MB in 4000 rows. */
const ROWS = "SELECT i, repeat(md5(i::text), 32) AS text FROM generate_series(1, $1::int) AS i";

switch (scenario) {
  case "client":
  case "tls": {
    const ssl = scenario === "tls" ? { ca: CERT, servername: "localhost" } : false;
    const client = new pg.Client({ ...options, ssl });
    await client.connect();
    const { rows } = await client.query<{ i: number; text: string }>(ROWS, [4000]);
    const blob = randomBytes(1_000_000);
    await client.query("CREATE TEMP TABLE t (name text, data bytea)");
    await client.query("INSERT INTO t VALUES ($1, $2)", ["it's", blob]);
    const { rows: [row] } = await client.query<{ data: Buffer }>("SELECT data FROM t WHERE name = $1", ["it's"]);
    await client.query("LISTEN news");
    const heard = once(client, "notification");
    await client.query("SELECT pg_notify('news', $1)", ["hello"]);
    const [{ payload }] = await heard as [{ payload: string }];
    const { rows: [encrypted] } = await client.query<{ ssl: boolean }>(
      "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
    );
    tell({
      rows: rows.length,
      sha256: sha256(...rows.map(({ text }) => text)),
      blob: row?.data.equals(blob),
      payload,
      ssl: encrypted?.ssl,
    });
    await released();
    await client.end();
    break;
  }
  case "pool": {
    const pool = new pg.Pool({ ...options, max: 3 });
    const clients = await Promise.all([pool.connect(), pool.connect(), pool.connect()]);
    for (const client of clients) client.release();
    const sums = await Promise.all(Array.from({ length: 12 }, async (_, i) => {
      const { rows: [row] } = await pool.query<{ n: number }>("SELECT $1::int * 2 AS n", [i]);
      return row!.n;
    }));
    tell({ sums, connections: pool.totalCount });
    await released();
    await pool.end();
    break;
  }
}
