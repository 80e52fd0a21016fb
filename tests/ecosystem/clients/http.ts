/** HTTP clients: a file goes to the server and comes back, by one connection. */
import { Buffer } from "node:buffer";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { type IncomingMessage, request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import type { Socket } from "node:net";
import { Agent, type buildConnector, fetch as undiciFetch } from "undici/index.js";
import { createClient } from "../../../http/mod.ts";
import { HttpAgent, HttpsAgent, mptcpOf, MptcpSocket } from "../../../node/mod.ts";
import { CERT } from "../certificate.ts";
import { host, kept, look, port, released, scenario, tell, type Told } from "./stage.ts";

const [client, scheme] = scenario.split(" by ");
const url = `${scheme}://${host}:${port}/files/blob`;
const blob = randomBytes(4_000_000);

type Connector = buildConnector.connector;

/** undici's hook. */
const connect: Connector = ({ hostname, port }, done) => {
  const socket = kept(new MptcpSocket({ noDelay: true })).connect(Number(port), hostname, () => done(null, socket));
  socket.once("error", (error) => done(error, null));
};

/** Sends the file and fetches it, by any function that is like `fetch`. */
async function exchange<T extends { status: number; arrayBuffer(): Promise<ArrayBuffer> }>(
  fetch: (url: string, init: { method: string; body?: Buffer<ArrayBuffer> }) => Promise<T>,
): Promise<T> {
  const put = await fetch(url, { method: "PUT", body: blob });
  await put.arrayBuffer();
  const got = await fetch(url, { method: "GET" });
  const same = blob.equals(Buffer.from(await got.arrayBuffer()));
  results.push(put.status, got.status, same);
  return got;
}

const results: unknown[] = [];

switch (client) {
  case "fetch of ./http": {
    await using client = createClient({ caCerts: [CERT] });
    const { mptcp } = await exchange(client.fetch);
    const connections: Told[] = [{ localPort: mptcp!.subflows[0]!.local.port, multipath: mptcp!.isMultipath }];
    tell(results, connections);
    await released();
    break;
  }
  case "undici's fetch": {
    const dispatcher = new Agent({ connect, connections: 1 });
    await exchange((url, init) => undiciFetch(url, { ...init, dispatcher }));
    tell(results);
    await released();
    await dispatcher.close();
    break;
  }
  case "undici's request": {
    const dispatcher = new Agent({ connect, connections: 1 });
    await exchange(async (url, { method, body = null }) => {
      const { statusCode, body: answer } = await dispatcher.request({
        origin: new URL(url).origin,
        path: new URL(url).pathname,
        method: method as "GET",
        body,
      });
      return { status: statusCode, arrayBuffer: () => answer.arrayBuffer() };
    });
    tell(results);
    await released();
    await dispatcher.close();
    break;
  }
  case "an agent": {
    const agent = scheme === "https"
      ? new HttpsAgent({ keepAlive: true, maxSockets: 1, ca: CERT, servername: "localhost" })
      : new HttpAgent({ keepAlive: true, maxSockets: 1 });
    const connections: Told[] = [];
    await exchange(async (url, { method, body }) => {
      const request = (scheme === "https" ? httpsRequest : httpRequest)(url, { method, agent });
      request.end(body);
      const [response] = await once(request, "response") as [IncomingMessage];
      const parts: Uint8Array[] = [];
      connections.splice(0, 1, look(mptcpOf(response.socket as Socket)!));
      for await (const part of response) parts.push(part as Uint8Array);
      const whole = new Uint8Array(Buffer.concat(parts)).buffer;
      return { status: response.statusCode!, arrayBuffer: () => Promise.resolve(whole) };
    });
    tell(results, connections);
    await released();
    agent.destroy();
    break;
  }
  case "the runtime's own fetch": {
    const dispatcher = new Agent({ connect, connections: 1 });
    await exchange((url, init) => fetch(url, { ...init, dispatcher } as RequestInit));
    tell(results);
    await released();
    await dispatcher.close();
    break;
  }
  case "fetch of the bare undici": {
    const undici = await import("undici");
    const dispatcher = new undici.Agent({ connect, connections: 1 });
    await exchange((url, init) => undici.fetch(url, { ...init, dispatcher }));
    tell(results);
    await released();
    // Bun's stand-in has no methods.
    if ("close" in dispatcher) await dispatcher.close();
    break;
  }
}
