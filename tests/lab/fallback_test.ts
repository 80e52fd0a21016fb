import { assert, assertEquals, assertMatch } from "@std/assert";
import { addressOf, type Host, Lab, labNeeds } from "../lab.ts";
import { Peer, type PeerOptions } from "../peers/peer.ts";
import { describe, it } from "../suite.ts";
import { assertFails } from "./assert_fails.ts";
import { Agent } from "./remote.ts";

const skip = labNeeds("python3", "nft");
const SERVER = addressOf("server", 1);
const SYN = "tcp flags & (syn|ack) == syn";
const SYN_ACK = "tcp flags & (syn|ack) == (syn|ack)";
const NO_SYN = "tcp flags & syn == 0";
const STRIP = "reset tcp option mptcp";

/** Connects, exchanges a few bytes with an echoing peer, and looks before and after. */
async function exchange(client: Agent, port: number, mptcp: "prefer" | "off" = "prefer") {
  return await client.run(async ({ connect, send, drain, look, until }, options) => {
    using conn = await connect(options);
    const before = look(conn);
    const sent = await send(conn, 100_000);
    // When all of it is back, the peer has seen it; and the connection is still open.
    const back = new Uint8Array(100_000);
    for (let count = 0; count < 100_000;) count += (await conn.read(back.subarray(count)))!;
    // One end of a connection may fall back a moment before the other.
    await until(() => !conn.isMultipath(), 300).catch(() => {});
    const after = look(conn);
    await conn.closeWrite();
    await drain(conn);
    return { before, after, sent };
  }, { hostname: SERVER, port, mptcp });
}

async function echoServer(host: Host, protocol: NonNullable<PeerOptions["protocol"]> = "mptcp"): Promise<Peer> {
  return await Peer.listen(host, SERVER, { behaviour: "echo", protocol });
}

describe("A connection is plain TCP from the handshake on", { skip }, () => {
  const causes: readonly (readonly [string, "mptcp" | "tcp", (lab: Lab) => Promise<void>])[] = [
    ["when the peer speaks TCP alone", "tcp", () => Promise.resolve()],
    ["when MPTCP is switched off on the peer's host", "tcp", ({ server }) => server.sysctl("net.mptcp.enabled", 0)],
    ["when the option is stripped from the SYN", "mptcp", ({ server }) => server.filter({ input: [`${SYN} ${STRIP}`] })],
    [
      "when the option is stripped from the SYN-ACK",
      "mptcp",
      ({ server }) => server.filter({ output: [`${SYN_ACK} ${STRIP}`] }),
    ],
    [
      "when the option is stripped from everything",
      "mptcp",
      ({ server }) => server.filter({ input: [STRIP], output: [STRIP] }),
    ],
  ];
  for (const [when, protocol, prepare] of causes) {
    it(when, async () => {
      await using lab = await Lab.open();
      await prepare(lab);
      const peer = await echoServer(lab.server, protocol);
      const client = Agent.start(lab.client);
      const { before, sent } = await exchange(client, peer.port);
      assertEquals(before.multipath, false);
      assertEquals(before.fallback?.phase, "handshake");
      assertEquals(before.fallback?.code, "MPCapableFallbackSYNACK");
      assertEquals(before.subflows.map(({ id, local, remote }) => [id, local, remote]), [[0, "10.0.1.1", SERVER]]);
      const report = await peer.report();
      assertEquals(report.mptcp, false);
      assertEquals(report.receivedSha256, sent.sha256);
      assertEquals(report.sentSha256, sent.sha256);
    });
  }

  for (const strip of [SYN, SYN_ACK]) {
    it(`also on the accepting side, ${strip === SYN ? "after a SYN" : "after a SYN-ACK"} that lost its option`, async () => {
      await using lab = await Lab.open();
      await lab.server.filter({ input: [`${strip} ${STRIP}`], output: [`${strip} ${STRIP}`] });
      const server = Agent.start(lab.server);
      const port = await server.run(({ listen, here, drain, look }, hostname) => {
        here.listener = listen({ hostname, port: 0 });
        here.later = here.listener.accept().then(async (conn) => {
          const { bytes } = await drain(conn);
          const seen = look(conn);
          conn.close();
          return { bytes, ...seen };
        });
        return here.listener.addr.port;
      }, SERVER);
      const peer = await Peer.connect(lab.client, SERVER, port, { behaviour: "send", bytes: 1000 });
      assertEquals((await peer.report()).mptcp, false);
      const seen = await server.run(({ here }) => here.later) as {
        bytes: number;
        multipath: boolean;
        fallback: { phase: string; code: string };
      };
      assertEquals(seen.bytes, 1000);
      assertEquals(seen.multipath, false);
      assertEquals(seen.fallback.phase, "handshake");
      assertEquals(seen.fallback.code, strip === SYN ? "MPCapableSYNRX" : "MPCapableFallbackACK");
    });
  }

  it('and mptcp: "require" refuses it, and closes it first', async () => {
    await using lab = await Lab.open();
    const peer = await echoServer(lab.server, "tcp");
    const client = Agent.start(lab.client);
    const error = await assertFails(
      client.run(async ({ connect }, options) => {
        await connect({ ...options, mptcp: "require" });
      }, { hostname: SERVER, port: peer.port }),
      "EOPNOTSUPP",
    );
    assertMatch(error.message, /no MPTCP option/);
    assertEquals(await peer.connected(), false);
    assertEquals((await peer.done()).received, 0); // it has seen the end
  });

  it('and mptcp: "off" asks for nothing else', async () => {
    await using lab = await Lab.open();
    const peer = await echoServer(lab.server);
    const client = Agent.start(lab.client);
    const { before, after } = await exchange(client, peer.port, "off");
    assertEquals([before.multipath, before.fallback], [false, null]);
    assertEquals([after.multipath, after.fallback], [false, null]);
    assertEquals((await peer.report()).mptcp, false);
  });
});

