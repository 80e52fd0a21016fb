import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { assertEquals, assertMatch } from "@std/assert";
import { runtimeCommand } from "../host.ts";
import { addressOf } from "../lab.ts";
import { assertMultipath } from "./both_ends.ts";
import { Client } from "./client.ts";
import { serverNeeds } from "./needs.ts";
import { postgres } from "./servers/postgres.ts";
import { shared } from "./shared.ts";

const md5 = (text: string) => createHash("md5").update(text).digest("hex");

/** What the client's query has to give. */
function rowsHash(): string {
  const hash = createHash("sha256");
  for (let i = 1; i <= 4000; i++) hash.update(md5(`${i}`).repeat(32));
  return hash.digest("hex");
}

const skip = serverNeeds("postgresql");

describe("pg and PostgreSQL", () => {
  const served = shared({ paths: [{ rateMbit: 100 }, { rateMbit: 100 }] }, postgres);

  for (const [scenario, ssl] of [["client", false], ["tls", true]] as const) {
    it(
      `exchange parameters, a large result and notifications over two paths${ssl ? ", by TLS" : ""}`,
      { skip },
      async () => {
        const { lab, server } = await served();
        await using client = Client.start(lab.client, "postgres.ts", scenario, addressOf("server", 1), server.port);
        const { connections, result } = await client.report();
        assertEquals(result, { rows: 4000, sha256: rowsHash(), blob: true, payload: "hello", ssl });
        assertEquals(connections.length, 1);
        await assertMultipath(lab, server.port, connections, { carried: 100_000 });
        await client.end();
      },
    );
  }

  it("have a pool of connections", { skip }, async () => {
    const { lab, server } = await served();
    await using client = Client.start(lab.client, "postgres.ts", "pool", addressOf("server", 1), server.port);
    const { connections, result } = await client.report();
    assertEquals(result, { sums: Array.from({ length: 12 }, (_, i) => i * 2), connections: 3 });
    assertEquals(connections.length, 3);
    await assertMultipath(lab, server.port, connections);
    await client.end();
  });

  it("examples/database.ts, with the permissions that it says", { skip }, async () => {
    const { lab, server } = await served();
    const file = fileURLToPath(new URL("../../examples/database.ts", import.meta.url));
    const flags = /deno run (.*) examples/.exec(readFileSync(file, "utf8"))![1]!.split(" ");
    const [command, ...args] = runtimeCommand(file, [addressOf("server", 1), `${server.port}`, "postgres"]);
    const permitted = args.flatMap((arg) => arg === "-A" ? ["--no-prompt", ...flags] : [arg]);
    const { code, stdout, stderr } = await lab.client.spawn("timeout", ["20", command!, ...permitted]).ended;
    assertEquals([code, stderr], [0, ""]);
    assertMatch(stdout, /^1000 rows, 1024000 characters\nMPTCP [12] path\(s\)\n$/);
  });
});
