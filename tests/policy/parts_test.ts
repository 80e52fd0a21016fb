/** The parts of the policies that need no network. */
import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "node:test";
import type { HostInterface } from "../../paths/host_view.ts";
import { pathCandidates, pathKey } from "../../paths/path_candidates.ts";
import { isNamed, whereIs } from "../../policy/match.ts";
import {
  backup,
  definePolicy,
  fullMesh,
  interfaces,
  nSubflows,
  type PathCandidate,
  selfHealing,
  whenSlow,
} from "../../policy/mod.ts";
import { choosePaths } from "../../policy/n_subflows.ts";
import { PulseTaker, silenceOf } from "../../policy/pulse.ts";
import { Reception } from "../../policy/reception.ts";
import { Retries } from "../../policy/retries.ts";
import { Reader, slowness } from "../../policy/when_slow.ts";

const addr = (hostname: string, port = 80) => ({ transport: "tcp" as const, hostname, port });
const path = (localAddress: string, remoteAddress: string, name = "eth0"): PathCandidate => ({
  localAddress,
  remoteAddress,
  remotePort: 80,
  interface: name,
});

describe("Retries", () => {
  it("tries at once, then after pauses that grow with the time that it failed", () => {
    const retries = new Retries({ shortest: 400, longest: 3000, fraction: 0.25 });
    assertEquals(retries.isDue("a", 0), true);
    const pauses: number[] = [];
    for (let now = 0; now < 40_000;) {
      retries.tried("a", now);
      const wait = retries.wait(now);
      assertEquals([retries.isDue("a", now + wait - 1), retries.isDue("a", now + wait)], [false, true]);
      pauses.push(wait);
      now += wait;
    }
    assertEquals(pauses.slice(0, 7), [400, 400, 400, 400, 400, 500, 625]);
    assertEquals(pauses.at(-1), 3000);
  });

  it("keeps paths apart, and forgets what works", () => {
    const retries = new Retries({ shortest: 100 });
    retries.tried("a", 1000);
    retries.tried("b", 1050);
    assertEquals([retries.isDue("c", 1000), retries.wait(1060)], [true, 40]);
    retries.succeeded("a");
    assertEquals([retries.isDue("a", 1001), retries.wait(1060)], [true, 90]);
    retries.reset();
    assertEquals(retries.wait(1060), Infinity);
  });
});

describe("a path's pulse", () => {
  it("is no silence where nothing waits for an answer", () => {
    assertEquals(silenceOf({ unacked: 0, lastAckRecv: 9000, backoff: 5, rto: 6_400_000 }, 9000), 0);
    assertEquals(silenceOf({}, 0), 0);
  });

  it("counts from the last answer, or from when the question was seen", () => {
    assertEquals(silenceOf({ unacked: 3, lastAckRecv: 250 }, 9000), 250);
    assertEquals(silenceOf({ unacked: 3, lastAckRecv: 9000 }, 120), 120);
    // Two timeouts of 200 and 400 ms have passed, however late one looks.
    assertEquals(silenceOf({ unacked: 1, lastAckRecv: 9000, backoff: 2, rto: 800_000 }, 0), 600);
  });

  it("is dead after the time, if it was asked twice", () => {
    const taker = new PulseTaker(600);
    const info = { unacked: 5, rtt: 30_000, rttvar: 5_000 };
    assertEquals(taker.take({ ...info, lastAckRecv: 10 }, 1000).dead, false);
    assertEquals(taker.take({ ...info, lastAckRecv: 510, retransmits: 1 }, 1500), { silence: 500, dead: false });
    assertEquals(taker.take({ ...info, lastAckRecv: 620, retransmits: 0 }, 1610).dead, false);
    assertEquals(taker.take({ ...info, lastAckRecv: 630, retransmits: 1 }, 1620), { silence: 620, dead: true });
    assertEquals(taker.take({ ...info, lastAckRecv: 1, retransmits: 0 }, 1630).dead, false);
  });

  it("gives a path with a long round trip more time", () => {
    const taker = new PulseTaker(600);
    const info = { unacked: 5, rtt: 600_000, rttvar: 100_000, retransmits: 1 };
    taker.take({ ...info, lastAckRecv: 0 }, 0);
    assertEquals(taker.take({ ...info, lastAckRecv: 1900 }, 1900).dead, false);
    assertEquals(taker.take({ ...info, lastAckRecv: 2000 }, 2000).dead, true);
  });
});

