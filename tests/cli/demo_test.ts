/**
 * The demonstration: its pure parts, and the real thing, short.
 */
import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertGreater,
  assertLess,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { describe, it } from "node:test";
import { bar, liveLines, plainLine, type Progress } from "../../cli/demo/bar.ts";
import { type ChartData, chartLines, plotWidth } from "../../cli/demo/chart.ts";
import { History, Track } from "../../cli/demo/history.ts";
import { Live } from "../../cli/demo/live.ts";
import { distribution, missingMptcp, missingPrograms, thisDistribution } from "../../cli/demo/needs.ts";
import { parseOptions, UsageError } from "../../cli/demo/options.ts";
import type { Summary } from "../../cli/demo/report.ts";
import { svg } from "../../cli/demo/svg.ts";
import { left, type Look, lookOf, paint, percent, right, widthOf } from "../../cli/demo/text.ts";
import { runtimeCommand, searchPath } from "../../cli/demo/worker.ts";

const ASCII: Look = { colour: false, unicode: false, width: 80 };
const PLAIN: Look = { colour: false, unicode: true, width: 80 };
const COLOUR: Look = { colour: true, unicode: true, width: 80 };

const NOT_ASCII = /[^\x20-\x7e\n]/;

describe("demo: text", () => {
  it("a pipe gets neither colours nor more than ASCII", () => {
    assertEquals(lookOf({}, { TERM: "xterm", LANG: "C.UTF-8" }), { colour: false, unicode: false, width: 80 });
  });

  it("a terminal gets both, within its width", () => {
    assertEquals(lookOf({ isTTY: true, columns: 90 }, { TERM: "xterm" }), { colour: true, unicode: true, width: 90 });
    assertEquals(lookOf({ isTTY: true, columns: 300 }, { TERM: "xterm" }).width, 100);
  });

  it("NO_COLOR, TERM=dumb, FORCE_COLOR and the locale are honoured", () => {
    assertEquals(lookOf({ isTTY: true }, { NO_COLOR: "1" }).colour, false);
    assertEquals(lookOf({ isTTY: true }, { TERM: "dumb" }), { colour: false, unicode: false, width: 80 });
    assertEquals(lookOf({}, { FORCE_COLOR: "1" }).colour, true);
    assertEquals(lookOf({}, { FORCE_COLOR: "0" }).colour, false);
    assertEquals(lookOf({ isTTY: true }, { LANG: "de_DE.ISO-8859-1" }).unicode, false);
  });

  it("colours do not count in a text's width", () => {
    const text = paint(COLOUR, "path 1", "path1", "bold");
    assertEquals(widthOf(text), 6);
    assertEquals(widthOf(left(text, 10)), 10);
    assertEquals(right("ab", 4), "  ab");
    assertEquals(paint(PLAIN, "path 1", "path1"), "path 1");
  });

  it("a part of nothing is 0 %", () => assertEquals(percent(0, 0), "0 %"));
});

describe("demo: options", () => {
  it("defaults", () => {
    const { seconds, rate, svg: file, json, loopback } = parseOptions([]);
    assertEquals({ seconds, rate, file, json, loopback }, {
      seconds: 7,
      rate: 50,
      file: "demo.svg",
      json: false,
      loopback: false,
    });
  });

  it("--tcp implies --loopback", () => assert(parseOptions(["--tcp"]).loopback));

  for (const args of [["--seconds", "x"], ["--seconds", ""], ["--rate=0"], ["--rate", "1e9"], ["--nonsense"], ["word"]]) {
    it(`refuses ${args.join(" ")}`, () => void assertThrows(() => parseOptions(args), UsageError));
  }
});

describe("demo: needs", () => {
  it("the distribution's family by its own name or its ancestors'", () => {
    assertEquals(distribution('NAME="x"\nID=linuxmint\nID_LIKE="ubuntu debian"\n'), "debian");
    assertEquals(distribution('ID="rocky"\nID_LIKE="rhel centos fedora"\n'), "fedora");
    assertEquals(distribution("ID=alpine\n"), "alpine");
    assertEquals(distribution('ID="opensuse-leap"\nID_LIKE="suse opensuse"'), "suse");
    assertEquals(distribution(""), "debian");
  });

  it("names what is missing, and the packages that bring it, each once", () => {
    assertEquals(missingPrograms("/nonexistent", "debian"), {
      programs: ["ip", "tc", "unshare", "nsenter"],
      install: "sudo apt-get install iproute2 util-linux",
    });
    assertEquals(missingPrograms("/nonexistent", "fedora")?.install, "sudo dnf install iproute iproute-tc util-linux");
  });
});

