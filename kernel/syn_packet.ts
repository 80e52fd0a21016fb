/**
 * The packets of a TCP handshake as they are on the wire: which MPTCP option a SYN or a SYN-ACK carries, or where one was.
 * And what a packet socket needs to get them and nothing else.
 *
 * @module
 */
import { formatIPv4, formatIPv6 } from "./ip.ts";
import { be16, HOST_LITTLE_ENDIAN, struct, u16, viewOf } from "./struct.ts";

/** `<linux/socket.h>`: sockets that see packets; with SOCK_DGRAM from their IP header on. Needs CAP_NET_RAW. */
export const AF_PACKET = 17;
/** `<linux/if_ether.h>`: packets of every protocol, and only with this those that leave */
const ETH_P_ALL = 3;

/** `struct sockaddr_ll`, what is not zero of it */
const SOCKADDR_LL = struct({ sll_family: u16(0), sll_protocol: be16(2) });
/** `sizeof(struct sockaddr_ll)` */
const SOCKADDR_LL_SIZE = 20;

/** The address of every interface, for bind(2). */
export function encodePacketAddress(): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(SOCKADDR_LL_SIZE);
  SOCKADDR_LL.encode(viewOf(bytes), 0, { sll_family: AF_PACKET, sll_protocol: ETH_P_ALL });
  return bytes;
}

/** An IP header and a TCP header at their longest. */
export const SYN_PACKET_SIZE = 128;

/** `struct sock_filter`: code, jump if true, jump if false, operand. See `<linux/bpf_common.h>` for the codes. */
const PROGRAM: readonly (readonly [code: number, jt: number, jf: number, k: number])[] = [
  [0x30, 0, 0, 0], //       0  A = the first byte
  [0x74, 0, 0, 4], //       1  A >>= 4: the version of IP
  [0x15, 1, 0, 4], //       2  4: go to 4
  [0x15, 7, 12, 6], //      3  6: go to 11; else drop
  [0x30, 0, 0, 9], //       4  A = protocol
  [0x15, 0, 10, 6], //      5  not TCP: drop
  [0x28, 0, 0, 6], //       6  A = flags and offset of the fragment
  [0x45, 8, 0, 0x1fff], //  7  not the first fragment: drop
  [0xb1, 0, 0, 0], //       8  X = length of the IP header
  [0x50, 0, 0, 13], //      9  A = TCP flags
  [0x05, 0, 0, 3], //      10  go to 14
  [0x30, 0, 0, 6], //      11  A = next header
  [0x15, 0, 3, 6], //      12  not TCP: drop
  [0x30, 0, 0, 53], //     13  A = TCP flags
  [0x45, 0, 1, 0x02], //   14  not SYN: drop
  [0x06, 0, 0, SYN_PACKET_SIZE], // 15  take it
  [0x06, 0, 0, 0], //      16  drop
];

/** A packet filter that takes TCP packets with the SYN flag, as `struct sock_filter[]`. */
export function encodeSynFilter(): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(8 * PROGRAM.length);
  const view = viewOf(bytes);
  for (const [index, [code, jt, jf, k]] of PROGRAM.entries()) {
    view.setUint16(8 * index, code, HOST_LITTLE_ENDIAN);
    view.setUint8(8 * index + 2, jt);
    view.setUint8(8 * index + 3, jf);
    view.setUint32(8 * index + 4, k, HOST_LITTLE_ENDIAN);
  }
  return bytes;
}

/** `struct sock_fprog` with the filter at an address, for `SO_ATTACH_FILTER`. */
export function encodeFilterProgram(filter: Uint8Array, address: bigint): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(16);
  viewOf(bytes).setUint16(0, filter.length / 8, HOST_LITTLE_ENDIAN);
  viewOf(bytes).setBigUint64(8, address, HOST_LITTLE_ENDIAN);
  return bytes;
}

