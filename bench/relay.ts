/**
 * Measures `mptcp forward` on the three runtimes against socat and HAProxy under mptcpize, all in turns, on loopback: one
 * connection in bulk, and 1000 connections side by side that echo 1 KiB.
 *
 *   node bench/relay.ts [--quick] [--runtime=deno,bun] [--from=tcp] [--to=mptcp] [--rounds=5] [--seconds=1] [--threads=1]
 *
 * The results go to bench/results/relay.json.
 *
 * @module
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { cpus, release, tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { LineProcess } from "./lines.ts";
import { isolated, prepare, rerunIsolated } from "./namespace.ts";

const CONNECTIONS = 1000;
const RESULTS = "bench/results";
const PATIENCE = 30_000;
const TICKS_PER_SECOND = 100;

function value(name: string, otherwise: string): string {
  return process.argv.find((arg) => arg.startsWith(`--${name}=`))?.slice(name.length + 3) ?? otherwise;
}

const quick = process.argv.includes("--quick");
const rounds = Number(value("rounds", quick ? "3" : "7"));
const seconds = Number(value("seconds", quick ? "0.5" : "1"));
const [from, to] = [value("from", "mptcp"), value("to", "mptcp")];
const runtimes = value("runtime", "deno,bun,node").split(",");
const threads = value("threads", "1");

const IMPORTS = "--import-map=tests/offline/import_map.json";
const START: Readonly<Record<string, readonly string[]>> = {
  deno: ["deno", "run", "-A", "--no-check", "--quiet", IMPORTS],
  bun: ["bun", "run"],
  node: ["node"],
};

/** Somebody who relays. */
interface Contestant {
  name: string;
  command(listen: number, target: number, directory: string): string[];
}

/** By MPTCP where that is asked for on both sides; mptcpize knows no middle way. */
const lent = (command: string[]): string[] => from === "mptcp" && to === "mptcp" ? ["mptcpize", "run", ...command] : command;

const CONTESTANTS: Contestant[] = [
  ...runtimes.map((runtime): Contestant => ({
    name: `mptcp forward, ${runtime}`,
    command: (listen, target) => [
      ...START[runtime]!,
      "cli/mod.ts",
      "forward",
      `127.0.0.1:${listen}`,
      `127.0.0.1:${target}`,
      `--from=${from}`,
      `--to=${to}`,
      `--threads=${threads}`,
    ],
  })),
  ...from === to
    ? [{
      name: "socat",
      command: (listen: number, target: number) =>
        lent([
          "socat",
          "-b262144",
          `TCP-LISTEN:${listen},bind=127.0.0.1,reuseaddr,fork,backlog=4096,nodelay`,
          `TCP:127.0.0.1:${target},nodelay`,
        ]),
    }, {
      name: "HAProxy",
      command: (listen: number, target: number, directory: string) => {
        const file = join(directory, "haproxy.cfg");
        writeFileSync(
          file,
          `global
  maxconn 4000
  nbthread ${threads}
defaults
  mode tcp
  timeout connect 5s
  timeout client 60s
  timeout server 60s
listen relay
  bind 127.0.0.1:${listen} backlog 4096
  server target 127.0.0.1:${target}
`,
        );
        return lent(["haproxy", "-db", "-f", file]);
      },
    }]
    : [],
];

interface Sample {
  contestant: string;
  case: string;
  value: number;
  /** CPU of the relay: ms per GB, or µs per round trip. */
  cpu: number;
}

/** The CPU time of a process and all that it has started, s. */
function cpuOf(group: number): number {
  let ticks = 0;
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const fields = readFileSync(`/proc/${name}/stat`, "utf8").replace(/^.*\) /s, "").split(" ").map(Number);
      if (fields[2] !== group) continue;
      ticks += fields[11]! + fields[12]! + (Number(name) === group ? fields[13]! + fields[14]! : 0);
    } catch {
      // gone meanwhile
    }
  }
  return ticks / TICKS_PER_SECOND;
}

/** Below the range of `namespace.ts` that clients take theirs from. */
let nextPort = 5000;

async function listening(port: number): Promise<void> {
  for (let patience = 0; patience < 300; patience++) {
    const up = await new Promise<boolean>((resolve) => {
      const socket = connect({ host: "127.0.0.1", port }, () => resolve(true));
      socket.on("error", () => resolve(false));
      setTimeout(() => socket.destroy(), 50);
    });
    if (up) return await sleep(100).then(() => {});
    await sleep(50);
  }
  throw new Error(`nobody listens on ${port}`);
}

