/**
 * Looking at a connection that carries nothing, until all that can be seen of its paths has been seen.
 *
 * @module
 */
import { IPPROTO_TCP, TCP_ESTABLISHED, TCP_KEEPIDLE, TCP_KEEPINTVL } from "../kernel/constants.ts";
import { MptcpError } from "../kernel/error.ts";
import type { Addr } from "../kernel/sockaddr.ts";
import type { Subflow } from "../paths/connection.ts";
import type { DiagnosedSubflow } from "../paths/diagnosis/finding.ts";
import type { EventJournal } from "../paths/event_journal.ts";
import { RouteTable } from "../paths/host_view.ts";
import { findConnection, findSubflow, isBackup } from "../paths/sockets.ts";
import type { Conn } from "./conn.ts";
import type { Fallback } from "./fallback.ts";

/** How often a connection is looked at, ms: nothing tells of a subflow's failure to those without privileges. */
const LOOK_EVERY = 20;
/** How long nothing may have happened for it to be over, ms, besides two round trips. */
const QUIET = 200;

/** What was seen of a connection; of one that the peer has ended, what was seen last. */
export interface Observation {
  /** Our end and the peer's, of the initial subflow. */
  ends: { local: Addr; remote: Addr };
  token: number | null;
  multipath: boolean;
  fallback: Fallback | null;
  subflows: DiagnosedSubflow[];
  /** Whether the kernel has what it needs for further subflows; `undefined` where it will not tell. */
  fullyEstablished: boolean | undefined;
  /** Whether the peer has ended the connection: then there will be no further subflows. */
  peerEnded: boolean;
  /** How long it was looked at, ms. */
  waitedMs: number;
}

/** How to look. */
export interface ObserveOptions {
  /** At most so many ms. */
  wait: number;
  /** The connection's events, where they are watched. */
  journal: EventJournal | null;
  signal: AbortSignal | undefined;
}

/** Looks at a connection. It ends when nothing more is to be expected, or `wait` is over. */
export async function observe(conn: Conn, { wait, journal, signal }: ObserveOptions): Promise<Observation> {
  const seen: Observation = {
    ends: { local: conn.localAddr, remote: conn.remoteAddr },
    token: null,
    multipath: false,
    fallback: null,
    subflows: [],
    fullyEstablished: undefined,
    peerEnded: false,
    waitedMs: 0,
  };
  const start = performance.now();
  let since = start;
  for (let first = true;; first = false) {
    const now = performance.now();
    seen.waitedMs = now - start;
    const rows = rowsOf(conn, seen);
    if (rows === null) {
      seen.peerEnded = true;
      return seen;
    }
    if (first) {
      seen.token = conn.token;
      if (wait > 0 && seen.multipath) keepAlive(conn);
    }
    if (hasChanged(seen.subflows, rows)) {
      seen.subflows = rows.map(describe);
      since = now;
    }
    if (!seen.multipath) return seen;
    if (!seen.fullyEstablished) {
      seen.fullyEstablished = isFullyEstablished(seen, journal);
      if (seen.fullyEstablished) since = now;
    }
    seen.peerEnded = hasEnded(seen.token);
    if (seen.peerEnded) return seen;
    const pending = rows.some(({ state }) => state === "SYN_SENT");
    const roundTrip = (rows[0]!.tcpInfo.rtt ?? 0) / 1000;
    if (seen.fullyEstablished && !pending && now - since >= QUIET + 2 * roundTrip) return seen;
    if (seen.waitedMs >= wait) return seen;
    await pause(Math.min(LOOK_EVERY, wait - seen.waitedMs), signal);
  }
}

/** The rows now, and what is true of the whole connection; `null` when there is nothing more to see. */
function rowsOf(conn: Conn, seen: Observation): Subflow[] | null {
  try {
    const rows = conn.subflows();
    if (rows.length === 0) return null;
    seen.multipath = conn.isMultipath();
    seen.fallback = conn.fallback();
    return rows;
  } catch (error) {
    if (error instanceof MptcpError) return null; // the peer is gone, and with it the descriptor
    throw error;
  }
}

/**
 * A connection without data stays uncertain of its peer's MPTCP, and gets no further subflow. The answer to a keep-alive
 * probe makes it certain: it carries an MPTCP option, or shows that options get lost. The kernel's shortest wait is a second.
 */
function keepAlive(conn: Conn): void {
  try {
    conn.setOption(IPPROTO_TCP, TCP_KEEPIDLE, 1);
    conn.setOption(IPPROTO_TCP, TCP_KEEPINTVL, 1);
    conn.setKeepAlive(true);
  } catch (error) {
    if (!(error instanceof MptcpError)) throw error; // older kernels do not have it for MPTCP
  }
}

function hasChanged(before: readonly DiagnosedSubflow[], rows: readonly Subflow[]): boolean {
  const picture = (all: readonly { local: Addr; remote: Addr; state: string }[]) =>
    all.map(({ local, remote, state }) => `${local.hostname} ${local.port} ${remote.hostname} ${state}`).join();
  return before.length !== rows.length || picture(before) !== picture(rows);
}

function describe({ local, remote, state }: Subflow): DiagnosedSubflow {
  const found = ask(() => findSubflow(local, remote));
  return {
    local,
    remote,
    interface: ask(() => interfaceOf(found?.interfaceIndex ?? 0, local, remote)),
    state,
    backup: found === null ? undefined : isBackup(found.subflow),
  };
}

/** The interface that a subflow is bound to; else the one that its packets are routed by. */
function interfaceOf(bound: number, local: Addr, remote: Addr): string | null {
  using routes = new RouteTable();
  const [source, destination] = [local, remote].map(({ hostname }) => hostname.replace(/%.*/, "")) as [string, string];
  const index = bound || routes.find({ destination, source })?.interfaceIndex;
  return routes.interfaces().find((each) => each.index === index)?.name ?? null;
}

/** Of the connection as a whole: its subflows stay as they are for a while. */
function hasEnded(token: number | null): boolean {
  const state = token === null ? undefined : ask(() => findConnection(token))?.state;
  return state !== undefined && state !== TCP_ESTABLISHED;
}

function isFullyEstablished({ token, ends }: Observation, journal: EventJournal | null): boolean | undefined {
  if (journal?.of(token).some(({ type }) => type === "established")) return true;
  return ask(() => findSubflow(ends.local, ends.remote))?.subflow.fullyEstablished;
}

/** What a host does not tell (no netlink, a policy) is not known. */
function ask<T>(question: () => T): T | null {
  try {
    return question();
  } catch {
    return null;
  }
}

/** Waits; an abort ends it. */
function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const stop = () => {
      clearTimeout(timer);
      reject(signal!.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, ms);
    signal?.addEventListener("abort", stop, { once: true });
  });
}
