/** A WebSocket server of Debian's `python3-websockets` that sends back what it gets. */
import { fileURLToPath } from "node:url";
import type { Host } from "../../host.ts";
import { Daemon } from "../daemon.ts";

const PROGRAM = fileURLToPath(new URL("./echo_websocket.py", import.meta.url));

/** Starts the server. */
export function websocket(host: Host, tls: boolean): Promise<Daemon> {
  const certificate = tls ? ["@folder/cert.pem", "@folder/key.pem"] : [];
  return Daemon.start(host, {
    // Debian's own Python: another one that comes first in PATH does not have Debian's modules.
    command: ["/usr/bin/python3", PROGRAM, "8765", ...certificate],
    port: 8765,
    ready: /listening/,
  });
}
