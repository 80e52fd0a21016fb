import { describe, it } from "node:test";
import { assertEquals } from "@std/assert";
import { runtime } from "../host/program.ts";
import { addressOf, Lab } from "../lab.ts";
import { assertMultipath, assertPlainTcp } from "./both_ends.ts";
import { Client } from "./client.ts";
import { serverNeeds } from "./needs.ts";
import { nginx } from "./servers/nginx.ts";

const PATHS = [{ rateMbit: 100 }, { rateMbit: 100 }];

/** What each has done: put a file of 4 MB, and got the same. */
const DONE = [201, 200, true];

const skip = serverNeeds("nginx");

describe("HTTP clients and nginx", () => {
  for (
    const scenario of [
      "fetch of ./http by http",
      "fetch of ./http by https",
      "undici's fetch by http",
      "undici's request by http",
      "an agent by http",
      "an agent by https",
    ]
  ) {
    it(`exchange a file over two paths: ${scenario}`, { skip }, async () => {
      await using lab = await Lab.open({ paths: PATHS });
      await using server = await nginx(lab.server, scenario.endsWith("https"));
      await using client = Client.start(lab.client, "http.ts", scenario, addressOf("server", 1), server.port);
      const { connections, result } = await client.report();
      assertEquals(result, DONE);
      assertEquals(connections.length, 1);
      await assertMultipath(lab, server.port, connections, { carried: 100_000 });
      await client.end();
    });
  }

  // The traps that the docs warn of: the hook is taken, and never called.
  for (
    const [scenario, silent] of [
      ["the runtime's own fetch by http", runtime !== "node"],
      ["fetch of the bare undici by http", runtime === "bun"],
    ] as const
  ) {
    it(`${silent ? "ignores" : "calls"} the hook: ${scenario}`, { skip }, async () => {
      await using lab = await Lab.open();
      await using server = await nginx(lab.server, false);
      await using client = Client.start(lab.client, "http.ts", scenario, addressOf("server", 1), server.port);
      const { connections, result } = await client.report();
      assertEquals(result, DONE);
      if (silent) {
        assertEquals(connections, []);
        await assertPlainTcp(lab, server.port, 1);
      } else {
        await assertMultipath(lab, server.port, connections);
      }
      await client.end();
    });
  }
});
