/**
 * What sock_diag answers: `struct inet_diag_msg` and the attributes behind it, for MPTCP sockets and for their subflows.
 *
 * @module
 */
import { AF_INET, AF_INET6 } from "./constants.ts";
import { formatIPv4, formatIPv6, isV4Mapped } from "./ip.ts";
import { decodeMptcpInfo, type MptcpInfo } from "./mptcp_info.ts";
import { messageAttributes, type NetlinkMessage } from "./netlink.ts";
import { type AttributeDecoder, malformed } from "./netlink_attributes.ts";
import type { Addr } from "./sockaddr.ts";
import { HOST_LITTLE_ENDIAN } from "./struct.ts";
import { decodeTcpInfo, type TcpInfo } from "./tcp_info.ts";
import { decodeSubflowDiag, type SubflowDiag } from "./subflow_diag.ts";

export type { SubflowDiag };

/** `sizeof(struct inet_diag_msg)` */
const MSG_SIZE = 72;

const INET_DIAG_INFO = 2;
const INET_DIAG_CONG = 4;
const INET_DIAG_TOS = 5;
const INET_DIAG_TCLASS = 6;
const INET_DIAG_SKMEMINFO = 7;
const INET_DIAG_MARK = 15;
const INET_DIAG_ULP_INFO = 19;
const INET_DIAG_CGROUP_ID = 21;

const INET_ULP_INFO_NAME = 1;
const INET_ULP_INFO_MPTCP = 3;

/** Memory of a socket, bytes: `SK_MEMINFO_*` of `<linux/sock_diag.h>`. */
export interface SocketMemory {
  /** Received data not yet read, with its overhead. `SK_MEMINFO_RMEM_ALLOC` */
  receiveAllocated: number;
  /** Limit of the above. `SK_MEMINFO_RCVBUF` */
  receiveBuffer: number;
  /** Data on its way to the device. `SK_MEMINFO_WMEM_ALLOC` */
  sendAllocated: number;
  /** Limit of the send queue. `SK_MEMINFO_SNDBUF` */
  sendBuffer: number;
  /** Reserved ahead. `SK_MEMINFO_FWD_ALLOC` */
  forwardAllocated: number;
  /** Data in the send queue, with its overhead. `SK_MEMINFO_WMEM_QUEUED` */
  sendQueued: number;
  /** Used by options. `SK_MEMINFO_OPTMEM` */
  options: number;
  /** Packets not yet taken in. `SK_MEMINFO_BACKLOG` */
  backlog: number;
  /** Packets dropped, a count. `SK_MEMINFO_DROPS` */
  drops: number;
}

/** A socket, as sock_diag tells it. */
export interface DiagSocket {
  /** The family of the socket; `local` and `remote` are IPv4 also with 6, where an IPv6 socket speaks IPv4. */
  family: 4 | 6;
  /** The TCP state, 1 for ESTABLISHED, see `TCP_STATES`. `idiag_state` */
  state: number;
  /** Our end. `idiag_src`, `idiag_sport` */
  local: Addr;
  /** The peer's end; all zeros for a listener. `idiag_dst`, `idiag_dport` */
  remote: Addr;
  /** The interface that the socket is bound to, 0 for none. `idiag_if` */
  interfaceIndex: number;
  /** The kernel's number of the socket, also `SO_COOKIE`; never given twice. `idiag_cookie` */
  cookie: bigint;
  /** Which timer runs: 0 none, 1 retransmission, 2 keep-alive, 3 TIME_WAIT, 4 zero window probe. `idiag_timer` */
  timer: number;
  /** When the timer expires, ms. `idiag_expires` */
  expires: number;
  /** Retransmissions or probes without an answer so far. `idiag_retrans` */
  retransmits: number;
  /** Bytes to be read; of a listener, connections to be accepted. `idiag_rqueue` */
  receiveQueue: number;
  /** Bytes not acknowledged; of a listener, its backlog. `idiag_wqueue` */
  sendQueue: number;
  /** The user it belongs to. `idiag_uid` */
  uid: number;
  /** `st_ino` of the descriptor: subflows have their connection's. 0 for sockets without one. `idiag_inode` */
  inode: number;
  /** Memory in use. `INET_DIAG_SKMEMINFO` */
  memory?: SocketMemory;
  /** `IP_TOS`. `INET_DIAG_TOS` */
  tos?: number;
  /** `IPV6_TCLASS`. `INET_DIAG_TCLASS` */
  trafficClass?: number;
  /** `SO_MARK`; only told with CAP_NET_ADMIN. `INET_DIAG_MARK` */
  mark?: number;
  /** The control group. `INET_DIAG_CGROUP_ID` */
  cgroupId?: bigint;
}

/** An MPTCP socket: a connection or a listener. */
export interface MptcpDiagSocket extends DiagSocket {
  /** What the kernel tells about the connection; all zeros for a listener. `INET_DIAG_INFO` */
  mptcpInfo?: MptcpInfo;
}

/** A TCP socket, which may be a subflow. */
export interface TcpDiagSocket extends DiagSocket {
  /** What the kernel tells about its TCP; not decoded unless asked for. `INET_DIAG_INFO` */
  tcpInfo?: TcpInfo;
  /** The name of the congestion control. `INET_DIAG_CONG` */
  congestion?: string;
  /** The upper-layer protocol: `"mptcp"` for subflows and for listeners' TCP side, `"tls"`. `INET_ULP_INFO_NAME` */
  ulp?: string;
  /** What the kernel tells about the subflow, if it is one. `INET_ULP_INFO_MPTCP` */
  subflow?: SubflowDiag;
}

