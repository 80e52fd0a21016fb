/** conn.events(): by netlink where the process may, by looking where it may not. */
import { assert, assertEquals } from "@std/assert";
import type { ConnEvent } from "../../mod.ts";
import { addressOf, type Host, Lab, labNeeds } from "../lab.ts";
import { describe, it } from "../suite.ts";
import { managed } from "./managed.ts";
import { Agent } from "./remote.ts";
import { unprivileged } from "./unprivileged.ts";

const skip = labNeeds("nft");

/** The events of an agent's `here.conn`, remembered there. */
class Watched {
  readonly #agent: Agent;
  readonly source: string;

  private constructor(agent: Agent, source: string) {
    this.#agent = agent;
    this.source = source;
  }

  static async start(agent: Agent): Promise<Watched> {
    const source = await agent.run(({ here }) => {
      const events = here.conn.events();
      const seen: unknown[] = [];
      Object.assign(here, { seen });
      here.later = (async () => {
        for await (const event of events) seen.push(event);
      })();
      return events.source;
    });
    return new Watched(agent, source);
  }

  /** Waits until as many have come, and tells them. */
  async seen(count: number): Promise<ConnEvent[]> {
    return await this.#agent.run(async ({ here, until }, count) => {
      const { seen } = here as unknown as { seen: ConnEvent[] };
      await until(() => seen.length >= count, 5000).catch(() => {});
      return seen;
    }, count);
  }

  /** The same in short. */
  async brief(count: number): Promise<string[]> {
    return (await this.seen(count)).map((event) => {
      const { type, id, backup, local } = event as ConnEvent & {
        id?: number;
        backup?: boolean;
        local?: { hostname: string };
      };
      return [type, id, local?.hostname, backup].filter((part) => part !== undefined).join(" ");
    });
  }
}

/** A client that may do nothing, on a connection with a path for each of the server's addresses. */
async function simpleClient(lab: Lab, host: Host, hostname = addressOf("server", 1)): Promise<Agent> {
  const server = Agent.start(lab.server);
  const client = Agent.start(host);
  const port = await server.run(({ listen, here }) => {
    here.listener = listen({ port: 0 });
    here.listener.accept().then((conn) => {
      here.conn = conn;
      conn.readable.pipeTo(conn.writable).catch(() => conn.close());
    });
    return here.listener.addr.port;
  });
  await client.run(async ({ connect, here }, to) => {
    here.conn = await connect({ ...to, mptcp: "require" });
    await here.conn.write(new Uint8Array(1));
    await here.conn.read(new Uint8Array(1));
  }, { hostname, port });
  return client;
}

