/**
 * The MIB counters of MPTCP, `MPTcpExt` in /proc/net/netstat.
 *
 * @module
 */
import { readText } from "./proc.ts";

/**
 * Parses the counters out of /proc/net/netstat, which has them as two lines: the names, then the values.
 *
 * @param text The file's text.
 * @param section Which pair of lines. @default {"MPTcpExt"}
 */
export function parseCounters(text: string, section = "MPTcpExt"): Record<string, number> {
  const [names, values] = text.split("\n").filter((line) => line.startsWith(`${section}: `));
  const result: Record<string, number> = {};
  if (names === undefined || values === undefined) return result;
  const numbers = values.split(" ");
  for (const [index, name] of names.split(" ").entries()) {
    if (index > 0) result[name] = Number(numbers[index] ?? 0);
  }
  return result;
}

/**
 * The MPTCP counters of this network namespace since it was made, under the kernel's names (`nstat -az 'MPTcp*'` without
 * the prefix): how often connections were made, joined, fell back and why. Empty where the kernel has none.
 *
 * @example How many connections of this namespace fell back in the handshake?
 * ```ts no-assert
 * import { counters } from "@mptcp/mptcp";
 *
 * console.log(counters()["MPCapableFallbackSYNACK"] ?? 0);
 * ```
 */
export function counters(): Record<string, number> {
  return parseCounters(readText("/proc/net/netstat") ?? "");
}
