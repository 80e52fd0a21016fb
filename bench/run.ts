/**
 * Measures this library against the runtimes' own TCP APIs and against C, all in turns, on loopback.
 *
 *   npm run bench                                  everything: about ten minutes
 *   npm run bench -- --quick                       few and short rounds
 *   npm run bench -- --runtime=bun --case=receive,stream --rounds=11 --seconds=0.4
 *   npm run bench -- --docs                        also writes docs/benchmarks.md
 *   npm run bench -- --docs --from=bench/results/latest.json     writes it without measuring
 *
 * `--without=own,C` leaves contestants out whose name contains a word. The results go to bench/results/.
 *
 * @module
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, release, tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { Arena, type Sample } from "./arena.ts";
import { type Case, CASES, type Contestant, contestants, type Runtime, takesPart } from "./cases.ts";
import { isolated, prepare, rerunIsolated, secondPath } from "./namespace.ts";
import { markdownReport, terminalReport } from "./report.ts";
import type { Results } from "./statistics.ts";
import { hasWrk } from "./wrk.ts";

const RESULTS = "bench/results";
const CONGESTION = "cubic";
const RECEIVE_BUFFER = 4 << 20;

function values(name: string): string[] {
  return process.argv.filter((arg) => arg.startsWith(`--${name}=`)).flatMap((arg) => arg.slice(name.length + 3).split(","));
}

const quick = process.argv.includes("--quick");
const docs = process.argv.includes("--docs");
const rounds = Number(values("rounds")[0] ?? (quick ? 3 : 9));
const seconds = Number(values("seconds")[0] ?? (quick ? 0.2 : 0.4));
const runtimes = (values("runtime").length > 0 ? values("runtime") : ["deno", "bun", "node"]) as Runtime[];
const chosen = CASES.filter(({ name, service }) =>
  (values("case").length === 0 || values("case").includes(name)) && (service !== "wrk" || hasWrk)
);

function writeDocs(results: Results): void {
  writeFileSync("docs/benchmarks.md", markdownReport(results));
  console.log("\nWritten: docs/benchmarks.md");
}

function compilePeer(directory: string): string {
  const peer = join(directory, "peer");
  const { status } = spawnSync("gcc", ["-O2", "-pthread", "-o", peer, "bench/peer.c"], { stdio: "inherit" });
  if (status !== 0) throw new Error("Cannot compile bench/peer.c: gcc is needed");
  return peer;
}

function version(program: string, ...args: string[]): string {
  return spawnSync(program, args, { encoding: "utf8" }).stdout?.match(/[0-9]+\.[0-9]+(\.[0-9]+)?/)?.[0] ?? "unknown";
}

/** All contestants take turns within a round, each round beginning with another one. */
async function measure(arena: Arena, list: readonly Contestant[], results: Results): Promise<void> {
  for (let round = 0; round <= rounds; round++) {
    for (const which of chosen) {
      if (which.subflows === 2 && !(isolated && secondPath(true))) continue;
      for (let turn = 0; turn < list.length; turn++) {
        const contestant = list[(turn + round) % list.length]!;
        if (!takesPart(contestant, which)) continue;
        const sample = await attempt(arena, contestant, which, round, results.failures);
        if (sample !== null && round > 0) results.samples.push(sample); // round 0 is for warming up
      }
      if (which.subflows === 2) secondPath(false);
    }
    console.error(round === 0 ? "warmed up" : `round ${round} of ${rounds}`);
  }
}

async function attempt(
  arena: Arena,
  contestant: Contestant,
  which: Case,
  round: number,
  failures: string[],
): Promise<Sample | null> {
  try {
    return await arena.run(contestant, which, round, seconds);
  } catch (error) {
    failures.push(`round ${round}, ${which.name}, ${contestant.name}: ${(error as Error).message}`);
    return null;
  }
}

async function main(): Promise<void> {
  if (isolated) prepare(CONGESTION, RECEIVE_BUFFER);
  const directory = mkdtempSync(join(tmpdir(), "mptcp-bench-"));
  const arena = new Arena(compilePeer(directory), isolated ? {} : { congestion: CONGESTION, receiveBuffer: RECEIVE_BUFFER });
  const words = values("without");
  const mptcpize = spawnSync("mptcpize", ["help"]).error === undefined;
  if (!mptcpize) console.error("mptcpize is not installed: the runtimes' own APIs are measured over plain TCP only");
  if (!hasWrk) console.error("wrk is not installed (apt-get install wrk): HTTP servers are not measured");
  const list = contestants(runtimes, mptcpize).filter(({ name }) => !words.some((word) => name.includes(word)));
  const versions: Record<string, string> = {};
  for (const runtime of runtimes) versions[runtime] = version(runtime, "--version");
  const results: Results = {
    date: new Date().toISOString(),
    host: `Linux ${release()}, ${cpus().length} × ${cpus()[0]?.model.trim() ?? "CPU"}`,
    versions: { ...versions, gcc: version("gcc", "-dumpfullversion") },
    settings: isolated
      ? `All in a network namespace of their own, with ${CONGESTION} and a receive buffer of ${
        RECEIVE_BUFFER >> 20
      } MB for everybody`
      : `No namespace was to be had: ${CONGESTION} and a receive buffer of ${
        RECEIVE_BUFFER >> 20
      } MB for C and this library only, ` +
        "the runtimes' own APIs as the host has it",
    seconds,
    rounds,
    contestants: list,
    samples: [],
    failures: [],
  };
  console.log(`${results.host}\n${results.settings}`);
  try {
    await measure(arena, list, results);
  } finally {
    arena.close();
    rmSync(directory, { recursive: true, force: true });
  }
  mkdirSync(RESULTS, { recursive: true });
  const json = JSON.stringify(results, null, 1);
  writeFileSync(`${RESULTS}/${results.date.replaceAll(/[:.]/g, "-")}.json`, json);
  writeFileSync(`${RESULTS}/latest.json`, json);
  console.log(terminalReport(results));
  if (docs) writeDocs(results);
}

const [from] = values("from");
if (from !== undefined) {
  const results = JSON.parse(readFileSync(from, "utf8")) as Results;
  console.log(terminalReport(results));
  if (docs) writeDocs(results);
} else {
  const code = isolated ? null : await rerunIsolated();
  if (code === null) await main();
  else process.exitCode = code;
}
