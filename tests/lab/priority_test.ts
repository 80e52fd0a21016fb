import { assertEquals, assertGreater } from "@std/assert";
import { addressOf, labNeeds } from "../lab.ts";
import { describe, it } from "../suite.ts";
import { assertFails } from "./assert_fails.ts";
import { compareSubflows, echo, type End, type Ends, mirrored, openEnds, type Place, subflowsOf } from "./ends.ts";
import { assertCounted, nstat } from "./nstat.ts";
import { call } from "./path_calls.ts";
import { until } from "./until.ts";

const skip = labNeeds("python3", "ss", "nstat");

type Subflow = Readonly<Record<"local" | "remote", Place>>;

/** Which of the two sides wants a subflow for a backup, by the flags of `ss`: `b` is our own wish, `B` the peer's. */
async function wishes({ host }: End, { local }: Subflow): Promise<string> {
  const { tcp } = await host.ss();
  const ends = (address: string) => address.endsWith(`:${local.port}`) && address.includes(local.address);
  const flags = tcp.find((row) => ends(row.local))!.info["flags"]!;
  return `${flags.includes("b") ? "b" : ""}${flags.includes("B") ? "B" : ""}`;
}

/** Changes one side's wish, and compares what the other is told, what both see, and what was sent for it. */
async function change(
  ends: Ends,
  from: "client" | "server",
  index: number,
  backup: boolean,
  theirs: boolean,
): Promise<void> {
  const [here, there] = from === "client" ? [ends.client, ends.server] : [ends.server, ends.client];
  const before = [await nstat(here.host), await nstat(there.host)] as const;
  const subflow = (await subflowsOf(ends.client, 2))[index]!;
  const named = from === "client" ? subflow : mirrored(subflow);
  await call(here.agent, "setBackup", { token: here.token, local: named.local, remote: named.remote, backup });
  const event = await there.events.take("subflowPriority");
  const place = ({ hostname: address, port }: typeof event.local): Place => ({ address, port });
  assertEquals([event.token, event.backup, place(event.local), place(event.remote)], [
    there.token,
    backup,
    named.remote,
    named.local,
  ]);
  const ids = from === "client" ? [subflow.remoteId, subflow.localId] : [subflow.localId, subflow.remoteId];
  assertEquals([event.localId, event.remoteId], ids);
  await assertCounted(here.host, before[0], { MPPrioTx: 1, MPPrioRx: 0 });
  await assertCounted(there.host, before[1], { MPPrioTx: 0, MPPrioRx: 1 });
  const [ourWish, theirWish] = [backup ? "b" : "", theirs ? "B" : ""];
  assertEquals(await wishes(here, named), `${ourWish}${theirWish}`);
  assertEquals(await wishes(there, mirrored(named)), `${theirs ? "b" : ""}${backup ? "B" : ""}`);
  // It is a backup when either says so.
  assertEquals((await compareSubflows(ends, 2))[index]!.backup, backup || theirs);
}

/** What becomes of one subflow when both sides say this and that. */
async function changeAll(ends: Ends, index: number): Promise<void> {
  await change(ends, "client", index, true, false);
  await change(ends, "server", index, true, true);
  await change(ends, "client", index, false, true);
  await change(ends, "server", index, false, false);
}

/** A second subflow from the client. */
async function addSecond({ client, port }: Ends, local: string, remote: string): Promise<void> {
  await call(client.agent, "createSubflow", {
    token: client.token,
    localAddress: local,
    localId: 3,
    remoteAddress: remote,
    remotePort: port,
  });
}

