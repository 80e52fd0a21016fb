/**
 * Runs the same test files on Deno, Bun and Node, and prints what they did together.
 *
 *   npm test                         everything, on all three
 *   npm test -- --runtime=bun lab    only Bun, only files whose path contains "lab"
 *   npm test -- --jobs=1             one file after the other (two at a time unless told, also by MPTCP_TEST_JOBS)
 *
 * Each file runs in a process group of its own, which is ended when the file takes too long: then it counts as failed.
 *
 * The last line is `N passed, N failed, N skipped`. It fails when a test failed, when a file ran none, and, where
 * MPTCP_TESTS=required is set (`.ci/run` does), when a test was skipped though this kernel has MPTCP.
 */
import { spawn } from "node:child_process";
import { existsSync, globSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import process from "node:process";
import { type Outcome, parseJunit } from "./junit.ts";
import { reachesJsr } from "./offline/jsr.ts";

type Runtime = "deno" | "bun" | "node";

interface FileOutcome extends Outcome {
  runtime: Runtime;
  file: string;
  /** What the runner printed. */
  output: string;
  /** Why the file counts as failed beyond its tests, or "". */
  fault: string;
  seconds: number;
}

const RESULTS = "tests/results";
/** No test may take longer, ms; the longest waits are those for timers of the kernel (60 s), which come seldom and rarely twice. */
const TEST_TIMEOUT = 200_000;
/** No file may take longer, ms. */
const FILE_TIMEOUT = 420_000;

/** `@std` comes from JSR where that can be reached, else (and always on Bun and Node) from the stand-ins in tests/offline. */
function denoImports(): string[] {
  const online = reachesJsr();
  console.log(`@std on Deno: ${online ? "from JSR" : "JSR cannot be reached, stand-ins of tests/offline"}`);
  return online ? [] : ["--import-map=tests/offline/import_map.json"];
}

function command(runtime: Runtime, file: string, junit: string, imports: string[]): [string, ...string[]] {
  switch (runtime) {
    case "deno":
      return ["deno", "test", "-A", "--no-check", "--quiet", ...imports, `--junit-path=${junit}`, file];
    case "bun":
      return ["bun", "test", `--timeout=${TEST_TIMEOUT}`, "--reporter=junit", `--reporter-outfile=${junit}`, `./${file}`];
    case "node":
      return [
        "node",
        "--test",
        `--test-timeout=${TEST_TIMEOUT}`,
        "--test-reporter=spec",
        "--test-reporter-destination=stdout",
        "--test-reporter=junit",
        `--test-reporter-destination=${junit}`,
        file,
      ];
  }
}

/** The process groups that run now, for the case that somebody interrupts. */
const groups = new Set<number>();

function end(group: number): void {
  try {
    process.kill(-group, "SIGKILL");
  } catch {
    // it has ended
  }
}

for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
  process.on(signal, () => {
    groups.forEach(end);
    process.exit(code);
  });
}

function runFile(runtime: Runtime, file: string, imports: string[]): Promise<FileOutcome> {
  const junit = `${RESULTS}/${runtime}-${file.replace(/\W+/g, "-")}.xml`;
  rmSync(junit, { force: true });
  const [program, ...args] = command(runtime, file, junit, imports);
  const started = performance.now();
  return new Promise((resolve) => {
    const env = { ...process.env, NO_COLOR: "1" };
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], env, detached: true });
    const group = child.pid;
    let output = "";
    let late = false;
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => output += data);
    child.on("error", (error) => output += `${error}\n`);
    if (group !== undefined) groups.add(group);
    const timer = setTimeout(() => {
      late = true;
      end(group!);
    }, FILE_TIMEOUT);
    child.on("close", (code) => {
      clearTimeout(timer);
      if (group !== undefined) {
        groups.delete(group);
        end(group); // what the tests left behind
      }
      const outcome = parseJunit(existsSync(junit) ? readFileSync(junit, "utf8") : "");
      const { passed, failed, skipped } = outcome;
      const fault = late
        ? `not done after ${FILE_TIMEOUT / 1000} s`
        : passed + failed + skipped === 0
        ? `no test ran (exit code ${code})`
        : code !== 0 && failed === 0
        ? `exit code ${code}`
        : "";
      resolve({ ...outcome, runtime, file, output, fault, seconds: (performance.now() - started) / 1000 });
    });
  });
}

