import { assertEquals, assertStringIncludes } from "@std/assert";
import { addressOf, type Lab, labNeeds } from "../lab.ts";
import { describe, it } from "../suite.ts";
import { assertFails } from "./assert_fails.ts";
import { compareWithIp, endpoint } from "./endpoint_host.ts";
import { compareSubflows, echo, type End, openEnds } from "./ends.ts";
import { assertCounted, nstat } from "./nstat.ts";
import { call } from "./path_calls.ts";

const skip = labNeeds("python3", "ss", "nstat");

const KERNEL = { client: "kernel", server: "kernel" } as const;
const [near, far] = [addressOf("client", 2), addressOf("server", 2)];

/** Sets a limit of the client's. */
const limit = (text: string) => (lab: Lab) => lab.client.ip(`mptcp limits set ${text}`);

/** Compares all events so far, and gives the types of those after the connection's beginning. */
async function types({ events, token }: End): Promise<string[]> {
  const own = (await events.compare()).filter((event) => "token" in event && event.token === token);
  return own.map(({ type }) => type).filter((type) => type !== "created" && type !== "established");
}

describe("Endpoints, of live connections", { skip }, () => {
  it("open a subflow, close it, and open it again", async () => {
    await using ends = await openEnds(KERNEL);
    const { client, server } = ends;
    const before = await nstat(client.host);
    for (const id of [7, 8]) {
      await call(client.agent, "addEndpoint", { address: near, subflow: true, backup: true, id, interface: "a2" });
      const [, joined] = await compareSubflows(ends, 2);
      assertEquals([joined!.local.address, joined!.localId, joined!.backup], [near, id, true]);
      assertEquals((await server.events.take("subflowEstablished")).remoteId, id);
      await call(client.agent, "removeEndpoint", id);
      assertEquals(await server.events.take("removed"), { type: "removed", token: server.token, remoteId: id });
      await server.events.take("subflowClosed", { remoteId: id });
      await compareSubflows(ends, 1);
    }
    await assertCounted(client.host, before, { MPJoinSynTx: 2, RmAddrTx: 2, RmSubflow: 2, AddAddrTx: 0 });
    await echo(ends);
    assertEquals(await types(client), ["subflowEstablished", "subflowClosed", "subflowEstablished", "subflowClosed"]);
    const told = ["subflowEstablished", "removed", "subflowClosed"];
    assertEquals(await types(server), [...told, ...told]);
  });

  it("announce an address, and withdraw it when all are flushed", async () => {
    await using ends = await openEnds(KERNEL);
    const { client, server, port } = ends;
    const before = [await nstat(client.host), await nstat(server.host)] as const;
    await call(server.agent, "addEndpoint", { address: far, signal: true, id: 9 });
    assertEquals(await client.events.take("announced"), {
      type: "announced",
      token: client.token,
      remoteId: 9,
      remote: { transport: "tcp", hostname: far, port },
    });
    const [, joined] = await compareSubflows(ends, 2);
    assertEquals([joined!.remote, joined!.remoteId], [{ address: far, port }, 9]);
    await assertCounted(server.host, before[1], { AddAddrTx: 1, EchoAdd: 1, MPJoinSynRx: 1, MPJoinAckRx: 1 });
    await assertCounted(client.host, before[0], { AddAddr: 1, EchoAddTx: 1, MPJoinSynTx: 1, MPJoinSynAckRx: 1 });
    await call(server.agent, "flushEndpoints");
    assertEquals(await client.events.take("removed"), { type: "removed", token: client.token, remoteId: 9 });
    for (const { events } of [client, server]) await events.take("subflowClosed");
    await compareSubflows(ends, 1);
    await assertCounted(server.host, before[1], { RmAddrTx: 1 });
    await assertCounted(client.host, before[0], { RmAddr: 1 });
    for (const end of [client, server]) await types(end);
  });

  it("announce a port, at which the kernel itself takes subflows", async () => {
    await using ends = await openEnds(KERNEL);
    const { client, server } = ends;
    const before = await nstat(server.host);
    const added = await call(server.agent, "addEndpoint", { address: far, signal: true, port: 4433 });
    const local = { transport: "tcp" as const, hostname: far, port: 4433 };
    await server.events.take("listenerCreated", { local });
    assertEquals((await client.events.take("announced")).remote, local);
    const [, joined] = await compareSubflows(ends, 2);
    assertEquals([joined!.remote, joined!.remoteId], [{ address: far, port: 4433 }, added.id]);
    await assertCounted(server.host, before, { MPJoinPortSynRx: 1, MPJoinPortAckRx: 1 });
    await echo(ends);
    await call(server.agent, "removeEndpoint", added.id);
    await server.events.take("listenerClosed", { local });
    await compareSubflows(ends, 1);
    for (const end of [client, server]) await types(end);
  });

  it("are made by the kernel where a peer joins, until somebody makes that endpoint", async () => {
    await using ends = await openEnds({ server: "kernel" });
    const { client, server, port } = ends;
    const made = { localAddress: near, localId: 3, remoteAddress: far, remotePort: port };
    await call(client.agent, "createSubflow", { token: client.token, ...made });
    const [, joined] = await compareSubflows(ends, 2);
    const implicit = endpoint(joined!.remoteId!, far, ["implicit"]);
    assertEquals(await compareWithIp(server.host, server.agent), [implicit]);
    await assertFails(call(server.agent, "setEndpointFlags", implicit.id, { fullmesh: true }), "EINVAL");
    // It takes the place of that, with the id that the connection knows; another id it cannot have.
    const other = await assertFails(
      call(server.agent, "addEndpoint", { address: far, signal: true, id: implicit.id + 1 }),
      "EINVAL",
    );
    assertStringIncludes(other.message, "too many addresses or duplicate one: -22");
    const added = await call(server.agent, "addEndpoint", { address: far, signal: true });
    assertEquals(added, endpoint(implicit.id, far, ["signal"]));
    assertEquals(await compareWithIp(server.host, server.agent), [added]);
    await compareSubflows(ends, 2);
    for (const end of [client, server]) await types(end);
  });

  it("with fullmesh alone are where subflows to announced addresses come from", async () => {
    await using ends = await openEnds(KERNEL);
    const { client, server } = ends;
    const added = await call(client.agent, "addEndpoint", { address: near, fullmesh: true, id: 5 });
    assertEquals(added, endpoint(5, near, ["fullmesh"]));
    // No subflow by itself …
    await client.events.compare();
    await compareSubflows(ends, 1);
    // … but to what the peer announces, also where routing would take another.
    await call(server.agent, "addEndpoint", { address: far, signal: true });
    const [, joined] = await compareSubflows(ends, 2);
    assertEquals([joined!.local.address, joined!.remote.address, joined!.localId], [near, far, 5]);
    for (const end of [client, server]) await types(end);
  });

  it("open no more subflows than the limits of the moment allow", async () => {
    for (const [before, after] of [[8, 0], [0, 1]] as const) {
      await using ends = await openEnds({ ...KERNEL, prepare: limit(`subflows ${before}`) });
      const { client } = ends;
      assertEquals((await call(client.agent, "limits")).subflows, before);
      await call(client.agent, "setLimits", { subflows: after });
      await call(client.agent, "addEndpoint", { address: near, subflow: true });
      await call(client.agent, "addEndpoint", { address: addressOf("client", 1), subflow: true });
      await compareSubflows(ends, 1 + after);
      assertEquals(await types(client), Array(after).fill("subflowEstablished"));
    }
  });

  it("are accepted from the peer if that was allowed when the connection began", async () => {
    for (const [before, after] of [[0, 8], [8, 0]] as const) {
      await using ends = await openEnds({ ...KERNEL, prepare: limit(`add_addr_accepted ${before}`) });
      const { client, server } = ends;
      await call(client.agent, "setLimits", { addAddrAccepted: after });
      const counters = await nstat(client.host);
      await call(server.agent, "addEndpoint", { address: far, signal: true });
      await client.events.take("announced");
      const accepted = before > 0 ? 1 : 0;
      await assertCounted(client.host, counters, { AddAddr: 1, MPJoinSynTx: accepted });
      await compareSubflows(ends, 1 + accepted);
      assertEquals(await types(client), before > 0 ? ["announced", "subflowEstablished"] : ["announced"]);
    }
  });

  it("are no affair of a connection that a program manages", async () => {
    await using ends = await openEnds();
    const { client, server } = ends;
    await call(client.agent, "addEndpoint", { address: near, subflow: true, id: 7 });
    await call(server.agent, "addEndpoint", { address: far, signal: true, id: 9 });
    await compareSubflows(ends, 1);
    for (const end of [client, server]) {
      assertEquals(await types(end), []);
      assertEquals(await call(end.agent, "endpoints", { token: end.token }), []);
    }
    const error = await assertFails(call(client.agent, "withdraw", { token: client.token, id: 7 }), "EINVAL");
    assertStringIncludes(error.message, "address with id 7 not found");
  });
});
