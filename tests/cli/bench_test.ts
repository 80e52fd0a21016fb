/** `mptcp bench`: its arithmetic, and both of its ends as processes, over two paths and in bad company. */
import { assertAlmostEquals, assertEquals, assertGreater, assertLess, assertMatch, assertStringIncludes } from "@std/assert";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import type { Result, ThroughputResult } from "../../cli/bench/client.ts";
import { rateOf } from "../../cli/bench/iperf3.ts";
import { PathLog } from "../../cli/bench/path_log.ts";
import { rowOf } from "../../cli/bench/report.ts";
import { Spread } from "../../cli/bench/spread.ts";
import { askOf } from "../../cli/bench/wire.ts";
import { svg } from "../../cli/demo/svg.ts";
import type { Child } from "../child.ts";
import { addressOf, type Host, Lab } from "../lab.ts";
import { until } from "../lab/until.ts";
import { labNeeds } from "../needs.ts";
import { describe, it } from "../suite.ts";
import { mptcp, ran, withoutMptcp } from "./command_line.ts";

describe("bench: arithmetic", () => {
  it("times are told to one per cent, in little memory", () => {
    const spread = new Spread();
    assertEquals(spread.summary(), null);
    for (let ms = 1; ms <= 1000; ms++) spread.add(ms);
    const { count, min, p50, p90, p99, max } = spread.summary()!;
    assertEquals([count, min, max], [1000, 1, 1000]);
    for (const [found, exact] of [[p50, 500], [p90, 900], [p99, 990]] as const) {
      assertAlmostEquals(found, exact, exact * 0.01);
    }
    const one = new Spread();
    one.add(0.5);
    assertEquals(Object.values(one.summary()!), [1, 0.5, 0.5, 0.5, 0.5, 0.5]);
  });

  it("paths keep their numbers from transfer to transfer, and what they carried is told apart", () => {
    const log = new PathLog();
    const at = (ms: number, ...bytes: number[]) =>
      log.add(ms, bytes.map((bytes, index) => ({ key: `${index}`, name: `path ${"ab"[index]}`, bytes })));
    at(0, 0);
    at(1000, 3000, 1000);
    at(900, 2000);
    assertEquals(log.finish(), [
      { path: 1, name: "path a", bytes: 3000, share: 0.75 },
      { path: 2, name: "path b", bytes: 1000, share: 0.25 },
    ]);
    at(0, 0);
    at(1000, 5000);
    assertEquals(log.finish(), [{ path: 1, name: "path a", bytes: 5000, share: 1 }]);
    assertEquals(log.duration, 2000);
    assertEquals(log.rates(1, 2).map(Math.round), [3000, 5000]);
    assertEquals(log.rates(2, 2).map(Math.round), [1000, 0]);
    assertEquals(new PathLog().finish(), []);
  });

  it("what clients ask for is checked", () => {
    const ask = { mptcp: "bench", version: 1, mode: "upload", ms: 1 };
    assertEquals(askOf(ask)?.mode, "upload");
    for (
      const wrong of [{}, { ...ask, version: 2 }, { ...ask, mode: "x" }, { ...ask, ms: -1 }, { ...ask, ms: "1" }, {
        ...ask,
        ms: 1e9,
      }]
    ) {
      assertEquals(askOf(wrong), null);
    }
  });

  it("iperf3's word, or its complaint", () => {
    assertEquals(rateOf('{"end":{"sum_received":{"bits_per_second":8000}}}'), 1000);
    assertEquals(rateOf('{"error":"the server is busy"}'), "the server is busy");
    assertEquals([rateOf(""), rateOf("{}"), rateOf('{"end":{}}')], [null, null, null]);
  });

  it("lines of the table", () => {
    const common = { protocol: "mptcp", multipath: true, partial: false, ms: 1000 } as const;
    const paths = [{ path: 1, name: "a to b", bytes: 3, share: 0.75 }, { path: 2, name: "c to d", bytes: 1, share: 0.25 }];
    assertEquals(rowOf({ ...common, test: "upload", bytes: 1, rate: 1e6, paths }), [
      "upload",
      "MPTCP",
      "8.0 Mbit/s",
      "75 % a to b, 25 % c to d",
    ]);
    assertEquals(rowOf({ ...common, test: "latency", partial: true, multipath: false, roundTrips: null }), [
      "latency (cut short)",
      "MPTCP, fell back",
      "",
      "no answer",
    ]);
  });

  it("the drawing has sections, and colours for any number of paths", () => {
    const series = [1, 2, 3, 4, 5].map((path) => ({ path, rates: [1, 2] }));
    const text = svg({
      series,
      top: 9,
      duration: 1000,
      marks: [{ at: 0, label: "up" }, { at: 500, label: "down" }],
      sections: true,
    }, {
      title: "t",
      subtitle: "s",
      legend: {},
    });
    assertEquals([text.match(/class="section"/g)?.length, text.includes('class="cut"'), text.includes('"path5"')], [
      2,
      false,
      false,
    ]);
  });
});

