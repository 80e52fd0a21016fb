import { assert, assertEquals, assertGreater, assertLess } from "@std/assert";
import { addressOf, Lab, labNeeds } from "../lab.ts";
import { Peer } from "../peers/peer.ts";
import { describe, it } from "../suite.ts";
import { assertFails } from "./assert_fails.ts";
import { Agent } from "./remote.ts";

const skip = labNeeds("python3", "nft");
const SERVER = addressOf("server", 1);
const MPTCP_SYN = "tcp flags & (syn|ack) == syn tcp option mptcp subtype 0";
const ANY_SYN = "tcp flags & (syn|ack) == syn";

/** Connects, and tells what came of it, and after how long. */
async function dial(client: Agent, options: { hostname: string; port: number; timeout?: number }) {
  return await client.run(async ({ connect, look }, options) => {
    const start = performance.now();
    using conn = await connect(options);
    return { ...look(conn), ms: performance.now() - start };
  }, options);
}

describe("Where SYNs with MPTCP are lost", { skip }, () => {
  it("connect() takes three seconds once, and then goes straight to TCP", async () => {
    await using lab = await Lab.open();
    await lab.server.filter({ input: [`${MPTCP_SYN} drop`] });
    const peer = await Peer.listen(lab.server, SERVER, { behaviour: "echo" });
    const client = Agent.start(lab.client);
    const first = await dial(client, { hostname: SERVER, port: peer.port });
    assertEquals([first.fallback?.phase, first.fallback?.code], ["handshake", "MPCapableSYNTXDrop"]);
    assertGreater(first.ms, 2000);
    assertLess(first.ms, 6000);
    assertEquals((await peer.report()).mptcp, false);

    const second = await dial(client, { hostname: SERVER, port: peer.port });
    assertEquals([second.fallback?.phase, second.fallback?.code], ["handshake", "MPCapableSYNTXDisabled"]);
    assertLess(second.ms, 1000);
    assertEquals((await peer.report()).mptcp, false);

    await lab.server.filter({});
    await lab.client.sysctl("net.mptcp.blackhole_timeout", 3600);
    assert((await dial(client, { hostname: SERVER, port: peer.port })).multipath, "the advice of the message does not help");
  });

  it("for two seconds only, connect() is slow and still gets MPTCP", async () => {
    await using lab = await Lab.open();
    await lab.server.filter({ input: [`${ANY_SYN} drop`] });
    const peer = await Peer.listen(lab.server, SERVER, { behaviour: "echo" });
    const client = Agent.start(lab.client);
    const dialling = dial(client, { hostname: SERVER, port: peer.port });
    // The SYN comes again after one second and after two; the kernel says in /proc/net/netstat when it has been sent.
    await client.run(async ({ until }) => {
      const { readFileSync } = await import("node:fs");
      const resent = () => {
        const [names, values] = readFileSync("/proc/net/netstat", "utf8").split("\n").map((line) => line.split(" "));
        return Number(values![names!.indexOf("TCPSynRetrans")]) >= 1;
      };
      await until(resent);
    });
    await lab.server.filter({});
    const seen = await dialling;
    assertEquals([seen.multipath, seen.fallback], [true, null]);
    assertGreater(seen.ms, 1500);
    assert(await peer.connected());
  });
});

