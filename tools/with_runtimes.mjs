// Runs a command with the three runtimes of package.json on its PATH, and installs them first where they are missing.
// Plain JavaScript, and nothing but Node: it is the first thing that runs on a fresh machine with Node 20 and npm.
//
//   node tools/with_runtimes.mjs <command> [arguments…]
import { spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { constants } from "node:os";
import { delimiter, dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const bin = join(root, "node_modules", ".bin");
const { dependencies, devDependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));

/** The version that is installed, or null. */
function installed(name) {
  try {
    return JSON.parse(readFileSync(join(root, "node_modules", name, "package.json"), "utf8")).version;
  } catch {
    return null;
  }
}

const complete = existsSync(bin) &&
  Object.entries({ ...dependencies, ...devDependencies }).every(([name, version]) =>
    version.startsWith("file:") ? installed(name) !== null : installed(name) === version
  );

if (!complete) {
  console.error("Installing the development runtimes (deno, bun, node) from the npm registry, once …");
  // Not `npm ci`: it wants every platform's optional binaries in the lock file, and no one platform can write those.
  const npm = spawnSync("npm", ["install", "--no-save", "--no-audit", "--no-fund"], { cwd: root, stdio: ["ignore", 2, 2] });
  if (npm.status !== 0) {
    console.error("npm install failed; the lines above say why");
    process.exit(npm.status ?? 1);
  }
}

const [command, ...args] = process.argv.slice(2);
if (command === undefined) {
  console.error("usage: node tools/with_runtimes.mjs <command> [arguments…]");
  process.exit(2);
}
const child = spawn(command, args, {
  cwd: root,
  stdio: "inherit",
  env: { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH}` },
});
// The terminal sends Ctrl-C to the whole group: the child cleans up and ends, and only then we do.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
child.on("error", (error) => {
  console.error(`Cannot run ${command}: ${error.message}`);
  process.exit(127);
});
child.on("exit", (code, signal) => process.exit(code ?? 128 + constants.signals[signal]));