describe(
  "bench: wrong arguments, no MPTCP, nobody there",
  { skip: withoutMptcp },
  () => {
    it("one clear line, and the right code", async () => {
      const wrong = [[], ["client"], ["client", "h:x"], ["server", "--svg=x"], ["server", "host:1"], [
        "client",
        "h",
        "--time=0",
      ]];
      await Promise.all(wrong.map(async (args) => {
        const { code, stdout, stderr } = await ran(["bench", ...args]);
        assertEquals([code, stdout], [2, ""], `${args}: ${stderr}`);
        assertMatch(stderr, /^mptcp bench: .*\n$/);
      }));
      const nobody = await ran(["bench", "client", "127.0.0.1:1"]);
      assertEquals([nobody.code, nobody.stdout], [1, ""]);
      assertMatch(nobody.stderr, /^mptcp bench: .*ECONNREFUSED.*\n$/);
      for (const args of [["server", "127.0.0.1:0"], ["client", "127.0.0.1:1"]]) {
        const { code, stderr } = await ran(["bench", ...args], { MPTCP_LIBC: "/nonexistent" });
        assertEquals(code, 3, stderr);
        assertMatch(stderr, /^mptcp bench: .*\n$/);
      }
    });

    it("a port in use; a server that is another one, or says nothing more", async () => {
      const server = createServer((socket) => void socket.resume().on("error", () => {}).write("220 hello\r\n")).listen(
        0,
        "127.0.0.1",
      );
      await using _over = closing(server);
      await once(server, "listening");
      const { port } = server.address() as { port: number };
      const inUse = await ran(["bench", "server", "--protocol=tcp", `${port}`]);
      assertEquals([inUse.code, inUse.stdout], [1, ""]);
      assertMatch(inUse.stderr, /^mptcp bench: .*EADDRINUSE.*\n$/);
      const other = await ran(["bench", "client", "--protocol=tcp", `127.0.0.1:${port}`]);
      assertEquals([other.code, other.stdout], [1, ""]);
      assertMatch(other.stderr, /is no mptcp bench server: it does not speak as mptcp bench does\n$/);
    });
  },
);

function closing(server: Server): AsyncDisposable {
  return { [Symbol.asyncDispose]: () => new Promise((resolve) => server.close(() => resolve())) };
}

/** A command in a host of a lab. */
function begin(host: Host, ...args: string[]): Child {
  const [program, ...rest] = mptcp("bench", ...args);
  return host.spawn(program!, rest);
}

interface Report {
  interrupted: boolean;
  results: Result[];
}

const throughputOf = ({ results }: Report, test: string, protocol: string) =>
  results.find((each) => each.test === test && each.protocol === protocol) as ThroughputResult;

