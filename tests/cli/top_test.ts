/** `mptcp top`: rates out of counters, the screen, and the command itself in a pseudo-terminal beside real traffic. */
import { assert, assertEquals, assertGreater, assertLess, assertMatch, assertStringIncludes } from "@std/assert";
import process from "node:process";
import { widthOf } from "../../cli/demo/text.ts";
import type { Look } from "../../cli/frame/output.ts";
import { clipped, screenOf, shortRate } from "../../cli/top/screen.ts";
import { sparkline } from "../../cli/top/sparkline.ts";
import { Meter, type View } from "../../cli/watch/meter.ts";
import { ORDERS, sorted } from "../../cli/watch/order.ts";
import type { ConnectionReading, SubflowReading } from "../../cli/watch/reading.ts";
import { Ring } from "../../cli/watch/ring.ts";
import { Child } from "../child.ts";
import { labNeeds } from "../needs.ts";
import { describe, it } from "../suite.ts";
import { mptcp, ran } from "./command_line.ts";
import { PseudoTerminal } from "./terminal.ts";
import { Traffic } from "./traffic.ts";

function subflow(key: string, sent: number, more: Partial<SubflowReading> = {}): SubflowReading {
  const [local, remote] = [`10.0.${key}.1:40000`, `10.0.${key}.2:80`];
  const rest = { interface: `a${key}`, state: "ESTABLISHED", backup: false, received: 0, rtt: 1234, retransmits: 0 };
  return { key, local, remote, ...rest, sent, ...more };
}

function connection(token: string, subflows: SubflowReading[], more: Partial<ConnectionReading> = {}): ConnectionReading {
  const sent = subflows.reduce((sum, { sent }) => sum + sent, 0);
  const rest = { local: "10.0.1.1:40000", remote: "10.0.1.2:80", state: "ESTABLISHED", fallback: false, received: 0 };
  return { key: token, token, ...rest, sent, subflows, ...more };
}

describe("watch: ring and meter", () => {
  it("the last so many numbers, in order", () => {
    const ring = new Ring(3);
    assertEquals(ring.values(), []);
    for (const [value, expected] of [[1, [1]], [2, [1, 2]], [3, [1, 2, 3]], [4, [2, 3, 4]], [5, [3, 4, 5]]] as const) {
      ring.push(value);
      assertEquals(ring.values(), [...expected]);
    }
  });

  it("rates of connections and subflows, both ways", () => {
    const meter = new Meter(10);
    const first = meter.add(1000, [connection("t", [subflow("1", 5000), subflow("2", 0)])]);
    assertEquals([first.sending, first.connections[0]!.subflows[0]!.sending], [0, 0]);
    const view = meter.add(1500, [
      connection("t", [subflow("1", 6000, { retransmits: 2 }), subflow("2", 500, { received: 250 })], { received: 250 }),
    ]);
    const [one] = view.connections;
    assertEquals([view.sending, view.receiving], [3000, 500]);
    assertEquals(one!.subflows.map(({ sending, receiving, retransmitted }) => [sending, receiving, retransmitted]), [
      [2000, 0, 2],
      [1000, 500, 0],
    ]);
    assertEquals(one!.history, [0, 3500]);
    assertEquals(one!.subflows[1]!.history, [0, 1500]);
  });

  it("a subflow that joins has no rate yet, one that is gone is forgotten, and counters that fall are none", () => {
    const meter = new Meter(10);
    meter.add(0, [connection("t", [subflow("1", 1000)])]);
    const joined = meter.add(1000, [connection("t", [subflow("1", 900), subflow("2", 9e9)], { sent: 0 })]);
    assertEquals(joined.connections[0]!.subflows.map(({ sending }) => sending), [0, 0]);
    assertEquals(joined.sending, 0);
    meter.add(2000, []);
    const again = meter.add(3000, [connection("t", [subflow("1", 5000)])]);
    assertEquals(again.connections[0]!.history, [0]);
    // The same moment again: what stood there stays.
    const same = meter.add(3000, [connection("t", [subflow("1", 6000)])]);
    assertEquals(same.sending, 0);
  });

  it("orders, the most first, level ones by their addresses", () => {
    const meter = new Meter(2);
    const readings = [
      connection("a", [subflow("1", 0, { rtt: 5 })], { remote: "b", sent: 0 }),
      connection("b", [subflow("1", 0, { rtt: 9 }), subflow("2", 0, { retransmits: 3 })], { remote: "c", sent: 0 }),
      connection("c", [], { remote: "a", sent: 0 }),
    ];
    meter.add(0, readings);
    const { connections } = meter.add(1000, [{ ...readings[0]!, sent: 1000 }, readings[1]!, readings[2]!]);
    const by = Object.fromEntries(ORDERS.map((order) => [order, sorted(connections, order).map(({ key }) => key).join("")]));
    assertEquals(by, { rate: "acb", rtt: "bac", retransmits: "bca", subflows: "bac", remote: "cab" });
  });
});

