/**
 * Measures how long `mptcp --help` takes, from the start of the process to its end.
 *
 *   npm run bench:help
 *
 * @module
 */
import { spawnSync } from "node:child_process";
import { median } from "./statistics.ts";

const ROUNDS = 20;
const OFFLINE = "--import-map=tests/offline/import_map.json";
const COMMANDS = {
  deno: ["deno", "run", "-A", "--no-check", "--quiet", OFFLINE],
  bun: ["bun", "run"],
  node: ["node"],
} as const;

const times = new Map<string, number[]>();
for (let round = 0; round < ROUNDS; round++) {
  for (const [runtime, [program, ...args]] of Object.entries(COMMANDS)) {
    const begun = performance.now();
    const { status } = spawnSync(program, [...args, "cli/mod.ts", "--help"]);
    if (status !== 0) throw new Error(`${runtime}: exit code ${status}`);
    times.set(runtime, [...times.get(runtime) ?? [], performance.now() - begun]);
  }
}
for (const [runtime, samples] of times) {
  const [low, middle, high] = [Math.min(...samples), median(samples), Math.max(...samples)];
  console.log(`${runtime.padEnd(5)} ${middle.toFixed(0)} ms (${low.toFixed(0)}–${high.toFixed(0)})`);
}
