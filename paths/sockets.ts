/**
 * Every MPTCP connection of the network namespace, and what its subflows' own descriptors do not tell, by sock_diag.
 *
 * @module
 */
import { TCP_STATES } from "../kernel/constants.ts";
import {
  decodeMptcpSocket,
  decodeTcpSocket,
  decodeTcpSocketInfo,
  type MptcpDiagSocket,
  type SubflowDiag,
  type TcpDiagSocket,
} from "../kernel/diag_socket.ts";
import { CONNECTED_STATES, encodeDumpMptcp, encodeDumpTcp, encodeFindTcp, encodeGetMptcp } from "../kernel/inet_diag.ts";
import type { MptcpInfo } from "../kernel/mptcp_info.ts";
import { NETLINK_SOCK_DIAG, type NetlinkMessage } from "../kernel/netlink.ts";
import type { Addr } from "../kernel/sockaddr.ts";
import type { TcpInfo } from "../kernel/tcp_info.ts";
import { NetlinkSocket } from "./netlink_socket.ts";

/** A subflow of any connection of the namespace. Its kernel-wide name is `cookie`: the creation counter is not told here. */
export interface ConnectionSubflow {
  /** Our end. */
  local: Addr;
  /** The peer's end. */
  remote: Addr;
  /** The id of our address in this connection; `undefined` where the kernel will not tell. */
  localId: number | undefined;
  /** The id of the peer's address in this connection; `undefined` where the kernel will not tell. */
  remoteId: number | undefined;
  /** Whether one of the two sides wants it for a backup only; `undefined` where the kernel will not tell. */
  backup: boolean | undefined;
  /** The TCP state under the name that `ss` prints, such as `"ESTABLISHED"`. */
  state: string;
  /** The interface that it is bound to, 0 for none. */
  interfaceIndex: number;
  /** The kernel's number of the socket, never given twice. */
  cookie: bigint;
  /** What the kernel tells about its TCP; decoded when it is looked at. */
  readonly tcpInfo: TcpInfo;
}

/** An MPTCP connection of the namespace. */
export interface MptcpConnection {
  /** The local token: the connection's name in netlink commands and events. */
  token: number;
  /** Our end of the initial subflow. */
  local: Addr;
  /** The peer's end of the initial subflow. */
  remote: Addr;
  /** The state of the connection, such as `"ESTABLISHED"`. */
  state: string;
  /** `st_ino` of its descriptor; 0 when no process holds it any more. */
  inode: number;
  /** The user it belongs to. */
  uid: number;
  /** The memory that waits to be read, as `ss -M` shows it: more than its bytes, which the kernel does not tell. */
  receiveQueue: number;
  /** Bytes that were written and are not acknowledged; after a fallback, those that are not sent. */
  sendQueue: number;
  /** Whether it has fallen back to plain TCP. */
  fallback: boolean;
  /** What the kernel tells about the whole connection. */
  info: MptcpInfo;
  /** Its subflows. On kernels up to 6.12 the kernel tells only a process with CAP_NET_ADMIN which they are. */
  subflows: ConnectionSubflow[];
}

const stateName = (state: number): string => TCP_STATES[state] ?? "UNKNOWN";

/**
 * Every MPTCP connection of this network namespace, of all processes, with its subflows. Needs no privileges.
 *
 * @throws {MptcpError} `ENOENT`, when the kernel was built without CONFIG_INET_MPTCP_DIAG.
 *
 * @example List them as `ss -M` does
 * ```ts
 * import { connections } from "@mptcp/mptcp";
 *
 * for (const { token, local, remote, subflows } of connections()) {
 *   console.log(token.toString(16), local.port, remote.port, subflows.map((each) => each.remote.hostname));
 * }
 * ```
 */