describe("top: the screen", () => {
  const looks: Look[] = [
    { colour: false, unicode: false, width: 80 },
    { colour: false, unicode: true, width: 80 },
    { colour: true, unicode: true, width: 80 },
  ];
  const meter = new Meter(60);
  const readings = (sent: number) => [
    connection("1f2e3d4c", [subflow("1", sent), subflow("2", sent / 2, { backup: true, retransmits: 7 })]),
    connection("00000001", [], { fallback: true, remote: "[2001:db8:1234:5678:9abc:def0:1234:5678]:443" }),
  ];
  meter.add(0, readings(0));
  for (let second = 1; second < 20; second++) meter.add(second * 1000, readings(second ** 3 * 1e4));
  const view: View = meter.add(20_000, readings(8e7));
  const choice = { order: "rate", paused: false, scrolled: 0 } as const;

  it("fits every width and height", () => {
    for (const look of looks) {
      for (let width = 30; width <= 240; width += 4) {
        for (const height of [2, 5, 8, 40]) {
          const { lines } = screenOf({ ...look, width }, view, choice, height);
          assert(lines.length <= height);
          for (const line of lines) assert(widthOf(line) <= width, `${width}: ${widthOf(line)} ${line}`);
        }
      }
    }
  });

  it("has connections, paths, rates, retransmits, and what was lately", () => {
    const text = screenOf(looks[1]!, view, choice, 24).lines.join("\n");
    assertStringIncludes(text, "2 connections, 2 subflows");
    assertMatch(text, /1f2e3d4c 10\.0\.1\.1:40000 → 10\.0\.1\.2:80 .* 7 +137M +0 +▄▄▅▆▆▇██/);
    assertMatch(text, /├ a1 10\.0\.1\.1:40000 → 10\.0\.1\.2:80 +1\.2 ms +0 +91\.3M/);
    assertMatch(text, /└ a2 backup 10\.0\.2\.1:40000 → 10\.0\.[\d.:…]+ +1\.2 ms/);
    const wide = screenOf({ ...looks[1]!, width: 140 }, view, choice, 24).lines.join("\n");
    assertMatch(wide, /└ a2 backup .* → 10\.0\.2\.2:80/);
    assertStringIncludes(wide, "00000001 TCP 10.0.1.1:40000 → [2001:db8:");
  });

  it("ASCII where that is all there is, colours only where wanted", () => {
    const ascii = screenOf(looks[0]!, view, choice, 24).lines.join("\n");
    assertEquals(/[^\x20-\x7e\n]/.test(ascii), false);
    assert(screenOf(looks[2]!, view, choice, 24).lines.join("").includes("\x1b["));
  });

  it("scrolls no further than there is something, and says that it is paused", () => {
    const { lines, furthest } = screenOf(looks[1]!, view, { ...choice, scrolled: 99, paused: true }, 6);
    assertEquals(furthest, 2);
    assertStringIncludes(lines[0]!, "paused");
    assertStringIncludes(lines[1]!, "2 rows above, 0 below");
    assertStringIncludes(screenOf(looks[1]!, { ...view, connections: [] }, choice, 10).lines.join(), "no MPTCP connection");
  });

  it("rates in five columns, texts cut, lines of blocks", () => {
    assertEquals([0, 12, 124_900, 1.25e6, 11.7e6, 1.25e9, 125e9].map(shortRate), [
      "0",
      "96",
      "999k",
      "10.0M",
      "93.6M",
      "10.0G",
      "1.00T",
    ]);
    for (let rate = 0.01; rate < 1e15; rate *= 1.7) assertLess(shortRate(rate).length, 6);
    assertEquals(clipped(looks[1]!, "abcdef", 4), "abc…");
    assertEquals(sparkline([1, 2, 4, 8, 0], 8, 4, true), "▃▅█ ");
    assertEquals(sparkline([], 0, 3, true), "   ");
    assertEquals(sparkline([8], 8, 3, false), "  #");
  });
});

describe("top: wrong arguments, no MPTCP", () => {
  it("one clear line, and 2", async () => {
    for (const args of [["--interval", "0"], ["--sort=nonsense"], ["--count", "x"], ["word"]]) {
      const { code, stdout, stderr } = await ran(["top", ...args]);
      assertEquals([code, stdout], [2, ""]);
      assertMatch(stderr, /^mptcp top: .*mptcp top --help tells more\n$/);
    }
  });

  it("no libc, so no MPTCP: 3", async () => {
    const { code, stderr } = await ran(["top", "--count=1"], { MPTCP_LIBC: "/nonexistent" });
    assertEquals(code, 3, stderr);
    assertMatch(stderr, /^mptcp top: MPTCP is not available: .*\n$/);
  });
});

