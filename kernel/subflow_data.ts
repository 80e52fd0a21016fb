/**
 * `struct mptcp_subflow_data`: the header of the two older per-subflow options, MPTCP_TCPINFO and MPTCP_SUBFLOW_ADDRS
 * (Linux 5.16), and the rows behind it.
 *
 * @module
 */
import { TCP_CLOSE } from "./constants.ts";
import type { SubflowRow } from "./mptcp_full_info.ts";
import { decodeSockaddr, SOCKADDR_STORAGE_SIZE } from "./sockaddr.ts";
import { struct, u32, viewOf } from "./struct.ts";
import { decodeTcpInfo } from "./tcp_info.ts";

const HEAD = struct({
  size_subflow_data: u32(0),
  num_subflows: u32(4),
  size_kernel: u32(8),
  size_user: u32(12),
});

/** `sizeof(struct mptcp_subflow_data)` */
export const SUBFLOW_DATA_SIZE: number = HEAD.size;
/** `sizeof(struct mptcp_subflow_addrs)`: two `sockaddr_storage` */
export const SUBFLOW_ADDRS_SIZE: number = 2 * SOCKADDR_STORAGE_SIZE;

/** Writes the header of a request for rows of `size` bytes. */
export function encodeSubflowData(buffer: Uint8Array, size: number): void {
  HEAD.encode(viewOf(buffer), 0, {
    size_subflow_data: SUBFLOW_DATA_SIZE,
    num_subflows: 0,
    size_kernel: 0,
    size_user: size,
  });
}

/** The rows of an answer: where they start, how far apart they lie, and how many are whole. */
function rowsOf(buffer: Uint8Array): { start: number; stride: number; count: number } {
  const { size_subflow_data: start = 0, num_subflows = 0, size_user: stride = 0 } = HEAD.decode(viewOf(buffer));
  if (stride === 0 || start < SUBFLOW_DATA_SIZE || start > buffer.length) return { start: 0, stride: 1, count: 0 };
  return { start, stride, count: Math.min(num_subflows, Math.floor((buffer.length - start) / stride)) };
}

/**
 * Puts the answers of both options together. They come from two calls: where a subflow came or went in between, the
 * surplus rows are left out.
 */
export function decodeSubflowData(tcpInfos: Uint8Array, addresses: Uint8Array): SubflowRow[] {
  const infos = rowsOf(tcpInfos);
  const addrs = rowsOf(addresses);
  const rows: SubflowRow[] = [];
  for (let index = 0; index < Math.min(infos.count, addrs.count); index++) {
    const base = addrs.start + index * addrs.stride;
    const tcpInfo = decodeTcpInfo(viewOf(tcpInfos), infos.start + index * infos.stride, infos.stride);
    const local = decodeSockaddr(addresses, base, SOCKADDR_STORAGE_SIZE);
    const remote = decodeSockaddr(addresses, base + SOCKADDR_STORAGE_SIZE, addrs.stride - SOCKADDR_STORAGE_SIZE);
    if (tcpInfo.state === TCP_CLOSE || local === null || remote === null) continue;
    rows.push({ id: index + 1, local, remote, tcpInfo });
  }
  return rows;
}