export function connections(): MptcpConnection[] {
  using socket = new NetlinkSocket(NETLINK_SOCK_DIAG);
  const dump = (message: Uint8Array) => socket.request(message, "list sockets").messages;
  const options = { states: CONNECTED_STATES };
  // The subflows first: one that is opened in between is missing, but none is there without its connection.
  const tcp = ([4, 6] as const).flatMap((family) => dump(encodeDumpTcp(family, options)));
  const mptcp = ([4, 6] as const).flatMap((family) => dump(encodeDumpMptcp(family, options)));
  const byToken = new Map<number, ConnectionSubflow[]>();
  for (const message of tcp) {
    const found = decodeTcpSocket(message, false);
    if (found.subflow === undefined) continue;
    const list = byToken.get(found.subflow.tokenLocal);
    if (list) list.push(toSubflow(found, message));
    else byToken.set(found.subflow.tokenLocal, [toSubflow(found, message)]);
  }
  return mptcp.map(decodeMptcpSocket).flatMap((socket) => toConnection(socket, byToken));
}

function toConnection(socket: MptcpDiagSocket, byToken: ReadonlyMap<number, ConnectionSubflow[]>): MptcpConnection[] {
  const { mptcpInfo: info, local, remote, state, inode, uid, receiveQueue, sendQueue } = socket;
  if (!info?.token) return []; // not connected yet
  return [{
    token: info.token,
    local,
    remote,
    state: stateName(state),
    inode,
    uid,
    receiveQueue,
    // The kernel's own number counts what no subflow has taken over yet, which is next to nothing.
    sendQueue: info.writeSeq === undefined || info.sndUna === undefined ? sendQueue : Number(info.writeSeq - info.sndUna),
    fallback: ((info.flags ?? 0) & 1) !== 0,
    info,
    subflows: byToken.get(info.token) ?? [],
  }];
}

function toSubflow(socket: TcpDiagSocket, message: NetlinkMessage): ConnectionSubflow {
  const { local, remote, state, interfaceIndex, cookie, subflow } = socket;
  let tcpInfo: TcpInfo | undefined;
  return {
    local,
    remote,
    localId: subflow?.idLocal,
    remoteId: subflow?.idRemote,
    backup: subflow && isBackup(subflow),
    state: stateName(state),
    interfaceIndex,
    cookie,
    get tcpInfo() {
      return tcpInfo ??= decodeTcpSocketInfo(message) ?? {};
    },
  };
}

/** Finds one connection by its local token; `null` when there is none. Costs the same however many there are. */
export function findConnection(token: number): MptcpDiagSocket | null {
  using socket = new NetlinkSocket(NETLINK_SOCK_DIAG);
  try {
    const [message] = socket.request(encodeGetMptcp(token), "find a connection").messages;
    return message === undefined ? null : decodeMptcpSocket(message);
  } catch (error) {
    if ((error as { code?: string }).code === "ENOENT") return null;
    throw error;
  }
}

/** A subflow is a backup when either side says so: the scheduler heeds both. */
export function isBackup({ backupLocal, backupRemote }: SubflowDiag): boolean {
  return backupLocal || backupRemote;
}

/**
 * Finds the TCP socket of a subflow by its addresses.
 *
 * @returns `null` when there is none, or the kernel does not tell that it is a subflow.
 */
export function findSubflow(local: Addr, remote: Addr): (TcpDiagSocket & { subflow: SubflowDiag }) | null {
  using socket = new NetlinkSocket(NETLINK_SOCK_DIAG);
  // An IPv6 socket may speak IPv4: then it is found under that family only.
  const families = local.hostname.includes(":") ? [6] as const : [4, 6] as const;
  const isIt = (found: TcpDiagSocket): found is TcpDiagSocket & { subflow: SubflowDiag } =>
    found.subflow !== undefined && samePlace(found.local, local) && samePlace(found.remote, remote);
  for (const family of families) {
    try {
      const [message] = socket.request(encodeFindTcp(family, local, remote), "find a subflow").messages;
      const found = message && decodeTcpSocket(message, false);
      if (found && isIt(found)) return found;
    } catch (error) {
      if ((error as { code?: string }).code !== "ENOENT") throw error;
    }
  }
  // The kernel finds a socket that is bound to an interface only by that interface, which only a list tells.
  for (const family of families) {
    for (const message of socket.request(encodeDumpTcp(family, { states: CONNECTED_STATES }), "list sockets").messages) {
      const found = decodeTcpSocket(message, false);
      if (isIt(found)) return found;
    }
  }
  return null;
}

function samePlace(a: Addr, b: Addr): boolean {
  return a.port === b.port && a.hostname === b.hostname.replace(/%.*/, "");
}
