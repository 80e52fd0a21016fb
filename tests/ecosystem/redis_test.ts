import { describe, it } from "node:test";
import { assertEquals } from "@std/assert";
import { addressOf, Lab } from "../lab.ts";
import { assertMultipath, assertPlainTcp } from "./both_ends.ts";
import { Client } from "./client.ts";
import { serverNeeds } from "./needs.ts";
import { redis } from "./servers/redis.ts";

const skip = serverNeeds("redis-server");

describe("ioredis and Redis", () => {
  it("exchange a large value over two paths", { skip }, async () => {
    await using lab = await Lab.open({ paths: [{ rateMbit: 100 }, { rateMbit: 100 }] });
    await using server = await redis(lab.server);
    await using client = Client.start(lab.client, "redis.ts", "values", addressOf("server", 1), server.port);
    const { connections, result } = await client.report<{ same: boolean; count: string }>();
    assertEquals([result.same, result.count], [true, "42"]);
    await assertMultipath(lab, server.port, connections, { carried: 100_000 });
    await client.end();
  });

  it("publish and subscribe by two connections", { skip }, async () => {
    await using lab = await Lab.open();
    await using server = await redis(lab.server);
    await using client = Client.start(lab.client, "redis.ts", "channels", addressOf("server", 1), server.port);
    const { connections, result } = await client.report();
    assertEquals(result, { receivers: 1, same: true });
    assertEquals(connections.length, 2);
    await assertMultipath(lab, server.port, connections);
    await client.end();
  });

  it("find each other again over MPTCP when the server comes back", { skip }, async () => {
    await using lab = await Lab.open();
    const first = await redis(lab.server);
    await using client = Client.start(lab.client, "redis.ts", "restart", addressOf("server", 1), first.port);
    await assertMultipath(lab, first.port, (await client.report()).connections);
    await first[Symbol.asyncDispose]();
    await using second = await redis(lab.server);
    const { connections, result } = await client.report();
    assertEquals(result, "OK");
    await assertMultipath(lab, second.port, connections);
    await client.end();
  });

  it("go by plain TCP when the server has no MPTCP, and the client says so", { skip }, async () => {
    await using lab = await Lab.open();
    await using server = await redis(lab.server, false);
    await using client = Client.start(lab.client, "redis.ts", "fallback", addressOf("server", 1), server.port);
    const { connections, result } = await client.report();
    assertEquals(result, { value: "b", fallback: "handshake" });
    assertEquals(connections.map(({ multipath, token }) => ({ multipath, token })), [{ multipath: false, token: null }]);
    await assertPlainTcp(lab, server.port, 1);
    await client.end();
  });

  it("do not go by plain TCP where MPTCP is required", { skip }, async () => {
    await using lab = await Lab.open();
    await using server = await redis(lab.server, false);
    await using client = Client.start(lab.client, "redis.ts", "required", addressOf("server", 1), server.port);
    const { connections, result } = await client.report();
    assertEquals([result, connections], ["EOPNOTSUPP", []]);
    await client.end();
  });
});