describe("conn.events", { skip }, () => {
  it("tells by netlink what is opened, closed and changed by either side, with reasons", async () => {
    await using lab = await Lab.open({ endpoints: false });
    const { client, server } = await managed(lab, { listen: { paths: "userspace" } });
    const [ours, theirs] = [await Watched.start(client), await Watched.start(server)];
    assertEquals([ours.source, theirs.source], ["netlink", "netlink"]);
    await client.run(({ here: { conn } }, to) => conn.openSubflow(to).then(() => null), { remoteAddress: "10.0.2.2" });
    await theirs.seen(1);
    await client.run(({ here }) => here.conn.setSubflowBackup(2, true));
    await theirs.seen(2);
    await client.run(({ here }) => here.conn.closeSubflow(2));
    const all = (address: string) => [
      `subflowOpened 2 ${address} false`,
      `subflowPriority 2 ${address} true`,
      `subflowClosed 2 ${address}`,
    ];
    assertEquals(await ours.brief(3), all("10.0.2.1"));
    assertEquals(await theirs.brief(3), all("10.0.2.2"));
    const [opened] = await theirs.seen(3);
    assert(opened?.type === "subflowOpened");
    assertEquals([opened.localId, opened.remoteId], [1, 1]);
  });

  it("knows the subflow of the moment before close()", async () => {
    await using lab = await Lab.open({ endpoints: false });
    const { client } = await managed(lab);
    const seen = await client.run(async ({ here: { conn } }, remoteAddress) => {
      const events = conn.events();
      const { id } = await conn.openSubflow({ remoteAddress });
      conn.close();
      const all = [];
      for await (const event of events) all.push(event.type === "subflowOpened" ? event.id === id : event.type);
      return all;
    }, addressOf("server", 2));
    assertEquals(seen, [true, "closed"]);
  });

  it("tells why a subflow ended", async () => {
    await using lab = await Lab.open();
    const { client, server } = await managed(lab, { connect: { paths: "kernel" } });
    await client.run(({ here, until }) => until(() => here.conn.subflows().length === 2));
    await server.run(({ here, until }) => until(() => here.conn.subflows().length === 2));
    const [ours, theirs] = [await Watched.start(client), await Watched.start(server)];
    await client.run(({ here }) => here.conn.closeSubflow(2));
    const codes = [];
    for (const [event] of [await ours.seen(1), await theirs.seen(1)]) {
      assert(event?.type === "subflowClosed");
      codes.push(event.error?.code);
    }
    assertEquals(codes, ["ECONNABORTED", "ECONNRESET"]);
  });

  it("tells of addresses that the peer announces and withdraws", async () => {
    await using lab = await Lab.open({ endpoints: false });
    const { client, server, port } = await managed(lab, { listen: { paths: "userspace" } });
    const ours = await Watched.start(client);
    await server.run(async ({ here, PathManager, until }) => {
      using paths = PathManager.open();
      const token = here.conn.token!;
      paths.announce({ token, address: "10.0.2.2", id: 7 });
      // The peer's echo frees the way for the withdrawal.
      await until(() => here.conn.info()!.addAddrSignal === 1);
      paths.withdraw({ token, id: 7 });
    });
    assertEquals(await ours.seen(2), [
      { type: "addressAnnounced", remoteId: 7, remote: { transport: "tcp", hostname: "10.0.2.2", port } },
      { type: "addressWithdrawn", remoteId: 7 },
    ]);
  });

  it("looks by itself where the process may not watch", async () => {
    await using lab = await Lab.open({ endpoints: false });
    const client = await simpleClient(lab, unprivileged(lab.client));
    const ours = await Watched.start(client);
    assertEquals(ours.source, "polling");
    await lab.client.ip("mptcp endpoint add 10.0.2.1 dev a2 id 5 subflow");
    assertEquals(await ours.brief(1), ["subflowOpened 2 10.0.2.1 false"]);
    await lab.client.ip("mptcp endpoint change id 5 backup");
    assertEquals((await ours.brief(2))[1], "subflowPriority 2 10.0.2.1 true");
    await lab.client.ip("mptcp endpoint delete id 5");
    assertEquals((await ours.brief(3))[2], "subflowClosed 2 10.0.2.1");
    await client.run(({ here }) => here.conn.close());
    assertEquals((await ours.brief(4))[3], "closed");
    await client.run(({ here }) => here.later.then(() => null)); // the iteration has ended
  });

  for (const privileged of [true, false]) {
    it(`sees a late fallback ${privileged ? "" : "also "}with${privileged ? "" : "out"} the privilege`, async () => {
      await using lab = await Lab.open({ endpoints: false });
      const client = await simpleClient(lab, privileged ? lab.client : unprivileged(lab.client));
      const ours = await Watched.start(client);
      const strip = ["tcp flags & syn == 0 reset tcp option mptcp"];
      await lab.server.filter({ input: strip, output: strip });
      await client.run(async ({ here }) => {
        await here.conn.write(new Uint8Array(1));
        await here.conn.read(new Uint8Array(1));
      });
      const [event] = await ours.seen(1);
      assert(event?.type === "fallback", JSON.stringify(event));
      assertEquals(event.fallback.phase, "established");
      await client.run(({ here }) => here.conn.close());
      assertEquals((await ours.brief(2))[1], "closed");
    });
  }

  it("sees that the peer aborted, though nobody reads", async () => {
    await using lab = await Lab.open({ endpoints: false });
    const { client, server } = await managed(lab, { connect: { paths: "kernel" } });
    const ours = await Watched.start(client);
    await server.run(({ here }) => here.conn.reset());
    const events = await ours.brief(1);
    assertEquals(events.at(-1), "closed");
  });

  it("gives each reader its own, ends with the reader, and keeps no process alive by itself", async () => {
    await using lab = await Lab.open({ endpoints: false });
    const { client } = await managed(lab);
    const counts = await client.run(async ({ here: { conn } }, remoteAddress) => {
      const readers = [conn.events(), conn.events(), conn.events()];
      await readers[2]!.return!();
      const { id } = await conn.openSubflow({ remoteAddress });
      await conn.closeSubflow(id);
      conn.close();
      return await Promise.all(readers.map(async (events) => {
        const types = [];
        for await (const { type } of events) types.push(type);
        return types.join(" ");
      }));
    }, addressOf("server", 2));
    const all = "subflowOpened subflowClosed closed";
    assertEquals(counts, [all, all, ""]);
  });
});
