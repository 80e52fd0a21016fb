/**
 * `struct mptcp_full_info`: one atomic snapshot of a connection and of all its subflows, by
 * getsockopt(SOL_MPTCP, MPTCP_FULL_INFO), since Linux 6.5.
 *
 * @module
 */
import { TCP_CLOSE } from "./constants.ts";
import { type Addr, decodeSockaddr, SOCKADDR_STORAGE_SIZE } from "./sockaddr.ts";
import { struct, u32, u64, viewOf } from "./struct.ts";
import { decodeTcpInfo, TCP_INFO_SIZE, type TcpInfo } from "./tcp_info.ts";

/** The head of `struct mptcp_full_info`, up to its embedded `struct mptcp_info`. */
const HEAD = struct({
  size_tcpinfo_kernel: u32(0),
  size_tcpinfo_user: u32(4),
  size_sfinfo_kernel: u32(8),
  size_sfinfo_user: u32(12),
  num_subflows: u32(16),
  size_arrays_user: u32(20),
  subflow_info: u64(24),
  tcp_info: u64(32),
});

/** Without the embedded `struct mptcp_info`: the kernel takes that as well. */
export const FULL_INFO_HEAD_SIZE: number = HEAD.size;

const ROW = struct({ id: u32(0) });
/** `sizeof(struct mptcp_subflow_info)`: 4 bytes of padding follow the id, as `sockaddr_storage` is 8-aligned. */
export const SUBFLOW_INFO_SIZE = 264;
const LOCAL_OFFSET = 8;
const REMOTE_OFFSET = LOCAL_OFFSET + SOCKADDR_STORAGE_SIZE;

/** One row of the snapshot. */
export interface SubflowRow {
  /** The kernel's creation counter, 1 for the initial subflow. */
  id: number;
  /** Our end. */
  local: Addr;
  /** The peer's end. */
  remote: Addr;
  /** What the kernel tells about the subflow's TCP. */
  tcpInfo: TcpInfo;
}

/** What a request says about its two arrays. */
export interface FullInfoArrays {
  /** How many rows both arrays can take. */
  capacity: number;
  /** The address of the array of `struct mptcp_subflow_info`. */
  subflowInfo: bigint;
  /** The address of the array of `struct tcp_info`. */
  tcpInfo: bigint;
}

/** Writes a request into `head`; the fields that the kernel wants zero are set so. */
export function encodeFullInfoRequest(head: Uint8Array, arrays: FullInfoArrays): void {
  HEAD.encode(viewOf(head), 0, {
    size_tcpinfo_kernel: 0,
    size_tcpinfo_user: TCP_INFO_SIZE,
    size_sfinfo_kernel: 0,
    size_sfinfo_user: SUBFLOW_INFO_SIZE,
    num_subflows: 0,
    size_arrays_user: arrays.capacity,
    subflow_info: arrays.subflowInfo,
    tcp_info: arrays.tcpInfo,
  });
}

/** What an answer says: how many subflows the kernel has, and how far apart the rows lie. */
export interface FullInfoHead {
  /** All subflows, more than the arrays hold when they were too small; dead ones are counted. */
  count: number;
  /** The stride of the rows of addresses. */
  subflowStride: number;
  /** The stride of the rows of tcp_info. */
  tcpStride: number;
}

/** Reads the head of an answer. */
export function decodeFullInfoHead(head: Uint8Array): FullInfoHead {
  const { num_subflows = 0, size_sfinfo_user = 0, size_tcpinfo_user = 0 } = HEAD.decode(viewOf(head));
  return { count: num_subflows, subflowStride: size_sfinfo_user, tcpStride: size_tcpinfo_user };
}

/**
 * Decodes the rows of an answer. Rows of dead subflows (state CLOSE), which the kernel keeps while the connection lives,
 * are left out, and so are rows that the arrays have no room for.
 */
export function decodeSubflowRows(head: FullInfoHead, subflowInfo: Uint8Array, tcpInfo: Uint8Array): SubflowRow[] {
  const rows: SubflowRow[] = [];
  if (head.subflowStride < REMOTE_OFFSET + 8 || head.tcpStride < 1) return rows;
  const held = Math.min(
    head.count,
    Math.floor(subflowInfo.length / head.subflowStride),
    Math.floor(tcpInfo.length / head.tcpStride),
  );
  const addresses = viewOf(subflowInfo);
  const infos = viewOf(tcpInfo);
  for (let index = 0; index < held; index++) {
    if (infos.getUint8(index * head.tcpStride) === TCP_CLOSE) continue;
    const base = index * head.subflowStride;
    const local = decodeSockaddr(subflowInfo, base + LOCAL_OFFSET, SOCKADDR_STORAGE_SIZE);
    const remote = decodeSockaddr(subflowInfo, base + REMOTE_OFFSET, head.subflowStride - REMOTE_OFFSET);
    if (local === null || remote === null) continue;
    rows.push({
      id: ROW.decode(addresses, base, head.subflowStride).id!,
      local,
      remote,
      tcpInfo: decodeTcpInfo(infos, index * head.tcpStride, head.tcpStride),
    });
  }
  return rows;
}