describe("what comes over a path", () => {
  const both = () => [new Reception(), new Reception()] as const;

  it("is missed when it stops while others go on", () => {
    const [a, b] = both();
    for (let now = 0; now <= 1000; now += 100) [a, b].forEach((each) => each.look(now * 500, now));
    for (let now = 1100; now <= 1300; now += 100) {
      assertEquals([a.look(500_000, now), b.look(now * 500, now)], [false, true]);
      assertEquals([a.isSuspicious([b], now), b.isSuspicious([a], now)], [now >= 1200, false]);
    }
    assertEquals(a.isSuspicious([], 1300), false);
    assertEquals(a.isSuspicious([b], 1500), false); // b has stopped too
  });

  it("is not missed where it was little, nor for a while after an answer", () => {
    const [a, b] = both();
    for (let now = 0; now <= 1000; now += 100) a.look(now, now), b.look(now * 500, now);
    b.look(700_000, 1400);
    assertEquals(a.isSuspicious([b], 1400), false);
    for (let now = 1500; now <= 2500; now += 100) [a, b].forEach((each) => each.look(1e6 + now * 500, now));
    b.look(3e6, 3000);
    assertEquals(a.isSuspicious([b], 3000), true);
    a.asked(3000);
    b.look(4e6, 4900);
    assertEquals(a.isSuspicious([b], 4900), false);
    b.look(5e6, 5000);
    assertEquals(a.isSuspicious([b], 5000), true);
    a.asked(5000);
    b.look(6e6, 8900);
    assertEquals(a.isSuspicious([b], 8900), false);
  });
});

describe("choosePaths", () => {
  const [a, b] = [path("10.0.1.1", "10.0.1.2"), path("10.0.2.1", "10.0.2.2")];
  const used = (subflows: PathCandidate[], opening: PathCandidate[] = []) => ({
    subflows: () => subflows.map((each) => ({ local: addr(each.localAddress), remote: addr(each.remoteAddress) }) as never),
    opening: () => opening,
  });

  it("takes what is used least", () => {
    assertEquals(choosePaths(used([a]), [a, b], 1, () => true, true), [b]);
    assertEquals(choosePaths(used([a]), [a, b], 3, () => true, true), [b, a, b]);
    assertEquals(choosePaths(used([a, b], [b]), [a, b], 1, () => true, true), [a]);
  });

  it("leaves out what is not due, and what is used where it may not repeat", () => {
    assertEquals(choosePaths(used([a]), [a, b], 2, (key) => key !== pathKey("10.0.2.1", "10.0.2.2"), true), [a, a]);
    assertEquals(choosePaths(used([a]), [a, b], 2, () => true, false), [b]);
    assertEquals(choosePaths(used([]), [], 2, () => true, true), []);
    assertEquals(choosePaths(used([a]), [a], 0, () => true, true), []);
    assertEquals(choosePaths(used([a, a, a]), [a], -1, () => true, true), []);
  });
});

