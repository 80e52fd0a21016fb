/**
 * A network namespace for the benchmark, in which every contestant has the same congestion control and receive buffer:
 * the runtimes' own APIs can set neither on a socket.
 *
 * @module
 */
import { spawn, spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import process from "node:process";

const MARK = "MPTCP_BENCH_NAMESPACE";

/** The local address of the second path. */
const SECOND_PATH = "10.77.0.2";

/** Whether this process is the one in the namespace. */
export const isolated: boolean = process.env[MARK] === "1";

/**
 * Runs this program again within a namespace of its own.
 *
 * @returns Its exit code, or `null` when no namespace can be had.
 */
export async function rerunIsolated(): Promise<number | null> {
  const flags = process.getuid?.() === 0 ? "-n" : "-rn";
  if (spawnSync("unshare", [flags, "true"]).status !== 0) return null;
  const child = spawn("unshare", [flags, process.execPath, ...process.argv.slice(1)], {
    stdio: "inherit",
    env: { ...process.env, [MARK]: "1" },
  });
  return await new Promise((resolve) => child.on("close", (code) => resolve(code ?? 1)));
}

function ip(...args: string[]): boolean {
  return spawnSync("ip", args).status === 0;
}

/**
 * Sets the namespace up. The congestion control goes by the route: a namespace may use only those that its host allows to
 * unprivileged processes, and where that is bbr its pacing would cap MPTCP on loopback for everybody.
 */
export function prepare(congestion: string, receiveBuffer: number): void {
  ip("link", "set", "lo", "up");
  for (const prefix of ["127.0.0.0/8", "127.0.0.1"]) {
    const route = ["local", prefix, "dev", "lo", "table", "local", "proto", "kernel", "scope", "host", "src", "127.0.0.1"];
    if (!ip("route", "replace", ...route, "congctl", congestion)) throw new Error(`Cannot route ${prefix} by ${congestion}`);
  }
  // What SO_RCVBUF sets, the kernel doubles; this is the doubled size. It does not grow, as a buffer that was set does not:
  // while one grows, this kernel's MPTCP stalls twice as often.
  writeFileSync("/proc/sys/net/ipv4/tcp_rmem", `4096 ${2 * receiveBuffer} ${2 * receiveBuffer}`);
  // Tens of thousands of connections in each run; each run has an address of its own besides.
  writeFileSync("/proc/sys/net/ipv4/ip_local_port_range", "10000 65000");
}

/** Lets connections have a second subflow, or no longer. Whether it worked. */
export function secondPath(on: boolean): boolean {
  if (!on) return ip("mptcp", "endpoint", "flush") && ip("addr", "del", `${SECOND_PATH}/32`, "dev", "lo");
  return ip("addr", "add", `${SECOND_PATH}/32`, "dev", "lo") &&
    ip("mptcp", "limits", "set", "subflow", "2", "add_addr_accepted", "2") &&
    ip("mptcp", "endpoint", "add", SECOND_PATH, "dev", "lo", "subflow");
}