describe("top: beside real traffic", { skip: labNeeds("tc", "python3") }, () => {
  it("in a terminal: both paths, keys, sizes, and the terminal is given back", async () => {
    await using traffic = await Traffic.open();
    const { client } = traffic.lab;
    const start = ([program, ...args]: string[]) => client.spawn(program!, args, { TERM: "xterm", LANG: "C.UTF-8" });
    const open = (...args: string[]) => new PseudoTerminal(start, mptcp("top", "-i", "0.2", ...args), 110, 20);
    {
      await using terminal = open();
      await terminal.until(({ frame }) => /├ a1 10\.0\.1\.1:\d+ → 10\.0\.1\.2:\d+ .* \d\.?\d\.?\dM .*[▁-█]/.test(frame));
      await terminal.until(({ frame }) => /└ a2 10\.0\.\d\.1:\d+ → 10\.0\.2\.2:\d+ .* \d\.?\d\.?\dM .*[▁-█]/.test(frame));
      assertStringIncludes(terminal.frame, "1 connection, 2 subflows");
      assert(terminal.text.startsWith("\x1b[?1049h\x1b[?25l"));
      terminal.type("s");
      await terminal.until(({ frame }) => frame.includes("sort: rtt"));
      terminal.type("p");
      await terminal.until(({ frame }) => frame.includes("paused"));
      terminal.type("p");
      terminal.resize(50, 4);
      await terminal.until(({ frame }) =>
        frame.split("\n").length <= 4 && frame.split("\n").every((line) => widthOf(line) <= 50)
      );
      terminal.resize(110, 20);
      await terminal.until(({ frame }) => frame.includes("└ a2"));
      await traffic.close();
      await terminal.until(({ frame }) => frame.includes("There is no MPTCP connection"));
      terminal.type("q");
      assertEquals(await terminal.ended(), { code: 0, echo: true });
      assert(terminal.text.trimEnd().endsWith("\x1b[?25h\x1b[?1049l"), JSON.stringify(terminal.text.slice(-100)));
    }
    {
      // Out of a shell, to which Ctrl-Z goes back.
      await using shell = new PseudoTerminal(start, ["bash", "--norc", "-i"], 110, 20);
      shell.type(`${mptcp("top", "-i", "0.2").join(" ")}\n`);
      await shell.until(({ frame }) => frame.includes("mptcp top"));
      shell.type("\x1a");
      await shell.until(({ text }) => /\[\?1049l[^]*Stopped/.test(text));
      shell.type("fg\n");
      await shell.until(({ text }) => /Stopped[^]*\[\?1049h[^]*mptcp top/.test(text));
      shell.type("q");
      await shell.until(({ text }) => text.lastIndexOf("[?1049l") > text.lastIndexOf("[?1049h"));
      shell.type("exit 7\n");
      assertEquals((await shell.ended()).code, 7);
    }
    const ends = [
      [(terminal: PseudoTerminal) => terminal.type("\x03"), 130],
      [(terminal: PseudoTerminal) => terminal.signal(2), 130],
      [(terminal: PseudoTerminal) => terminal.signal(15), 143],
    ] as const;
    await Promise.all(ends.map(async ([end, code]) => {
      await using terminal = open();
      await terminal.until(({ frame }) => frame.includes("mptcp top"));
      end(terminal);
      assertEquals(await terminal.ended(), { code, echo: true });
      assert(terminal.text.includes("\x1b[?25h\x1b[?1049l"));
    }));
  });

  it("in a pipe: tables, lines of JSON, a reader that leaves", async () => {
    await using traffic = await Traffic.open();
    const { client } = traffic.lab;
    const start = (...args: string[]) => client.spawn(mptcp()[0]!, mptcp("top", "-i", "0.2", ...args).slice(1));
    await using tables = start("--count=2");
    const { code, stdout, stderr } = await tables.ended;
    assertEquals([code, stderr], [0, ""]);
    assertEquals(stdout.match(/1 connections, 2 subflows/g)?.length, 2);
    assertMatch(stdout, /\n +a1 +10\.0\.1\.1:\d+ +10\.0\.1\.2:\d+ +ESTABLISHED +[\d.]+ ms +\d+ +\d+\.\d Mbit\/s/);
    assertEquals(/[^\x20-\x7e\n]/.test(stdout), false);
    await using lines = start("--json");
    await lines.line();
    const [one] = (await lines.json<{ connections: { token: string; sending: number; subflows: SubflowReading[] }[] }>())
      .connections;
    assertEquals(one!.subflows.map((each) => each.interface), ["a1", "a2"]);
    assertGreater(one!.sending, 2e6);
    assertLess(one!.sending, 6e6);
    const token = await traffic.client.run(({ here }) => here.conn.token);
    assertEquals(parseInt(one!.token, 16), token);
    // Not by the child: after that Deno no longer tells the exit code.
    process.kill(lines.pid, "SIGINT");
    assertEquals((await lines.ended).code, 130);
    const words = mptcp("top", "-i", "0.1").map((word) => `'${word}'`).join(" ");
    await using piped = new Child(["bash", "-c", `set -o pipefail; ${words} | head -1`]);
    assertEquals([(await piped.ended).code, (await piped.ended).stderr], [141, ""]);
  });
});
