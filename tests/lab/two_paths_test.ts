import { assert, assertEquals, assertGreater } from "@std/assert";
import { addressOf, Lab, labNeeds } from "../lab.ts";
import { Peer } from "../peers/peer.ts";
import { describe, it } from "../suite.ts";
import { Agent } from "./remote.ts";

const skip = labNeeds("python3", "tc", "nft", "ss");

/** A listener that is bound to the address of one path takes no subflow over another. */
const ANY = { 4: "0.0.0.0", 6: "::" } as const;

/** Slow enough for both cables to be needed, and for a cut to come in the middle. */
const SLOW = [{ rateMbit: 50 }, { rateMbit: 50 }];

describe("Two paths", { skip }, () => {
  for (const version of [4, 6] as const) {
    it(`carry one stream over IPv${version}, as both ends count`, async () => {
      await using lab = await Lab.open({ paths: SLOW });
      const hostname = addressOf("server", 1, version);
      const peer = await Peer.listen(lab.server, ANY[version], { behaviour: "sink" });
      const client = Agent.start(lab.client);
      const { sent, seen } = await client.run(async ({ connect, send, look, until, here }, options) => {
        const conn = here.conn = await connect({ ...options, mptcp: "require" });
        const sent = await send(conn, 4_000_000);
        await until(() => conn.info()!.sndUna === conn.info()!.writeSeq);
        return { sent, seen: look(conn) };
      }, { hostname, port: peer.port });
      const { mptcp: [ours] } = await lab.client.ss();
      const { mptcp: [theirs] } = await lab.server.ss();
      await client.run(({ here }) => here.conn.close());
      const report = await peer.report();

      assertEquals(report.receivedSha256, sent.sha256);
      assertGreater(Number(ours?.info["subflows"]), 0, "ss on the client knows no further subflow");
      assertGreater(Number(theirs?.info["subflows"]), 0, "ss on the server knows no further subflow");
      assertEquals(new Set(seen.subflows.map(({ id }) => id)).size, seen.subflows.length);
      const used = (remote: string) => seen.subflows.find((subflow) => subflow.remote === remote)?.sent ?? 0;
      assertGreater(used(addressOf("server", 1, version)), 100_000);
      assertGreater(used(addressOf("server", 2, version)), 100_000);
      const theirCounts = report.paths.map(({ received }) => received).sort((a, b) => b - a);
      assert(theirCounts.length >= 2 && theirCounts[1]! > 100_000, `the peer counts ${theirCounts}`);
    });
  }

  it("carry what a listener's connection sends", async () => {
    await using lab = await Lab.open({ paths: SLOW });
    const hostname = addressOf("server", 1);
    const server = Agent.start(lab.server);
    const port = await server.run(({ listen, here, send, drain, look, until }) => {
      here.listener = listen({ port: 0 });
      here.later = here.listener.accept().then(async (conn) => {
        const sent = await send(conn, 4_000_000);
        await until(() => conn.info()!.sndUna === conn.info()!.writeSeq);
        const seen = look(conn);
        await conn.closeWrite();
        await drain(conn);
        conn.close();
        return { sent, seen };
      });
      return here.listener.addr.port;
    });
    const peer = await Peer.connect(lab.client, hostname, port, { behaviour: "sink" });
    const report = await peer.report();
    const { sent, seen } = await server.run(({ here }) => here.later) as {
      sent: { sha256: string };
      seen: { subflows: { local: string; sent: number }[] };
    };
    assertEquals(report.receivedSha256, sent.sha256);
    assertEquals(seen.subflows.map(({ local }) => local), [hostname, addressOf("server", 2)]);
    for (const { sent } of seen.subflows) assertGreater(sent, 100_000);
    assertEquals(report.paths.length, 2);
    for (const { received } of report.paths) assertGreater(received, 100_000);
  });

  for (const cut of [1, 2]) {
    it(`lose no byte when path ${cut} is cut in the middle of a transfer, nor when it heals`, async () => {
      await using lab = await Lab.open({ paths: SLOW });
      const hostname = addressOf("server", 1);
      const peer = await Peer.listen(lab.server, ANY[4], { behaviour: "echo" });
      const client = Agent.start(lab.client);
      const moved = (bytes: number) =>
        client.run(({ here, until }, bytes) => until(() => (here.conn.info()?.bytesReceived ?? 0) > bytes), bytes);
      await client.run(async ({ connect, here, send, drain }, options) => {
        const conn = here.conn = await connect({ ...options, mptcp: "require" });
        const sending = send(conn, 6_000_000).then((flow) => conn.closeWrite().then(() => flow));
        here.later = Promise.all([sending, drain(conn)]);
      }, { hostname, port: peer.port });
      await moved(1_000_000);
      await lab.cutPath(cut);
      await moved(3_000_000);
      await lab.healPath(cut);
      const [sent, back] = await client.run(({ here }) => here.later) as { sha256: string }[];
      const report = await peer.report();
      assertEquals(report.receivedSha256, sent!.sha256);
      assertEquals(back, sent);
      assert(report.mptcp);
    });
  }

  it("are not used after `ip link set down`, and the stream goes on", async () => {
    await using lab = await Lab.open({ paths: SLOW });
    const peer = await Peer.listen(lab.server, ANY[4], { behaviour: "sink" });
    const client = Agent.start(lab.client);
    await client.run(async ({ connect, here, send, until }, options) => {
      const conn = here.conn = await connect({ ...options, mptcp: "require" });
      here.later = send(conn, 5_000_000).then((flow) => conn.closeWrite().then(() => flow));
      await until(() => (conn.info()?.bytesSent ?? 0) > 1_000_000);
    }, { hostname: addressOf("server", 1), port: peer.port });
    await lab.client.ip("link set a1 down");
    const sent = await client.run(({ here }) => here.later) as { sha256: string };
    assertEquals((await peer.report()).receivedSha256, sent.sha256);
  });

  it("become one when the join is refused, and the stream goes on", async () => {
    await using lab = await Lab.open();
    await lab.server.filter({ input: ["tcp flags & (syn|ack) == syn tcp option mptcp subtype 1 reject with tcp reset"] });
    const peer = await Peer.listen(lab.server, ANY[4], { behaviour: "sink" });
    const client = Agent.start(lab.client);
    const { sent, seen } = await client.run(async ({ connect, send, look, until }, options) => {
      using conn = await connect({ ...options, mptcp: "require" });
      const sent = await send(conn, 2_000_000);
      await until(() => conn.info()!.sndUna === conn.info()!.writeSeq);
      return { sent, seen: look(conn) };
    }, { hostname: addressOf("server", 1), port: peer.port });
    assertEquals(seen.subflows.length, 1);
    assertEquals(seen.fallback, null);
    assertEquals((await peer.report()).receivedSha256, sent.sha256);
  });
});
