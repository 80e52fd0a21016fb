/**
 * What the kernel tells about one connection, by its descriptor. Every function asks anew: a connection may fall back to
 * TCP at any time, and no event tells.
 *
 * @module
 */
import { system } from "../ffi/mod.ts";
import {
  AF_INET,
  IPPROTO_MPTCP,
  IPPROTO_TCP,
  MPTCP_FULL_INFO,
  MPTCP_INFO,
  MPTCP_SUBFLOW_ADDRS,
  MPTCP_TCPINFO,
  SO_PROTOCOL,
  SOCK_CLOEXEC,
  SOCK_STREAM,
  SOL_MPTCP,
  SOL_SOCKET,
  TCP_CLOSE,
  TCP_INFO,
  TCP_IS_MPTCP,
  TCP_STATES,
} from "../kernel/constants.ts";
import { ENOTCONN, EOPNOTSUPP } from "../kernel/errno.ts";
import { check } from "../kernel/error.ts";
import {
  decodeFullInfoHead,
  decodeSubflowRows,
  encodeFullInfoRequest,
  FULL_INFO_HEAD_SIZE,
  SUBFLOW_INFO_SIZE,
  type SubflowRow,
} from "../kernel/mptcp_full_info.ts";
import { decodeMptcpInfo, type MptcpInfo } from "../kernel/mptcp_info.ts";
import { type Addr, decodeSockaddr, SOCKADDR_STORAGE_SIZE } from "../kernel/sockaddr.ts";
import { decodeSubflowData, encodeSubflowData, SUBFLOW_ADDRS_SIZE, SUBFLOW_DATA_SIZE } from "../kernel/subflow_data.ts";
import { viewOf } from "../kernel/struct.ts";
import { decodeTcpInfo, TCP_INFO_SIZE, type TcpInfo } from "../kernel/tcp_info.ts";
import { findSubflow, isBackup } from "./sockets.ts";

/** One TCP path of a connection. */
export interface Subflow {
  /**
   * The kernel's creation counter: 1 is the initial subflow, and no number is used again. 0 for the one entry of a
   * connection that is plain TCP.
   */
  id: number;
  /** Our end. */
  local: Addr;
  /** The peer's end. */
  remote: Addr;
  /**
   * The id of the local address, as path-manager commands use it. It and the next two are asked of the kernel when they are
   * looked at first; `undefined` where it will not tell (up to Linux 6.12 without CAP_NET_ADMIN), and when the subflow is gone.
   */
  readonly localId: number | undefined;
  /** The id of the peer's address. */
  readonly remoteId: number | undefined;
  /** Used only while no other subflow works: either side said so. */
  readonly backup: boolean | undefined;
  /** The TCP state under the name that `ss` prints, such as `"ESTABLISHED"`. */
  state: string;
  /** What the kernel tells about the subflow's TCP. */
  tcpInfo: TcpInfo;
}

/** More than any `struct mptcp_info` known, so that the kernel tells all that it has. */
const INFO_CAPACITY = 256;
/** The rows asked for at first; the kernel of 2026 makes at most 8 additional subflows. */
const FIRST_ROWS = 16;

const infoBuffer = new Uint8Array(INFO_CAPACITY);
const nameBuffer = new Uint8Array(SOCKADDR_STORAGE_SIZE);
const tcpInfoBuffer = new Uint8Array(512);
const NOTHING = new Uint8Array(0);

/** libc, on a host where descriptors of ours exist at all. */
const libc = () => system()!.libc;

/** Our end of the socket. For a connection that is the initial subflow's, even when that is gone. */
export function localAddress(fd: number): Addr {
  const length = check(libc().getsockname(fd, nameBuffer), "getsockname");
  return addressOf(length);
}

/** The peer's end of the initial subflow. */
export function peerAddress(fd: number): Addr {
  const length = check(libc().getpeername(fd, nameBuffer), "getpeername");
  return addressOf(length);
}

function addressOf(length: number): Addr {
  return decodeSockaddr(nameBuffer, 0, length) ?? { transport: "tcp", hostname: "", port: 0 };
}

/** Whether the socket was made as MPTCP; a connection stays so after a fallback, but an accepted TCP client is none. */
export function madeAsMptcp(fd: number): boolean {
  return libc().getInt(fd, SOL_SOCKET, SO_PROTOCOL) === IPPROTO_MPTCP;
}

/**
 * Whether a *connected* socket speaks MPTCP now. Kernels since 6.10 say so outright; older ones by whether MPTCP_INFO, asked
 * for nothing, is refused (5.16); before that only how the socket was made is known.
 */
export function isMptcp(fd: number): boolean {
  const answer = libc().getInt(fd, IPPROTO_TCP, TCP_IS_MPTCP);
  if (answer >= 0) return answer === 1;
  if (answer !== -EOPNOTSUPP) return false; // the option is unknown to a plain TCP socket
  if (libc().getsockopt(fd, SOL_MPTCP, MPTCP_INFO, NOTHING) >= 0) return true;
  return !knowsMptcpInfo() && madeAsMptcp(fd);
}

let mptcpInfoKnown: boolean | undefined;

/** Whether this kernel has MPTCP_INFO at all: a fresh MPTCP socket answers it. */
function knowsMptcpInfo(): boolean {
  if (mptcpInfoKnown !== undefined) return mptcpInfoKnown;
  const fd = libc().socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_MPTCP);
  if (fd < 0) return false;
  mptcpInfoKnown = libc().getsockopt(fd, SOL_MPTCP, MPTCP_INFO, NOTHING) >= 0;
  libc().close(fd);
  return mptcpInfoKnown;
}

