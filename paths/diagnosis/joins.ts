/**
 * What became of further subflows: each was to begin with a handshake of its own, with MP_JOIN.
 *
 * @module
 */
import { hostPort } from "../../kernel/error.ts";
import type { SubflowClosedEvent } from "../../kernel/mptcp_event_types.ts";
import type { Addr } from "../../kernel/sockaddr.ts";
import { count, established, type Evidence, handshakeOf } from "./evidence.ts";
import type { Finding } from "./finding.ts";

type JoinCode = Extract<Finding["code"], `join${string}`>;

const MESSAGES: Readonly<Record<JoinCode, readonly [message: string, hint: string]>> = {
  joinRefused: [
    "nobody listens there, or a firewall refuses it: the peer's listener was closed, or is bound to another address",
    "further subflows need a listener that is open and bound to all addresses (0.0.0.0 or ::)",
  ],
  joinRejected: [
    "the peer took it and closed it at once: its limit of subflows is reached, or nobody serves its userspace path manager",
    "on the peer, `ip mptcp limits` shows its limits, and `ip mptcp limits set subflows 8` raises them",
  ],
  joinStripped: [
    "the answer had no MP_JOIN: something on that way removes the option, or another host answers there",
    "that way cannot carry MPTCP; where the firewall is yours, let TCP option 30 pass",
  ],
  joinHmacFailure: [
    "the answer's MP_JOIN was signed by another host: a load balancer or NAT leads to a server that does not know this connection",
    "let the server announce an address of its own: `ip mptcp endpoint add ADDRESS dev DEVICE signal`",
  ],
  joinUnanswered: [
    "there is no answer: the address is not reached from here, a firewall drops MP_JOIN, or the peer's strict rp_filter does",
    "`ping` that address from this one; on the peer, `sysctl -a -r rp_filter` must show no 1 for that interface",
  ],
  joinAnswerDropped: [
    "the answer arrives at this host, and this host drops it",
    "look for a packet filter, `nft list ruleset`, and for strict reverse path filtering, `sysctl -a -r rp_filter`",
  ],
  joinUnreachable: [
    "there is no way to it",
    "`ip route get` shows the route; a private address is not reached from elsewhere",
  ],
  joinReset: ["it was reset", "look for a firewall on that way"],
  joinNotSent: [
    "this host could not send it",
    "`ip mptcp endpoint` lists the endpoints, `ip address` the addresses; they must match",
  ],
  joinNotTried: [
    "the kernel did not try any: the peer may have forbidden them to its address (`allow_join_initial_addr_port=0`), which only " +
    "a process with CAP_NET_ADMIN or CAP_NET_RAW can see",
    "diagnose again as root",
  ],
};

/** A subflow that was tried in vain, or is still waiting. */
export interface FailedJoin {
  code: JoinCode;
  /** Its ends; `null` where only counters tell of it. */
  ends: { local: Addr; remote: Addr } | null;
  evidence: string;
}

/** A finding in the words of its code. */
export function joinFinding({ code, ends, evidence }: FailedJoin, severity: Finding["severity"] = "warning"): Finding {
  const [reason, hint] = MESSAGES[code];
  const path = ends === null
    ? "a further path did not come about"
    : `the path from ${ends.local.hostname} to ${hostPort(ends.remote.hostname, ends.remote.port)} did not come about`;
  return { code, severity, message: `${path}: ${reason}`, hint, evidence };
}

/** The subflows that were tried and do not stand. */
export function failedJoins(evidence: Evidence): FailedJoin[] {
  const pending = evidence.subflows.filter(({ state }) => state === "SYN_SENT").map(
    ({ local, remote }): FailedJoin => {
      const waited = `its SYN has waited for up to ${Math.round(evidence.waitedMs)} ms`;
      const arrived = handshakeOf(evidence, local, remote, true).length > 0;
      if (!arrived) return { code: "joinUnanswered", ends: { local, remote }, evidence: waited };
      return { code: "joinAnswerDropped", ends: { local, remote }, evidence: `${waited}, and a SYN-ACK was on the wire` };
    },
  );
  return [
    ...pending,
    ...(evidence.events === null ? byCounters(evidence, pending.length) : byEvents(evidence)),
    ...notSent(evidence),
  ];
}

function byEvents(evidence: Evidence): FailedJoin[] {
  const events = evidence.events ?? [];
  return events.flatMap((event) => {
    if (event.type !== "subflowClosed" || isInitial(evidence, event)) return [];
    const was = events.some((each) =>
      each.type === "subflowEstablished" && same(each.local, event.local) && same(each.remote, event.remote)
    );
    const { local, remote, error, resetReason } = event;
    const details = [error?.code ?? "no error", ...(resetReason?.code ? [resetReason.meaning] : [])].join(", ");
    const failed = `event subflowClosed (${details})${was ? " after subflowEstablished" : ""}`;
    const answers = handshakeOf(evidence, local, remote, true).map(({ mptcp }) => mptcp);
    const wire = answers.length > 0 ? `; the SYN-ACK on the wire has ${WIRE[answers.at(-1)!]}` : "";
    return [{ code: codeOf(evidence, event, was), ends: { local, remote }, evidence: failed + wire }];
  });
}

const WIRE: Readonly<Record<string, string>> = {
  join: "MP_JOIN",
  none: "no MPTCP option",
  erased: "padding where the option was",
  capable: "MP_CAPABLE",
  other: "another MPTCP option",
};

function codeOf(evidence: Evidence, { error }: SubflowClosedEvent, was: boolean): JoinCode {
  switch (error?.code) {
    case "ECONNREFUSED":
      return "joinRefused";
    case "ETIMEDOUT":
      return "joinUnanswered";
    case "EHOSTUNREACH":
    case "ENETUNREACH":
      return "joinUnreachable";
    case undefined:
      if (was) return "joinRejected";
      return count(evidence, "MPJoinSynAckHMacFailure") > 0 ? "joinHmacFailure" : "joinStripped";
    default:
      return "joinReset";
  }
}

/** Without events: how many are missing, the counters tell; and in part why. */
function byCounters(evidence: Evidence, pending: number): FailedJoin[] {
  const sent = count(evidence, "MPJoinSynTx");
  const answered = count(evidence, "MPJoinSynAckRx");
  const stand = Math.max(0, established(evidence).length - 1);
  if (sent - stand - pending <= 0) return [];
  let code: JoinCode = "joinRefused";
  if (count(evidence, "MPJoinSynAckHMacFailure") > 0) code = "joinHmacFailure";
  else if (answered > stand) code = "joinRejected";
  else if (count(evidence, "MPRstTx") > 0) code = "joinStripped";
  const told = ["MPJoinSynTx", "MPJoinSynAckRx", "MPJoinSynAckHMacFailure", "MPRstTx"].map((name) =>
    `${name} grew by ${count(evidence, name)}`
  );
  return [{ code, ends: null, evidence: `${told.join(", ")}, and ${stand} stand` }];
}

function notSent(evidence: Evidence): FailedJoin[] {
  const names = ["MPJoinSynTxCreatSkErr", "MPJoinSynTxBindErr", "MPJoinSynTxConnectErr"].filter((name) =>
    count(evidence, name) > 0
  );
  return names.map((name) => ({ code: "joinNotSent", ends: null, evidence: `${name} grew by ${count(evidence, name)}` }));
}

function isInitial({ ends }: Evidence, { local, remote }: SubflowClosedEvent): boolean {
  return ends !== null && same(ends.local, local) && same(ends.remote, remote);
}

function same(a: Addr, b: Addr): boolean {
  return a.port === b.port && a.hostname === b.hostname;
}
