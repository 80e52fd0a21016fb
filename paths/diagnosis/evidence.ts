/**
 * What is known of a host, a peer and the connection between them when a diagnosis is made: all that the judgement has.
 *
 * @module
 */
import { hostPort } from "../../kernel/error.ts";
import type { PathEvent } from "../../kernel/mptcp_event_types.ts";
import type { Addr } from "../../kernel/sockaddr.ts";
import type { SynPacket } from "../../kernel/syn_packet.ts";
import type { HostInterface, HostView } from "../host_view.ts";
import type { Support } from "../support.ts";
import type { DiagnosedSubflow } from "./finding.ts";

/** See the module's comment. */
export interface Evidence {
  hostname: string;
  port: number;
  /** What this host offers. */
  support: Support;
  /** Why the peer was not reached; `null` when it was. */
  failure: { code: string; message: string; syscall?: string | undefined } | null;
  /** After a failure: whether the peer is reached by plain TCP, so without the MPTCP option; `null` when it was not tried. */
  plainConnects: boolean | null;
  /** How long connecting took, ms. */
  connectMs: number;
  /** Our end and the peer's, of the initial subflow; `null` when the peer was not reached. */
  ends: { local: Addr; remote: Addr } | null;
  /** Whether the connection spoke MPTCP when it was looked at last. */
  multipath: boolean;
  /** When it became plain TCP; `null` for one that did not. */
  fallback: { phase: "socket" | "handshake" | "established"; code: string; message: string } | null;
  /** How long further paths were waited for, ms. */
  waitedMs: number;
  /** The subflows at the end of that. */
  subflows: readonly DiagnosedSubflow[];
  /** Whether the kernel had what it needs for further subflows; `undefined` where it will not tell. */
  fullyEstablished: boolean | undefined;
  /** Whether the peer ended the connection while it was looked at. */
  peerEnded: boolean;
  /** The MPTCP counters that grew, and by how much. */
  grown: Readonly<Record<string, number>>;
  /** Whether the kernel counts the joins that it sends (`MPJoinSynTx`). */
  countsJoins: boolean;
  /** How many packets this host dropped as coming by a wrong interface (`IPReversePathFilter`). */
  reversePathDrops: number;
  /** The connection's events; `null` where they could not be watched. */
  events: readonly PathEvent[] | null;
  /** SYNs and SYN-ACKs of the host; `null` where they could not be looked at. */
  packets: readonly SynPacket[] | null;
  /** What of this host decides about paths; `null` where it could not be read. */
  host: HostView | null;
  /** For a peer on this very host: whether its listener is MPTCP; `null` otherwise. */
  mptcpListener: boolean | null;
}

/** The peer, as people write it. */
export function peerOf({ hostname, port }: Evidence): string {
  return hostPort(hostname, port);
}

/** A word as a shell takes it, whatever is in it. */
export function shellWord(text: string): string {
  return /^[\w.:@%+/-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** The subflows that stand; one in CLOSE_WAIT is whole, the peer has only nothing more to say. */
export function established({ subflows }: Evidence): DiagnosedSubflow[] {
  return subflows.filter(({ state }) => state === "ESTABLISHED" || state === "CLOSE_WAIT");
}

/** How often a counter grew. */
export function count({ grown }: Evidence, name: string): number {
  return grown[name] ?? 0;
}

/** The SYNs or SYN-ACKs of one subflow, by the port at our end. */
export function handshakeOf({ packets }: Evidence, local: Addr, remote: Addr, ack: boolean): readonly SynPacket[] {
  const [from, to] = ack ? [remote, local] : [local, remote];
  return (packets ?? []).filter((packet) =>
    packet.ack === ack && packet.sourcePort === from.port && packet.destinationPort === to.port &&
    packet.source === from.hostname && packet.destination === to.hostname
  );
}

/** 4 or 6, as the connection's addresses are. */
export function familyOf({ ends }: Evidence): 4 | 6 {
  return ends?.remote.hostname.includes(":") ? 6 : 4;
}

/** The interfaces that work and have an address of the connection's family. */
export function usableInterfaces(evidence: Evidence): HostInterface[] {
  const family = familyOf(evidence);
  return (evidence.host?.interfaces ?? []).filter(({ running, loopback, addresses }) =>
    running && !loopback && addresses.some((each) => each.family === family)
  );
}

/** The addresses that the peer announced and this connection could use, an IPv6 socket both kinds; `null` where only their number is known. */
export function announced(evidence: Evidence): { addresses: string[] | null; count: number } {
  if (evidence.events === null) return { addresses: null, count: count(evidence, "AddAddr") };
  const addresses = evidence.events.flatMap((event) => event.type === "announced" ? [event.remote.hostname] : []).filter(
    (address) => familyOf(evidence) === 6 || !address.includes(":"),
  );
  return { addresses, count: addresses.length };
}
