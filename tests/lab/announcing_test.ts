import { assertEquals, assertStringIncludes } from "@std/assert";
import type { Announcement, PathEvent } from "../../mod.ts";
import { addressOf, labNeeds } from "../lab.ts";
import { describe, it } from "../suite.ts";
import { assertFails } from "./assert_fails.ts";
import { endpoint } from "./endpoint_host.ts";
import { compareSubflows, echo, type End, type Ends, openEnds, subflowsOf } from "./ends.ts";
import { assertCounted, nstat } from "./nstat.ts";
import { call } from "./path_calls.ts";

const skip = labNeeds("python3", "ss", "nstat");

/** The types of events, but those of the connection's beginning. */
const later = (events: readonly PathEvent[]) =>
  events.map(({ type }) => type).filter((type) => !["listenerCreated", "created", "established"].includes(type));

/** An announcement, and what the peer's event must say. */
type Case = readonly [what: string, Omit<Announcement, "token">, remote: { hostname: string; port?: number }];

/**
 * Announces one after the other, and compares what the peer is told; then withdraws them all. The next only when the peer has
 * dealt with the last: a Linux peer drops what comes while it is busy with another of its kind.
 */
async function announceAll(ends: Ends, from: "client" | "server", cases: readonly Case[]): Promise<void> {
  const [here, there] = from === "client" ? [ends.client, ends.server] : [ends.server, ends.client];
  const [before, beforeThere] = [await nstat(here.host), await nstat(there.host)];
  // Without a port of its own an address counts with that of the connection.
  const port = from === "client" ? ends.localPort : ends.port;
  for (const [index, [what, announcement, remote]] of cases.entries()) {
    await call(here.agent, "announce", { token: here.token, ...announcement });
    const event = await there.events.take("announced");
    const expected = { transport: "tcp" as const, port, ...remote };
    assertEquals(event, { type: "announced", token: there.token, remoteId: announcement.id, remote: expected }, what);
    await assertCounted(here.host, before, { EchoAdd: index + 1 });
  }
  const [count, ports] = [cases.length, cases.filter(([, { port }]) => port !== undefined).length];
  await assertCounted(here.host, before, { AddAddrTx: count, EchoAdd: count, PortAdd: ports, AddAddr: 0, RmAddrTx: 0 });
  await assertCounted(there.host, beforeThere, {
    AddAddr: count,
    EchoAddTx: count,
    PortAdd: ports,
    AddAddrTx: 0,
    RmAddr: 0,
  });

  const addresses = await call(here.agent, "endpoints", { token: here.token });
  assertEquals(
    addresses,
    cases.map(([, { address, id, port }]) => endpoint(id, address, ["signal"], port === undefined ? {} : { port })),
  );
  for (const [index, each] of addresses.entries()) {
    assertEquals(await call(here.agent, "endpoint", each.id, { token: here.token }), each);
    await call(here.agent, "withdraw", { token: here.token, id: each.id });
    assertEquals(await there.events.take("removed"), { type: "removed", token: there.token, remoteId: each.id });
    await assertCounted(there.host, beforeThere, { RmAddr: index + 1 });
  }
  assertEquals(await call(here.agent, "endpoints", { token: here.token }), []);
  await assertCounted(here.host, before, { RmAddrTx: count, RmAddr: 0 });
  await assertCounted(there.host, beforeThere, { RmAddr: count, RmAddrTx: 0 });
}

/** Nobody was told anything more than this, in the three programs' words. */
async function compareEvents(end: End, expected: readonly PathEvent["type"][]): Promise<void> {
  assertEquals(later(await end.events.compare()), expected);
}

