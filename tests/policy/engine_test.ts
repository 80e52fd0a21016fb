/** Policies on a connection and a clock that are not real: what they do, when, and what they say about it. */
import { assertEquals, assertObjectMatch, assertStringIncludes } from "@std/assert";
import { describe, it } from "node:test";
import { backup, definePolicy, fullMesh, interfaces, nSubflows, selfHealing, whenSlow } from "../../policy/mod.ts";
import { pathOf, World } from "./world.ts";

describe("the engine", () => {
  it("calls hooks in order, and tells which ends were asked for", async () => {
    const world = new World();
    const seen: string[] = [];
    const { handle } = world.use(definePolicy({
      name: "seer",
      attach: () => {
        seen.push("attach");
        return { subflowClosed: ({ asked }) => void seen.push(`inner closed ${asked}`) };
      },
      subflowOpened: ({ id }) => void seen.push(`opened ${id}`),
      subflowClosed: ({ id, asked }) => void seen.push(`closed ${id} ${asked}`),
      hostChanged: () => void seen.push("host"),
      detach: () => void seen.push("detach"),
    }));
    world.add(2);
    await world.settle();
    world.engine.asked(2);
    world.lose(2, undefined);
    world.lose(1, "ECONNRESET");
    await world.settle();
    await world.changed();
    handle.stop();
    handle.stop();
    await world.changed();
    const closed = ["closed 2 true", "inner closed true", "closed 1 false", "inner closed false"];
    assertEquals(seen, ["attach", "opened 1", "opened 2", ...closed, "host", "detach"]);
  });

  it("ticks as often as asked, and wakes whom it was asked to", async () => {
    const world = new World();
    const ticks: string[] = [];
    const { handle } = world.use(definePolicy({
      name: "clock",
      interval: 100,
      tick: (context) => void ticks.push(`a ${context.now()}`),
    }));
    world.use(definePolicy({
      name: "sleeper",
      attach: (context) => {
        context.wake(250);
        return { tick: () => void ticks.push(`b ${context.now()}`) };
      },
    }));
    await world.pass(310);
    assertEquals(ticks, ["a 100", "a 200", "b 250", "a 300"]);
    handle.stop();
    await world.pass(1000);
    assertEquals(ticks.length, 4);
  });

  it("holds nothing once the policies are stopped or the connection has ended", async () => {
    for (const end of ["stop", "closed"] as const) {
      const world = new World();
      const uses = [fullMesh(), selfHealing(), nSubflows(2), backup({ prefer: "eth2" })].map((each) => world.use(each));
      await world.pass(50);
      if (end === "stop") { for (const { handle } of uses) handle.stop(); }
      else await world.tell({ type: "closed" });
      assertEquals(world.held, [0, 0], end);
      world.take();
      await world.pass(5000);
      assertEquals(world.take(), []);
    }
  });

  it("tells what a hook throws, and goes on", async () => {
    const world = new World();
    const { decisions } = world.use(definePolicy({
      name: "clumsy",
      hostChanged: () => {
        throw new Error("oh");
      },
    }));
    await world.changed();
    assertEquals(decisions.map(({ action, outcome, error }) => [action, outcome, `${error ?? ""}`]), [
      ["attach", "done", ""],
      ["hook", "failed", "Error: oh"],
    ]);
  });

  it("is attached to nothing where it can do nothing", async () => {
    for (const kind of ["plain TCP", "the kernel's path manager"]) {
      const world = new World();
      if (kind === "plain TCP") world.multipath = false;
      else world.pathManager = "kernel";
      const { decisions } = world.use(fullMesh());
      await world.settle();
      assertEquals(decisions.length, 1);
      assertObjectMatch(decisions[0]!, { action: "attach", outcome: "failed", policy: "fullMesh" });
      assertStringIncludes(`${decisions[0]!.error}`, kind);
      assertEquals(world.held, [0, 0]);
    }
    const world = new World();
    world.pathManager = "kernel";
    const { decisions } = world.use(definePolicy({ name: "observer" }));
    await world.settle();
    assertEquals(decisions[0]!.outcome, "done");
  });

  it("tells late readers what was decided before", async () => {
    const world = new World();
    const { handle } = world.use(definePolicy({
      name: "talker",
      attach: (context) => {
        for (let count = 0; count < 300; count++) context.note(`${count}`);
      },
    }));
    handle.stop();
    const reasons = [];
    for await (const { reason } of handle.decisions()) reasons.push(reason);
    assertEquals([reasons.length, reasons[0], reasons.at(-1)], [256, "44", "299"]);
  });
});

