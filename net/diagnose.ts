/**
 * Why a peer is reached by MPTCP, or is not.
 *
 * @module
 */
import { show } from "../kernel/argument_checks.ts";
import { MptcpError } from "../kernel/error.ts";
import { ipVersion } from "../kernel/ip.ts";
import type { PathEvent } from "../kernel/mptcp_event_types.ts";
import { parseCounters } from "../paths/counters.ts";
import type { Evidence } from "../paths/diagnosis/evidence.ts";
import type { DiagnosedSubflow, Finding } from "../paths/diagnosis/finding.ts";
import { judge } from "../paths/diagnosis/judge.ts";
import { EventJournal } from "../paths/event_journal.ts";
import { hasMptcpListener, readHost } from "../paths/host_view.ts";
import { readText } from "../paths/proc.ts";
import { type Support, support } from "../paths/support.ts";
import { SynTap } from "../paths/syn_tap.ts";
import type { Conn } from "./conn.ts";
import { connect } from "./connect.ts";
import type { Fallback } from "./fallback.ts";
import { type Observation, observe } from "./observe.ts";
import { checkConnectOptions, type ConnectOptions } from "./options.ts";

/** Options of `diagnose`. */
export interface DiagnoseOptions {
  /**
   * A name, or an IPv4 or IPv6 address.
   *
   * @default {"127.0.0.1"}
   */
  hostname?: string;
  /** The port, 1 to 65535. */
  port: number;
  /**
   * The local IP address to connect from.
   *
   * @default {undefined} the kernel chooses
   */
  localAddress?: string;
  /**
   * Milliseconds for resolving and connecting together. A peer that does not answer by then is found to be unreachable. The
   * kernel gives MPTCP up after about three seconds: with less, that cannot be told from a peer that is down.
   *
   * @default {10000}
   */
  timeout?: number;
  /**
   * Milliseconds to wait for further paths, at most; it takes less where all has been seen. Paths that this host opens by
   * itself begin after a second, when a keep-alive was answered. 0 does not wait, and so sees the handshake alone.
   *
   * @default {2500}
   */
  wait?: number;
  /** Ends the diagnosis: `diagnose` then rejects with `signal.reason`. */
  signal?: AbortSignal;
}

/** What `diagnose` tells. All of it can be written as JSON. */
export interface Diagnosis {
  /** The host that was asked about. */
  hostname: string;
  /** The port that was asked about. */
  port: number;
  /** What the peer is, in one sentence, with the first cause. */
  verdict: string;
  /** Every cause that was found, errors first, then warnings, then what is worth knowing. */
  findings: Finding[];
  /** Whether a connection was made, be it by plain TCP. */
  reachable: boolean;
  /** Whether it spoke MPTCP to the end. */
  multipath: boolean;
  /** The peer's address that was connected to; `null` when none was. */
  address: string | null;
  /** The local address that was connected from; `null` when none was. */
  localAddress: string | null;
  /** How long resolving and connecting took, ms. */
  connectMs: number;
  /** How long further paths were waited for, ms. */
  waitedMs: number;
  /** The subflows at the end of that, those too that still wait for an answer. */
  subflows: DiagnosedSubflow[];
  /** When and why the connection was plain TCP, as `conn.fallback()` tells. */
  fallback: Fallback | null;
  /** What this host offers. */
  support: Support;
  /** The MPTCP counters of the network namespace that grew meanwhile, and by how much; other connections count too. */
  counters: Record<string, number>;
  /** The connection's events; `null` where they could not be watched, as that needs CAP_NET_ADMIN. */
  events: PathEvent[] | null;
}

const TIMEOUT = 10_000;
const WAIT = 2500;
/** How long plain TCP gets, where MPTCP got no answer, ms. */
const PLAIN_TIMEOUT = 3000;
/** Failures that have nothing to do with what a SYN carries. */
const NOT_BY_THE_SYN = [
  "ECONNRESET",
  "ENETUNREACH",
  "ENETDOWN",
  "EADDRNOTAVAIL",
  "EADDRINUSE",
  "ENODEV",
  "EMFILE",
  "ENFILE",
];

/**
 * Connects to a peer, exchanges nothing, and says why this peer is or is not multipath: each cause by name, with what a
 * person can do about it. docs/diagnosis.md lists them.
 *
 * Not a byte is written. To learn whether further paths come about, the connection stays for a moment, with TCP keep-alive
 * on: its probe is answered with an option by which both kernels become certain of MPTCP, as data would do it. Then the
 * connection is closed. When the peer is not reached by MPTCP, one attempt by plain TCP follows, which tells whether MPTCP
 * is to blame.
 *
 * It needs no privileges. With CAP_NET_ADMIN it watches the events of the connection, with CAP_NET_RAW the SYNs on the
 * wire, and so can tell more causes apart.
 *
 * @returns The report. A peer that cannot be reached is a finding, and no failure.
 * @throws {TypeError} When an option has the wrong type.
 * @throws {RangeError} When a number is out of range.
 *
 * @example Say what stands in the way of a second path
 * ```ts
 * import { diagnose, listen } from "@mptcp/mptcp";
 *
 * using listener = listen({ port: 0 });
 * const { verdict, findings } = await diagnose({ port: listener.addr.port });
 *
 * console.log(verdict);
 * for (const { severity, code, message, hint } of findings) console.log(severity, code, message, hint ?? "");
 * ```
 */
