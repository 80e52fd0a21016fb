import { assert, assertEquals, assertNotEquals } from "@std/assert";
import type { PathEvent } from "../../mod.ts";
import { addressOf, Lab, labNeeds } from "../lab.ts";
import { Peer } from "../peers/peer.ts";
import { describe, it } from "../suite.ts";
import { compareSubflows, type End, type Ends, openEnds } from "./ends.ts";
import { EventLog } from "./event_log.ts";
import { call } from "./path_calls.ts";
import { Agent } from "./remote.ts";

const skip = labNeeds("python3", "ss");

const at = (hostname: string, port: number) => ({ transport: "tcp" as const, hostname, port });

/** The events of one connection, in order, once three programs agree on them. */
async function agreed({ events, token }: Pick<End, "events" | "token">): Promise<PathEvent[]> {
  return (await events.compare()).filter((event) => "token" in event && event.token === token);
}

/** Ends the connection in an orderly way: one that is reset is not told of. */
async function close({ client, server }: Ends): Promise<void> {
  const drained = server.agent.run(async ({ here, drain }) => {
    await drain(here.conn);
    here.conn.close();
  });
  await client.agent.run(async ({ here, drain }) => {
    await here.conn.closeWrite();
    await drain(here.conn);
    here.conn.close();
  });
  await drained;
}