describe("fullMesh", () => {
  it("tries each path once for as long as it is there, up to its limit", async () => {
    const world = new World();
    world.known = new Set([1, 2, 3]);
    world.works = (path) => path === 2;
    const { decisions } = world.use(fullMesh());
    await world.settle();
    assertEquals(world.take(), ["open 2", "open 3"]);
    assertEquals(decisions.filter(({ action }) => action === "open").map(({ outcome, local }) => `${local} ${outcome}`), [
      "10.0.2.1 done",
      "10.0.3.1 failed",
    ]);
    await world.changed();
    assertEquals(world.take(), []);
    world.up.delete(3);
    await world.changed();
    world.up.add(3);
    await world.changed();
    assertEquals(world.take(), ["open 3"]);
    const limited = new World();
    limited.known = new Set([1, 2, 3]);
    limited.use(fullMesh({ most: 2 }));
    await limited.settle();
    assertEquals(limited.take(), ["open 2"]);
  });
});

describe("fullMesh without an answer", () => {
  it("tries a path with more and more time, three times", async () => {
    const world = new World();
    world.known = new Set([1, 2]);
    world.works = () => undefined;
    const { decisions } = world.use(fullMesh());
    await world.pass(60_000);
    assertEquals(world.take(), ["open 2", "open 2", "open 2"]);
    assertEquals(decisions.filter(({ outcome }) => outcome === "failed").length, 3);
  });
});

describe("policies together", () => {
  it("heed each other's refusals, told once", async () => {
    const world = new World();
    world.known = new Set([1, 2, 3]);
    world.use(interfaces({ deny: "eth2" }));
    const { decisions } = world.use(fullMesh());
    const healer = world.use(selfHealing());
    await world.pass(3000);
    assertEquals(world.take().filter((each) => each.startsWith("open")), ["open 3"]);
    const refused = [...decisions, ...healer.decisions].filter(({ outcome }) => outcome === "refused");
    assertEquals(refused.map(({ policy, refusal }) => [policy, refusal]), [
      ["fullMesh", { policy: "interfaces", reason: "eth2 is denied" }],
    ]);
  });

  it("open a path once, though two want it", async () => {
    const world = new World();
    world.known = new Set([1, 2]);
    world.works = () => undefined;
    world.use(fullMesh());
    world.use(backup({ prefer: "eth1" }));
    await world.settle();
    assertEquals(world.take(), ["open 2"]);
  });
});

describe("nSubflows", () => {
  it("waits a moment for further addresses before it doubles a path", async () => {
    const world = new World();
    world.use(nSubflows(3));
    await world.pass(200);
    assertEquals(world.take(), []);
    world.known.add(2);
    await world.changed();
    assertEquals(world.take(), ["open 2"]);
    await world.pass(300);
    assertEquals(world.take(), ["open 1"]);
    world.lose(2, "ECONNRESET");
    await world.settle();
    assertEquals(world.take(), ["open 2"]);
  });
});