export async function diagnose(options: DiagnoseOptions): Promise<Diagnosis> {
  const { target, wait } = checkOptions(options);
  const { signal } = target;
  signal?.throwIfAborted();
  const host = support();
  using tap = SynTap.open();
  using journal = EventJournal.open();
  const before = readCounters();
  const start = performance.now();
  const { conn, failure } = await dial(target);
  const connectMs = performance.now() - start;
  let seen: Observation | null = null;
  let plainConnects: boolean | null = null;
  try {
    if (conn !== null) seen = await observe(conn, { wait, journal, signal });
    else if (host.enabled && mayBlameMptcp(failure!)) plainConnects = await connectsPlainly(target);
  } finally {
    conn?.close();
  }
  const after = readCounters();
  const view = seen === null ? null : readHost(seen.ends.remote.hostname);
  const { ends = null, multipath = false, fallback = null, waitedMs = 0, subflows = [] } = seen ?? {};
  const evidence: Evidence = {
    hostname: target.hostname,
    port: target.port,
    support: host,
    failure,
    plainConnects,
    connectMs,
    ends,
    multipath,
    fallback,
    waitedMs,
    subflows,
    fullyEstablished: seen?.fullyEstablished,
    peerEnded: seen?.peerEnded ?? false,
    grown: growth(before.mptcp, after.mptcp),
    countsJoins: "MPJoinSynTx" in after.mptcp,
    reversePathDrops: growth(before.tcp, after.tcp)["IPReversePathFilter"] ?? 0,
    events: journal?.of(seen?.token ?? null) ?? null,
    packets: tap?.take() ?? null,
    host: view,
    mptcpListener: view?.route?.local ? hasMptcpListener(target.port) : null,
  };
  return {
    hostname: target.hostname,
    port: target.port,
    ...judge(evidence),
    reachable: ends !== null,
    multipath,
    address: ends?.remote.hostname ?? null,
    localAddress: ends?.local.hostname ?? null,
    connectMs,
    waitedMs,
    subflows,
    fallback,
    support: host,
    counters: { ...evidence.grown },
    events: evidence.events === null ? null : [...evidence.events],
  };
}

type Target = ConnectOptions & { hostname: string; timeout: number };

function checkOptions(options: DiagnoseOptions): { target: Target; wait: number } {
  if (typeof options !== "object" || options === null) {
    throw new TypeError(`Cannot diagnose ${show(options)}: an object of options is needed`);
  }
  const { hostname = "127.0.0.1", port, localAddress, timeout = TIMEOUT, wait = WAIT, signal } = options;
  const target: Target = { hostname, port, timeout };
  if (localAddress !== undefined) target.localAddress = localAddress;
  if (signal !== undefined) target.signal = signal;
  checkConnectOptions(target);
  if (localAddress !== undefined && ipVersion(localAddress) === 0) {
    throw new TypeError(`Cannot use localAddress ${show(localAddress)}: it is not an IP address`);
  }
  if (typeof wait !== "number") throw new TypeError(`Cannot use wait ${show(wait)}: it must be a number`);
  if (!(wait >= 0)) throw new RangeError(`Cannot use wait ${wait}: it must be 0 or more milliseconds`);
  return { target, wait };
}

interface Attempt {
  conn: Conn | null;
  failure: Evidence["failure"];
}

/** Connects; that the peer is not reached is a result too. */
async function dial(target: Target): Promise<Attempt> {
  try {
    return { conn: await connect(target), failure: null };
  } catch (error) {
    if (target.signal?.aborted) throw target.signal.reason;
    if (error instanceof MptcpError) {
      const { code, message, syscall } = error;
      return { conn: null, failure: { code, message, syscall } };
    }
    // Wrong arguments and a missing permission pass through.
    if (!(error instanceof DOMException) || error.name !== "TimeoutError") throw error;
    return { conn: null, failure: { code: error.name, message: error.message } };
  }
}

function mayBlameMptcp({ code, syscall }: NonNullable<Evidence["failure"]>): boolean {
  return syscall !== "getaddrinfo" && !NOT_BY_THE_SYN.includes(code);
}

async function connectsPlainly(target: Target): Promise<boolean> {
  const timeout = Math.min(target.timeout, PLAIN_TIMEOUT);
  const { conn } = await dial({ ...target, mptcp: "off", timeout });
  conn?.close();
  return conn !== null;
}

interface Readings {
  mptcp: Record<string, number>;
  tcp: Record<string, number>;
}

function readCounters(): Readings {
  const text = readText("/proc/net/netstat") ?? "";
  return { mptcp: parseCounters(text), tcp: parseCounters(text, "TcpExt") };
}

/** The counters that grew, and by how much. Gauges that fell are left out. */
function growth(before: Record<string, number>, after: Record<string, number>): Record<string, number> {
  const grown = Object.entries(after).map(([name, value]) => [name, value - (before[name] ?? 0)] as const);
  return Object.fromEntries(grown.filter(([, value]) => value > 0));
}
