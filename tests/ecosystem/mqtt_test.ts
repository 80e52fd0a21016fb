import { describe, it } from "node:test";
import { assertEquals } from "@std/assert";
import { addressOf, Lab } from "../lab.ts";
import { assertMultipath } from "./both_ends.ts";
import { Client } from "./client.ts";
import { serverNeeds } from "./needs.ts";
import { mosquitto } from "./servers/mosquitto.ts";

const skip = serverNeeds("mosquitto");

describe("MQTT.js and Mosquitto", () => {
  for (const carrier of ["tcp", "tls", "websocket"] as const) {
    it(`pass a message from one client to another by ${carrier}`, { skip }, async () => {
      await using lab = await Lab.open();
      await using server = await mosquitto(lab.server, carrier);
      await using client = Client.start(lab.client, "mqtt.ts", carrier, addressOf("server", 1), server.port);
      const { connections, result } = await client.report();
      assertEquals(result, { topic: "news/all", same: true });
      assertEquals(connections.length, 2);
      await assertMultipath(lab, server.port, connections);
      await client.end();
    });
  }

  it("find each other again over MPTCP when the server comes back", { skip }, async () => {
    await using lab = await Lab.open();
    const first = await mosquitto(lab.server, "tcp");
    await using client = Client.start(lab.client, "mqtt.ts", "restart", addressOf("server", 1), first.port);
    await assertMultipath(lab, first.port, (await client.report()).connections);
    await first[Symbol.asyncDispose]();
    await using second = await mosquitto(lab.server, "tcp");
    await assertMultipath(lab, second.port, (await client.report()).connections);
    await client.end();
  });
});