function addr(bytes: Uint8Array, at: number, v4: boolean, port: number): Addr {
  let hostname: string;
  if (v4) hostname = formatIPv4(bytes, at);
  else hostname = isV4Mapped(bytes, at) ? formatIPv4(bytes, at + 12) : formatIPv6(bytes, at);
  return { transport: "tcp", hostname, port };
}

/** The fixed part. */
function decodeHead({ bytes, view, start, end }: NetlinkMessage): DiagSocket {
  if (end - start < MSG_SIZE) throw malformed("a socket", `it has ${end - start} bytes, and needs ${MSG_SIZE}`);
  const family = view.getUint8(start);
  if (family !== AF_INET && family !== AF_INET6) throw malformed("a socket", `its family is ${family}`);
  const v4 = family === AF_INET;
  return {
    family: v4 ? 4 : 6,
    state: view.getUint8(start + 1),
    local: addr(bytes, start + 8, v4, view.getUint16(start + 4)),
    remote: addr(bytes, start + 24, v4, view.getUint16(start + 6)),
    interfaceIndex: view.getUint32(start + 40, HOST_LITTLE_ENDIAN),
    cookie: view.getBigUint64(start + 44, HOST_LITTLE_ENDIAN),
    timer: view.getUint8(start + 2),
    expires: view.getUint32(start + 52, HOST_LITTLE_ENDIAN),
    retransmits: view.getUint8(start + 3),
    receiveQueue: view.getUint32(start + 56, HOST_LITTLE_ENDIAN),
    sendQueue: view.getUint32(start + 60, HOST_LITTLE_ENDIAN),
    uid: view.getUint32(start + 64, HOST_LITTLE_ENDIAN),
    inode: view.getUint32(start + 68, HOST_LITTLE_ENDIAN),
  };
}

/** Takes an attribute that both kinds of sockets have. */
function takeAttribute(socket: DiagSocket, attributes: AttributeDecoder): void {
  switch (attributes.type) {
    case INET_DIAG_TOS:
      socket.tos = attributes.u8();
      break;
    case INET_DIAG_TCLASS:
      socket.trafficClass = attributes.u8();
      break;
    case INET_DIAG_SKMEMINFO:
      socket.memory = decodeMemory(attributes);
      break;
    case INET_DIAG_MARK:
      socket.mark = attributes.u32();
      break;
    case INET_DIAG_CGROUP_ID:
      socket.cgroupId = attributes.u64();
      break;
  }
}

function decodeMemory(attributes: AttributeDecoder): SocketMemory {
  const words = new Uint32Array(attributes.bytes(36).buffer);
  const word = (index: number) => words[index]!;
  return {
    receiveAllocated: word(0),
    receiveBuffer: word(1),
    sendAllocated: word(2),
    sendBuffer: word(3),
    forwardAllocated: word(4),
    sendQueued: word(5),
    options: word(6),
    backlog: word(7),
    drops: word(8),
  };
}

/**
 * Decodes an MPTCP socket, of `encodeDumpMptcp` or `encodeGetMptcp`.
 *
 * @throws {MptcpError} `EBADMSG`, when the message is malformed.
 */
export function decodeMptcpSocket(message: NetlinkMessage): MptcpDiagSocket {
  const socket: MptcpDiagSocket = decodeHead(message);
  const attributes = messageAttributes(message, MSG_SIZE);
  while (attributes.next()) {
    if (attributes.type === INET_DIAG_INFO) socket.mptcpInfo = decodeMptcpInfo(attributes.bytes());
    else takeAttribute(socket, attributes);
  }
  return socket;
}

/**
 * Decodes a TCP socket, of `encodeDumpTcp` or `encodeGetTcp`.
 *
 * @param message One message of the answer.
 * @param withInfo Whether to decode `tcpInfo` too. Its sixty fields take longer than all the rest: for a long list better
 * leave it out, and call {@linkcode decodeTcpSocketInfo} for those that somebody looks at. @default {true}
 * @throws {MptcpError} `EBADMSG`, when the message is malformed.
 */
export function decodeTcpSocket(message: NetlinkMessage, withInfo = true): TcpDiagSocket {
  const socket: TcpDiagSocket = decodeHead(message);
  const attributes = messageAttributes(message, MSG_SIZE);
  while (attributes.next()) {
    switch (attributes.type) {
      case INET_DIAG_INFO:
        if (withInfo) socket.tcpInfo = decodeTcpInfo(message.view, attributes.start, attributes.size);
        break;
      case INET_DIAG_CONG:
        socket.congestion = attributes.cstring();
        break;
      case INET_DIAG_ULP_INFO:
        takeUlp(socket, attributes.nested());
        break;
      default:
        takeAttribute(socket, attributes);
    }
  }
  return socket;
}

/** Decodes the `tcpInfo` of a TCP socket, which {@linkcode decodeTcpSocket} was told to leave out. */
export function decodeTcpSocketInfo(message: NetlinkMessage): TcpInfo | undefined {
  const attributes = messageAttributes(message, MSG_SIZE);
  while (attributes.next()) {
    if (attributes.type === INET_DIAG_INFO) return decodeTcpInfo(message.view, attributes.start, attributes.size);
  }
  return undefined;
}

function takeUlp(socket: TcpDiagSocket, attributes: AttributeDecoder): void {
  while (attributes.next()) {
    if (attributes.type === INET_ULP_INFO_NAME) socket.ulp = attributes.cstring();
    if (attributes.type === INET_ULP_INFO_MPTCP) socket.subflow = decodeSubflowDiag(attributes.nested());
  }
}
