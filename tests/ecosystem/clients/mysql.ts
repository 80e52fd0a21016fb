/** mysql2: prepared statements, a large result, a pool, TLS. */
import { randomBytes } from "node:crypto";
import mysql, { type RowDataPacket } from "mysql2/promise";
import { MptcpSocket } from "../../../node/mod.ts";
import { CERT } from "../certificate.ts";
import { host, kept, port, released, scenario, sha256, tell } from "./stage.ts";

const options = {
  host,
  port,
  user: "root",
  password: "secret",
  database: "lab",
  stream: () => kept(new MptcpSocket({ noDelay: true })).connect(port, host),
};

switch (scenario) {
  case "client":
  case "tls": {
    const ssl = scenario === "tls" ? { ssl: { ca: CERT } } : {};
    const connection = await mysql.createConnection({ ...options, ...ssl });
    const [rows] = await connection.execute<RowDataPacket[]>(
      "SELECT seq, REPEAT(MD5(seq), 32) AS text FROM seq_1_to_4000 WHERE seq <= ?",
      [4000],
    );
    const blob = randomBytes(1_000_000);
    await connection.query("CREATE TEMPORARY TABLE t (name TEXT, data LONGBLOB)");
    await connection.execute("INSERT INTO t VALUES (?, ?)", ["it's", blob]);
    const [[row]] = await connection.execute<RowDataPacket[]>("SELECT data FROM t WHERE name = ?", ["it's"]);
    const [[status]] = await connection.query<RowDataPacket[]>("SHOW STATUS LIKE 'Ssl_version'");
    tell({
      rows: rows.length,
      sha256: sha256(...rows.map(({ text }) => text as string)),
      blob: (row?.["data"] as Buffer).equals(blob),
      ssl: status?.["Value"] !== "",
    });
    await released();
    await connection.end();
    break;
  }
  case "pool": {
    const pool = mysql.createPool({ ...options, connectionLimit: 3 });
    const connections = await Promise.all([pool.getConnection(), pool.getConnection(), pool.getConnection()]);
    for (const connection of connections) connection.release();
    const sums = await Promise.all(Array.from({ length: 12 }, async (_, i) => {
      const [[row]] = await pool.query<RowDataPacket[]>("SELECT ? * 2 AS n", [i]);
      return row!["n"] as number;
    }));
    tell({ sums });
    await released();
    await pool.end();
    break;
  }
}
