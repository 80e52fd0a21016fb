/** ioredis: large values, publish and subscribe, the server's restart, a server without MPTCP. */
import type { Buffer } from "node:buffer";
import { randomBytes } from "node:crypto";
import { AbstractConnector, Redis, type RedisOptions } from "ioredis";
import { MptcpSocket } from "../../../node/mod.ts";
import { host, kept, next, port, released, scenario, sha256, tell } from "./stage.ts";

const mptcp = scenario === "required" ? "require" : "prefer";

class MptcpConnector extends AbstractConnector {
  readonly #options: { host: string; port: number };

  constructor(options: { host: string; port: number; disconnectTimeout: number }) {
    super(options.disconnectTimeout);
    this.#options = options;
  }

  override connect(): Promise<MptcpSocket> {
    const { host, port } = this.#options;
    return Promise.resolve(this.stream = kept(new MptcpSocket({ mptcp })).connect(port, host));
  }
}

const client = new Redis({
  host,
  port,
  Connector: MptcpConnector as NonNullable<RedisOptions["Connector"]>,
  retryStrategy: () => scenario === "required" ? null : 20,
});

switch (scenario) {
  case "values": {
    const value = randomBytes(4_000_000);
    await client.set("blob", value);
    const back = await client.getBuffer("blob");
    const counts = await client.pipeline().incr("n").incrby("n", 41).get("n").exec();
    tell({ same: back?.equals(value), count: counts?.at(-1)?.[1], sha256: sha256(value) });
    await released();
    await client.quit();
    break;
  }
  case "channels": {
    const subscriber = client.duplicate();
    await subscriber.subscribe("news");
    const heard = next<[Buffer, Buffer]>(subscriber, "messageBuffer");
    const message = randomBytes(100_000);
    const receivers = await client.publish("news", message);
    const [, got] = await heard;
    tell({ receivers, same: got.equals(message) });
    await released();
    await Promise.all([subscriber.quit(), client.quit()]);
    break;
  }
  case "fallback": {
    await client.set("a", "b");
    tell({ value: await client.get("a"), fallback: (client.stream as MptcpSocket).mptcp.fallback()?.phase });
    await released();
    await client.quit();
    break;
  }
  case "required": {
    const [[error]] = await Promise.all([next<[NodeJS.ErrnoException]>(client, "error"), next(client, "end")]);
    tell(error.code);
    await released();
    break;
  }
  case "restart": {
    await client.set("before", "1");
    tell(null);
    client.on("error", () => {}); // nobody listens for a while
    await next(client, "close");
    await next(client, "ready");
    tell(await client.set("after", "2"));
    await released();
    client.disconnect();
    break;
  }
}
