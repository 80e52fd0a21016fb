/**
 * Measures what the library asks and tells the kernel: the list of all connections, an event's way to its reader, and a
 * subflow more.
 *
 *   npm run bench:paths                    on the three runtimes, in turns
 *   npm run bench:paths -- --docs          also writes docs/benchmarks-paths.md
 *
 * Everything happens in a network namespace of its own. The peers are `ss`, which lists the same connections in the same
 * moment, and the kernel's bare command, after which this library has only to notice that the subflow is there.
 *
 * @module
 */
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { cpus, release } from "node:os";
import process from "node:process";
import { isolated, prepare, rerunIsolated } from "./namespace.ts";
import type { Measured } from "./paths_worker.ts";
import { median } from "./statistics.ts";

const ROUNDS = 5;
const RUNTIMES = {
  deno: ["deno", "run", "-A", "--no-check", "--quiet"],
  bun: ["bun", "run"],
  node: ["node"],
} as const;

type Runtime = keyof typeof RUNTIMES;

interface Row {
  title: string;
  target: string;
  /** Of the samples of all rounds, in order. */
  tell: (samples: readonly number[]) => string;
  of: keyof Measured;
}

const ms = (value: number): string => value < 1 ? `${(value * 1000).toFixed(0)} µs` : `${value.toFixed(1)} ms`;
const spread = (samples: readonly number[]): string => {
  const sorted = [...samples].sort((a, b) => a - b);
  return `${ms(median(sorted))} (${ms(sorted[0]!)}–${ms(sorted.at(-1)!)})`;
};
const tail = (samples: readonly number[]): string => {
  const sorted = [...samples].sort((a, b) => a - b);
  return `${ms(median(sorted))} (p95 ${ms(sorted[Math.floor(sorted.length * 0.95)]!)})`;
};

const ROWS: readonly Row[] = [
  { of: "list", title: "`connections()`, 1000 connections, 2000 subflows", target: "50 ms", tell: spread },
  { of: "listBySs", title: "`ss -HMni` and `ss -Htni`, the same", target: "", tell: spread },
  { of: "event", title: "from `listen()` to the reader of `watch()`", target: "1 ms", tell: tail },
  { of: "open", title: "`openSubflow()`, until the peer has confirmed it", target: "1 ms over the next row", tell: tail },
  { of: "option", title: "`setSubflowOption()`", target: "1 ms", tell: tail },
  { of: "optionAmongMany", title: "`setSubflowOption()` among 2000 other TCP sockets", target: "", tell: tail },
  { of: "bare", title: "the kernel's command alone, until it is established", target: "", tell: tail },
];

function run(runtime: Runtime): Measured {
  const [program, ...args] = RUNTIMES[runtime];
  const { stdout, stderr, status } = spawnSync(program, [...args, "bench/paths_worker.ts"], { encoding: "utf8" });
  if (status !== 0) throw new Error(`${runtime}: ${stderr}`);
  return JSON.parse(stdout) as Measured;
}

function main(): void {
  if (!isolated) throw new Error("No network namespace can be made: root or user namespaces are needed");
  prepare("cubic", 1 << 20);
  const names = Object.keys(RUNTIMES) as Runtime[];
  const results = new Map<Runtime, Measured[]>(names.map((name) => [name, []]));
  for (let round = 0; round < ROUNDS; round++) {
    for (let turn = 0; turn < names.length; turn++) {
      const name = names[(turn + round) % names.length]!;
      results.get(name)!.push(run(name));
    }
    console.error(`round ${round + 1} of ${ROUNDS}`);
  }
  const lines = [
    `| | target | ${names.join(" | ")} |`,
    `|---|---|${names.map(() => "---:|").join("")}`,
    ...ROWS.map(({ of, title, target, tell }) =>
      `| ${title} | ${target} | ${names.map((name) => tell(results.get(name)!.flatMap((each) => each[of]))).join(" | ")} |`
    ),
  ];
  console.log(lines.join("\n"));
  if (!process.argv.includes("--docs")) return;
  writeFileSync(
    "docs/benchmarks-paths.md",
    `# Benchmarks of the control plane

<!-- Written by \`npm run bench:paths -- --docs\`. Do not edit. -->

Measured ${new Date().toISOString().slice(0, 10)} on Linux ${release()}, ${cpus().length} × ${cpus()[0]?.model.trim()},
in a network namespace of its own, ${ROUNDS} rounds in turns: medians, with the range or the 95th percentile.

${lines.join("\n")}
`,
  );
  spawnSync("deno", ["fmt", "--quiet", "docs/benchmarks-paths.md"]);
}

const code = isolated ? null : await rerunIsolated();
if (code === null) main();
else process.exitCode = code;
