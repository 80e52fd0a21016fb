/**
 * Making a socket: MPTCP, or TCP where MPTCP is refused or not wanted, with everything set that must be set before it
 * connects or listens.
 *
 * @module
 */
import type { Libc } from "../ffi/mod.ts";
import {
  AF_INET,
  AF_INET6,
  IPPROTO_MPTCP,
  IPPROTO_TCP,
  SO_RCVBUF,
  SO_SNDBUF,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  SOL_SOCKET,
  TCP_CONGESTION,
} from "../kernel/constants.ts";
import { EACCES, EINVAL, ENOPROTOOPT, EPERM, EPROTONOSUPPORT } from "../kernel/errno.ts";
import { check, systemError } from "../kernel/error.ts";
import { makeUnder } from "../paths/path_manager_mode.ts";
import { type Fallback, requiredError, socketFallback } from "./fallback.ts";
import type { SocketOptions } from "./options.ts";

/** A new socket, and why it is not MPTCP if it was to be. */
export interface MadeSocket {
  fd: number;
  refused: Fallback | null;
}

/** Refusals that this kernel will never take back: by family, as MPTCP may be built for IPv4 alone. */
const never = new Map<number, number>();

const PERMANENT: readonly number[] = [-EINVAL, -EPROTONOSUPPORT];
/** May change at any time: a sysctl, a security policy. */
const TRANSIENT: readonly number[] = [-ENOPROTOOPT, -EPERM, -EACCES];

/** Whether an errno of socket(2) means that MPTCP is refused, and not sockets as such. */
export function refusesMptcp(errno: number): boolean {
  return PERMANENT.includes(errno) || TRANSIENT.includes(errno);
}

/** Tries to make an MPTCP socket; a permanent refusal is asked for once only. */
export function mptcpSocket(libc: Libc, family: number): number {
  const known = never.get(family);
  if (known !== undefined) return known;
  const result = libc.socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_MPTCP);
  if (PERMANENT.includes(result)) never.set(family, result);
  return result;
}

/**
 * Makes a socket and sets the options.
 *
 * @throws {MptcpError} When the kernel refuses the socket or an option; nothing is left open then.
 */
export function makeSocket(libc: Libc, version: 4 | 6, options: SocketOptions): MadeSocket {
  const family = version === 6 ? AF_INET6 : AF_INET;
  const { mptcp = "prefer" } = options;
  let refused: Fallback | null = null;
  let fd = -1;
  if (mptcp !== "off") {
    fd = makeUnder(options.paths, () => mptcpSocket(libc, family));
    if (fd < 0 && !refusesMptcp(fd)) throw systemError(fd, "socket");
    if (fd < 0) refused = socketFallback(fd);
    if (refused !== null && mptcp === "require") {
      throw requiredError(refused);
    }
  }
  if (fd < 0) fd = check(libc.socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP), "socket");
  try {
    applyOptions(libc, fd, options);
  } catch (error) {
    libc.close(fd);
    throw error;
  }
  return { fd, refused };
}

function applyOptions(libc: Libc, fd: number, options: SocketOptions): void {
  const { receiveBuffer, sendBuffer, congestion } = options;
  if (receiveBuffer !== undefined) check(libc.setInt(fd, SOL_SOCKET, SO_RCVBUF, receiveBuffer), "setsockopt");
  if (sendBuffer !== undefined) check(libc.setInt(fd, SOL_SOCKET, SO_SNDBUF, sendBuffer), "setsockopt");
  if (congestion !== undefined) setCongestion(libc, fd, congestion);
}

/** Names that this kernel took before. */
const available = new Set<string>();

/**
 * Sets the congestion control. An MPTCP socket that is not connected takes any name without a word, and then forgets it: so
 * a name is tried on a TCP socket first.
 */
function setCongestion(libc: Libc, fd: number, congestion: string): void {
  const name = new TextEncoder().encode(congestion);
  const details = {
    detail: `congestion control "${congestion}" is not available`,
    hint: "`sysctl net.ipv4.tcp_available_congestion_control` lists what this kernel has, and " +
      "tcp_allowed_congestion_control what may be used without CAP_NET_ADMIN",
  };
  if (!available.has(congestion)) {
    const trial = check(libc.socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP), "socket");
    const result = libc.setsockopt(trial, IPPROTO_TCP, TCP_CONGESTION, name);
    libc.close(trial);
    check(result, "setsockopt", details);
    available.add(congestion);
  }
  check(libc.setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name), "setsockopt", details);
}