describe("slowness", () => {
  const at = (at: number, acked: number, busy: number, rtt?: number) => ({ at, acked, busy, rtt });

  it("is a long round trip", () => {
    assertEquals(slowness(at(0, 0, 0), at(100, 0, 0, 80), { rttMs: 100 }), null);
    assertEquals(
      slowness(at(0, 0, 0), at(100, 0, 0, 120.04), { rttMs: 100 }),
      "the round trip takes 120.0 ms, more than 100",
    );
    assertEquals(slowness(at(0, 0, 0), at(100, 0, 0), { rttMs: 100 }), null);
  });

  it("is a low rate while there is more to send", () => {
    assertEquals(
      slowness(at(0, 0, 0), at(100, 5000, 100), { rateBelow: 60_000 }),
      "50000 bytes a second get through, less than 60000",
    );
    assertEquals(slowness(at(0, 0, 0), at(100, 6000, 100), { rateBelow: 60_000 }), null);
    assertEquals(slowness(at(0, 0, 0), at(100, 100, 70), { rateBelow: 60_000 }), null); // the program had no more
    assertEquals(slowness(at(0, 0, 0), at(0, 0, 0), { rateBelow: 60_000 }), null);
  });

  it("adds up the paths, those that are gone too", () => {
    const reader = new Reader();
    const row = (id: number, bytesAcked: number, busyTime: number, rtt: number) => ({
      id,
      tcpInfo: { bytesAcked, busyTime, rtt },
    });
    assertEquals(reader.read([row(1, 1000, 50_000, 30_000)], 0), { at: 0, acked: 0, busy: 0, rtt: 30 });
    const two = reader.read([row(1, 3000, 150_000, 30_000), row(2, 500, 10_000, 20_000)], 100);
    assertEquals(two, { at: 100, acked: 2000, busy: 100, rtt: 20 });
    assertEquals(reader.read([row(2, 1500, 90_000, 0)], 200), { at: 200, acked: 3000, busy: 180, rtt: undefined });
  });
});

describe("places by name", () => {
  const where = { localAddress: "10.0.1.1", interface: "wlan0" };

  it("are interfaces, with or without *, and addresses", () => {
    for (const name of ["wlan0", "wlan*", "*", "w*n0", "10.0.1.1", "::ffff:10.0.1.1"]) {
      assertEquals(isNamed([name], where), true, name);
    }
    for (const name of ["wlan", "wlan1", "lan*", "10.0.1.2", "wlan0*x", "."]) {
      assertEquals(isNamed([name], where), false, name);
    }
    assertEquals(isNamed(["wlan*"], { localAddress: "10.0.1.1", interface: undefined }), false);
  });

  it("are found of a subflow by its address", () => {
    const context = { interfaces: () => [host("wlan0", 3, ["10.0.1.1"])] };
    assertEquals(whereIs({ local: addr("::ffff:10.0.1.1") }, context), where);
    assertEquals(whereIs({ local: addr("10.0.1.9") }, context), { localAddress: "10.0.1.9", interface: undefined });
  });
});

function host(name: string, index: number, addresses: string[], more: Partial<HostInterface> = {}): HostInterface {
  return {
    index,
    name,
    running: true,
    loopback: name === "lo",
    addresses: addresses.map((address) => ({ address, family: address.includes(":") ? 6 : 4, routed: false })),
    rpFilter: null,
    ...more,
  };
}