describe("connect() says why it failed", { skip }, () => {
  // (The firewall's answer counts from the second SYN on: over veth the first one comes back before connect(2) returns,
  // and the kernel notes it down only.)
  const ADMIN = "reject with icmpx type admin-prohibited";
  const cases: readonly (readonly [string, string, string, (lab: Lab) => Promise<void>])[] = [
    ["nobody listens, over IPv4", SERVER, "ECONNREFUSED", () => Promise.resolve()],
    ["nobody listens, over IPv6", addressOf("server", 1, 6), "ECONNREFUSED", () => Promise.resolve()],
    ["there is no route, over IPv4", "192.0.2.1", "ENETUNREACH", () => Promise.resolve()],
    ["there is no route, over IPv6", "2001:db8::1", "ENETUNREACH", () => Promise.resolve()],
    ["a firewall forbids it, over IPv4", SERVER, "EHOSTUNREACH", ({ server }) => server.filter({ input: [ADMIN] })],
    [
      "a firewall forbids it, over IPv6",
      addressOf("server", 1, 6),
      "EACCES",
      ({ server }) => server.filter({ input: [`meta l4proto tcp ${ADMIN}`] }),
    ],
  ];
  for (const [when, hostname, code, prepare] of cases) {
    it(`when ${when}: ${code}`, async () => {
      await using lab = await Lab.open();
      await prepare(lab);
      const client = Agent.start(lab.client);
      const error = await assertFails(client.run(({ connect }, hostname) => connect({ hostname, port: 9 }), hostname), code);
      assertEquals([error.syscall, error.address, error.port], ["connect", hostname, 9]);
      assertLess(error.errno!, 0);
    });
  }

  it("when there is no answer in time: a TimeoutError", async () => {
    await using lab = await Lab.open();
    await lab.server.filter({ input: [`${ANY_SYN} drop`] });
    const client = Agent.start(lab.client);
    const seen = await client.run(async ({ connect }, hostname) => {
      const start = performance.now();
      const error = await connect({ hostname, port: 9, timeout: 300 }).then(() => null, (error) => error);
      return { isDomException: error instanceof DOMException, name: error?.name, ms: performance.now() - start };
    }, SERVER);
    assertEquals([seen.isDomException, seen.name], [true, "TimeoutError"]);
    assertGreater(seen.ms, 250);
    assertLess(seen.ms, 2000);
  });
});

describe("An abort ends connect() with the signal's own reason", { skip }, () => {
  it("before it began", async () => {
    await using lab = await Lab.open();
    const peer = await Peer.listen(lab.server, SERVER, { behaviour: "echo" });
    const client = Agent.start(lab.client);
    const same = await client.run(async ({ connect }, options) => {
      const reason = { its: "own" };
      return await connect({ ...options, signal: AbortSignal.abort(reason) }).catch((error) => error === reason);
    }, { hostname: SERVER, port: peer.port });
    assertEquals(same, true);
  });

  /** The address of a host that takes every packet and says nothing. */
  const SILENT = "nameserver 10.0.1.2\noptions timeout:5 attempts:1\n";
  for (
    const [when, hostname] of [["while it resolves a name", "no.such.host.test"], ["while it connects", SERVER]] as const
  ) {
    it(when, { skip: skip || labNeeds("mount") }, async () => {
      await using lab = await Lab.open();
      await lab.server.filter({ input: ["drop"] });
      const client = Agent.start(lab.client, { "/etc/resolv.conf": SILENT });
      const { same, ms } = await client.run(async ({ connect }, hostname) => {
        const reason = { its: "own" };
        const start = performance.now();
        const controller = new AbortController();
        setTimeout(() => controller.abort(reason), 200);
        const error = await connect({ hostname, port: 9, signal: controller.signal }).then(() => null, (error) => error);
        return { same: error === reason, ms: performance.now() - start };
      }, hostname);
      assertEquals(same, true);
      assertGreater(ms, 150);
      assertLess(ms, 1500);
    });
  }

  it("and not a connection that is there already", async () => {
    await using lab = await Lab.open();
    const peer = await Peer.listen(lab.server, SERVER, { behaviour: "echo" });
    const client = Agent.start(lab.client);
    const count = await client.run(async ({ connect }, options) => {
      const controller = new AbortController();
      using conn = await connect({ ...options, signal: controller.signal });
      controller.abort();
      await conn.write(new Uint8Array(10));
      return await conn.read(new Uint8Array(100));
    }, { hostname: SERVER, port: peer.port });
    assertEquals(count, 10);
  });
});
