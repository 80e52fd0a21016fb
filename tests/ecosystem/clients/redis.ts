/** ioredis: large values, publish and subscribe, the server's restart. */
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { AbstractConnector, Redis, type RedisOptions } from "ioredis";
import { MptcpSocket } from "../../../node/mod.ts";
import { host, kept, port, released, scenario, sha256, tell } from "./stage.ts";

class MptcpConnector extends AbstractConnector {
  readonly #options: { host: string; port: number };

  constructor(options: { host: string; port: number; disconnectTimeout: number }) {
    super(options.disconnectTimeout);
    this.#options = options;
  }

  override connect(): Promise<MptcpSocket> {
    const { host, port } = this.#options;
    return Promise.resolve(this.stream = kept(new MptcpSocket({ noDelay: true })).connect(port, host));
  }
}

const client = new Redis({ host, port, Connector: MptcpConnector as NonNullable<RedisOptions["Connector"]> });

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
    const heard = once(subscriber, "messageBuffer");
    const message = randomBytes(100_000);
    const receivers = await client.publish("news", message);
    const [, got] = await heard as [Buffer, Buffer];
    tell({ receivers, same: got.equals(message) });
    await released();
    await Promise.all([subscriber.quit(), client.quit()]);
    break;
  }
  case "restart": {
    await client.set("before", "1");
    tell(null);
    await once(client, "close");
    await once(client, "ready");
    tell(await client.set("after", "2"));
    await released();
    client.disconnect();
    break;
  }
}
