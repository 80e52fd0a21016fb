/**
 * What the kernel tells at one moment about all connections, reduced to what is shown.
 *
 * @module
 */
import { networkInterfaces } from "node:os";
import { connections, type ConnectionSubflow, type MptcpConnection } from "../../paths/sockets.ts";
import { addrText, interfaceName, tokenText } from "../frame/texts.ts";

/** A subflow, as far as its counters have come. */
export interface SubflowReading {
  /** Never given twice. */
  key: string;
  local: string;
  remote: string;
  /** The interface of the local address; "" where it is not known. */
  interface: string;
  state: string;
  backup: boolean;
  /** Bytes that the peer acknowledged, and bytes that were received. */
  sent: number;
  received: number;
  /** Smoothed round-trip time, µs; `null` before the first. */
  rtt: number | null;
  /** Segments sent again so far. */
  retransmits: number;
}

/** A connection, as far as its counters have come. */
export interface ConnectionReading {
  key: string;
  /** The token, as it is printed. */
  token: string;
  local: string;
  remote: string;
  state: string;
  /** Whether it is plain TCP by now. */
  fallback: boolean;
  sent: number;
  received: number;
  subflows: SubflowReading[];
}

/** Reads them. */
export function read(): ConnectionReading[] {
  const all = connections();
  if (all.length === 0) return [];
  const names = namesByAddress();
  return all.map((connection) => readingOf(connection, names));
}

/** The names of the interfaces, by the addresses that they have. */
export function namesByAddress(): ReadonlyMap<string, string> {
  const names = new Map<string, string>();
  for (const [name, addresses = []] of Object.entries(networkInterfaces())) {
    for (const { address } of addresses) names.set(address.replace(/%.*/, ""), name);
  }
  return names;
}

/** Reduces what the kernel tells of a connection. */
export function readingOf(connection: MptcpConnection, names: ReadonlyMap<string, string>): ConnectionReading {
  const { token, local, remote, state, fallback, info } = connection;
  const subflows = connection.subflows.map((subflow) => subflowReading(subflow, names));
  // The kernel lists them in no order: the initial one comes first.
  const initial = ({ local: at }: SubflowReading) => at === addrText(local) ? 0 : 1;
  subflows.sort((a, b) => initial(a) - initial(b) || a.local.localeCompare(b.local) || a.remote.localeCompare(b.remote));
  const sum = (of: (subflow: SubflowReading) => number) => subflows.reduce((total, subflow) => total + of(subflow), 0);
  return {
    key: `${token} ${local.port} ${remote.hostname} ${remote.port}`,
    token: tokenText(token),
    local: addrText(local),
    remote: addrText(remote),
    state,
    fallback,
    // Kernels before 6.5 count by subflow only.
    sent: info.bytesAcked ?? sum(({ sent }) => sent),
    received: info.bytesReceived ?? sum(({ received }) => received),
    subflows,
  };
}

function subflowReading(subflow: ConnectionSubflow, names: ReadonlyMap<string, string>): SubflowReading {
  const { local, remote, interfaceIndex, cookie, state, backup, tcpInfo } = subflow;
  const { bytesAcked, bytesReceived, rtt, totalRetrans } = tcpInfo;
  return {
    key: `${cookie}`,
    local: addrText(local),
    remote: addrText(remote),
    interface: interfaceIndex > 0 ? interfaceName(interfaceIndex) : names.get(local.hostname) ?? "",
    state,
    backup: backup ?? false,
    sent: bytesAcked ?? 0,
    received: bytesReceived ?? 0,
    rtt: rtt ? rtt : null,
    retransmits: totalRetrans ?? 0,
  };
}
