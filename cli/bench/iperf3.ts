/**
 * iperf3 under mptcpize, for a comparison by another program.
 *
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { once } from "node:events";
import { delimiter } from "node:path";
import process from "node:process";
import { Failure } from "../frame/failure.ts";
import type { Protocol } from "./client.ts";

/** Where iperf3 listens. */
export const IPERF3_PORT = 5201;

/**
 * Finds out whether the programs are there.
 *
 * @throws {Failure} When one is not, with what installs it.
 */
export function needIperf3(): void {
  const folders = (process.env["PATH"] ?? "").split(delimiter);
  const missing = ["iperf3", "mptcpize"].filter((program) =>
    !folders.some((folder) => {
      try {
        accessSync(`${folder}/${program}`, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    })
  );
  if (missing.length === 0) return;
  const are = missing.length > 1 ? "are" : "is";
  throw new Failure(`${missing.join(" and ")} ${are} not installed: apt-get install ${missing.join(" ")}`);
}

/** Starts its server. It ends with the returned process. */
export function iperf3Server(hostname: string): ChildProcess {
  const args = ["run", "iperf3", "-s", "-p", `${IPERF3_PORT}`, ...hostname === "0.0.0.0" ? [] : ["-B", hostname]];
  return spawn("mptcpize", args, { stdio: "ignore" });
}

/** What it found. */
export interface Iperf3Result {
  test: "upload" | "download";
  program: "iperf3";
  protocol: Protocol;
  /** Bytes per second that arrived. */
  rate: number;
}

/**
 * Runs its client.
 *
 * @throws {Failure} With its own words.
 */
export async function iperf3Client(
  test: "upload" | "download",
  protocol: Protocol,
  { hostname, time, signal }: { hostname: string; time: number; signal: AbortSignal },
): Promise<Iperf3Result> {
  const seconds = `${Math.max(1, Math.round(time / 1000))}`;
  const words = [
    "iperf3",
    "-J",
    "-c",
    hostname,
    "-p",
    `${IPERF3_PORT}`,
    "-t",
    seconds,
    ...test === "download" ? ["-R"] : [],
  ];
  const [program, ...args] = protocol === "mptcp" ? ["mptcpize", "run", ...words] : words;
  const child = spawn(program!, args, { stdio: ["ignore", "pipe", "ignore"] });
  const stop = () => child.kill();
  // A server that is busy or gone must not keep us.
  const late = setTimeout(stop, time + 15_000);
  signal.addEventListener("abort", stop, { once: true });
  let text = "";
  child.stdout!.setEncoding("utf8").on("data", (more: string) => text = (text + more).slice(0, 10_000_000));
  try {
    await once(child, "close");
  } finally {
    clearTimeout(late);
    signal.removeEventListener("abort", stop);
  }
  const rate = rateOf(text);
  if (typeof rate === "number") return { test, program: "iperf3", protocol, rate };
  throw new Failure(`iperf3 gave no result: ${rate ?? `is there a server (mptcp bench server --iperf3)?`}`);
}

/** What arrived, bytes per second; or its complaint. */
export function rateOf(json: string): number | string | null {
  try {
    const { error, end } = JSON.parse(json) as { error?: string; end?: { sum_received?: { bits_per_second?: number } } };
    const bits = end?.sum_received?.bits_per_second;
    if (typeof bits === "number" && bits > 0) return bits / 8;
    return error ?? null;
  } catch {
    return null;
  }
}
