import { describe, it } from "node:test";
import { assertEquals } from "@std/assert";
import { addressOf, Lab } from "../lab.ts";
import { assertMultipath } from "./both_ends.ts";
import { Client } from "./client.ts";
import { serverNeeds } from "./needs.ts";
import { websocket } from "./servers/websocket.ts";

const skip = serverNeeds("python3-websockets");

describe("ws and a WebSocket server", () => {
  for (
    const [scenario, title] of [["createConnection", ""], ["agent", ", by an agent"], [
      "tls",
      ", by an agent and TLS",
    ]] as const
  ) {
    it(`exchange messages over two paths${title}`, { skip }, async () => {
      await using lab = await Lab.open({ paths: [{ rateMbit: 100 }, { rateMbit: 100 }] });
      await using server = await websocket(lab.server, scenario === "tls");
      await using client = Client.start(lab.client, "websocket.ts", scenario, addressOf("server", 1), server.port);
      const { connections, result } = await client.report();
      assertEquals(result, { echoed: [true, true, true, true], pong: "there?" });
      await assertMultipath(lab, server.port, connections, { carried: 100_000 });
      await client.end();
    });
  }
});
