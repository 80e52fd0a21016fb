/**
 * Names to addresses, and the order in which to try them (RFC 8305).
 *
 * @module
 */
import { lookup } from "node:dns/promises";
import { resolverError } from "../ffi/mod.ts";
import { MptcpError } from "../kernel/error.ts";
import { ipVersion } from "../kernel/ip.ts";

/** An address to try. */
export interface Candidate {
  address: string;
  version: 4 | 6;
}

const HINTS: Readonly<Record<string, string>> = {
  ENOTFOUND: "no such host is known; check the spelling",
  EAI_AGAIN: "the resolver does not answer; check /etc/resolv.conf and the network",
};

/**
 * All addresses of a name, by the runtime's resolver; of an address literal itself, without asking anyone.
 *
 * @throws {MptcpError} `ENOTFOUND` and the like, with the resolver's error as `cause`.
 */
export async function resolve(hostname: string): Promise<Candidate[]> {
  const version = ipVersion(hostname);
  if (version !== 0) return [{ address: hostname, version }];
  try {
    // In the resolver's order (RFC 6724): Deno would put IPv4 first.
    const found = await lookup(hostname, { all: true, order: "verbatim" });
    return interleave(found.map(({ address, family }) => ({ address, version: family === 6 ? 6 : 4 })));
  } catch (failure) {
    const error = resolverError(failure, hostname);
    const { code = "ENOTFOUND" } = error as { code?: string };
    // A missing Deno permission passes through untouched.
    if (!/^[A-Z][A-Z_]+$/.test(code) || (error as Error).name === "NotCapable") throw error;
    throw new MptcpError(code, `Cannot resolve "${hostname}"`, {
      syscall: "getaddrinfo",
      address: hostname,
      hint: HINTS[code],
      cause: error,
    });
  }
}

/**
 * Alternates the families, beginning with that of the first address, so that a family that is broken costs one attempt and
 * not several (RFC 8305, section 4).
 */
export function interleave(candidates: readonly Candidate[]): Candidate[] {
  const first = candidates[0]?.version;
  const preferred = candidates.filter(({ version }) => version === first);
  const others = candidates.filter(({ version }) => version !== first);
  const order: Candidate[] = [];
  for (let index = 0; index < Math.max(preferred.length, others.length); index++) {
    if (preferred[index]) order.push(preferred[index]!);
    if (others[index]) order.push(others[index]!);
  }
  return order;
}