describe("A socket is plain TCP where net.mptcp.enabled is 0", { skip }, () => {
  it("as long as it is so, and no longer", async () => {
    await using lab = await Lab.open();
    const peer = await echoServer(lab.server);
    const client = Agent.start(lab.client);
    await lab.client.sysctl("net.mptcp.enabled", 0);
    const off = await exchange(client, peer.port);
    assertEquals(off.before.multipath, false);
    assertEquals(off.before.fallback?.phase, "socket");
    assertEquals(off.before.fallback?.code, "ENOPROTOOPT");
    assertMatch(off.before.fallback!.message, /net\.mptcp\.enabled=1/);
    assertEquals((await peer.report()).mptcp, false);

    const refused = client.run(({ connect }, options) => connect({ ...options, mptcp: "require" }), {
      hostname: SERVER,
      port: peer.port,
    });
    await assertFails(refused, "ENOPROTOOPT");

    await lab.client.sysctl("net.mptcp.enabled", 1);
    const on = await exchange(client, peer.port);
    assertEquals([on.before.multipath, on.before.fallback], [true, null]);
    assert((await peer.report()).mptcp);
  });

  it("for a listener too, which says so", async () => {
    await using lab = await Lab.open();
    await lab.server.sysctl("net.mptcp.enabled", 0);
    const server = Agent.start(lab.server);
    const seen = await server.run(({ listen, here, look }) => {
      const listener = here.listener = listen({ port: 0 });
      here.later = listener.accept().then((conn) => look(conn));
      return { mptcp: listener.mptcp, fallback: listener.fallback(), port: listener.addr.port };
    });
    assertEquals([seen.mptcp, seen.fallback?.code], [false, "ENOPROTOOPT"]);
    await assertFails(server.run(({ listen }) => void listen({ port: 0, mptcp: "require" })), "ENOPROTOOPT");
    const peer = await Peer.connect(lab.client, SERVER, seen.port, { behaviour: "send", bytes: 1 });
    assertEquals(await peer.connected(), false);
    const accepted = await server.run(({ here }) => here.later) as { fallback: { phase: string; code: string } };
    assertEquals([accepted.fallback.phase, accepted.fallback.code], ["socket", "ENOPROTOOPT"]);
  });
});

describe("A connection falls back later", { skip }, () => {
  it("when the options are stripped from everything after the handshake", async () => {
    await using lab = await Lab.open();
    await lab.server.filter({ input: [`${NO_SYN} ${STRIP}`], output: [`${NO_SYN} ${STRIP}`] });
    const peer = await echoServer(lab.server);
    const client = Agent.start(lab.client);
    const { before, after, sent } = await exchange(client, peer.port);
    assertEquals(before.multipath, true);
    assertEquals(after.multipath, false);
    assertEquals(after.fallback?.phase, "established");
    assertEquals(after.fallback?.code, "MPCapableDataFallback");
    const report = await peer.report();
    assertEquals(report.mptcp, false);
    assertEquals(report.receivedSha256, sent.sha256);
  });

  it("when the options are stripped from then on, and loses no byte", async () => {
    await using lab = await Lab.open({ paths: [{}] });
    const peer = await echoServer(lab.server);
    const client = Agent.start(lab.client);
    const first = await client.run(async ({ connect, here, look }, options) => {
      const conn = here.conn = await connect(options);
      await conn.write(new Uint8Array(1000));
      for (let left = 1000; left > 0;) left -= (await conn.read(new Uint8Array(left)))!;
      return look(conn);
    }, { hostname: SERVER, port: peer.port });
    assertEquals([first.multipath, first.fallback], [true, null]);
    await lab.server.filter({ input: [STRIP], output: [STRIP] });
    const second = await client.run(async ({ here, look, until }) => {
      const { conn } = here;
      await conn.write(new Uint8Array(1000));
      for (let left = 1000; left > 0;) left -= (await conn.read(new Uint8Array(left)))!;
      await until(() => !conn.isMultipath());
      const seen = look(conn);
      conn.close();
      return seen;
    });
    assertEquals(second.fallback?.phase, "established");
    assertEquals(second.fallback?.code, "DssFallback");
    assertEquals(second.subflows.map(({ id }) => id), [0]);
    const report = await peer.report();
    assertEquals([report.received, report.sent, report.mptcp], [2000, 2000, false]);
  });

  it("not at all when one of two paths loses the options: that path is given up", async () => {
    await using lab = await Lab.open({ paths: [{ rateMbit: 50 }, { rateMbit: 50 }] });
    const peer = await Peer.listen(lab.server, "0.0.0.0", { behaviour: "sink" });
    const client = Agent.start(lab.client);
    await client.run(async ({ connect, here, send, until }, options) => {
      const conn = here.conn = await connect(options);
      here.later = send(conn, 4_000_000);
      await until(() => conn.subflows().filter(({ tcpInfo }) => (tcpInfo.bytesAcked ?? 0) > 100_000).length === 2);
    }, { hostname: SERVER, port: peer.port });
    await lab.server.filter({ input: [`iifname "b2" ${STRIP}`] });
    const { sent, seen } = await client.run(async ({ here, look, until }) => {
      const sent = await here.later as { sha256: string };
      await until(() => here.conn.info()!.sndUna === here.conn.info()!.writeSeq);
      const seen = look(here.conn);
      here.conn.close();
      return { sent, seen };
    });
    assertEquals([seen.multipath, seen.fallback], [true, null]);
    assertEquals(seen.subflows.map(({ remote }) => remote), [SERVER]);
    assertEquals((await peer.report()).receivedSha256, sent.sha256);
  });
});
