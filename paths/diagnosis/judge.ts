/**
 * From what is known to what it means. Pure: all that it knows is in the evidence.
 *
 * @module
 */
import { established, type Evidence, peerOf } from "./evidence.ts";
import type { Finding, Severity } from "./finding.ts";
import { judgeHandshake } from "./handshake.ts";
import { hasTimedOut, judgeReach } from "./reach.ts";
import { judgePaths } from "./single_path.ts";

const ORDER: readonly Severity[] = ["error", "warning", "info"];

/** What a peer is, in one sentence, and every cause that was found, the worst first. */
export interface Judgement {
  verdict: string;
  findings: Finding[];
}

/** Judges. */
export function judge(evidence: Evidence): Judgement {
  const findings = [
    ...judgeReach(evidence),
    ...judgeHandshake(evidence),
    ...judgePaths(evidence),
    ...lessEvidence(evidence),
  ];
  findings.sort((a, b) => ORDER.indexOf(a.severity) - ORDER.indexOf(b.severity));
  return { verdict: verdictOf(evidence, findings), findings };
}

function verdictOf(evidence: Evidence, findings: readonly Finding[]): string {
  const peer = peerOf(evidence);
  const cause = findings.find(({ code }) => code !== "lessEvidence" && code !== "otherConnections")?.message;
  const because = cause === undefined ? "" : `: ${cause}`;
  if (evidence.ends === null) return `${peer} is not reached${because}`;
  if (!evidence.multipath && evidence.fallback === null) return `${peer} is reached${because}`;
  if (!evidence.multipath) return `${peer} is reached by plain TCP${because}`;
  const paths = established(evidence).length;
  return `${peer} is reached by MPTCP, over ${paths > 1 ? `${paths} paths` : `one path${because}`}`;
}

/** What would have told more, had this process been allowed to look. */
function lessEvidence(evidence: Evidence): Finding[] {
  const { ends, multipath, fallback, events, packets, failure } = evidence;
  const onePath = multipath && established(evidence).length < 2;
  const byWire = onePath || (ends === null ? hasTimedOut(failure) : fallback?.phase === "handshake");
  const missing = [
    ...(onePath && events === null ? ["the connection's events (CAP_NET_ADMIN)"] : []),
    ...(byWire && packets === null ? ["handshakes on the wire (CAP_NET_RAW)"] : []),
  ];
  if (missing.length === 0) return [];
  return [{
    code: "lessEvidence",
    severity: "info",
    message: `this process may not look at ${missing.join(" and ")}: some causes cannot be told apart`,
    hint: "diagnose as root",
  }];
}
