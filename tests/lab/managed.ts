/**
 * A connection in the lab whose paths the test manages.
 *
 * @module
 */
import type { ConnectOptions, ListenOptions } from "../../mod.ts";
import { addressOf, type Lab } from "../lab.ts";
import { Agent } from "./remote.ts";

/** A client and a server, connected; `here.conn` is the connection at each. The server sends back what it gets. */
export interface Managed {
  client: Agent;
  server: Agent;
  port: number;
}

/** Connects over the first path, and exchanges a byte. */
export async function managed(
  lab: Lab,
  options: { connect?: Partial<ConnectOptions>; listen?: Partial<ListenOptions>; version?: 4 | 6; idle?: boolean } = {},
): Promise<Managed> {
  const server = Agent.start(lab.server);
  const client = Agent.start(lab.client);
  const port = await server.run(({ listen, here }, options) => {
    here.listener = listen({ hostname: "::", port: 0, ...options });
    here.later = here.listener.accept().then((conn) => {
      here.conn = conn;
      conn.readable.pipeTo(conn.writable).catch(() => conn.close());
    });
    return here.listener.addr.port;
  }, options.listen ?? {});
  await client.run(async ({ connect, here }, { options, idle }) => {
    here.conn = await connect({ paths: "userspace", mptcp: "require", ...options });
    if (idle) return;
    await here.conn.write(new Uint8Array(1));
    await here.conn.read(new Uint8Array(1));
  }, {
    options: { hostname: addressOf("server", 1, options.version), port, ...options.connect },
    idle: options.idle ?? false,
  });
  await server.run(({ here }) => here.later.then(() => null));
  return { client, server, port };
}