/** A SYN or a SYN-ACK. */
export interface SynPacket {
  /** The sender's address. */
  source: string;
  /** The sender's port. */
  sourcePort: number;
  /** The receiver's address. */
  destination: string;
  /** The receiver's port. */
  destinationPort: number;
  /** Whether it is the SYN-ACK. */
  ack: boolean;
  /**
   * Its MPTCP option: `"capable"` of a new connection (MP_CAPABLE), `"join"` of a further subflow (MP_JOIN), `"other"`;
   * `"erased"` where the option is not there but the room for it is, filled with padding; `"none"`.
   */
  mptcp: "capable" | "join" | "other" | "erased" | "none";
  /** The version of MPTCP that MP_CAPABLE names: 1 is RFC 8684, 0 is RFC 6824, which Linux does not speak. */
  version?: number;
  /** Flag C of MP_CAPABLE: the sender wants no further subflow to this address and port. */
  denyJoinId0?: boolean;
}

const TCPOPT_EOL = 0;
const TCPOPT_NOP = 1;
const TCPOPT_MPTCP = 30;
const MPTCPOPT_MP_CAPABLE = 0;
const MPTCPOPT_MP_JOIN = 1;
/** `#define MPTCP_CAP_DENY_JOIN_ID0 BIT(5)` */
const DENY_JOIN_ID0 = 0x20;
/** Nobody pads by more than 3 bytes at one place: options are aligned to 4. The shortest MPTCP option of a SYN has 4. */
const ERASED = 4;

/**
 * Decodes a packet that begins with its IP header.
 *
 * @returns `null` for what is no TCP packet with the SYN flag.
 */
export function decodeSynPacket(bytes: Uint8Array): SynPacket | null {
  const version = (bytes[0] ?? 0) >> 4;
  if (version !== 4 && version !== 6) return null;
  const tcp = version === 4 ? (bytes[0]! & 15) * 4 : 40;
  if (bytes.length < tcp + 20 || tcp < 20 || bytes[version === 4 ? 9 : 6] !== 6) return null;
  const view = viewOf(bytes);
  if (version === 4 && (view.getUint16(6) & 0x1fff) !== 0) return null;
  const flags = bytes[tcp + 13]!;
  if ((flags & 2) === 0) return null;
  const address = (v4: number, v6: number) => version === 4 ? formatIPv4(bytes, v4) : formatIPv6(bytes, v6);
  const end = Math.min(bytes.length, tcp + (bytes[tcp + 12]! >> 4) * 4);
  return {
    source: address(12, 8),
    sourcePort: view.getUint16(tcp),
    destination: address(16, 24),
    destinationPort: view.getUint16(tcp + 2),
    ack: (flags & 0x10) !== 0,
    ...readOptions(bytes.subarray(tcp + 20, Math.max(end, tcp + 20))),
  };
}

function readOptions(options: Uint8Array): Pick<SynPacket, "mptcp" | "version" | "denyJoinId0"> {
  let padding = 0;
  let erased = false;
  for (let at = 0; at < options.length;) {
    const kind = options[at]!;
    if (kind === TCPOPT_NOP) {
      erased ||= ++padding >= ERASED;
      at++;
      continue;
    }
    padding = 0;
    if (kind === TCPOPT_EOL) {
      erased ||= options.length - at >= ERASED;
      break;
    }
    const length = options[at + 1] ?? 0;
    if (length < 2 || at + length > options.length) break;
    if (kind === TCPOPT_MPTCP && length > 3) {
      const [head, flags] = [options[at + 2]!, options[at + 3]!];
      if (head >> 4 !== MPTCPOPT_MP_CAPABLE) return { mptcp: head >> 4 === MPTCPOPT_MP_JOIN ? "join" : "other" };
      return { mptcp: "capable", version: head & 15, denyJoinId0: (flags & DENY_JOIN_ID0) !== 0 };
    }
    at += length;
  }
  return { mptcp: erased ? "erased" : "none" };
}