describe("bench: over two paths", { skip: labNeeds("tc", "nft") }, () => {
  it("measures both, path by path; a server in bad company goes on", async () => {
    await using lab = await Lab.open({ paths: [{ rateMbit: 20 }, { rateMbit: 20 }] });
    const folder = mkdtempSync(join(tmpdir(), "bench-"));
    try {
      await using server = begin(lab.server, "server", "--json", "--congestion=reno");
      assertEquals(await server.json(), { type: "listening", hostname: "0.0.0.0", port: 5202 });
      const to = addressOf("server", 1);
      for (const garbage of ["nonsense", '{"mptcp":"bench"}', "x".repeat(2000), ""]) {
        await lab.client.run("bash", [
          "-c",
          `exec 3<>/dev/tcp/${to}/5202; printf '%s\\n' "$1" >&3; timeout 2 head -c 20 <&3; exit 0`,
          "-",
          garbage,
        ]);
      }
      const file = join(folder, "paths.svg");
      await using client = begin(lab.client, "client", to, "-t", "0.35", "--json", "--svg", file, "--congestion=reno");
      const { code, stdout, stderr } = await client.ended;
      assertEquals([code, stderr], [0, `The chart is in ${file}\n`]);
      const report = JSON.parse(stdout) as Report;
      assertEquals(report.results.map(({ test, protocol, multipath, partial }) => [test, protocol, multipath, partial]), [
        ["upload", "mptcp", true, false],
        ["upload", "tcp", false, false],
        ["download", "mptcp", true, false],
        ["download", "tcp", false, false],
        ["latency", "mptcp", true, false],
        ["latency", "tcp", false, false],
        ["connections", "mptcp", true, false],
        ["connections", "tcp", false, false],
      ]);
      for (const test of ["upload", "download"]) {
        const [both, one] = [throughputOf(report, test, "mptcp"), throughputOf(report, test, "tcp")];
        assertLess(one.rate, 2.6e6);
        assertGreater(both.rate, 2.6e6, test);
        assertEquals(both.paths.map(({ name }) => name), ["10.0.1.1 to 10.0.1.2", "10.0.2.1 to 10.0.2.2"]);
        for (const { share } of both.paths) assertGreater(share, 0.15);
        assertEquals(one.paths.map(({ name, share }) => [name, share]), [["10.0.1.1 to 10.0.1.2", 1]]);
      }
      for (const result of report.results) {
        if (result.test === "latency") assertGreater(result.roundTrips!.count, 10);
        if (result.test === "connections") assertGreater(result.connections, 10);
      }
      const drawing = readFileSync(file, "utf8");
      for (const word of ["upload, MPTCP", "download, TCP", "10.0.2.1 to 10.0.2.2", 'class="path2"']) {
        assertStringIncludes(drawing, word);
      }
      // The server's kernel says the same.
      assertEquals([(await server.json<{ type: string; multipath: boolean }>()).multipath], [true]);
      assertEquals([(await server.json<{ type: string; multipath: boolean }>()).multipath], [false]);
      process.kill(server.pid, "SIGINT");
      const end = await server.ended;
      assertEquals(end.code, 130);
      const { type, failed } = JSON.parse(end.stdout.trimEnd().split("\n").at(-1)!);
      assertEquals([type, failed], ["ended", 4]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("Ctrl-C in the middle: 130, with what there is; a server that vanishes: 1 and one line", async () => {
    await using lab = await Lab.open({ paths: [{ rateMbit: 20 }, { rateMbit: 20 }] });
    await using server = begin(lab.server, "server", "--json");
    await server.line();
    const to = addressOf("server", 1);
    const busy = (count = 1) =>
      until(async () => {
        const { tcp } = await lab.client.ss();
        const moved = tcp.filter(({ remote, state }) => remote.includes(":5202") && state === "ESTAB");
        const most = moved.map(({ info }) =>
          Math.max(Number(info["bytes_acked"] ?? 0), Number(info["bytes_received"] ?? 0))
        );
        return most.filter((bytes) => bytes > 50_000).length >= 2 * count;
      }, 10_000);
    const tests = ["upload", "download"];
    const clients = tests.map((test) => begin(lab.client, "client", to, "-t", "60", "--test", test, "--json"));
    await busy(2);
    for (const { pid } of clients) process.kill(pid, "SIGINT");
    for (const [index, { ended }] of clients.entries()) {
      const { code, stdout, stderr } = await ended;
      assertEquals([code, stderr], [130, ""]);
      const { interrupted, results } = JSON.parse(stdout) as Report;
      assertEquals([interrupted, results.map((each) => [each.test, each.partial])], [true, [[tests[index], true]]]);
      assertGreater((results[0] as ThroughputResult).bytes, 10_000);
    }
    {
      await using client = begin(lab.client, "client", to, "-t", "60", "--test=download", "--timeout=1");
      await busy();
      await Promise.all([lab.cutPath(1), lab.cutPath(2)]);
      const { code, stdout, stderr } = await client.ended;
      assertEquals([code, stdout, stderr], [1, "", "mptcp bench: the server has vanished: nothing moved for 1 s\n"]);
      await Promise.all([lab.healPath(1), lab.healPath(2)]);
    }
    await using client = begin(lab.client, "client", to, "-t", "60", "--test=download");
    await busy();
    await server.kill();
    const { code, stdout, stderr } = await client.ended;
    assertEquals([code, stdout], [1, ""]);
    assertMatch(stderr, /^mptcp bench: the server (broke off|has vanished).*\n$/);
  });

  const programs = ["/usr/bin/iperf3", "/usr/bin/mptcpize"].filter((path) => !existsSync(path));
  const skip = programs.length > 0 && `${programs.join(", ")} not found: apt-get install iperf3 mptcpize`;

  it("beside iperf3", { skip }, async () => {
    await using lab = await Lab.open({ paths: [{ rateMbit: 20 }, { rateMbit: 20 }] });
    await using server = begin(lab.server, "server", "--json", "--iperf3");
    await server.line();
    await lab.server.run("sh", ["-c", "until ss -Hltn 'sport = :5201' | grep -q .; do sleep 0.02; done"]);
    await using client = begin(
      lab.client,
      "client",
      addressOf("server", 1),
      "-t",
      "0.5",
      "--test=upload",
      "--protocol=mptcp",
      "--iperf3",
    );
    const { code, stdout, stderr } = await client.ended;
    assertEquals([code, stderr], [0, ""]);
    assertMatch(stdout, /^TEST +BY +RESULT\nupload +MPTCP +[\d.]+ Mbit\/s .*\nupload +MPTCP +[\d.]+ Mbit\/s +iperf3\n$/);
    process.kill(server.pid, "SIGTERM");
    assertEquals((await server.ended).code, 143);
    await lab.server.run("sh", ["-c", "! ss -Hltn 'sport = :5201' | grep ."]);
  });
});
