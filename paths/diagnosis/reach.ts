/**
 * Why a peer is not reached at all.
 *
 * @module
 */
import { ipVersion } from "../../kernel/ip.ts";
import { type Evidence, shellWord } from "./evidence.ts";
import type { Finding } from "./finding.ts";

const NO_ROUTE = ["ENETUNREACH", "EHOSTUNREACH", "ENETDOWN", "EHOSTDOWN"];
const TIMED_OUT = ["ETIMEDOUT", "TimeoutError"];

/** Whether a connection failed for want of an answer. */
export function hasTimedOut(failure: Evidence["failure"]): boolean {
  return failure !== null && TIMED_OUT.includes(failure.code);
}

/** The finding for a connection that could not be made. */
export function judgeReach(evidence: Evidence): Finding[] {
  const { failure } = evidence;
  return failure === null ? [] : [{ ...judgeFailure(evidence, failure), evidence: `${failure.code}: ${failure.message}` }];
}

function judgeFailure(evidence: Evidence, { code, message, syscall }: NonNullable<Evidence["failure"]>): Finding {
  const { hostname, port, plainConnects, connectMs } = evidence;
  const timedOut = hasTimedOut(evidence.failure);
  const error = (code: Finding["code"], message: string, hint?: string): Finding => ({
    code,
    severity: "error",
    message,
    ...(hint === undefined ? {} : { hint }),
  });
  if (syscall === "getaddrinfo") {
    return error(
      "nameUnknown",
      "no address of that name is known",
      `\`getent ahosts ${shellWord(hostname)}\` asks the resolver`,
    );
  }
  if (plainConnects) {
    const what = timedOut ? "has no answer" : "is refused";
    return error(
      "mptcpBlocked",
      `a SYN with the MPTCP option ${what}, one without it is answered: something on the way blocks MPTCP`,
      "try from another network; where the firewall is yours, let TCP option 30 pass",
    );
  }
  if (code === "ECONNREFUSED") {
    return error(
      "refused",
      "nobody listens there, or a firewall refuses it",
      `on the peer, \`ss -ltn 'sport = :${port}'\` shows who listens`,
    );
  }
  if (code === "ECONNRESET") {
    return error("reset", "the peer took the connection and reset it at once", "its service may not want this client");
  }
  if (timedOut && answerArrived(evidence)) {
    return error(
      "answerDropped",
      "the peer's answer arrives at this host, and this host drops it",
      "look for a packet filter, `nft list ruleset`, and for strict reverse path filtering, `sysctl -a -r rp_filter`",
    );
  }
  if (timedOut) {
    return error(
      "timedOut",
      `there was no answer in ${Math.round(connectMs)} ms${plainConnects === false ? ", nor one to plain TCP" : ""}`,
      "the host is down, or a firewall drops what is sent to it",
    );
  }
  if (NO_ROUTE.includes(code)) {
    const command = ipVersion(hostname) === 0 ? "ip route" : `ip route get ${hostname.replace(/%.*/, "")}`;
    return error("noRoute", "there is no way to it", `\`${command}\` shows what the kernel knows`);
  }
  if (code === "EADDRNOTAVAIL") {
    return error("localAddressUnusable", "the local address cannot be used for it", "`ip address` lists this host's");
  }
  return error("connectFailed", message);
}

/** Whether a SYN-ACK of the peer was seen on the wire. Its address may be one of several of a name. */
function answerArrived({ packets, port }: Evidence): boolean {
  const asked = new Set(
    (packets ?? []).filter(({ ack, destinationPort }) => !ack && destinationPort === port).map((syn) =>
      `${syn.source} ${syn.sourcePort} ${syn.destination}`
    ),
  );
  return (packets ?? []).some((packet) =>
    packet.ack && packet.sourcePort === port &&
    asked.has(`${packet.destination} ${packet.destinationPort} ${packet.source}`)
  );
}
