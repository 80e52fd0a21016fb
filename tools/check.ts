/**
 * All checks but the tests: format, lint, types, documentation, its examples, a dry run of publishing. Run by
 * `npm run check`, or by `deno task ok` where Deno is installed.
 *
 * Not a chain of Deno tasks: within a task `deno` would be the npm package's binary, which Deno takes for a script.
 */
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { reachesJsr } from "../tests/offline/jsr.ts";

const config = JSON.parse(readFileSync("deno.json", "utf8")) as {
  imports: Record<string, string>;
  exports: Record<string, string>;
  publish: { include: string[] };
};
const { exports, publish: { include } } = config;
/** The sources that are published. */
const PUBLISHED = include.filter((path) => path.endsWith(".ts") || (path.endsWith("/") && path !== "docs/"));
const entryPoints = Object.values(exports);
/** Where JSR cannot be reached, `@std` is our own stand-in; for the types that makes no difference. */
const OFFLINE = "--import-map=tests/offline/import_map.json";

/** npm's packages have no part in our documentation, as on JSR. */
const OURS = "--no-npm";

/** Where JSR cannot be reached, publishing is tried with a copy that has the stand-in of `@std/cli` among its own files. */
function offlineCopy(): string {
  const folder = mkdtempSync(join(tmpdir(), "mptcp-publish-"));
  for (const path of [...include, "package.json"]) cpSync(path, join(folder, path), { recursive: true });
  cpSync("tests/offline/cli", join(folder, "std_cli"), { recursive: true });
  symlinkSync(join(process.cwd(), "node_modules"), join(folder, "node_modules"));
  const imports = { ...config.imports, "@std/cli": "./std_cli/mod.ts" };
  writeFileSync(
    join(folder, "deno.json"),
    JSON.stringify({ ...config, imports, publish: { include: [...include, "std_cli/"] } }),
  );
  return folder;
}

const CHECKS: readonly (readonly [name: string, ...command: string[]])[] = [
  ["format", "deno", "fmt", "--check", "--quiet"],
  ["lint", "deno", "lint", "--quiet"],
  ["types", "deno", "check", "--quiet", OFFLINE, "."],
  ["documentation", "deno", "doc", "--lint", OURS, "--quiet", ...entryPoints],
  ["examples", "deno", "test", "-A", "--quiet", "--doc", OFFLINE, ...PUBLISHED, "README.md"],
  ["publishing", "deno", "publish", "--dry-run", "--allow-dirty", "--quiet"],
];

const copy = reachesJsr() ? null : offlineCopy();
if (copy !== null) console.log("JSR cannot be reached: stand-ins of tests/offline");
let failed = 0;
for (const [name, program, ...args] of CHECKS) {
  const cwd = name === "publishing" && copy !== null ? copy : process.cwd();
  const { status, stdout, stderr } = spawnSync(program!, args, { encoding: "utf8", cwd });
  console.log(`${status === 0 ? "ok    " : "FAILED"} ${name}`);
  if (status === 0) continue;
  failed++;
  console.log(`${stdout}${stderr}`);
}
if (copy !== null) rmSync(copy, { recursive: true });
process.exit(failed === 0 ? 0 : 1);
