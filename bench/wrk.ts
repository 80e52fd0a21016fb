/**
 * `wrk`, the HTTP client that is faster than the servers.
 *
 * @module
 */
import { spawn, spawnSync } from "node:child_process";
import type { Protocol } from "./cases.ts";
import type { Measured } from "./meter.ts";

/** How many connections it keeps, in one thread. */
export const CONNECTIONS = 32;

/** Whether it is installed. */
export const hasWrk: boolean = spawnSync("wrk", ["--version"], { stdio: "ignore" }).error === undefined;

/**
 * Asks a server for as long as it is told, whole seconds: it knows no others.
 *
 * @throws When an answer was missing, or none with a 2xx status.
 */
export async function wrk(protocol: Protocol, url: string, seconds: number): Promise<Measured> {
  const before = protocol === "mptcp" ? ["mptcpize", "run"] : [];
  const duration = `-d${Math.max(1, Math.round(seconds))}s`;
  const [program, ...args] = [...before, "wrk", "-t1", `-c${CONNECTIONS}`, duration, url];
  const child = spawn(program!, args, { stdio: ["ignore", "pipe", "inherit"] });
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (part) => text += part);
  const ended = new Promise<number | null>((resolve, reject) => child.once("error", reject).once("close", resolve));
  const status = await ended;
  const [, requests, measured] = /(\d+) requests in ([\d.]+)s,/.exec(text) ?? [];
  const wrong = /(Socket errors|Non-2xx).*/.exec(text)?.[0];
  if (status !== 0 || requests === undefined || wrong !== undefined) throw new Error(`wrk: ${wrong ?? (text || status)}`);
  return { bytes: 0, count: Number(requests), seconds: Number(measured), cpu: 0, stalls: 0, longest: 0 };
}
