/**
 * All checks but the tests: format, lint, types, documentation, its examples, a dry run of publishing. Run by
 * `npm run check`, or by `deno task ok` where Deno is installed.
 *
 * Not a chain of Deno tasks: within a task `deno` would be the npm package's binary, which Deno takes for a script.
 */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import process from "node:process";

const { exports, publish: { include } } = JSON.parse(readFileSync("deno.json", "utf8")) as {
  exports: Record<string, string>;
  publish: { include: string[] };
};
/** The sources that are published. */
const PUBLISHED = include.filter((path) => path.endsWith(".ts") || (path.endsWith("/") && path !== "docs/"));
const entryPoints = Object.values(exports);
/** Where JSR cannot be reached, `@std` is our own stand-in; for the types that makes no difference. */
const OFFLINE = "--import-map=tests/offline/import_map.json";

/** npm's packages have no part in our documentation, as on JSR. */
const OURS = "--no-npm";

const CHECKS: readonly (readonly [name: string, ...command: string[]])[] = [
  ["format", "deno", "fmt", "--check", "--quiet"],
  ["lint", "deno", "lint", "--quiet"],
  ["types", "deno", "check", "--quiet", OFFLINE, "."],
  ["documentation", "deno", "doc", "--lint", OURS, "--quiet", ...entryPoints],
  ["examples", "deno", "test", "-A", "--quiet", "--doc", OFFLINE, ...PUBLISHED, "README.md"],
  ["publishing", "deno", "publish", "--dry-run", "--allow-dirty", "--quiet"],
];

let failed = 0;
for (const [name, program, ...args] of CHECKS) {
  const { status, stdout, stderr } = spawnSync(program!, args, { encoding: "utf8" });
  console.log(`${status === 0 ? "ok    " : "FAILED"} ${name}`);
  if (status === 0) continue;
  failed++;
  console.log(`${stdout}${stderr}`);
}
process.exit(failed === 0 ? 0 : 1);