describe("pathCandidates", () => {
  const interfaces = [
    host("lo", 1, ["127.0.0.1", "::1"]),
    host("eth0", 2, ["10.0.1.1", "fd00:1::1"]),
    host("wlan0", 3, ["10.0.2.1"]),
    host("down0", 4, ["10.0.3.1"], { running: false }),
  ];
  const routing = (has: (source: string, destination: string) => boolean) => ({
    interfaces: () => interfaces,
    has: ({ source, destination }: { source: string; destination: string }) => has(source, destination),
    isLocal: (destination: string) => destination.startsWith("127.") || destination === "10.0.1.1",
  });
  const pairs = (...args: Parameters<typeof pathCandidates>) =>
    pathCandidates(...args).map((each) => `${each.interface} ${each.localAddress} ${each.remoteAddress}:${each.remotePort}`);

  it("are all pairs that have a route, the first path first", () => {
    const ends = { local: addr("10.0.2.1"), remote: addr("192.0.2.1") };
    assertEquals(pairs(ends, [addr("192.0.2.2", 81), addr("fd00::9")], routing(() => true)), [
      "wlan0 10.0.2.1 192.0.2.1:80",
      "eth0 10.0.1.1 192.0.2.1:80",
      "eth0 10.0.1.1 192.0.2.2:81",
      "wlan0 10.0.2.1 192.0.2.2:81",
    ]);
    const only = routing((source, destination) => source === "10.0.1.1" && destination === "192.0.2.2");
    assertEquals(pairs(ends, [addr("192.0.2.2")], only), ["eth0 10.0.1.1 192.0.2.2:80"]);
  });

  it("have both families where the connection is IPv6, and name no pair twice", () => {
    const ends = { local: addr("fd00:1::1"), remote: addr("fd00::9") };
    assertEquals(pairs(ends, [addr("fd00::9"), addr("::ffff:192.0.2.2")], routing(() => true)), [
      "eth0 fd00:1::1 fd00::9:80",
      "eth0 10.0.1.1 192.0.2.2:80",
      "wlan0 10.0.2.1 192.0.2.2:80",
    ]);
  });

  it("of a host with itself are those by loopback, and its own first path", () => {
    assertEquals(pairs({ local: addr("127.0.0.1"), remote: addr("127.0.0.1") }, [], routing(() => true)), [
      "lo 127.0.0.1 127.0.0.1:80",
    ]);
    assertEquals(pairs({ local: addr("10.0.1.1"), remote: addr("10.0.1.1") }, [], routing(() => true)), [
      "eth0 10.0.1.1 10.0.1.1:80",
      "lo 127.0.0.1 10.0.1.1:80",
    ]);
  });
});

describe("what the policies are given", () => {
  it("is checked before anything happens", () => {
    const wrong = [
      [() => nSubflows(0), RangeError],
      [() => nSubflows("2" as never), TypeError],
      [() => fullMesh({ most: 300 }), RangeError],
      [() => fullMesh({ remotes: ["example.com"] }), TypeError],
      [() => fullMesh({ remotes: "10.0.0.1" as never }), TypeError],
      [() => fullMesh(null as never), TypeError],
      [() => backup({ prefer: [] }), TypeError],
      [() => backup({ prefer: 3 as never }), TypeError],
      [() => interfaces({}), TypeError],
      [() => interfaces({ allow: "" }), TypeError],
      [() => whenSlow({}), TypeError],
      [() => whenSlow({ rttMs: -1 }), RangeError],
      [() => whenSlow({ rateBelow: "1" as never }), TypeError],
      [() => selfHealing({ deadAfter: NaN }), RangeError],
      [() => definePolicy({ name: "" }), TypeError],
      [() => definePolicy({ name: "x", tick: 3 as never }), TypeError],
      [() => definePolicy({ name: "x", interval: 1 }), RangeError],
      [() => definePolicy({ name: "x", interval: "1" as never }), TypeError],
      [() => definePolicy({ name: "x", manages: 1 as never }), TypeError],
      [() => definePolicy(null as never), TypeError],
    ] as const;
    for (const [make, kind] of wrong) assertThrows(make as () => unknown, kind, "Cannot use");
  });

  it("may be everything that is said to be right", () => {
    const names = [
      fullMesh(),
      fullMesh({ remotes: ["10.0.0.1", "fd00::1"], most: 1 }),
      nSubflows(2, { timeout: 100 }),
      backup({ prefer: "wlan0" }),
      backup({ prefer: () => true }),
      interfaces({ deny: ["a", "b"] }),
      whenSlow({ rttMs: 10 }),
      selfHealing({ deadAfter: 100, longestPause: 1000 }),
    ].map(({ name }) => name);
    assertEquals(names, [
      "fullMesh",
      "fullMesh",
      "nSubflows(2)",
      "backup",
      "backup",
      "interfaces",
      "whenSlow",
      "selfHealing",
    ]);
  });
});
