import { createHash } from "node:crypto";
import { describe, it } from "node:test";
import { assertEquals } from "@std/assert";
import { addressOf } from "../lab.ts";
import { assertMultipath } from "./both_ends.ts";
import { Client } from "./client.ts";
import { serverNeeds } from "./needs.ts";
import { mariadb } from "./servers/mariadb.ts";
import { shared } from "./shared.ts";

const md5 = (text: string) => createHash("md5").update(text).digest("hex");

/** What the client's query has to give. */
function rowsHash(): string {
  const hash = createHash("sha256");
  for (let i = 1; i <= 4000; i++) hash.update(md5(`${i}`).repeat(32));
  return hash.digest("hex");
}

const skip = serverNeeds("mariadb-server-core", "mariadb-client-core");

describe("mysql2 and MariaDB", () => {
  const served = shared({ paths: [{ rateMbit: 100 }, { rateMbit: 100 }] }, mariadb);

  for (const [scenario, ssl] of [["client", false], ["tls", true]] as const) {
    it(`exchange parameters and a large result over two paths${ssl ? ", by TLS" : ""}`, { skip }, async () => {
      const { lab, server } = await served();
      await using client = Client.start(lab.client, "mysql.ts", scenario, addressOf("server", 1), server.port);
      const { connections, result } = await client.report();
      assertEquals(result, { rows: 4000, sha256: rowsHash(), blob: true, ssl });
      assertEquals(connections.length, 1);
      await assertMultipath(lab, server.port, connections, { carried: 100_000 });
      await client.end();
    });
  }

  it("have a pool of connections", { skip }, async () => {
    const { lab, server } = await served();
    await using client = Client.start(lab.client, "mysql.ts", "pool", addressOf("server", 1), server.port);
    const { connections, result } = await client.report();
    assertEquals(result, { sums: Array.from({ length: 12 }, (_, i) => i * 2) });
    assertEquals(connections.length, 3);
    await assertMultipath(lab, server.port, connections);
    await client.end();
  });
});
