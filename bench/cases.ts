/**
 * What is measured, and by whom.
 *
 * @module
 */

/** A service of the C program. */
export type Service = "sink" | "source" | "echo" | "drop" | "accept" | "http" | "wrk";

/** One thing that is measured. */
export interface Case {
  name: string;
  title: string;
  /** The far end's service; for `accept` the contestant serves and the C program connects, for `wrk` that does. */
  service: Service;
  /** What a run is reported in: Gbit/s of its bytes, `count` per second, or µs for each of `count`. */
  unit: "Gbit/s" | "per second" | "µs";
  /** Contestants that have no such way of their own are compared by this case of theirs. */
  instead?: string;
  /** Only this library can be asked. */
  own?: false;
  /** An HTTP client's: undici stands for the runtime's own way, whose `fetch` is measured besides. */
  http?: true;
  /** Only these have it. */
  runtimes?: readonly Runtime[];
  /** Needs a second path. */
  subflows?: 2;
}

export const CASES: readonly Case[] = [
  { name: "send", title: "Bulk send, `conn.write` of 256 KiB", service: "sink", unit: "Gbit/s" },
  { name: "receive", title: "Bulk receive, `conn.read` into 256 KiB", service: "source", unit: "Gbit/s" },
  {
    name: "byob",
    title: "Bulk receive, BYOB stream reader, 256 KiB",
    service: "source",
    unit: "Gbit/s",
    instead: "receive",
  },
  {
    name: "stream",
    title: "Bulk receive, `for await (… of conn.readable)`",
    service: "source",
    unit: "Gbit/s",
    instead: "receive",
  },
  { name: "ping", title: "Round trip of 64 bytes", service: "echo", unit: "µs" },
  { name: "connect", title: "Connect and close, one after another", service: "drop", unit: "per second" },
  { name: "connect100", title: "Connect and close, 100 at once", service: "drop", unit: "per second" },
  { name: "accept", title: "Accept and close, 8 clients", service: "accept", unit: "per second" },
  { name: "subflows1", title: "`conn.subflows()`, 1 subflow", service: "echo", unit: "µs", own: false },
  { name: "subflows2", title: "`conn.subflows()`, 2 subflows", service: "echo", unit: "µs", own: false, subflows: 2 },
  { name: "info1", title: "`conn.info()`, 1 subflow", service: "echo", unit: "µs", own: false },
  { name: "info2", title: "`conn.info()`, 2 subflows", service: "echo", unit: "µs", own: false, subflows: 2 },
  { name: "fetch", title: "`fetch` of 16 bytes, one after another", service: "http", unit: "µs", http: true },
  { name: "fetch32", title: "`fetch` of 16 bytes, 32 at a time", service: "http", unit: "per second", http: true },
  { name: "download", title: "`fetch` of a large file", service: "http", unit: "Gbit/s", http: true },
  { name: "serve", title: "`serve` of 14 bytes, 32 connections of `wrk`", service: "wrk", unit: "per second" },
  {
    name: "serveTrue",
    title: "`serve`, the same without `overrideGlobalObjects`",
    service: "wrk",
    unit: "per second",
    instead: "serve",
    own: false,
    runtimes: ["node"],
  },
  {
    name: "servePortable",
    title: "`serve`, the same by the portable way",
    service: "wrk",
    unit: "per second",
    instead: "serve",
    own: false,
    runtimes: ["deno", "bun"],
  },
];

export type Runtime = "deno" | "bun" | "node";
export type Protocol = "tcp" | "mptcp";

/** Somebody who runs the cases. */
export interface Contestant {
  /** Unique, such as `deno own+mptcpize`. */
  name: string;
  /** `C` stands for the C program. */
  runtime: Runtime | "C";
  kind: "library" | "own" | "own+mptcpize" | "fetch+mptcpize" | "C";
  protocol: Protocol;
  /** The worker's command line; none for the C program. */
  command: readonly string[];
}

const START: Readonly<Record<Runtime, readonly string[]>> = {
  deno: ["deno", "run", "-A", "--no-check", "--quiet"],
  bun: ["bun", "run"],
  node: ["node"],
};

export function contestants(runtimes: readonly Runtime[], mptcpize: boolean): Contestant[] {
  const list: Contestant[] = [
    { name: "C mptcp", runtime: "C", kind: "C", protocol: "mptcp", command: [] },
    { name: "C tcp", runtime: "C", kind: "C", protocol: "tcp", command: [] },
  ];
  for (const runtime of runtimes) {
    const worker = [...START[runtime], "bench/worker.ts"];
    const own = [...worker, runtime];
    list.push({ name: `${runtime} library`, runtime, kind: "library", protocol: "mptcp", command: [...worker, "library"] });
    if (mptcpize) {
      const command = ["mptcpize", "run", ...own];
      list.push({ name: `${runtime} own+mptcpize`, runtime, kind: "own+mptcpize", protocol: "mptcp", command });
      const fetching = ["mptcpize", "run", ...worker, "fetch"];
      list.push({
        name: `${runtime} fetch+mptcpize`,
        runtime,
        kind: "fetch+mptcpize",
        protocol: "mptcp",
        command: fetching,
      });
    }
    list.push({ name: `${runtime} own tcp`, runtime, kind: "own", protocol: "tcp", command: own });
  }
  return list;
}

/** Whether that contestant has that case. */
export function takesPart({ runtime, kind }: Contestant, { name, own, http, service, runtimes }: Case): boolean {
  if (runtimes !== undefined && !runtimes.some((each) => each === runtime)) return false;
  if (kind === "library") return true;
  if (kind === "fetch+mptcpize") return http === true;
  if (own === false || ((http || service === "wrk") && kind === "C")) return false;
  if (name === "byob") return kind !== "C" && runtime === "deno";
  if (name === "stream") return kind !== "C" && runtime !== "bun";
  return true;
}