describe("PathManager.setBackup()", { skip }, () => {
  const [near, far] = [addressOf("client", 2), addressOf("server", 2)];
  const kinds: readonly [string, { at: string; to: string }, string, string][] = [
    ["over IPv4", { at: "0.0.0.0", to: addressOf("server", 1) }, near, far],
    ["over IPv6", { at: "::", to: addressOf("server", 1, 6) }, addressOf("client", 2, 6), addressOf("server", 2, 6)],
    ["over IPv4, to a server of both", { at: "::", to: addressOf("server", 1) }, near, far],
  ];
  for (const [what, options, local, remote] of kinds) {
    it(`changes a subflow's priority, from both sides, ${what}`, async () => {
      await using ends = await openEnds(options);
      await addSecond(ends, local, remote);
      await changeAll(ends, 1);
      for (const { events } of [ends.client, ends.server]) await events.compare();
    });
  }

  it("changes that of the initial subflow, and of no other", async () => {
    await using ends = await openEnds();
    await addSecond(ends, near, far);
    await changeAll(ends, 0);
    await change(ends, "client", 0, true, false);
    assertEquals((await compareSubflows(ends, 2)).map(({ backup }) => backup), [true, false]);
    // What goes through the connection then goes through the other.
    const sent = () =>
      ends.client.agent.run(({ here }) => here.conn.subflows().map(({ tcpInfo }) => Number(tcpInfo.bytesSent)));
    const [before, beforeSecond] = await sent();
    await echo(ends);
    const [after, afterSecond] = await sent();
    assertEquals(after, before);
    assertGreater(afterSecond! - beforeSecond!, 99_999);
    for (const { events } of [ends.client, ends.server]) await events.compare();
  });

  it("is heeded from the start when a subflow is made so", async () => {
    await using ends = await openEnds();
    const { client, port } = ends;
    const before = [await nstat(client.host), await nstat(ends.server.host)] as const;
    await call(client.agent, "createSubflow", {
      token: client.token,
      localAddress: near,
      localId: 3,
      remoteAddress: far,
      remotePort: port,
      backup: true,
    });
    const [, second] = await compareSubflows(ends, 2);
    assertEquals(second!.backup, true);
    assertEquals(await wishes(client, second!), "b");
    assertEquals(await wishes(ends.server, mirrored(second!)), "B");
    // It is said in the SYN.
    await assertCounted(client.host, before[0], { MPPrioTx: 0 });
    await assertCounted(ends.server.host, before[1], { MPPrioRx: 0, MPJoinSynBackupRx: 1 });
    await change(ends, "client", 1, false, false);
  });

  it("says when there is no such subflow, and sends nothing", async () => {
    await using ends = await openEnds();
    const { client: { agent, token, host }, port, localPort } = ends;
    const before = await nstat(host);
    const initial = {
      token,
      local: { address: addressOf("client", 1), port: localPort },
      remote: { address: addressOf("server", 1), port },
    };
    const set = (more: Partial<typeof initial>) => () => call(agent, "setBackup", { ...initial, ...more, backup: true });
    const cases: [() => Promise<void>, string][] = [
      [set({ token: token === 1 ? 2 : 1 }), "invalid token"],
      [set({ local: { address: near, port: localPort } }), "subflow not found"],
      [set({ local: { ...initial.local, port: 7 } }), "subflow not found"],
      [set({ remote: { ...initial.remote, port: 7 } }), "subflow not found"],
    ];
    for (const [work, why] of cases) {
      const error = await assertFails(work(), "EINVAL");
      assertEquals(error.message, `set a subflow's priority failed: ${why} (EINVAL)`);
    }
    await assertCounted(host, before, { MPPrioTx: 0 });
    for (const { events } of [ends.client, ends.server]) await events.compare();
  });

  it("is no affair of a connection that the kernel manages", async () => {
    await using ends = await openEnds({ client: "kernel", server: "kernel" });
    const { client: { agent, token }, port, localPort } = ends;
    const error = await assertFails(
      call(agent, "setBackup", {
        token,
        local: { address: addressOf("client", 1), port: localPort },
        remote: { address: addressOf("server", 1), port },
        backup: true,
      }),
      "EINVAL",
    );
    assertEquals(error.message.includes("userspace PM not selected"), true, error.message);
  });
});

describe("PathManager.setEndpointFlags()", { skip }, () => {
  const near = addressOf("client", 2);

  it("changes the priority of the endpoint's subflows, and the peer is told", async () => {
    await using ends = await openEnds({
      client: "kernel",
      server: "kernel",
      prepare: (lab) => lab.client.ip(`mptcp endpoint add ${near} id 7 subflow`),
    });
    const { client, server } = ends;
    const [, second] = await compareSubflows(ends, 2);
    assertEquals([second!.localId, second!.backup], [7, false]);
    for (const backup of [true, false]) {
      const before = [await nstat(client.host), await nstat(server.host)] as const;
      await call(client.agent, "setEndpointFlags", 7, { backup });
      const event = await server.events.take("subflowPriority");
      assertEquals([event.remoteId, event.backup, event.remote.port], [7, backup, second!.local.port]);
      await assertCounted(client.host, before[0], { MPPrioTx: 1 });
      await assertCounted(server.host, before[1], { MPPrioRx: 1 });
      assertEquals((await compareSubflows(ends, 2)).map((each) => each.backup), [false, backup]);
      await until(async () => await wishes(client, second!) === (backup ? "b" : ""));
    }
    for (const { events } of [client, server]) await events.compare();
  });
});
