/** Libraries as they are, without any hook, where `./auto` has made the runtime's own sockets MPTCP. */
import "../../../node/auto.ts";
import { once } from "node:events";
import { Agent, get, type IncomingMessage } from "node:http";
import { Redis } from "ioredis";
import mqtt from "mqtt";
import mysql, { type RowDataPacket } from "mysql2/promise";
import { createTransport } from "nodemailer";
import pg from "pg";
import { Agent as UndiciAgent, fetch as undiciFetch } from "undici/index.js";
import { WebSocket } from "ws";
import { connections } from "../../../mod.ts";
import { CERT } from "../certificate.ts";
import { host, port, released, scenario, tell, type Told } from "./stage.ts";

const tls = { ca: CERT, servername: "localhost" };

/** Uses a library, by one connection or two. @returns What came of it, and what closes its connections. */
async function use(library: string): Promise<[result: unknown, close: () => unknown]> {
  switch (library) {
    case "pg": {
      const options = { host, port, user: "postgres", database: "postgres" };
      const clients = [new pg.Client(options), new pg.Client({ ...options, ssl: tls })];
      const lengths = await Promise.all(clients.map(async (client) => {
        await client.connect();
        const { rows: [row] } = await client.query<{ text: string }>("SELECT repeat('x', 1000000) AS text");
        return row!.text.length;
      }));
      return [lengths, () => Promise.all(clients.map((client) => client.end()))];
    }
    case "mysql2": {
      const options = { host, port, user: "root", password: "secret", database: "lab" };
      const clients = await Promise.all([
        mysql.createConnection(options),
        mysql.createConnection({ ...options, ssl: { ca: CERT } }),
      ]);
      const lengths = await Promise.all(clients.map(async (client) => {
        const [[row]] = await client.query<RowDataPacket[]>("SELECT REPEAT('x', 1000000) AS text");
        return (row!["text"] as string).length;
      }));
      return [lengths, () => Promise.all(clients.map((client) => client.end()))];
    }
    case "ioredis": {
      const client = new Redis({ host, port });
      await client.set("text", "x".repeat(1_000_000));
      return [(await client.get("text"))?.length, () => client.quit()];
    }
    case "MQTT.js": {
      const client = await mqtt.connectAsync(`mqtts://${host}:${port}`, tls);
      await client.publishAsync("news", "x".repeat(1_000_000), { qos: 1 });
      return [client.connected, () => client.endAsync()];
    }
    case "nodemailer": {
      const transport = createTransport({ host, port, pool: true, requireTLS: true, tls });
      const { response } = await transport.sendMail({
        from: "a@example.com",
        to: "b@example.com",
        text: "x".repeat(10_000),
      });
      return [response, () => transport.close()];
    }
    case "ws": {
      const socket = new WebSocket(`ws://${host}:${port}`);
      await once(socket, "open");
      socket.send("x".repeat(1_000_000));
      const [data] = await once(socket, "message") as [Uint8Array];
      return [data.toString().length, () => (socket.close(), once(socket, "close"))];
    }
    case "undici": {
      const dispatcher = new UndiciAgent();
      const { status } = await undiciFetch(`http://${host}:${port}/`, { dispatcher }).then(read);
      return [status, () => dispatcher.close()];
    }
    case "node:http": {
      const agent = new Agent({ keepAlive: true });
      const [response] = await once(get({ host, port, agent }), "response") as [IncomingMessage];
      await once(response.resume(), "end");
      return [response.statusCode, () => agent.destroy()];
    }
    case "the runtime's own fetch":
      return [(await fetch(`http://${host}:${port}/`).then(read)).status, () => {}];
    default:
      throw new RangeError(library);
  }
}

/** So that its connection can be kept. */
async function read<T extends { arrayBuffer(): Promise<ArrayBuffer> }>(response: T): Promise<T> {
  await response.arrayBuffer();
  return response;
}

const [result, close] = await use(scenario);
tell(
  result,
  connections().filter(({ remote }) => remote.port === port).map(({ local, token, fallback }): Told => ({
    localPort: local.port,
    multipath: !fallback,
    token,
  })),
);
await released();
await close();