describe("backup", () => {
  it("opens the others as backups, and changes the first where another is preferred", async () => {
    const world = new World();
    world.known = new Set([1, 2, 3]);
    world.use(backup({ prefer: "eth2" }));
    await world.settle();
    assertEquals(world.take(), ["open 2", "open 3 backup", "backup 1 true"]);
  });

  it("prefers the first path unless told", async () => {
    const world = new World();
    world.known = new Set([1, 2, 3]);
    world.use(backup());
    await world.settle();
    assertEquals(world.take(), ["open 2 backup", "open 3 backup"]);
  });

  it("tries the preferred path again and again when it is away", async () => {
    const world = new World();
    world.known = new Set([1, 2]);
    world.use(backup({ prefer: "10.0.1.1" }));
    await world.settle();
    world.works = () => false;
    world.take();
    world.lose(1, "ETIMEDOUT");
    await world.pass(2000);
    const tries = world.take();
    assertEquals(tries.length >= 4 && tries.every((each) => each === "open 1"), true, tries.join());
    world.works = () => true;
    await world.pass(1000);
    assertEquals(world.take(), ["open 1"]);
  });
});

describe("selfHealing", () => {
  it("opens what was lost, at once and then less and less often", async () => {
    const world = new World();
    world.known = new Set([1, 2]);
    world.add(2);
    const { decisions } = world.use(selfHealing());
    await world.pass(2000); // it has lived for a while
    world.works = () => false;
    world.take();
    const begun = world.time;
    world.lose(2, "ECONNRESET");
    await world.settle();
    assertEquals(world.take(), ["open 2"]);
    await world.pass(60_000);
    const tries = world.take().length;
    assertEquals(tries > 15 && tries < 30, true, `${tries} tries in a minute`);
    world.works = () => true;
    await world.pass(20_000);
    assertEquals(world.take(), ["open 2"]);
    assertEquals(world.time - begun, 80_000);
    assertStringIncludes(decisions.map(({ reason }) => reason).join("|"), "lost: ECONNRESET|it was lost");
  });

  it("lets go what is closed on purpose, by either end", async () => {
    for (const how of ["asked", "in order"]) {
      const world = new World();
      world.known = new Set([1, 2]);
      world.add(2);
      world.use(selfHealing());
      await world.pass(100);
      world.take();
      if (how === "asked") world.engine.asked(2);
      world.lose(2, how === "asked" ? "ECONNABORTED" : undefined);
      await world.pass(5000);
      assertEquals(world.take(), [], how);
    }
  });

  it("closes a silent path while another lives, and opens it anew", async () => {
    const world = new World();
    world.known = new Set([1, 2]);
    world.add(2);
    const { decisions } = world.use(selfHealing());
    await world.pass(1500);
    world.works = () => undefined;
    world.take();
    const begun = world.time;
    for (let age = 0; age < 1000 && !world.calls.includes("close 1"); age += 50) {
      world.info(1, { unacked: 4, lastAckRecv: age, retransmits: age > 250 ? 1 : 0, rtt: 30_000, rttvar: 2_000 });
      world.info(2, { unacked: 4, lastAckRecv: 3, retransmits: 0, rtt: 30_000 });
      await world.pass(50);
    }
    const took = world.time - begun;
    assertEquals(took >= 600 && took <= 1000, true, `closed after ${took} ms`);
    assertEquals(world.take(), ["close 1", "open 1"]);
    assertEquals(decisions.some(({ action, reason }) => action === "close" && /silent, no ack/.test(reason)), true);
    await world.pass(1000);
    assertEquals(world.take(), ["open 1", "open 1"]);
  });

  for (const answer of [true, false, undefined]) {
    it(`asks a path that brings nothing any more, and ${answer === undefined ? "closes it without an answer" : "heeds the answer"}`, async () => {
      const world = new World();
      world.known = new Set([1, 2]);
      world.add(2);
      world.use(selfHealing());
      for (let now = 0; now < 2000; now += 100) {
        for (const id of [1, 2]) world.info(id, { bytesReceived: now * 500 });
        await world.pass(100);
      }
      world.take();
      world.works = () => answer;
      for (let now = 2000; now < 3000; now += 100) {
        world.info(2, { bytesReceived: now * 500 });
        await world.pass(100);
      }
      const calls = world.take();
      if (answer === true) assertEquals(calls, ["open 1 backup", "close 3"]);
      else if (answer === false) assertEquals(calls, ["open 1 backup"]);
      else assertEquals(calls.slice(0, 3), ["open 1 backup", "close 1", "open 1"]);
    });
  }

  it("never closes the last path, and tries all others", async () => {
    const world = new World();
    world.known = new Set([1, 2]);
    world.works = () => undefined;
    const { decisions } = world.use(selfHealing());
    world.info(1, { unacked: 4, lastAckRecv: 5000, retransmits: 3, backoff: 3, rto: 1_600_000, rtt: 30_000 });
    await world.pass(500);
    assertEquals(world.take().filter((each) => each.startsWith("close")), []);
    assertStringIncludes(decisions.map(({ reason }) => reason).join("|"), "the only path seems dead, and is kept");
    world.works = () => true;
    await world.pass(1000);
    const calls = world.take();
    assertEquals(calls.includes("open 2") && calls.includes("close 1"), true, calls.join());
  });

  it("opens again what went by itself while it was to be closed", async () => {
    const world = new World();
    world.known = new Set([1, 2]);
    const { id, local, remote } = world.add(2);
    world.use(selfHealing());
    await world.settle();
    world.goesBefore = true;
    world.up.delete(2);
    await world.changed();
    await world.tell({ type: "subflowClosed", id, local, remote, localId: 2, remoteId: 2 });
    world.take();
    world.up.add(2);
    await world.changed();
    assertEquals(world.take(), ["open 2"]);
  });

  it("opens again what the peer closed because it was told of an earlier one", async () => {
    const world = new World();
    world.known = new Set([1, 2]);
    world.add(2);
    world.use(selfHealing());
    await world.settle();
    world.up.delete(2);
    await world.changed();
    world.up.add(2);
    await world.changed();
    assertEquals(world.take(), ["close 2", "open 2"]);
    world.lose(3, undefined); // in order
    await world.pass(1000);
    assertEquals(world.take(), ["open 2"]);
    await world.pass(5000);
    world.lose(4, undefined);
    await world.pass(1000);
    assertEquals(world.take(), []);
  });

  it("takes an address for gone only after another look", async () => {
    const world = new World();
    world.known = new Set([1, 2]);
    world.up.delete(2);
    world.use(selfHealing());
    await world.settle();
    world.up.add(2); // nobody has told yet
    world.add(2);
    await world.pass(500);
    assertEquals(world.take(), []);
  });

  it("waits for the event that says whether an end was on purpose", async () => {
    for (const asked of [true, false, null]) {
      const world = new World();
      world.known = new Set([1, 2]);
      const { id, local, remote } = world.add(2);
      world.use(selfHealing());
      await world.pass(2000);
      world.vanish(2);
      await world.pass(700);
      assertEquals(world.take(), []);
      if (asked) world.engine.asked(2);
      const error = asked ? {} : { error: { errno: 104, code: "ECONNRESET" } };
      if (asked !== null) await world.tell({ type: "subflowClosed", id, local, remote, localId: 2, remoteId: 2, ...error });
      await world.pass(2000);
      assertEquals(world.take(), asked ? [] : ["open 2"], `asked ${asked}`);
    }
  });

  it("follows links and addresses, and tells the peer", async () => {
    const world = new World();
    world.known = new Set([1, 2]);
    world.add(2);
    const { decisions } = world.use(selfHealing());
    await world.settle();
    world.take();
    world.up.delete(2);
    await world.changed();
    assertEquals(world.take(), ["close 2"]);
    assertEquals(decisions.some(({ action, local }) => action === "withdraw" && local === "10.0.2.1"), true);
    await world.pass(3000);
    assertEquals(world.take(), []);
    world.up.add(2);
    await world.changed();
    assertEquals(world.take(), ["open 2"]);
  });

  it("has the kernel watch all paths but a last one, where it may", async () => {
    const world = new World();
    world.tunable = true;
    world.known = new Set([1, 2]);
    world.add(2);
    const { handle } = world.use(selfHealing({ deadAfter: 500 }));
    await world.settle();
    assertEquals(world.take(), ["option 1 TCP_USER_TIMEOUT 500", "option 2 TCP_USER_TIMEOUT 500"]);
    world.engine.asked(2);
    world.lose(2, undefined);
    await world.settle();
    assertEquals(world.take(), ["option 1 TCP_USER_TIMEOUT 0"]);
    world.add(2);
    await world.settle();
    world.take();
    handle.stop();
    assertEquals(world.take(), ["option 1 TCP_USER_TIMEOUT 0", "option 3 TCP_USER_TIMEOUT 0"]);
  });

  it("repeats what other policies could not open, and opens nothing on a server", async () => {
    const world = new World();
    world.known = new Set([1, 2]);
    world.works = () => false;
    world.use(selfHealing());
    world.use(fullMesh());
    await world.settle();
    world.works = () => true;
    await world.pass(1000);
    assertEquals(world.take(), ["open 2", "open 2"]);
    const server = new World();
    server.side = "server";
    server.known = new Set([1, 2]);
    server.add(2);
    server.use(selfHealing());
    await server.settle();
    server.lose(2, "ECONNRESET");
    await server.pass(3000);
    assertEquals(server.take(), []);
  });
});