describe("demo: history", () => {
  it("counts between readings in proportion", () => {
    const track = new Track();
    track.add(1000, 0);
    track.add(1100, 1000);
    assertEquals([track.count(900), track.count(1050), track.count(), track.rate(1000, 1100)], [0, 500, 1000, 10_000]);
    assertEquals(track.rate(1000, 1000), 0);
  });

  it("a path that joins later has carried nothing before", () => {
    const history = new History();
    const subflow = (id: number, arrived: number) => ({
      id,
      local: `10.0.${id}.1:1`,
      remote: `10.0.${id}.2:2`,
      sent: arrived,
      arrived,
      rtt: 1,
      retransmits: 0,
    });
    history.add({ at: 1000, subflows: [subflow(1, 0)] });
    history.add({ at: 1500, subflows: [subflow(1, 500), subflow(2, 0)] });
    history.add({ at: 2000, subflows: [subflow(1, 1000), subflow(2, 800)] });
    history.add({ at: 2500, subflows: [subflow(2, 1000)] });
    assertEquals(history.paths, [1, 2]);
    assertEquals(history.track(2).count(1250), 0);
    assertEquals(history.subflows.map(({ arrived }) => arrived), [1000, 1000]);
    assertEquals(history.rates(1, 3).map(Math.round), [1000, 1000, 0]);
  });
});

describe("demo: bar", () => {
  const progress: Progress = {
    elapsed: 1500,
    bytes: 30e6,
    total: 60e6,
    rate: 10e6,
    paths: [
      { path: 1, bytes: 10e6, rate: 0, limit: 6.25e6, cut: true },
      { path: 2, bytes: 20e6, rate: 5e6, limit: 6.25e6, cut: false },
    ],
  };

  it("has its width at every fraction", () => {
    for (const look of [ASCII, PLAIN]) {
      for (let fraction = -0.1; fraction <= 1.1; fraction += 0.01) assertEquals(widthOf(bar(look, fraction, 20)), 20);
    }
    assertEquals(bar(ASCII, 0.5, 10), "#####-----");
    assertEquals(bar(PLAIN, 0.55, 10), "█████▌    ");
  });

  it("the live display has a line for the whole and one for each path, none too long", () => {
    for (const width of [70, 80, 100]) {
      const lines = liveLines({ ...COLOUR, width }, progress);
      assertEquals(lines.length, 3);
      for (const line of lines) assertLess(widthOf(line), width);
    }
    const [whole, first, second] = liveLines(PLAIN, progress);
    assertStringIncludes(whole!, "50 %   30.0 of 60.0 MB");
    assertStringIncludes(first!, "cut");
    assertStringIncludes(second!, "40.0 Mbit/s   67 %");
  });

  it("the plain line is ASCII and says the same", () => {
    const line = plainLine(progress);
    assertEquals(NOT_ASCII.test(line), false);
    assertStringIncludes(line, "1.5 s   50 %");
    assertStringIncludes(line, "path 2: 40.0 Mbit/s");
  });

  it("on a terminal it redraws in place and gives the cursor back; elsewhere it logs each half second", () => {
    let text = "";
    const terminal = new Live(COLOUR, true, (more) => text += more);
    terminal.show(progress);
    terminal.show(progress);
    terminal.clear();
    assertStringIncludes(text, "\x1b[?25l");
    assertEquals(text.split("\x1b[3F\x1b[J").length, 3);
    assert(text.endsWith("\x1b[?25h"));
    let log = "";
    const file = new Live(ASCII, false, (more) => log += more);
    for (let elapsed = 100; elapsed <= 1500; elapsed += 100) file.show({ ...progress, elapsed });
    assertEquals(log.trimEnd().split("\n").length, 3);
    assertEquals(NOT_ASCII.test(log), false);
  });
});

