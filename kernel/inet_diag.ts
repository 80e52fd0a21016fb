/**
 * Sockets of the network namespace by sock_diag, `<linux/inet_diag.h>`: requests for MPTCP connections, for their subflows,
 * for one of either, and for the end of one subflow.
 *
 * @module
 */
import { checkInteger, checkObject } from "./argument_checks.ts";
import { AF_INET, AF_INET6, IPPROTO_MPTCP, IPPROTO_TCP } from "./constants.ts";
import { parseIPv4, parseIPv6 } from "./ip.ts";
import { encodeMessage, NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST } from "./netlink.ts";
import { AttributeEncoder } from "./netlink_attributes.ts";
import type { Addr } from "./sockaddr.ts";
import { be16, struct, u32, u64, u8, viewOf } from "./struct.ts";

/** `#define SOCK_DIAG_BY_FAMILY 20` */
export const SOCK_DIAG_BY_FAMILY = 20;
/** `#define SOCK_DESTROY 21` */
export const SOCK_DESTROY = 21;

/** Extension of a reply: `struct tcp_info`, or for MPTCP `struct mptcp_info`; subflows' own data comes only with it. */
export const INET_DIAG_INFO = 2;
/** Extension of a reply: the name of the congestion control. */
export const INET_DIAG_CONG = 4;
/** Extension of a reply: `IP_TOS`. */
export const INET_DIAG_TOS = 5;
/** Extension of a reply: `IPV6_TCLASS`. */
export const INET_DIAG_TCLASS = 6;
/** Extension of a reply: memory in use, `SK_MEMINFO_*`. */
export const INET_DIAG_SKMEMINFO = 7;
/** Attribute of a request: the protocol, where it does not fit in a byte. */
const INET_DIAG_REQ_PROTOCOL = 3;
/** `#define INET_DIAG_NOCOOKIE (~0U)`, in both halves: any socket */
const NO_COOKIE = 0xffff_ffff_ffff_ffffn;

/** All states, as bits `1 << state`. */
export const ALL_STATES = 0xfff;
/** Connections that can carry data: all but listening, closed and waiting ones. */
export const CONNECTED_STATES: number = ALL_STATES & ~((1 << 0) | (1 << 6) | (1 << 7) | (1 << 10));
/** Listeners only. */
export const LISTEN_STATE: number = 1 << 10;

/** `struct inet_diag_req_v2` with its `struct inet_diag_sockid` */
const REQUEST = struct({
  sdiag_family: u8(0),
  sdiag_protocol: u8(1),
  idiag_ext: u8(2),
  idiag_states: u32(4),
  idiag_sport: be16(8),
  idiag_dport: be16(10),
  idiag_if: u32(44),
  idiag_cookie: u64(48),
});
const SRC_OFFSET = 12;
const DST_OFFSET = 28;

/** What names one TCP socket, exactly. A decoded socket can be given as it is. */
export interface SocketId {
  /** The family of the socket; with 6 the addresses may be IPv4, as an IPv6 socket can speak it. */
  family: 4 | 6;
  /** Our end. */
  local: Addr;
  /** The peer's end. */
  remote: Addr;
  /** The interface that the socket is bound to, 0 for none. The kernel finds a bound socket by no other number. */
  interfaceIndex: number;
  /** The kernel's number of the socket, never given twice. */
  cookie: bigint;
}

/** What a dump is about. */
export interface DumpOptions {
  /**
   * States by their bits, `1 << state`.
   *
   * @default {ALL_STATES}
   */
  states?: number;
  /**
   * What the reply tells besides the socket: `INET_DIAG_*`, up to 8.
   *
   * @default {[INET_DIAG_INFO]}
   */
  extensions?: readonly number[];
}

function extensionBits(extensions: readonly number[] = [INET_DIAG_INFO]): number {
  let bits = 0;
  for (const extension of extensions) {
    // idiag_ext has only 8 bits; the others come unasked, or with one of these.
    checkInteger("extension", extension, 1, 8);
    bits |= 1 << (extension - 1);
  }
  return bits;
}

function dumpRequest(family: 4 | 6, options: DumpOptions): Uint8Array<ArrayBuffer> {
  if (family !== 4 && family !== 6) throw new RangeError(`Cannot dump sockets of family ${family}: it must be 4 or 6`);
  checkObject("options", options);
  const { states = ALL_STATES, extensions } = options;
  checkInteger("states", states, 0, 0xffffffff);
  const bytes = new Uint8Array(REQUEST.size);
  REQUEST.encode(viewOf(bytes), 0, {
    sdiag_family: family === 4 ? AF_INET : AF_INET6,
    // 262 does not fit: for MPTCP an attribute says it, and what stands here does not matter.
    sdiag_protocol: IPPROTO_TCP,
    idiag_ext: extensionBits(extensions),
    idiag_states: states,
  });
  return bytes;
}

