/** MQTT.js: a message from one client to another by TCP, TLS or WebSocket; its return after the server's. */
import type { Buffer } from "node:buffer";
import { randomBytes } from "node:crypto";
import { connect as tlsConnect } from "node:tls";
import mqtt, { type MqttClient } from "mqtt";
import { MptcpSocket } from "../../../node/mod.ts";
import { CERT } from "../certificate.ts";
import { host, kept, next, port, released, scenario, tell } from "./stage.ts";

const dial = () => kept(new MptcpSocket({ noDelay: true })).connect(port, host);

function start(carrier: string): MqttClient {
  switch (carrier) {
    case "tls":
      return new mqtt.MqttClient(() => tlsConnect({ socket: dial(), ca: CERT, servername: "localhost" }), {});
    case "websocket":
      return mqtt.connect(`ws://${host}:${port}`, { wsOptions: { createConnection: dial } });
    default:
      return new mqtt.MqttClient(dial, {});
  }
}

switch (scenario) {
  case "restart": {
    const client = new mqtt.MqttClient(dial, { reconnectPeriod: 50 });
    await next(client, "connect");
    tell(null);
    client.on("error", () => {}); // nobody listens for a while
    await next(client, "connect");
    tell(null);
    await released();
    await client.endAsync();
    break;
  }
  default: {
    const [publisher, subscriber] = [start(scenario), start(scenario)];
    await Promise.all([next(publisher, "connect"), next(subscriber, "connect")]);
    await subscriber.subscribeAsync("news/#", { qos: 2 });
    const heard = next<[string, Buffer]>(subscriber, "message");
    // Mosquitto 2.0.11 breaks off larger messages over WebSocket, over plain TCP too.
    const message = randomBytes(scenario === "websocket" ? 10_000 : 2_000_000);
    await publisher.publishAsync("news/all", message, { qos: 2 });
    const [topic, got] = await heard;
    tell({ topic, same: got.equals(message) });
    await released();
    await Promise.all([publisher.endAsync(), subscriber.endAsync()]);
  }
}
