import { assert, assertEquals, assertRejects } from "@std/assert";
import { addressOf, type Host, Lab, labNeeds } from "../lab.ts";
import { Peer } from "../peers/peer.ts";
import { describe, it } from "../suite.ts";
import { Agent, RemoteError } from "./remote.ts";

const skip = labNeeds("python3", "ss");

/** A client with both paths in use. */
async function connected(lab: Lab, version: 4 | 6 = 4): Promise<{ client: Agent; peer: Peer; ids: number[] }> {
  const peer = await Peer.listen(lab.server, version === 4 ? "0.0.0.0" : "::", { behaviour: "echo" });
  const client = Agent.start(lab.client);
  const ids = await client.run(async ({ connect, here, until }, options) => {
    const conn = here.conn = await connect({ ...options, mptcp: "require" });
    await conn.write(new Uint8Array(1));
    await conn.read(new Uint8Array(1));
    // Over IPv6 there may be a third: the server announces its IPv4 address too.
    return (await until(() => conn.subflows().length >= 2 && conn.subflows())).map(({ id }) => id);
  }, { hostname: addressOf("server", 1, version), port: peer.port });
  return { client, peer, ids };
}

/** How many subflows the kernel of a host counts of its one connection, the initial one left out. */
async function additional(host: Host): Promise<string | undefined> {
  return (await host.ss()).mptcp[0]?.info["subflows"];
}

describe("closeSubflow", { skip }, () => {
  for (const version of [4, 6] as const) {
    for (const which of [0, 1] as const) {
      it(`ends ${which === 0 ? "the initial" : "the second"} path over IPv${version}, and the connection goes on`, async () => {
        await using lab = await Lab.open();
        const { client, ids } = await connected(lab, version);
        const left = await client.run(async ({ here, until }, id) => {
          await here.conn.closeSubflow(id);
          const rest = await until(() => here.conn.subflows().every((each) => each.id !== id) && here.conn.subflows());
          await here.conn.write(new Uint8Array([42]));
          const back = new Uint8Array(1);
          await here.conn.read(back);
          return { ids: rest.map((each) => each.id), back: back[0], multipath: here.conn.isMultipath() };
        }, ids[which]!);
        assertEquals([left.back, left.multipath], [42, true]);
        assert(left.ids.includes(ids[1 - which]!), `left are ${left.ids} of ${ids}`);
        // The kernels of both ends come to count as many additional subflows (all but the initial one) as we do.
        const counts = async () => [
          await client.run(({ here }) => here.conn.subflows().filter(({ id }) => id !== 1).length, null),
          Number(await additional(lab.client) ?? 0),
          Number(await additional(lab.server) ?? 0),
        ];
        let seen = await counts();
        for (let turn = 0; turn < 100 && new Set(seen).size > 1; turn++) seen = await counts();
        assertEquals(new Set(seen).size, 1, `library, client, server: ${seen}`);
      });
    }
  }

  it("refuses an id that is not there, is gone, or is no number", async () => {
    await using lab = await Lab.open();
    const { client, ids } = await connected(lab);
    const close = (id: unknown) => client.run(({ here }, id) => here.conn.closeSubflow(id as number), id);
    assertEquals((await assertRejects(() => close(100), RemoteError, "no live subflow has id 100")).code, "EINVAL");
    await close(ids[1]);
    await assertRejects(() => close(ids[1]), RemoteError, "no live subflow");
    await assertRejects(() => close("1"), RemoteError, "must be a number");
  });

  it("leaves other connections and listeners alone", async () => {
    await using lab = await Lab.open();
    const { client, ids, peer } = await connected(lab);
    const answer = await client.run(async ({ here, connect, listen }, { id, ...target }) => {
      using listener = listen({ hostname: "0.0.0.0", port: 0 });
      using other = await connect(target);
      await here.conn.closeSubflow(id);
      await other.write(new Uint8Array(1));
      const count = await other.read(new Uint8Array(1));
      using own = await connect({ port: listener.addr.port });
      return [count, other.isMultipath(), own.isMultipath()];
    }, { id: ids[1]!, hostname: addressOf("server", 1), port: peer.port });
    assertEquals(answer, [1, true, true]);
  });

  it("is no use on plain TCP", async () => {
    await using lab = await Lab.open();
    const client = Agent.start(lab.client);
    const closing = client.run(async ({ listen, connect }) => {
      using listener = listen({ hostname: "127.0.0.1", port: 0, mptcp: "off" });
      using conn = await connect({ port: listener.addr.port });
      await conn.closeSubflow(0);
    }, null);
    assertEquals((await assertRejects(() => closing, RemoteError, "plain TCP")).code, "EOPNOTSUPP");
  });
});

describe("setSubflowBackup", { skip }, () => {
  it("explains itself under the kernel's path manager", async () => {
    await using lab = await Lab.open();
    const { client, ids } = await connected(lab);
    const setting = client.run(({ here }, id) => here.conn.setSubflowBackup(id, true), ids[1]!);
    const error = await assertRejects(() => setting, RemoteError, "setEndpointFlags");
    assertEquals(error.code, "EOPNOTSUPP");
  });

  it("changes one subflow under the userspace path manager, and the peer is told", async () => {
    await using lab = await Lab.open();
    const server = Agent.start(lab.server);
    const client = Agent.start(lab.client);
    await lab.client.sysctl("net.mptcp.path_manager", "userspace");
    const port = await server.run(({ listen, here }) => {
      here.listener = listen({ port: 0 });
      here.listener.accept().then(async (conn) => {
        here.conn = conn;
        await conn.readable.pipeTo(conn.writable).catch(() => conn.close());
      });
      return here.listener.addr.port;
    }, null);
    const priorities = await client.run(async ({ connect, PathManager, watch, here, until }, { remotes, local, port }) => {
      const watching = watch(); // the kernel joins only while somebody listens
      const conn = here.conn = await connect({ hostname: remotes[0]!, port, mptcp: "require" });
      await conn.write(new Uint8Array(1));
      await conn.read(new Uint8Array(1));
      using paths = PathManager.open();
      paths.createSubflow({
        token: conn.token!,
        localAddress: local,
        localId: 1,
        remoteAddress: remotes[1]!,
        remotePort: port,
      });
      const [, second] = await until(() => conn.subflows().length === 2 && conn.subflows());
      await until(() => second!.state === "ESTABLISHED" || conn.subflows()[1]!.state === "ESTABLISHED");
      const backups = () => conn.subflows().map(({ backup }) => backup);
      const before = backups();
      await conn.setSubflowBackup(second!.id, true);
      const during = backups();
      await conn.setSubflowBackup(second!.id, false);
      const after = backups();
      await conn.setSubflowBackup(second!.id, true);
      watching.return!();
      return { before, during, after };
    }, { remotes: [addressOf("server", 1), addressOf("server", 2)], local: addressOf("client", 2), port });
    assertEquals(priorities, { before: [false, false], during: [false, true], after: [false, false] });
    const theirs = await server.run(
      ({ here, until }) => until(() => here.conn.subflows().some(({ backup }) => backup) && here.conn.subflows().length),
      null,
    );
    assertEquals(theirs, 2);
  });
});
