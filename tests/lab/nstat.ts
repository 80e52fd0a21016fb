/**
 * The MPTCP counters of a host by `nstat`, to see by the kernel's own count what was sent and received.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import type { Host } from "../host.ts";
import { until } from "./until.ts";

/** Counters by their names without `MPTcpExt`; those that are 0 are left out. */
export type Counters = Readonly<Record<string, number>>;

/** The counters of a host's namespace since it was made. */
export async function nstat(host: Host): Promise<Counters> {
  const text = await host.run("nstat", ["-asj", "MPTcpExt*"]);
  const { kernel } = JSON.parse(text) as { kernel: Record<string, number> };
  return Object.fromEntries(Object.entries(kernel).map(([name, value]) => [name.replace("MPTcpExt", ""), value]));
}

/**
 * Waits until counters have grown by just so much: what is sent counts when it is sent, an echo of it only when it is back.
 *
 * @param before What they were.
 * @param expected The growth of each that is of interest; 0 for what must not happen.
 */
export async function assertCounted(host: Host, before: Counters, expected: Counters): Promise<void> {
  const grown = async () => {
    const now = await nstat(host);
    return Object.fromEntries(Object.keys(expected).map((name) => [name, (now[name] ?? 0) - (before[name] ?? 0)]));
  };
  const complete = (counts: Counters) => Object.entries(expected).every(([name, count]) => counts[name]! >= count);
  await until(async () => complete(await grown()), 2000).catch(() => {});
  assertEquals(await grown(), expected);
}
