/**
 * The paths that a connection could have: from which of the host's addresses the peer's can be reached, by the routing table.
 *
 * @module
 */
import { canonicalAddress, ipVersion } from "../kernel/ip.ts";
import type { Addr } from "../kernel/sockaddr.ts";
import { type HostInterface, RouteTable } from "./host_view.ts";

/** A path that could be: from one address of the host to one of the peer. */
export interface PathCandidate {
  /** Our address. */
  localAddress: string;
  /** The name of the interface that has it. */
  interface: string;
  /** The peer's address. */
  remoteAddress: string;
  /** The peer's port. */
  remotePort: number;
}

/** What the routing says. */
export interface Routing {
  /** The host's interfaces. */
  interfaces(): HostInterface[];
  /** Whether there is a way by that interface, from that address. */
  has(query: { destination: string; source: string; interfaceIndex: number }): boolean;
  /** Whether the destination is this host itself. */
  isLocal(destination: string): boolean;
}

/** Names a path whatever its ports, so that two subflows between the same addresses have one name. */
export function pathKey(local: string, remote: string): string {
  return `${plain(local)}|${plain(remote)}`;
}

/** An address without its zone, in the one way to write it. */
export const plain = (address: string): string => canonicalAddress(address.replace(/%.*/, ""));

/**
 * All of them, the connection's first path before the others, then by the order of the peer's addresses.
 *
 * @param ends The initial subflow's, which says what families there can be: an IPv4 socket has no IPv6 subflows.
 * @param remotes The peer's addresses.
 */
export function pathCandidates(
  ends: { local: Addr; remote: Addr },
  remotes: readonly Addr[],
  routing: Routing,
): PathCandidate[] {
  const [first, peer] = [plain(ends.local.hostname), plain(ends.remote.hostname)];
  const onlyIPv4 = ipVersion(first) === 4;
  const found = new Map<string, PathCandidate>();
  const usable = routing.interfaces().filter(({ running }) => running);
  for (const { hostname, port } of [ends.remote, ...remotes]) {
    const destination = plain(hostname);
    const version = ipVersion(destination);
    if (version === 0 || (onlyIPv4 && version === 6)) continue;
    // A connection of the host with itself: by the loopback interface, whichever interface has the addresses.
    const itself = routing.isLocal(destination);
    for (const { index, name, loopback, addresses } of usable) {
      if (loopback && !itself) continue;
      for (const { address, family } of addresses) {
        if (family !== version) continue;
        if (
          itself
            ? !loopback && plain(address) !== first
            : !routing.has({ destination, source: address, interfaceIndex: index })
        ) {
          continue;
        }
        const candidate = { localAddress: plain(address), interface: name, remoteAddress: destination, remotePort: port };
        const key = pathKey(candidate.localAddress, destination);
        if (!found.has(key)) found.set(key, candidate);
      }
    }
  }
  const rank = ({ localAddress, remoteAddress }: PathCandidate) => localAddress === first && remoteAddress === peer ? 0 : 1;
  return [...found.values()].sort((a, b) => rank(a) - rank(b));
}

/** Asks this host's routing, in one go. */
export function withRouting<T>(ask: (routing: Routing) => T): T {
  using table = new RouteTable();
  return ask({
    interfaces: () => table.interfaces(),
    has: (query) => table.has(query),
    isLocal: (destination) => table.find({ destination })?.local ?? false,
  });
}