/** `struct mptcp_info` of a connection, or `null` when it is plain TCP. */
export function mptcpInfo(fd: number): MptcpInfo | null {
  const length = libc().getsockopt(fd, SOL_MPTCP, MPTCP_INFO, infoBuffer);
  return length < 0 ? null : decodeMptcpInfo(infoBuffer, length);
}

/** The connection's local token, or `null` when it is plain TCP. */
export function token(fd: number): number | null {
  return mptcpInfo(fd)?.token ?? null;
}

/** `struct tcp_info` by the socket's own option: of an MPTCP connection that is the initial subflow's. */
export function tcpInfo(fd: number): TcpInfo {
  const length = check(libc().getsockopt(fd, IPPROTO_TCP, TCP_INFO, tcpInfoBuffer), "getsockopt");
  return decodeTcpInfo(viewOf(tcpInfoBuffer), 0, length);
}

/**
 * The buffers of one MPTCP_FULL_INFO request. They stay allocated, as the kernel writes through their addresses, and grow
 * when a connection has more subflows than they hold.
 */
class Snapshot {
  readonly capacity: number;
  readonly head: Uint8Array;
  readonly subflowInfo: Uint8Array;
  readonly tcpInfo: Uint8Array;

  constructor(capacity: number) {
    this.capacity = capacity;
    // Buffers of their own: an array that V8 keeps inside its heap could move while the kernel holds its address.
    this.head = new Uint8Array(new ArrayBuffer(FULL_INFO_HEAD_SIZE + 88));
    this.subflowInfo = new Uint8Array(new ArrayBuffer(capacity * SUBFLOW_INFO_SIZE));
    this.tcpInfo = new Uint8Array(new ArrayBuffer(capacity * TCP_INFO_SIZE));
  }

  /** Asks for a connection's rows; `null` where this kernel or this connection has none. */
  read(fd: number): SubflowRow[] | null {
    const head = this.head.subarray(0, FULL_INFO_HEAD_SIZE);
    encodeFullInfoRequest(head, {
      capacity: this.capacity,
      subflowInfo: libc().addressOf(this.subflowInfo),
      tcpInfo: libc().addressOf(this.tcpInfo),
    });
    if (libc().getsockopt(fd, SOL_MPTCP, MPTCP_FULL_INFO, head) < 0) return null;
    const answer = decodeFullInfoHead(head);
    if (answer.count > this.capacity) {
      snapshot = new Snapshot(answer.count * 2);
      return snapshot.read(fd);
    }
    return decodeSubflowRows(answer, this.subflowInfo, this.tcpInfo);
  }
}

let snapshot: Snapshot | undefined;

/**
 * The rows by the two older options, for kernels from 5.16 to 6.4, which have no MPTCP_FULL_INFO. The kernel gives no ids
 * there: the position stands in for it, and it changes when an earlier subflow goes.
 */
export function rowsByTwoCalls(fd: number): SubflowRow[] | null {
  const infos = new Uint8Array(SUBFLOW_DATA_SIZE + FIRST_ROWS * TCP_INFO_SIZE);
  const addresses = new Uint8Array(SUBFLOW_DATA_SIZE + FIRST_ROWS * SUBFLOW_ADDRS_SIZE);
  encodeSubflowData(infos, TCP_INFO_SIZE);
  encodeSubflowData(addresses, SUBFLOW_ADDRS_SIZE);
  const infoLength = libc().getsockopt(fd, SOL_MPTCP, MPTCP_TCPINFO, infos);
  const addressLength = libc().getsockopt(fd, SOL_MPTCP, MPTCP_SUBFLOW_ADDRS, addresses);
  if (infoLength < 0 || addressLength < 0) return null;
  return decodeSubflowData(infos.subarray(0, infoLength), addresses.subarray(0, addressLength));
}

/**
 * The live subflows of a connection, one entry with id 0 when it is plain TCP.
 *
 * One atomic read of the kernel, without privileges. Rows of dead subflows are left out.
 */
export function subflows(fd: number): Subflow[] {
  const rows = (snapshot ??= new Snapshot(FIRST_ROWS)).read(fd) ?? rowsByTwoCalls(fd);
  if (rows !== null) return rows.map(toSubflow);
  const info = tcpInfo(fd);
  if (info.state === TCP_CLOSE) return [];
  // After a fallback the connection may have ended before its one TCP socket has.
  const length = libc().getpeername(fd, nameBuffer);
  if (length === -ENOTCONN) return [];
  const remote = addressOf(check(length, "getpeername"));
  return [toSubflow({ id: 0, local: localAddress(fd), remote, tcpInfo: info })];
}

/**
 * What the subflow's own row does not tell is asked of sock_diag, and only when somebody looks: it costs more than all the
 * rest.
 */
function toSubflow({ id, local, remote, tcpInfo }: SubflowRow): Subflow {
  let asked: ReturnType<typeof findSubflow> | undefined;
  const diag = () => {
    if (asked === undefined) asked = id === 0 ? null : askSubflow(local, remote);
    return asked?.subflow;
  };
  return {
    id,
    local,
    remote,
    get localId() {
      return diag()?.idLocal;
    },
    get remoteId() {
      return diag()?.idRemote;
    },
    get backup() {
      const found = diag();
      return found && isBackup(found);
    },
    state: TCP_STATES[tcpInfo.state ?? 0] ?? "UNKNOWN",
    tcpInfo,
  };
}

/** As `findSubflow`, but a host that does not tell (no sock_diag, a policy) is no failure here. */
function askSubflow(local: Addr, remote: Addr): ReturnType<typeof findSubflow> {
  try {
    return findSubflow(local, remote);
  } catch {
    return null;
  }
}

/** The one entry of a connection whose kernel cannot be asked: plain TCP on a host without FFI. */
export function plainSubflow(local: Addr, remote: Addr): Subflow {
  return toSubflow({ id: 0, local, remote, tcpInfo: {} });
}