function mptcpProtocol(): Uint8Array<ArrayBuffer> {
  return new AttributeEncoder().u32(INET_DIAG_REQ_PROTOCOL, IPPROTO_MPTCP).finish();
}

/** Encodes the request for all MPTCP sockets of a family; unprivileged. The sequence number is 0, see `setSequence`. */
export function encodeDumpMptcp(family: 4 | 6, options: DumpOptions = {}): Uint8Array<ArrayBuffer> {
  const request = dumpRequest(family, options);
  return encodeMessage(SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_DUMP, request, mptcpProtocol());
}

/** Encodes the request for the connection of a local token, of either family; unprivileged. ENOENT if there is none. */
export function encodeGetMptcp(token: number): Uint8Array<ArrayBuffer> {
  checkInteger("token", token, 1, 0xffffffff);
  const request = dumpRequest(4, { states: 0xffffffff });
  // The kernel takes the first 32 bits of the cookie for the token.
  REQUEST.encode(viewOf(request), 0, { idiag_cookie: BigInt(token) });
  return encodeMessage(SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, request, mptcpProtocol());
}

/**
 * Encodes the request for all TCP sockets of a family, subflows among them; unprivileged. Without `INET_DIAG_INFO` among
 * the extensions the kernel does not tell which are subflows.
 */
export function encodeDumpTcp(family: 4 | 6, options: DumpOptions = {}): Uint8Array<ArrayBuffer> {
  return encodeMessage(SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_DUMP, dumpRequest(family, options));
}

/** Writes what names a socket; never a wildcard, with which the kernel may find another socket, even a listener. */
function exactRequest(id: SocketId, extensions: readonly number[]): Uint8Array<ArrayBuffer> {
  checkObject("socket", id);
  const { family, local, remote, interfaceIndex, cookie } = id;
  if (typeof cookie !== "bigint") throw new TypeError("Cannot name a socket without its cookie, a bigint");
  if (cookie <= 0n || cookie >= NO_COOKIE) {
    throw new RangeError(`Cannot name a socket by cookie ${cookie}: it must be the one that a dump told, never a wildcard`);
  }
  checkInteger("interfaceIndex", interfaceIndex, 0, 0x7fffffff);
  const bytes = dumpRequest(family, { states: 0xffffffff, extensions });
  writeAddresses(bytes, family, local, remote);
  REQUEST.encode(viewOf(bytes), 0, { idiag_if: interfaceIndex, idiag_cookie: cookie });
  return bytes;
}

function writeAddresses(request: Uint8Array, family: 4 | 6, local: Addr, remote: Addr): void {
  checkInteger("local port", local.port, 1, 65535);
  checkInteger("remote port", remote.port, 1, 65535);
  REQUEST.encode(viewOf(request), 0, { idiag_sport: local.port, idiag_dport: remote.port });
  request.set(addressBytes(local.hostname, family), SRC_OFFSET);
  request.set(addressBytes(remote.hostname, family), DST_OFFSET);
}

function addressBytes(hostname: string, family: 4 | 6): Uint8Array {
  const v4 = parseIPv4(hostname);
  if (v4 !== null && family === 4) return v4;
  const v6 = parseIPv6(v4 === null ? hostname : `::ffff:${hostname}`);
  if (v6 === null || family === 4) throw new TypeError(`Cannot use "${hostname}": it is not an IPv${family} address`);
  return v6;
}

/**
 * Encodes the request for exactly one TCP socket; ENOENT if it is no more.
 *
 * @param extensions What the reply tells besides the socket. @default {[INET_DIAG_INFO]}
 */
export function encodeGetTcp(id: SocketId, extensions: readonly number[] = [INET_DIAG_INFO]): Uint8Array<ArrayBuffer> {
  return encodeMessage(SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, exactRequest(id, extensions));
}

/**
 * Encodes the request for the TCP socket between two addresses, whatever its cookie; ENOENT if there is none that is not
 * bound to an interface. To look only: where there is no such connection, the kernel may answer with a listener.
 */
export function encodeFindTcp(family: 4 | 6, local: Addr, remote: Addr): Uint8Array<ArrayBuffer> {
  const bytes = dumpRequest(family, { states: 0xffffffff });
  writeAddresses(bytes, family, local, remote);
  REQUEST.encode(viewOf(bytes), 0, { idiag_cookie: NO_COOKIE });
  return encodeMessage(SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, bytes);
}

/**
 * Encodes the end of exactly one TCP socket: a subflow is reset, its connection goes on with the others. Needs CAP_NET_ADMIN.
 *
 * @throws {RangeError} When the cookie is a wildcard: where the connection is gone, the kernel would take a listener.
 */
export function encodeDestroyTcp(id: SocketId): Uint8Array<ArrayBuffer> {
  return encodeMessage(SOCK_DESTROY, NLM_F_REQUEST | NLM_F_ACK, exactRequest(id, []));
}
