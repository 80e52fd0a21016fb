/**
 * Runs the same test files on Deno, Bun and Node, and prints what they did together.
 *
 *   npm test                         everything, on all three
 *   npm test -- --runtime=bun lab    only Bun, only files whose path contains "lab"
 *
 * The last line is `N passed, N failed, N skipped`. It fails when a test failed, when a runtime ran none, and, where
 * MPTCP_TESTS=required is set (`.ci/run` does), when a test was skipped though this kernel has MPTCP.
 */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, globSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import process from "node:process";
import { type Outcome, parseJunit } from "./junit.ts";

type Runtime = "deno" | "bun" | "node";

const RESULTS = "tests/results";
/** No test may take longer; the longest waits are those for the kernel's own timers. */
const TIMEOUT = 90_000;

/** `@std` comes from JSR where that can be reached, else (and always on Bun and Node) from the stand-ins in tests/offline. */
function denoImports(): string[] {
  const reached = spawnSync("deno", ["cache", "--quiet", "jsr:@std/assert@^1"], { timeout: 20_000, stdio: "ignore" });
  const online = reached.status === 0;
  console.log(`@std on Deno: ${online ? "from JSR" : "JSR cannot be reached, stand-ins of tests/offline"}`);
  return online ? [] : ["--import-map=tests/offline/import_map.json"];
}

function command(runtime: Runtime, files: string[], junit: string): string[] {
  switch (runtime) {
    case "deno":
      return ["deno", "test", "-A", "--no-check", "--quiet", ...denoImports(), `--junit-path=${junit}`, ...files];
    case "bun":
      return [
        "bun",
        "test",
        `--timeout=${TIMEOUT}`,
        "--reporter=junit",
        `--reporter-outfile=${junit}`,
        ...files.map((file) => `./${file}`),
      ];
    case "node":
      return [
        "node",
        "--test",
        "--test-concurrency=1",
        `--test-timeout=${TIMEOUT}`,
        "--test-reporter=spec",
        "--test-reporter-destination=stdout",
        "--test-reporter=junit",
        `--test-reporter-destination=${junit}`,
        ...files,
      ];
  }
}

function run(runtime: Runtime, files: string[]): Promise<Outcome & { code: number }> {
  const junit = `${RESULTS}/${runtime}.xml`;
  rmSync(junit, { force: true });
  const [program, ...args] = command(runtime, files, junit);
  return new Promise((resolve) => {
    const child = spawn(program!, args, { stdio: ["ignore", "inherit", "inherit"], env: { ...process.env, NO_COLOR: "1" } });
    child.on("close", (status) => {
      const xml = existsSync(junit) ? readFileSync(junit, "utf8") : "";
      resolve({ ...parseJunit(xml), code: status ?? 1 });
    });
  });
}

const args = process.argv.slice(2);
const chosen = args.filter((arg) => arg.startsWith("--runtime=")).flatMap((arg) => arg.slice(10).split(",")) as Runtime[];
const runtimes: Runtime[] = chosen.length > 0 ? chosen : ["deno", "bun", "node"];
const words = args.filter((arg) => !arg.startsWith("--"));
const files = globSync("tests/**/*_test.ts")
  .filter((file) => words.length === 0 || words.some((word) => file.includes(word)))
  .sort();
if (files.length === 0) {
  console.error(`No test file matches: ${words.join(" ")}`);
  process.exit(2);
}

mkdirSync(RESULTS, { recursive: true });
const total = { passed: 0, failed: 0, skipped: 0 };
const reasons = new Set<string>();
let bad = false;
for (const runtime of runtimes) {
  console.log(`\n── ${runtime} ──`);
  const { passed, failed, skipped, skips, failures, code } = await run(runtime, files);
  total.passed += passed;
  total.failed += failed;
  total.skipped += skipped;
  for (const skip of skips) reasons.add(`${runtime}: ${skip}`);
  console.log(`\n${runtime}: ${passed} passed, ${failed} failed, ${skipped} skipped`);
  for (const failure of failures) console.log(`  failed: ${failure}`);
  if (passed === 0 || (code !== 0 && failed === 0)) {
    console.log(`${runtime}: the test runner ended with ${code}`);
    total.failed += failed === 0 ? 1 : 0;
  }
  bad ||= code !== 0 || failed > 0 || passed === 0;
}

if (reasons.size > 0) console.log(`\nSkipped:\n${[...reasons].map((reason) => `  ${reason}`).join("\n")}`);
if (process.env["MPTCP_TESTS"] === "required" && total.skipped > 0 && existsSync("/proc/sys/net/mptcp/enabled")) {
  console.log("\nThis kernel has MPTCP: no test may be skipped here");
  bad = true;
}
console.log(`\n${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
process.exit(bad ? 1 : 0);