function report({ runtime, file, passed, failed, skipped, output, fault, seconds }: FileOutcome): void {
  const bad = failed > 0 || fault !== "";
  if (bad) console.log(`\n${output.trimEnd()}`);
  const counts = `${passed} passed${failed ? `, ${failed} failed` : ""}${skipped ? `, ${skipped} skipped` : ""}`;
  const words = [bad ? "FAILED" : "ok    ", runtime.padEnd(4), file, counts, `${seconds.toFixed(1)} s`, fault];
  console.log(words.filter(Boolean).join("  "));
}

/** Runs every file, so many at a time; the results come in the order of their end. */
async function runAll(runtime: Runtime, files: string[], jobs: number): Promise<FileOutcome[]> {
  const imports = runtime === "deno" ? denoImports() : [];
  const waiting = [...files];
  const outcomes: FileOutcome[] = [];
  const worker = async () => {
    for (let file; (file = waiting.shift()) !== undefined;) {
      const outcome = await runFile(runtime, file, imports);
      report(outcome);
      outcomes.push(outcome);
    }
  };
  await Promise.all(Array.from({ length: jobs }, worker));
  return outcomes;
}

const args = process.argv.slice(2);
const valueOf = (name: string) => args.find((arg) => arg.startsWith(`--${name}=`))?.slice(name.length + 3);
const runtimes = (valueOf("runtime")?.split(",") ?? ["deno", "bun", "node"]) as Runtime[];
const jobs = Number(valueOf("jobs") ?? process.env["MPTCP_TEST_JOBS"] ?? 2);
const words = args.filter((arg) => !arg.startsWith("--"));
const files = globSync("tests/**/*_test.ts")
  .filter((file) => words.length === 0 || words.some((word) => file.includes(word)))
  .sort();
if (files.length === 0) {
  console.error(`No test file matches: ${words.join(" ")}`);
  process.exit(2);
}

rmSync(RESULTS, { recursive: true, force: true });
mkdirSync(RESULTS, { recursive: true });
const outcomes: FileOutcome[] = [];
for (const runtime of runtimes) {
  console.log(`\n── ${runtime} ──`);
  outcomes.push(...await runAll(runtime, files, jobs));
}

const sum = (count: (outcome: FileOutcome) => number, of = outcomes) => of.reduce((all, one) => all + count(one), 0);
const failedOf = ({ failed, fault }: FileOutcome) => failed || (fault ? 1 : 0);
const bad = outcomes.filter((outcome) => failedOf(outcome) > 0);
const reasons = new Set(outcomes.flatMap(({ runtime, skips }) => skips.map((skip) => `${runtime}: ${skip}`)));
const skipped = sum((outcome) => outcome.skipped);
console.log("");
for (const runtime of runtimes) {
  const own = outcomes.filter((outcome) => outcome.runtime === runtime);
  const [passed, failed, skipped] = [sum((one) => one.passed, own), sum(failedOf, own), sum((one) => one.skipped, own)];
  console.log(`${runtime}: ${passed} passed, ${failed} failed, ${skipped} skipped`);
}
if (reasons.size > 0) console.log(`\nSkipped:\n${[...reasons].map((reason) => `  ${reason}`).join("\n")}`);
if (bad.length > 0) console.log("\nFailed:");
for (const { runtime, file, failures, fault } of bad) {
  for (const failure of failures) console.log(`  ${runtime} ${file}: ${failure}`);
  if (fault) console.log(`  ${runtime} ${file}: ${fault}`);
}
const mustNotSkip = process.env["MPTCP_TESTS"] === "required" && existsSync("/proc/sys/net/mptcp/enabled");
if (mustNotSkip && skipped > 0) console.log("\nThis kernel has MPTCP: no test may be skipped here");
console.log(`\n${sum((outcome) => outcome.passed)} passed, ${sum(failedOf)} failed, ${skipped} skipped`);
process.exit(bad.length > 0 || (mustNotSkip && skipped > 0) ? 1 : 0);
