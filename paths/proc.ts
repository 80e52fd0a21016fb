/**
 * Files of /proc, read by FFI: so no runtime asks for a permission of its own, and all three read alike.
 *
 * @module
 */
import { system } from "../ffi/mod.ts";
import { check } from "../kernel/error.ts";
import { SOCK_CLOEXEC } from "../kernel/constants.ts";

/** No file that is read as a text is larger. */
const MAX_TEXT = 1 << 20;

/** The text of a file, or `null` when it is not there or may not be read. */
export function readText(path: string): string | null {
  const bytes = readBytes(path, MAX_TEXT);
  return bytes && new TextDecoder().decode(bytes);
}

/** The bytes of a file, or `null` when it is not there, may not be read, or has `limit` bytes or more. */
export function readBytes(path: string, limit: number): Uint8Array | null {
  const libc = system()?.libc;
  if (!libc) return null;
  const fd = libc.open(path, SOCK_CLOEXEC); // O_RDONLY | O_CLOEXEC
  if (fd < 0) return null;
  try {
    let bytes = new Uint8Array(4096);
    let length = 0;
    for (;;) {
      const count = check(libc.read(fd, bytes.subarray(length)), "read", { address: path });
      if (count === 0) return bytes.subarray(0, length);
      length += count;
      if (length === bytes.length) {
        if (length >= limit) return null;
        const grown = new Uint8Array(bytes.length * 4);
        grown.set(bytes);
        bytes = grown;
      }
    }
  } catch {
    return null;
  } finally {
    libc.close(fd);
  }
}

/** A sysctl below `net.mptcp`, or `null` when this kernel does not have it. */
export function sysctl(name: string): string | null {
  return readText(`/proc/sys/net/mptcp/${name}`)?.trim() ?? null;
}

/** The names of the sysctls below `net.mptcp`, of Linux 5.6 to 7.3. */
export const SYSCTLS: readonly string[] = [
  "enabled",
  "path_manager",
  "available_path_managers",
  "pm_type",
  "scheduler",
  "available_schedulers",
  "checksum_enabled",
  "allow_join_initial_addr_port",
  "add_addr_timeout",
  "add_addr_v6_port_drop_ts",
  "stale_loss_cnt",
  "close_timeout",
  "blackhole_timeout",
  "syn_retrans_before_tcp_fallback",
];
