/**
 * `struct mptcp_info`: what the kernel tells about one connection, by getsockopt(SOL_MPTCP, MPTCP_INFO) and sock_diag.
 *
 * @module
 */
import { counter64, struct, u32, u64, u8, viewOf } from "./struct.ts";

/**
 * `struct mptcp_info` of `<linux/mptcp.h>`. A member is `undefined` where the running kernel is older than the field;
 * the version in brackets is the first that has it. Byte counts are of the connection's data, not of the wire.
 */
export interface MptcpInfo {
  /** Additional subflows in use, the initial one not counted. `mptcpi_subflows` (5.9) */
  subflows?: number;
  /** ADD_ADDR options sent, so addresses announced to the peer. `mptcpi_add_addr_signal` (5.9) */
  addAddrSignal?: number;
  /** ADD_ADDR options of the peer that were accepted. `mptcpi_add_addr_accepted` (5.9) */
  addAddrAccepted?: number;
  /** The kernel path manager's limit of additional subflows; 0 under the userspace one. `mptcpi_subflows_max` (5.9) */
  subflowsMax?: number;
  /** How many endpoints are announced to peers. `mptcpi_add_addr_signal_max` (5.9) */
  addAddrSignalMax?: number;
  /** How many ADD_ADDR of the peer may be accepted. `mptcpi_add_addr_accepted_max` (5.9) */
  addAddrAcceptedMax?: number;
  /** Bit 0: fell back to TCP; bit 1: the peer's key was received, so it spoke MPTCP. `mptcpi_flags` (5.9) */
  flags?: number;
  /** The local token: the connection's name in netlink commands and events. `mptcpi_token` (5.9) */
  token?: number;
  /** The next data sequence number to write. `mptcpi_write_seq` (5.9) */
  writeSeq?: bigint;
  /** The first data sequence number not yet acknowledged. `mptcpi_snd_una` (5.9) */
  sndUna?: bigint;
  /** The next data sequence number expected. `mptcpi_rcv_nxt` (5.9) */
  rcvNxt?: bigint;
  /** Local addresses in use besides the initial one. `mptcpi_local_addr_used` (5.12) */
  localAddrUsed?: number;
  /** How many endpoints may open subflows. `mptcpi_local_addr_max` (5.12) */
  localAddrMax?: number;
  /** 1 when data checksums are on. `mptcpi_csum_enabled` (5.14) */
  csumEnabled?: number;
  /** Retransmissions at the level of the connection. `mptcpi_retransmits` (6.5) */
  retransmits?: number;
  /** Bytes retransmitted at the level of the connection. `mptcpi_bytes_retrans` (6.5) */
  bytesRetrans?: number;
  /** Bytes sent. `mptcpi_bytes_sent` (6.5) */
  bytesSent?: number;
  /** Bytes received in order. `mptcpi_bytes_received` (6.5) */
  bytesReceived?: number;
  /** Bytes that the peer acknowledged. `mptcpi_bytes_acked` (6.5) */
  bytesAcked?: number;
  /** Live subflows, the initial one counted while it lives. `mptcpi_subflows_total` (6.8) */
  subflowsTotal?: number;
  /** How many endpoints are "laminar". `mptcpi_endp_laminar_max` (6.18) */
  endpLaminarMax?: number;
  /** Milliseconds since data was last sent. `mptcpi_last_data_sent` (6.10) */
  lastDataSent?: number;
  /** Milliseconds since data was last received. `mptcpi_last_data_recv` (6.10) */
  lastDataRecv?: number;
  /** Milliseconds since an acknowledgement was last received. `mptcpi_last_ack_recv` (6.10) */
  lastAckRecv?: number;
}

/** `MPTCP_INFO_FLAG_FALLBACK`: the connection is plain TCP. Never seen by getsockopt, which fails first; by sock_diag it is. */
export const MPTCP_INFO_FLAG_FALLBACK = 1;
/** `MPTCP_INFO_FLAG_REMOTE_KEY_RECEIVED`: the peer spoke MPTCP. */
export const MPTCP_INFO_FLAG_REMOTE_KEY_RECEIVED = 2;

const STRUCT = struct({
  subflows: u8(0),
  addAddrSignal: u8(1),
  addAddrAccepted: u8(2),
  subflowsMax: u8(3),
  addAddrSignalMax: u8(4),
  addAddrAcceptedMax: u8(5),
  flags: u32(8),
  token: u32(12),
  writeSeq: u64(16),
  sndUna: u64(24),
  rcvNxt: u64(32),
  localAddrUsed: u8(40),
  localAddrMax: u8(41),
  csumEnabled: u8(42),
  retransmits: u32(44),
  bytesRetrans: counter64(48),
  bytesSent: counter64(56),
  bytesReceived: counter64(64),
  bytesAcked: counter64(72),
  subflowsTotal: u8(80),
  endpLaminarMax: u8(81),
  lastDataSent: u32(84),
  lastDataRecv: u32(88),
  lastAckRecv: u32(92),
});

/** `sizeof(struct mptcp_info)` since Linux 6.10. */
export const MPTCP_INFO_SIZE: number = STRUCT.size;

/**
 * Decodes a `struct mptcp_info`.
 *
 * @param bytes The buffer; what lies behind the length that the kernel returned must not be in it, or `length` given.
 * @param length How many bytes the kernel returned. @default {bytes.length}
 */
export function decodeMptcpInfo(bytes: Uint8Array, length: number = bytes.length): MptcpInfo {
  return STRUCT.decode(viewOf(bytes), 0, Math.min(length, bytes.length));
}
