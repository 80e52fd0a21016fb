/**
 * When and why a connection is plain TCP.
 *
 * The kernel tells that a connection fell back, not why. Its counters of the network namespace do: the one that grew when
 * the connection fell back names the cause. They are read only then, and compared with the last reading.
 *
 * @module
 */
import { errnoName } from "../kernel/errno.ts";
import { MptcpError } from "../kernel/error.ts";
import { counters } from "../paths/counters.ts";
import { socketReason, socketRefusal } from "../paths/socket_reason.ts";

/** When and why a connection is plain TCP though MPTCP was wanted. */
export interface Fallback {
  /**
   * `"socket"`: this host refused to make an MPTCP socket. `"handshake"`: the peer or something on the way did not answer
   * with MPTCP. `"established"`: the connection spoke MPTCP and then had to go on as TCP.
   */
  phase: "socket" | "handshake" | "established";
  /**
   * For `"socket"` the kernel's errno name, such as `"ENOPROTOOPT"`, or `"UNSUPPORTED"` on a host without FFI or without
   * Linux; for the others the name of the kernel's counter that tells the cause, such as `"MPCapableFallbackSYNACK"`, or
   * `"UNKNOWN"` where none does.
   */
  code: string;
  /** The cause in words, and what a person can do. */
  message: string;
}

/** The counters that tell of a fallback in the handshake, in the order of how much they tell. */
const HANDSHAKE: Readonly<Record<string, string>> = {
  MPCapableSYNTXDisabled: "the kernel sent no MPTCP option: MPTCP SYNs were lost before, and it is switched off for the " +
    "whole network namespace for a while; `sysctl -w net.mptcp.blackhole_timeout=3600` resets that",
  MPCapableSYNTXDrop: "the SYNs with the MPTCP option were lost and the one without came through: something on the way " +
    "drops MPTCP",
  MPCapableFallbackSYNACK: "the answer to the SYN had no MPTCP option: the peer does not speak MPTCP, or something on the " +
    "way removed the option",
  MPCapableFallbackACK: "the client agreed to no MPTCP: something on the way removed the option",
  MPFallbackTokenInit: "the kernel had no free token",
  MD5SigFallback: "the connection uses TCP MD5 signatures, which leave no room for MPTCP",
  SimultConnectFallback: "both sides connected at the same time",
};

/** The counters that tell of a fallback during the connection. */
const ESTABLISHED: Readonly<Record<string, string>> = {
  MPCapableDataFallback: "the first data came without the MPTCP option: something on the way removed it",
  DssFallback: "data came without its MPTCP mapping: something on the way removed the option",
  DSSCorruptionFallback: "the mapping of data was wrong: something on the way changed the stream",
  DSSCorruptionReset: "the mapping of data was wrong: something on the way changed the stream",
  InfiniteMapRx: "the peer gave MPTCP up (infinite mapping)",
  InfiniteMapTx: "data with a wrong checksum came: something on the way changes the payload",
  MPFailRx: "the peer saw data with a wrong checksum: something on the way changes the payload",
  MPFailTx: "data with a wrong checksum came: something on the way changes the payload",
};

let last: Readonly<Record<string, number>> | undefined;
let lastAt = 0;
/** An older reading would blame what happened to others long ago, ms. */
const FRESH = 1000;

/** Takes a reading, so that a later one has something to be compared with. Costs one small file, once a second at most. */
export function watchCounters(): void {
  if (last === undefined || performance.now() - lastAt > FRESH) read();
}

function read(): Readonly<Record<string, number>> {
  lastAt = performance.now();
  return last = counters();
}

/**
 * Which of the known counters grew between two readings.
 *
 * @returns The first in the table's order, or `null`.
 */
export function grown(
  causes: Readonly<Record<string, string>>,
  before: Readonly<Record<string, number>>,
  after: Readonly<Record<string, number>>,
): string | null {
  for (const name of Object.keys(causes)) {
    if ((after[name] ?? 0) > (before[name] ?? 0)) return name;
  }
  return null;
}

function why(phase: "handshake" | "established", causes: Readonly<Record<string, string>>): Fallback {
  const before = last;
  const now = read();
  const code = before ? grown(causes, before, now) : null;
  if (code !== null) return { phase, code, message: causes[code]! };
  const message = phase === "handshake"
    ? "the peer or something on the way did not answer with MPTCP"
    : "the connection could not go on as MPTCP: something on the way removed or changed its options";
  return { phase, code: "UNKNOWN", message };
}

/** The fallback of a connection that came out of the handshake as TCP. */
export function handshakeFallback(): Fallback {
  return why("handshake", HANDSHAKE);
}

/** The fallback of an accepted connection whose client did not ask for MPTCP. */
export function acceptedFallback(): Fallback {
  // The listener counts nothing for a client that never asked; only for one that stopped halfway.
  const { code, message } = why("handshake", { MPCapableFallbackACK: HANDSHAKE["MPCapableFallbackACK"]! });
  if (code !== "UNKNOWN") return { phase: "handshake", code, message };
  return {
    phase: "handshake",
    code: "MPCapableSYNRX",
    message: "the client's SYN had no MPTCP option: the client does not speak MPTCP, or something on the way removed it",
  };
}

/** The fallback of a connection that spoke MPTCP before. */
export function establishedFallback(): Fallback {
  return why("established", ESTABLISHED);
}

/** The fallback of a socket that the kernel would not make as MPTCP. */
export function socketFallback(errno: number): Fallback {
  const code = errnoName(errno);
  return { phase: "socket", code, message: socketReason(code) };
}

/** The fallback of a host without libc. */
export function unsupportedFallback(reason: string): Fallback {
  return { phase: "socket", code: "UNSUPPORTED", message: reason };
}

/** The error where MPTCP was required of a socket that cannot be it. */
export function requiredError({ code, message }: Fallback): MptcpError {
  const { reason, hint } = code === "UNSUPPORTED" ? { reason: message } : socketRefusal(code);
  return new MptcpError(code, `Cannot make an MPTCP socket: ${reason}`, { syscall: "socket", hint });
}