describe("whenSlow", () => {
  it("adds one path after the time, and no more than it may", async () => {
    const world = new World();
    world.known = new Set([1, 2, 3]);
    world.use(whenSlow({ rateBelow: 1_000_000, forMs: 500 }));
    const send = async (ms: number, rate: number) => {
      for (let passed = 0; passed < ms; passed += 100) {
        const { bytesAcked = 0, busyTime = 0 } = world.rows[0]!.tcpInfo;
        world.info(1, { bytesAcked: bytesAcked + rate / 10, busyTime: busyTime + 100_000, rtt: 1000 });
        await world.pass(100);
      }
    };
    await send(2000, 2_000_000);
    assertEquals(world.take(), []);
    await send(400, 500_000);
    await send(400, 2_000_000);
    assertEquals(world.take(), []);
    await send(800, 500_000);
    assertEquals(world.take(), ["open 2"]);
    await send(3000, 500_000);
    assertEquals(world.take(), []);
  });
});

describe("interfaces", () => {
  it("closes what is not allowed, as soon as there is something else", async () => {
    const world = new World();
    world.use(interfaces({ allow: pathOf(2).interface }));
    await world.settle();
    assertEquals(world.take(), []);
    world.add(2);
    await world.settle();
    assertEquals(world.take(), ["close 1"]);
  });
});

describe("retries by a clock whose timers are early", () => {
  it("go on", async () => {
    for (const policy of [backup({ prefer: "eth1" }), nSubflows(2)]) {
      const world = new World();
      world.early = 0.7;
      world.known = new Set([1, 2]);
      world.works = () => false;
      world.use(policy);
      await world.pass(10_000);
      const count = world.take().length;
      assertEquals(count > 8 && count < 40, true, `${count} tries`);
    }
  });

  it("also where a path could not be looked up for a moment", async () => {
    for (const policy of [backup({ prefer: "eth1" }), nSubflows(2)]) {
      const world = new World();
      world.known = new Set([1, 2]);
      world.works = () => false;
      world.use(policy);
      await world.pass(1000);
      world.known.clear(); // and no notification
      await world.pass(2000);
      world.known = new Set([1, 2]);
      world.take();
      await world.pass(3000);
      const count = world.take().length;
      assertEquals(count > 0, true, `${count} tries`);
    }
  });
});