describe("Events", { skip }, () => {
  for (const version of [4, 6] as const) {
    it(`tell a connection's whole life to both ends, over IPv${version}`, async () => {
      const to = addressOf("server", 1, version);
      await using ends = await openEnds({ client: "kernel", server: "kernel", at: version === 4 ? "0.0.0.0" : "::", to });
      const { client, server, port, localPort } = ends;
      const [near, far] = [addressOf("client", 2, version), addressOf("server", 2, version)];
      const initial = { family: version, localId: 0, remoteId: 0, denyJoinId0: false } as const;
      const ours = { ...initial, local: at(addressOf("client", 1, version), localPort), remote: at(to, port) };
      const theirs = { ...initial, local: ours.remote, remote: ours.local };

      // The server announces an address, and the client makes a subflow to it.
      await call(server.agent, "addEndpoint", { address: far, signal: true, id: 9 });
      await client.events.take("announced", { token: client.token });
      const [, { local }] = await compareSubflows(ends, 2) as [unknown, { local: { port: number } }];
      for (const each of [client, server]) await each.events.take("subflowEstablished");
      // It wants the subflow for a backup, and then not at all.
      await call(server.agent, "setEndpointFlags", 9, { backup: true });
      await client.events.take("subflowPriority");
      await call(server.agent, "removeEndpoint", 9);
      await client.events.take("removed");
      for (const each of [client, server]) await each.events.take("subflowClosed");
      await compareSubflows(ends, 1);
      await close(ends);
      for (const { events, token } of [client, server]) await events.take("closed", { token });

      const subflow = { family: version, local: at(near, local.port), remote: at(far, port), remoteId: 9 } as const;
      const joined = (await agreed(client)).find((event) => event.type === "subflowEstablished");
      assert(joined?.type === "subflowEstablished");
      const { localId } = joined; // the kernel's choice
      const base = { token: client.token, ...subflow, localId };
      assertEquals(await agreed(client), [
        { type: "created", token: client.token, ...ours, serverSide: false, flags: 0 },
        { type: "established", token: client.token, ...ours, serverSide: false, flags: 0 },
        { type: "announced", token: client.token, remoteId: 9, remote: at(far, port) },
        { type: "subflowEstablished", ...base, backup: false },
        { type: "subflowPriority", ...base, backup: true },
        { type: "removed", token: client.token, remoteId: 9 },
        { type: "subflowClosed", ...base, backup: true },
        { type: "closed", token: client.token },
      ]);
      const turned = { local: subflow.remote, remote: subflow.local, localId: 9, remoteId: localId };
      const baseThere = { token: server.token, family: version, ...turned };
      assertEquals(await agreed(server), [
        { type: "created", token: server.token, ...theirs, serverSide: true, flags: 2 },
        { type: "established", token: server.token, ...theirs, serverSide: true, flags: 2 },
        { type: "subflowEstablished", ...baseThere, backup: false },
        { type: "subflowClosed", ...baseThere, backup: false },
        { type: "closed", token: server.token },
      ]);
    });
  }

  it("say that the peer wants no joins at its initial address", async () => {
    const deny = (host: "client" | "server") => (lab: Lab) => lab[host].sysctl("net.mptcp.allow_join_initial_addr_port", 0);
    for (const host of ["client", "server"] as const) {
      await using ends = await openEnds({ client: "kernel", server: "kernel", prepare: deny(host) });
      for (const end of ["client", "server"] as const) {
        const denied = end !== host;
        const flags = (denied ? 1 : 0) + (end === "server" ? 2 : 0);
        const seen = (await agreed(ends[end])).map((event) =>
          event.type === "created" || event.type === "established" ? [event.denyJoinId0, event.flags] : event.type
        );
        assertEquals(seen, [[denied, flags], [denied, flags]]);
      }
    }
  });

  it("tell of IPv4 as such, and that an IPv6 socket speaks it", async () => {
    await using ends = await openEnds({ client: "kernel", server: "kernel", at: "::" });
    const { client, server, port, localPort } = ends;
    const [near, far] = [at(addressOf("client", 1), localPort), at(addressOf("server", 1), port)];
    for (const [end, family, local, remote] of [[client, 4, near, far], [server, 6, far, near]] as const) {
      for (const event of await agreed(end)) {
        assert(event.type === "created" || event.type === "established");
        assertEquals([event.family, event.local, event.remote], [family, local, remote]);
      }
    }
  });

  it("say why a subflow ended: by its owner, by the peer's reset", async () => {
    await using ends = await openEnds({
      client: "kernel",
      server: "kernel",
      prepare: (lab) => lab.client.ip(`mptcp endpoint add ${addressOf("client", 2)} dev a2 id 7 subflow`),
    });
    const { client, server } = ends;
    await compareSubflows(ends, 2);
    await client.agent.run(({ here }) => here.conn.closeSubflow(here.conn.subflows()[1]!.id));
    const ours = await client.events.take("subflowClosed");
    assertEquals(ours.error, { code: "ECONNABORTED", errno: -103 });
    assertEquals([ours.localId, ours.resetReason], [7, undefined]);
    const [link] = JSON.parse(await client.host.run("ip", ["-j", "link", "show", "a2"])) as { ifindex: number }[];
    assertEquals(ours.interfaceIndex, link!.ifindex);
    const theirs = await server.events.take("subflowClosed");
    assertEquals([theirs.error, theirs.resetReason, theirs.resetFlags], [
      { code: "ECONNRESET", errno: -104 },
      { code: 0, meaning: "unspecified" },
      0,
    ]);
    for (const end of [client, server]) await agreed(end);
  });

  it("tell of a client's fallback only that it is over", async () => {
    await using lab = await Lab.open({ endpoints: false });
    const agent = Agent.start(lab.client);
    const events = await EventLog.start(lab.client, agent);
    const peer = await Peer.listen(lab.server, addressOf("server", 1), { behaviour: "echo", protocol: "tcp" });
    await agent.run(async ({ connect, drain }, options) => {
      using conn = await connect({ ...options, mptcp: "prefer" });
      await conn.closeWrite();
      await drain(conn);
    }, { hostname: addressOf("server", 1), port: peer.port });
    const { token } = await events.take("closed");
    assertNotEquals(token, 0);
    assertEquals(await events.compare(), [{ type: "closed", token }]);
  });

  it("tell of every program's connections", async () => {
    await using lab = await Lab.open({ endpoints: false });
    const [near, far] = [Agent.start(lab.client), Agent.start(lab.server)];
    const logs = [await EventLog.start(lab.client, near), await EventLog.start(lab.server, far)] as const;
    const { port } = await Peer.listen(lab.server, addressOf("server", 1), { behaviour: "echo" });
    await Peer.connect(lab.client, addressOf("server", 1), port, { behaviour: "send", bytes: 10_000 });
    for (const [log, serverSide] of [[logs[0], false], [logs[1], true]] as const) {
      const { token } = await log.take("created", { serverSide });
      await log.take("established", { token });
      await log.take("closed", { token });
      const types = (await log.compare()).map(({ type }) => type);
      assertEquals(types, [...serverSide ? ["listenerCreated"] : [], "created", "established", "closed"]);
    }
  });
});

describe("Events of a packet filter's doing", { skip: labNeeds("python3", "ss", "nft") }, () => {
  it("give the peer's reason for a reset", async () => {
    await using ends = await openEnds({
      client: "kernel",
      server: "kernel",
      // The initial subflow is for a backup, so that what is sent goes over the second.
      prepare: (lab) =>
        lab.client.ip(
          `mptcp endpoint add ${addressOf("client", 1)} id 1 backup`,
          `mptcp endpoint add ${addressOf("client", 2)} dev a2 id 7 subflow`,
        ),
    });
    const { client, server } = ends;
    await compareSubflows(ends, 2);
    // What comes over the second path has lost its options, which a subflow cannot go without.
    await server.host.filter({ input: ['iifname "b2" reset tcp option mptcp'] });
    await client.agent.run(({ here, send }) => send(here.conn, 100_000));
    const { localId, error, resetReason, resetFlags } = await client.events.take("subflowClosed");
    assertEquals([localId, error?.code], [7, "ECONNRESET"]);
    assertEquals([resetReason, resetFlags], [{ code: 6, meaning: "middlebox interference" }, 0]);
    for (const end of [client, server]) await agreed(end);
  });
});
