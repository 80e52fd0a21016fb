/** Mosquitto, as Debian's `mosquitto` has it. */
import type { Host } from "../../host.ts";
import { Daemon } from "../daemon.ts";
import { fileOf } from "../needs.ts";

/** What MQTT goes over, the port for it, and what makes Mosquitto listen so. */
const LISTENERS = {
  tcp: { port: 1883, lines: [] },
  tls: { port: 8883, lines: ["certfile @folder/cert.pem", "keyfile @folder/key.pem"] },
  // Mosquitto 2.0.11 does not start with a WebSocket listener alone.
  websocket: { port: 8083, lines: ["protocol websockets", "listener 1883 127.0.0.1"] },
} as const;

/** What MQTT goes over. */
export type Carrier = keyof typeof LISTENERS;

/** Starts Mosquitto for one way of reaching it. */
export function mosquitto(host: Host, carrier: Carrier): Promise<Daemon> {
  const { port, lines } = LISTENERS[carrier];
  return Daemon.start(host, {
    files: { "mosquitto.conf": [`listener ${port} 0.0.0.0`, ...lines, "allow_anonymous true", ""].join("\n") },
    command: [fileOf("mosquitto")!, "-v", "-c", "@folder/mosquitto.conf"],
    port,
    ready: /mosquitto version \S+ running/,
  });
}
