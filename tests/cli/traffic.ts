/**
 * A lab whose two hosts have one connection over both paths, through which bytes go until it is closed.
 *
 * @module
 */
import { addressOf, Lab } from "../lab.ts";
import { Agent } from "../lab/remote.ts";

/** See the module's comment. */
export class Traffic implements AsyncDisposable {
  readonly lab: Lab;
  readonly client: Agent;
  readonly server: Agent;

  private constructor(lab: Lab, client: Agent, server: Agent) {
    this.lab = lab;
    this.client = client;
    this.server = server;
  }

  /**
   * Begins it.
   *
   * @param rateMbit What each path can carry. The sender wants twice as much.
   */
  static async open(rateMbit = 20): Promise<Traffic> {
    const lab = await Lab.open({ paths: [{ rateMbit }, { rateMbit }] });
    try {
      const [client, server] = [Agent.start(lab.client), Agent.start(lab.server)];
      const port = await server.run(({ listen, here, drain }) => {
        here.listener = listen({ port: 0 });
        here.later = here.listener.accept().then((conn) => drain(here.conn = conn));
        here.later.catch(() => {});
        return here.listener.addr.port;
      });
      await client.run(async ({ connect, here, send }, options) => {
        const conn = here.conn = await connect({ ...options, mptcp: "require", sendBuffer: 200_000, congestion: "reno" });
        // Until the connection is closed.
        here.later = send(conn, 1e12);
        here.later.catch(() => {});
      }, { hostname: addressOf("server", 1), port });
      await client.run(({ here, until, look }) =>
        until(() => {
          const { subflows } = look(here.conn);
          return subflows.length === 2 && subflows.every(({ sent }) => sent > 50_000);
        })
      );
      return new Traffic(lab, client, server);
    } catch (error) {
      await lab[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Ends the connection. */
  async close(): Promise<void> {
    await this.client.run(({ here }) => here.conn.reset());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.lab[Symbol.asyncDispose]();
  }
}