describe("PathManager.announce() and withdraw()", { skip }, () => {
  for (const from of ["client", "server"] as const) {
    it(`tell the peer, from the ${from}, over IPv4`, async () => {
      await using ends = await openEnds();
      const [v4, v6] = [addressOf(from, 2), addressOf(from, 2, 6)];
      await announceAll(ends, from, [
        ["the connection's port", { address: v4, id: 23 }, { hostname: v4 }],
        ["a port of its own", { address: v4, id: 24, port: 50003 }, { hostname: v4, port: 50003 }],
        ["IPv6", { address: v6, id: 25 }, { hostname: v6 }],
        ["the first address again, and the highest id", { address: addressOf(from, 1), id: 255 }, {
          hostname: addressOf(from, 1),
        }],
        ["an address that is not there", { address: "192.0.2.1", id: 1 }, { hostname: "192.0.2.1" }],
      ]);
      const told = [...Array<"announced">(5).fill("announced"), ...Array<"removed">(5).fill("removed")];
      await compareEvents(ends.client, from === "client" ? [] : told);
      await compareEvents(ends.server, from === "client" ? told : []);
      await compareSubflows(ends, 1);
    });

    it(`tell the peer, from the ${from}, over IPv6`, async () => {
      await using ends = await openEnds({ at: "::", to: addressOf("server", 1, 6) });
      const [v4, v6] = [addressOf(from, 2), addressOf(from, 2, 6)];
      await announceAll(ends, from, [
        ["the connection's port", { address: v6, id: 23 }, { hostname: v6 }],
        ["IPv4", { address: v4, id: 25 }, { hostname: v4 }],
        ["IPv4 as IPv6 has it", { address: `::ffff:${addressOf(from, 1)}`, id: 26 }, { hostname: addressOf(from, 1) }],
      ]);
      const told = [...Array<"announced">(3).fill("announced"), ...Array<"removed">(3).fill("removed")];
      await compareEvents(ends.client, from === "client" ? [] : told);
      await compareEvents(ends.server, from === "client" ? told : []);
    });
  }

  it("tell of IPv6 with a port where TCP's timestamps leave the room", async () => {
    const announcement = { address: addressOf("client", 2, 6), id: 24, port: 65535 };
    for (const timestamps of [1, 0]) {
      await using ends = await openEnds({
        prepare: (lab) => lab.client.sysctl("net.ipv4.tcp_timestamps", timestamps),
      });
      const { client, server } = ends;
      if (timestamps === 0) {
        await announceAll(ends, "client", [["", announcement, { hostname: announcement.address, port: 65535 }]]);
        await compareEvents(server, ["announced", "removed"]);
      } else {
        const before = await nstat(client.host);
        await call(client.agent, "announce", { token: client.token, ...announcement });
        await assertCounted(client.host, before, { AddAddrTxDrop: 1, AddAddrTx: 0 });
        await compareEvents(server, []);
      }
    }
  });

  it("announce the same again, and not the same otherwise", async () => {
    await using ends = await openEnds();
    const { client, server } = ends;
    const announce = (more: Partial<Announcement>) =>
      call(client.agent, "announce", { token: client.token, address: addressOf("client", 2), id: 5, ...more });
    for (const _ of [1, 2]) {
      await announce({});
      assertEquals((await server.events.take("announced")).remoteId, 5);
    }
    for (const more of [{ id: 6 }, { address: addressOf("client", 1) }, { port: 7777 }]) {
      const error = await assertFails(announce(more), "EINVAL");
      assertEquals(error.message, "announce an address failed: did not match address and id (EINVAL)");
    }
    await call(client.agent, "withdraw", { token: client.token, id: 5 });
    assertEquals((await server.events.take("removed")).remoteId, 5);
    await announce({ id: 6 });
    assertEquals((await server.events.take("announced")).remoteId, 6);
    await compareEvents(server, ["announced", "announced", "removed", "announced"]);
    await compareEvents(client, []);
  });

  it("tell nobody anything when the token or the id is wrong", async () => {
    await using ends = await openEnds();
    const { client, server } = ends;
    const before = await nstat(client.host);
    const wrong = client.token === 0xffffffff ? 1 : client.token + 1;
    const address = addressOf("client", 2);
    const token = { token: client.token };
    const works: [work: () => Promise<unknown>, message: string][] = [
      [() => call(client.agent, "announce", { token: wrong, address, id: 1 }), "announce an address failed: invalid token"],
      // The peer's token is no better.
      [
        () => call(client.agent, "announce", { token: server.token, address, id: 1 }),
        "announce an address failed: invalid token",
      ],
      [() => call(client.agent, "withdraw", { token: wrong, id: 1 }), "withdraw an address failed: invalid token"],
      [
        () => call(client.agent, "withdraw", { ...token, id: 7 }),
        "withdraw an address failed: address with id 7 not found",
      ],
      [() => call(client.agent, "endpoints", { token: wrong }), "list endpoints failed: invalid token"],
      // Of the host's own endpoints there is one with that id.
      [() => call(client.agent, "endpoint", 40, { token: wrong }), "get an endpoint failed: address not found"],
      [() => call(client.agent, "endpoint", 40, token), "get an endpoint failed: address not found"],
    ];
    await client.host.ip(`mptcp endpoint add ${address} id 40`);
    for (const [work, message] of works) {
      assertEquals((await assertFails(work(), "EINVAL")).message, `${message} (EINVAL)`);
    }
    await assertCounted(client.host, before, { AddAddrTx: 0, RmAddrTx: 0 });
    for (const end of [client, server]) await compareEvents(end, []);
  });

  it("end the initial subflow when its address is withdrawn, by id 0", async () => {
    await using ends = await openEnds();
    const { client, server, port } = ends;
    const [local, remote] = [addressOf("client", 2), addressOf("server", 2)];
    await call(client.agent, "createSubflow", {
      token: client.token,
      localAddress: local,
      localId: 3,
      remoteAddress: remote,
      remotePort: port,
    });
    await compareSubflows(ends, 2);
    await call(client.agent, "withdraw", { token: client.token, id: 0 });
    assertEquals(await server.events.take("removed"), { type: "removed", token: server.token, remoteId: 0 });
    for (const { events } of [client, server]) await events.take("subflowClosed", { localId: 0, remoteId: 0 });
    assertEquals((await compareSubflows(ends, 1)).map(({ localId }) => localId), [3]);
    await echo(ends);
    await compareEvents(client, ["subflowEstablished", "subflowClosed"]);
    await compareEvents(server, ["subflowEstablished", "removed", "subflowClosed"]);
  });

  it("have the kernel of the peer open a subflow, and close it", async () => {
    await using ends = await openEnds({ client: "kernel" });
    const { client, server, port } = ends;
    const { token } = server;
    const address = addressOf("server", 2);
    const before = [await nstat(client.host), await nstat(server.host)] as const;
    await call(server.agent, "announce", { token, address, id: 5 });
    const [, joined] = await compareSubflows(ends, 2);
    assertEquals([joined!.remote, joined!.remoteId], [{ address, port }, 5]);
    await assertCounted(client.host, before[0], { AddAddr: 1, EchoAddTx: 1, MPJoinSynTx: 1, MPJoinSynAckRx: 1 });
    await assertCounted(server.host, before[1], { AddAddrTx: 1, EchoAdd: 1, MPJoinSynRx: 1, MPJoinAckRx: 1 });
    await call(server.agent, "withdraw", { token, id: 5 });
    for (const { events } of [client, server]) await events.take("subflowClosed");
    await compareSubflows(ends, 1);
    await assertCounted(client.host, before[0], { RmAddr: 1 });

    // The kernel takes joins at another port only by a listener that is bound to just the announced address.
    const otherPort = await server.agent.run(({ listen, here }, hostname) => {
      const listener = listen({ hostname, port: 0 });
      Object.assign(here, { other: listener }); // kept alive
      return listener.addr.port;
    }, address);
    await call(server.agent, "announce", { token, address, id: 6, port: otherPort });
    const [, elsewhere] = await compareSubflows(ends, 2);
    assertEquals([elsewhere!.remote.port, elsewhere!.remoteId], [otherPort, 6]);
    await assertCounted(server.host, before[1], { MPJoinPortSynRx: 1, MPJoinPortAckRx: 1 });
    await echo(ends);
    await compareEvents(client, [
      "announced",
      "subflowEstablished",
      "removed",
      "subflowClosed",
      "announced",
      "subflowEstablished",
    ]);
    await compareEvents(server, ["subflowEstablished", "subflowClosed", "subflowEstablished"]);
  });

  it("are no affair of a connection that the kernel manages", async () => {
    await using ends = await openEnds({ client: "kernel", server: "kernel" });
    const { client } = ends;
    const { token } = client;
    const works = [
      () => call(client.agent, "announce", { token, address: addressOf("client", 2), id: 1 }),
      () => call(client.agent, "withdraw", { token, id: 1 }),
      () => call(client.agent, "endpoints", { token }),
    ];
    for (const work of works) {
      assertStringIncludes((await assertFails(work(), "EINVAL")).message, "userspace PM not selected");
    }
    assertEquals((await subflowsOf(client, 1)).length, 1);
  });
});
