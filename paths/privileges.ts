/**
 * What this process may do.
 *
 * @module
 */
import { system } from "../ffi/mod.ts";
import { AF_INET, IPPROTO_TCP, SOCK_CLOEXEC, SOCK_STREAM, TCP_REPAIR } from "../kernel/constants.ts";
import { readText } from "./proc.ts";

// <linux/capability.h>
const CAP_SYS_ADMIN = 21n;
const CAP_PERFMON = 38n;
const CAP_BPF = 39n;

/**
 * Whether the process has CAP_NET_ADMIN in the user namespace that owns its network namespace: what the path manager's
 * commands and events need. Asked by switching TCP_REPAIR off on a fresh socket, where it is off: nothing changes, but the
 * kernel checks just this capability in just this namespace.
 */
export function hasNetAdmin(): boolean {
  const libc = system()?.libc;
  if (!libc) return false;
  const fd = libc.socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
  if (fd < 0) return false;
  const result = libc.setInt(fd, IPPROTO_TCP, TCP_REPAIR, 0);
  libc.close(fd);
  return result === 0;
}

/**
 * Whether the capabilities in the text of /proc/self/status allow tracing programs (eBPF).
 *
 * @param status The text of /proc/self/status.
 * @param uidMap The text of /proc/self/uid_map: outside the initial user namespace capabilities do not count for eBPF.
 */
export function allowsBpf(status: string, uidMap: string): boolean {
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1];
  if (effective === undefined || !/^\s*0\s+0\s+4294967295\s*$/.test(uidMap)) return false;
  const set = BigInt(`0x${effective}`);
  const has = (capability: bigint) => (set >> capability & 1n) === 1n;
  return has(CAP_SYS_ADMIN) || (has(CAP_BPF) && has(CAP_PERFMON));
}

/** Whether the process may load tracing programs, as tuning one subflow's socket options needs. */
export function hasBpf(): boolean {
  const status = readText("/proc/self/status");
  const uidMap = readText("/proc/self/uid_map");
  return status !== null && uidMap !== null && allowsBpf(status, uidMap);
}