describe("demo: charts", () => {
  const steps = plotWidth(PLAIN);
  const half = (first: number, second: number) => Array.from({ length: steps }, (_, i) => i < steps / 2 ? first : second);
  const data: ChartData = {
    series: [{ path: 2, rates: half(6e6, 6e6) }, { path: 1, rates: half(6e6, 0) }],
    top: 12e6,
    duration: 6000,
    marks: [{ at: 3000, label: "path 1 cut" }, { at: 5900, label: "restored" }],
  };

  it("the terminal's is ASCII where that is all there is, and never wider than the screen", () => {
    const lines = chartLines(ASCII, data);
    assertEquals(NOT_ASCII.test(lines.join("\n")), false);
    for (const look of [ASCII, PLAIN, COLOUR]) {
      for (const line of chartLines(look, data)) assert(widthOf(line) <= 80, line);
    }
    assert(chartLines(COLOUR, data).join("").includes("\x1b["));
    assertEquals(chartLines(PLAIN, data).join("").includes("\x1b["), false);
  });

  it("the terminal's stacks the paths and shows the cut", () => {
    const lines = chartLines(ASCII, data);
    // Before the cut both, five rows each; after it only the lower one.
    assertEquals(lines.filter((line) => line.slice(9, 30).includes("+++")).length, 5);
    assertEquals(lines.filter((line) => line.slice(50).includes("+++")).length, 0);
    assertEquals(lines.filter((line) => line.slice(50).includes("###")).length, 5);
    assertStringIncludes(lines.join("\n"), "^ path 1 cut");
    assertStringIncludes(lines.join("\n"), "restored ^");
    assertStringIncludes(lines.join("\n"), " 96 ");
  });

  it("an empty transfer is no reason to fail", () => {
    const empty = { series: [], top: 1, duration: 1, marks: [] };
    assertGreater(chartLines(ASCII, empty).length, 5);
    assertStringIncludes(svg(empty, { title: "", subtitle: "", legend: {} }), "</svg>");
  });

  it("the SVG needs nothing but itself, escapes words, and knows dark grounds", () => {
    const text = svg(data, { title: "a < b & c", subtitle: "s", legend: { 1: "first", 2: "second" } });
    assertStringIncludes(text, "a &#60; b &#38; c");
    assertStringIncludes(text, "prefers-color-scheme: dark");
    for (const word of ["first", "second", "path 1 cut", "restored", "Mbit/s", "seconds"]) assertStringIncludes(text, word);
    assertEquals(/NaN|undefined|Infinity|href|url\(/.test(text), false);
    // Every element is closed.
    const open = [...text.matchAll(/<(\w+)[^>]*?(\/?)>/g)].filter(([, , closed]) => closed === "").length;
    assertEquals(open, [...text.matchAll(/<\/\w+>/g)].length);
  });
});

/** Marks a run's processes by their environment, so that what is left over can be told from other runs'. */
let runs = 0;

interface Run {
  code: number | null;
  out: string;
  errors: string;
  left: string[];
}

/** Runs the demonstration on this runtime, in a pipe. */
function run(
  args: string[],
  env: Record<string, string> = {},
  during?: (output: string, kill: (s: NodeJS.Signals) => void) => void,
) {
  const mark = `MPTCP_DEMO_TEST=${process.pid}.${++runs}`;
  const [program = "", ...rest] = [...runtimeCommand(new URL("../../cli/demo.ts", import.meta.url)), ...args];
  const [name = "", value = ""] = mark.split("=");
  const folder = mkdtempSync(join(tmpdir(), "demo-"));
  return new Promise<Run>((resolve, reject) => {
    const child = spawn(program, rest, {
      cwd: folder,
      env: { ...process.env, ...env, [name]: value },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let out = "";
    let errors = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      out += text;
      // Not child.kill: after that Deno no longer tells the exit code.
      during?.(out, (signal) => process.kill(child.pid!, signal));
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => errors += text);
    child.on("error", reject);
    child.on("close", (code) => {
      const left = processesWith(mark);
      rmSync(folder, { recursive: true, force: true });
      resolve({ code, out, errors, left });
    });
  });
}

function processesWith(mark: string): string[] {
  return readdirSync("/proc").filter((name) => {
    try {
      return /^\d+$/.test(name) && readFileSync(`/proc/${name}/environ`, "utf8").split("\0").includes(mark);
    } catch {
      return false;
    }
  }).map((pid) => `${pid}: ${readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ")}`);
}

/** Why there can be no two hosts here, or false. */
function noLab(): string | false {
  if (process.platform !== "linux") return "network namespaces are Linux's";
  if (missingMptcp() !== null) return "this host has no MPTCP";
  const missing = missingPrograms(searchPath(), thisDistribution());
  if (missing !== null) return `not installed: ${missing.programs.join(", ")}`;
  const allowed = ["-n", "-Urn"].some((how) => spawnSync("unshare", [how, "true"]).status === 0);
  return allowed ? false : "no network namespaces may be made here";
}

const lab = { skip: noLab() };
const linux = { skip: process.platform === "linux" ? false : "processes are looked for in /proc" };

describe("demo: the real thing", () => {
  it("two paths, one of them cut: all bytes arrive, by both, and nothing is left behind", lab, async () => {
    const { code, out, errors, left } = await run(["--seconds=2.5", "--json", "--svg", ""]);
    assertEquals(code, 0, errors);
    assertEquals(left, []);
    const summary = JSON.parse(out) as Summary & { without: string[] };
    assertEquals(summary.without, []);
    assertEquals([summary.network, summary.protocol], ["namespaces", "mptcp"]);
    assert(summary.sha256.equal);
    assertEquals(summary.sha256.sent, summary.sha256.received);
    assert(summary.confirmed.client.multipath && summary.confirmed.server.multipath);
    const cut = summary.cut!;
    assertEquals(cut.path, 1);
    // Each path carries 5.9 MB/s for the 0.9 s before the cut; half of that is enough on a busy machine.
    assertGreater(cut.carriedBefore["1"]!, 2e6);
    assertGreater(cut.carriedBefore["2"]!, 2e6);
    assertLess(cut.longestPause, 1500);
    assertEquals(summary.subflows.map(({ path }) => path), [1, 2]);
    assertAlmostEquals(summary.subflows.reduce((sum, { share }) => sum + share, 0), 1, 0.01);
    // The words went to standard error, without a terminal's characters.
    assertStringIncludes(errors, "path 1 is cut");
    assertEquals(NOT_ASCII.test(errors), false);
  });

  it("Ctrl-C in the middle: 130, and nothing is left behind", lab, async () => {
    let sent = false;
    const { code, out, left } = await run([], {}, (output, kill) => {
      if (sent || !output.includes("Mbit/s  path 1:")) return;
      sent = true;
      // Twice, as under npm: from the terminal, and handed on.
      kill("SIGINT");
      kill("SIGINT");
    });
    assertEquals(code, 130, out);
    assertEquals(left, []);
  });

  it("SIGTERM while it starts: 143, and nothing is left behind", linux, async () => {
    let sent = false;
    const { code, left } = await run([], {}, (_, kill) => {
      if (!sent) kill("SIGTERM");
      sent = true;
    });
    assertEquals(code, 143);
    assertEquals(left, []);
  });

  it("loopback: one path, the chart in a file", linux, async () => {
    const file = join(mkdtempSync(join(tmpdir(), "demo-")), "chart.svg");
    const { code, out, errors, left } = await run(["--loopback", "--seconds=2", "--rate=100", "--svg", file]);
    assertEquals(code, 0, errors);
    assertEquals(left, []);
    assertStringIncludes(out, "One path, over loopback");
    assertStringIncludes(out, `The chart is in ${file}`);
    assertEquals(NOT_ASCII.test(out), false);
    assertStringIncludes(readFileSync(file, "utf8"), "</svg>");
    rmSync(file);
  });

  it("without MPTCP it says that it is TCP", linux, async () => {
    const { code, out, errors } = await run(["--tcp", "--seconds=2", "--rate=10", "--json"]);
    assertEquals(code, 0, errors);
    const summary = JSON.parse(out) as Summary;
    assertEquals([summary.network, summary.protocol, summary.sha256.equal], ["loopback", "tcp", true]);
    assertStringIncludes(errors, "plain TCP");
  });

  it("wrong arguments: 2, --help: 0", async () => {
    const wrong = await run(["--rate=fast"]);
    assertEquals(wrong.code, 2);
    assertStringIncludes(wrong.errors, "--rate");
    const help = await run(["--help"]);
    assertEquals(help.code, 0);
    assertStringIncludes(help.out, "--seconds");
  });
});