/** Runs one case for one contestant; the second of two runs counts. */
async function run(contestant: Contestant, which: "bulk" | "many", tools: { peer: string; load: string }): Promise<Sample> {
  const bulk = which === "bulk";
  const server = new LineProcess(bulk ? [tools.peer, "serve", "sink", to] : [tools.load, "serve", to], process.env);
  const directory = mkdtempSync(join(tmpdir(), "mptcp-relay-"));
  let relay: ChildProcess | undefined;
  try {
    const { port: target } = await server.next<{ port: number }>(PATIENCE);
    const listen = nextPort++;
    const [program, ...args] = contestant.command(listen, target, directory);
    relay = spawn(program!, args, { stdio: ["ignore", "ignore", "ignore"], detached: true });
    await listening(listen);
    if (bulk) await server.next(PATIENCE); // the connection that tried
    let sample: Sample | undefined;
    for (let warm = 0; warm < 2; warm++) {
      const before = cpuOf(relay.pid!);
      const client = new LineProcess(
        bulk
          ? [tools.peer, "client", "send", from, "127.0.0.1", `${listen}`, `${seconds}`]
          : [tools.load, "client", from, `${listen}`, `${seconds}`, `${CONNECTIONS}`],
        process.env,
      );
      const sent = await client.next<{ count: number; seconds: number; mptcp: boolean }>(PATIENCE);
      client.kill();
      if (sent.mptcp !== (from === "mptcp")) throw new Error(`${contestant.name} was not reached by ${from}`);
      const seen = bulk ? await server.next<{ bytes: number; seconds: number; mptcp: boolean }>(PATIENCE) : null;
      if (seen !== null && seen.mptcp !== (to === "mptcp")) throw new Error(`${contestant.name} did not go on by ${to}`);
      const cpu = cpuOf(relay.pid!) - before;
      sample = seen !== null
        ? {
          contestant: contestant.name,
          case: which,
          value: seen.bytes * 8 / seen.seconds / 1e9,
          cpu: cpu * 1e3 / (seen.bytes / 1e9),
        }
        : { contestant: contestant.name, case: which, value: sent.count / sent.seconds, cpu: cpu * 1e6 / sent.count };
    }
    return sample!;
  } finally {
    server.kill();
    if (relay?.pid !== undefined && relay.exitCode === null) process.kill(-relay.pid, "SIGKILL");
    rmSync(directory, { recursive: true, force: true });
  }
}

function compile(directory: string, source: string): string {
  const program = join(directory, source.replace(/\W/g, "_"));
  const { status } = spawnSync("gcc", ["-O2", "-pthread", "-o", program, `bench/${source}`], { stdio: "inherit" });
  if (status !== 0) throw new Error(`Cannot compile bench/${source}: gcc is needed`);
  return program;
}

const median = (numbers: number[]): number => numbers.toSorted((a, b) => a - b)[numbers.length >> 1] ?? NaN;

async function main(): Promise<void> {
  if (isolated) prepare("cubic", 4 << 20);
  const directory = mkdtempSync(join(tmpdir(), "mptcp-bench-"));
  const samples: Sample[] = [];
  try {
    const tools = { peer: compile(directory, "peer.c"), load: compile(directory, "relay_load.c") };
    for (let round = 0; round < rounds; round++) {
      for (const which of ["bulk", "many"] as const) {
        for (let turn = 0; turn < CONTESTANTS.length; turn++) {
          const contestant = CONTESTANTS[(turn + round) % CONTESTANTS.length]!;
          await run(contestant, which, tools).then(
            (sample) => samples.push(sample),
            (error) => console.error(`round ${round}, ${which}, ${contestant.name}: ${error.message}`),
          );
        }
      }
      console.error(`round ${round + 1} of ${rounds}`);
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
  console.log(`${from} to ${to}, medians of ${rounds} rounds of ${seconds} s, ${threads} thread(s)`);
  for (const { name } of CONTESTANTS) {
    const of = (which: string) => samples.filter((sample) => sample.contestant === name && sample.case === which);
    const text = (which: string, digits: number) => {
      const all = of(which);
      const best = Math.max(...all.map((sample) => sample.value));
      return `${median(all.map((sample) => sample.value)).toFixed(digits)} (best ${best.toFixed(digits)}), CPU ${
        median(all.map((sample) => sample.cpu)).toFixed(0)
      }`;
    };
    console.log(
      `${name.padEnd(20)}  bulk ${text("bulk", 1)} ms/GB Gbit/s   ${CONNECTIONS}: ${text("many", 0)} µs round trips/s`,
    );
  }
  mkdirSync(RESULTS, { recursive: true });
  const host = `Linux ${release()}, ${cpus().length} × ${cpus()[0]?.model.trim() ?? "CPU"}`;
  const results = { date: new Date().toISOString(), host, from, to, rounds, seconds, threads, samples };
  writeFileSync(`${RESULTS}/relay.json`, JSON.stringify(results, null, 1));
}

const code = isolated ? null : await rerunIsolated();
if (code === null) await main();
else process.exitCode = code;
