import { describe, it } from "node:test";
import { assertEquals, assertMatch } from "@std/assert";
import type { Host } from "../host.ts";
import { runtime } from "../host/program.ts";
import { addressOf, Lab } from "../lab.ts";
import { assertMultipath, assertPlainTcp } from "./both_ends.ts";
import { Client } from "./client.ts";
import type { Daemon } from "./daemon.ts";
import { type Package, serverNeeds } from "./needs.ts";
import { mariadb } from "./servers/mariadb.ts";
import { mosquitto } from "./servers/mosquitto.ts";
import { nginx } from "./servers/nginx.ts";
import { postgres } from "./servers/postgres.ts";
import { redis } from "./servers/redis.ts";
import { smtp } from "./servers/smtp.ts";
import { websocket } from "./servers/websocket.ts";

interface Case {
  library: string;
  needs: readonly Package[];
  start(host: Host): Promise<Daemon>;
  /** What the client's result is like, as JSON. */
  result: RegExp;
  /** @default {1} */
  connections?: number;
  /** Whether the runtime has something of its own there, that does not stand on its `node:net`. @default {false} */
  own?: boolean;
}

const CASES: readonly Case[] = [
  { library: "pg", needs: ["postgresql"], start: postgres, result: /^\[1000000,1000000\]$/, connections: 2 },
  {
    library: "mysql2",
    needs: ["mariadb-server-core", "mariadb-client-core"],
    start: mariadb,
    result: /^\[1000000,1000000\]$/,
    connections: 2,
  },
  { library: "ioredis", needs: ["redis-server"], start: redis, result: /^1000000$/ },
  { library: "MQTT.js", needs: ["mosquitto"], start: (host) => mosquitto(host, "tls"), result: /^true$/ },
  { library: "nodemailer", needs: ["python3-aiosmtpd"], start: (host) => smtp(host, true), result: /^"250 / },
  {
    library: "ws",
    needs: ["python3-websockets"],
    start: (host) => websocket(host, false),
    result: /^1000000$/,
    own: runtime === "bun",
  },
  { library: "undici", needs: ["nginx"], start: (host) => nginx(host, false), result: /^404$/ },
  { library: "node:http", needs: ["nginx"], start: (host) => nginx(host, false), result: /^404$/ },
  {
    library: "the runtime's own fetch",
    needs: ["nginx"],
    start: (host) => nginx(host, false),
    result: /^404$/,
    own: runtime !== "node",
  },
];

describe("./auto, of libraries without any hook", () => {
  for (const { library, needs, start, result: expected, connections: count = 1, own = false } of CASES) {
    it(`${library} ${own ? "goes on by plain TCP" : "goes over MPTCP"}`, { skip: serverNeeds(...needs) }, async () => {
      await using lab = await Lab.open();
      await using server = await start(lab.server);
      await using client = Client.start(lab.client, "unhooked.ts", library, addressOf("server", 1), server.port);
      const { connections, result } = await client.report();
      assertMatch(JSON.stringify(result), expected);
      assertEquals(connections.length, own ? 0 : count);
      if (own) await assertPlainTcp(lab, server.port, count);
      else await assertMultipath(lab, server.port, connections);
      await client.end();
    });
  }
});
