/**
 * Measures `FtpClient` against `curl` under mptcpize, both with the same vsftpd under mptcpize, all in turns, on loopback.
 *
 *   node tools/with_runtimes.mjs node bench/ftp.ts [--rounds=7]      it needs vsftpd, mptcpize, curl and gcc
 *
 * What moves is a file of 256 MB, from memory to memory. Logging in is not measured.
 *
 * @module
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { LineProcess } from "./lines.ts";
import { isolated, prepare, rerunIsolated } from "./namespace.ts";
import { median } from "./statistics.ts";

const SIZE = 256 << 20;
const PORT = 2121;
const PATIENCE = 30_000;
const RUNTIMES = {
  deno: ["deno", "run", "-A", "--no-check", "--quiet"],
  bun: ["bun", "run"],
  node: ["node"],
} as const;
const PACKAGES = { vsftpd: "vsftpd", mptcpize: "mptcpize", curl: "curl", gcc: "gcc" };

/** What a mover has written, by the names of `curl` and `ftp_worker.ts`. */
const WRITTEN = /^(up|curl|down\..*)$/;

type What = "upload" | "download";

/** Somebody who moves the file. @returns The seconds that it took. */
type Mover = (what: What) => Promise<number>;

const rounds = Number(process.argv.find((arg) => arg.startsWith("--rounds="))?.slice(9) ?? 7);

function startServer(folder: string): LineProcess {
  const config = `
listen=YES
listen_port=${PORT}
background=NO
run_as_launching_user=YES
anonymous_enable=YES
no_anon_password=YES
anon_root=${folder}
write_enable=YES
anon_upload_enable=YES
anon_other_write_enable=YES
anon_world_readable_only=NO
seccomp_sandbox=NO
isolate=NO
isolate_network=NO
`;
  writeFileSync(join(folder, "conf"), config);
  const library = join(folder, "oobinline.so");
  const gcc = spawnSync("gcc", ["-shared", "-fPIC", "-o", library, "tests/ftp/oobinline.c", "-ldl"], { stdio: "inherit" });
  if (gcc.status !== 0) throw new Error("Cannot compile tests/ftp/oobinline.c");
  // It ends with the standard input, so with this process, however that ends.
  const script = `exec 3<&0; LD_PRELOAD="${library} $LD_PRELOAD" vsftpd ${folder}/conf & server=$!; ` +
    `(cat <&3 >/dev/null; kill $server) & ` +
    `until ss -HMltn "sport = :${PORT}" | grep -q .; do sleep 0.05; done; echo '{}'; wait $server`;
  return new LineProcess(["mptcpize", "run", "sh", "-c", script], process.env);
}

function curl(folder: string, ...prefix: string[]): Mover {
  return (what) => {
    const url = `ftp://ftp:p@127.0.0.1:${PORT}/${folder}/${what === "upload" ? "up" : "down"}`;
    const place = what === "upload" ? ["-T", join(folder, "down"), url] : ["-o", join(folder, "curl"), url];
    const [program, ...args] = [...prefix, "curl", "-sS", "-w", "%{time_total} %{time_pretransfer}", ...place];
    const { status, stdout, stderr } = spawnSync(program!, args, { encoding: "utf8" });
    if (status !== 0) return Promise.reject(new Error(`curl: ${stderr}`));
    const [total, before] = stdout.split(" ").map(Number);
    return Promise.resolve(total! - before!);
  };
}

function library(worker: LineProcess): Mover {
  return async (what) => {
    worker.send(what);
    const { seconds, error } = await worker.next<{ seconds: number; error?: string }>(PATIENCE);
    if (error !== undefined) throw new Error(error);
    return seconds;
  };
}

async function main(): Promise<void> {
  if (!isolated) throw new Error("No network namespace can be made: root or user namespaces are needed");
  const missing = Object.entries(PACKAGES).filter(([program]) => {
    return spawnSync("sh", ["-c", `PATH="$PATH:/usr/sbin" command -v ${program}`]).status !== 0;
  });
  if (missing.length > 0) {
    const names = missing.map(([, name]) => name).join(" ");
    console.log(`FTP is not measured, ${names} not found: apt-get install ${names}`);
    return;
  }
  process.env["PATH"] += ":/usr/sbin";
  prepare("cubic", 4 << 20);
  const folder = mkdtempSync("/dev/shm/mptcp-bench-");
  const children: LineProcess[] = [];
  try {
    writeFileSync(join(folder, "down"), new Uint8Array(SIZE));
    const server = startServer(folder);
    children.push(server);
    await server.next(PATIENCE);
    const movers: Record<string, Mover> = { "curl + mptcpize": curl(folder, "mptcpize", "run"), "curl, TCP": curl(folder) };
    for (const [name, command] of Object.entries(RUNTIMES)) {
      const worker = new LineProcess(
        [...command, "bench/ftp_worker.ts", `${PORT}`, "ftp", join(folder, "down")],
        process.env,
      );
      children.push(worker);
      await worker.next(PATIENCE);
      movers[`${name} library`] = library(worker);
    }
    const samples: Record<string, Record<What, number[]>> = {};
    for (const name of Object.keys(movers)) samples[name] = { upload: [], download: [] };
    for (let round = 0; round <= rounds; round++) {
      const names = Object.keys(movers);
      for (const what of ["download", "upload"] as const) {
        for (let turn = 0; turn < names.length; turn++) {
          const name = names[(turn + round) % names.length]!;
          // To cut off a large file takes as long as a quarter of the transfer, and curl's time begins only after that.
          for (const file of readdirSync(folder)) if (WRITTEN.test(file)) rmSync(join(folder, file));
          const seconds = await movers[name]!(what);
          if (round > 0) samples[name]![what].push(SIZE * 8 / seconds / 1e9); // round 0 is for warming up
        }
      }
    }
    const base = samples["curl + mptcpize"]!;
    console.log("| Gbit/s, median (range) | download | to curl | upload | to curl |\n|---|---:|---:|---:|---:|");
    for (const [name, each] of Object.entries(samples)) {
      const cells = (["download", "upload"] as const).map((what) => {
        const [middle, low, high] = [median(each[what]), Math.min(...each[what]), Math.max(...each[what])];
        const ratio = middle / median(base[what]);
        return `${middle.toFixed(1)} (${low.toFixed(1)}–${high.toFixed(1)}) | ${ratio.toFixed(2)}`;
      });
      console.log(`| ${name} | ${cells.join(" | ")} |`);
    }
  } finally {
    for (const child of children) child.kill();
    rmSync(folder, { recursive: true, force: true });
  }
}

const code = isolated ? null : await rerunIsolated();
if (code === null) await main();
else process.exitCode = code;
