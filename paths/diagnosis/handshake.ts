/**
 * Why a connection is plain TCP.
 *
 * @module
 */
import { count, type Evidence, handshakeOf } from "./evidence.ts";
import { type Finding, peerClosed } from "./finding.ts";

/** The counters of the client that name a fallback in the handshake. */
const HANDSHAKE_COUNTERS = [
  "MPCapableSYNTXDisabled",
  "MPCapableSYNTXDrop",
  "MPCapableFallbackSYNACK",
  "MPFallbackTokenInit",
  "MD5SigFallback",
  "SimultConnectFallback",
];

/** The findings for a connection that is there, but not by MPTCP. */
export function judgeHandshake(evidence: Evidence): Finding[] {
  const { ends, multipath, fallback } = evidence;
  if (ends === null || multipath) return [];
  // Gone before it could be asked.
  if (fallback === null) return [peerClosed()];
  if (fallback.phase === "socket") return [refusedSocket(fallback.code, fallback.message)];
  if (fallback.phase === "established") return [strippedLater(fallback.code, fallback.message)];
  return [inHandshake(evidence), ...others(evidence)];
}

function refusedSocket(code: string, reason: string): Finding {
  const finding = (name: Finding["code"], message: string, hint: string): Finding => {
    return { code: name, severity: "error", message, hint, evidence: `socket(…, IPPROTO_MPTCP): ${code}` };
  };
  switch (code) {
    case "ENOPROTOOPT":
      return finding(
        "mptcpDisabled",
        "MPTCP is switched off in this network namespace",
        "`sysctl -w net.mptcp.enabled=1` switches it on",
      );
    case "EINVAL":
    case "EPROTONOSUPPORT":
      return finding(
        "kernelWithoutMptcp",
        reason,
        "`uname -r` tells the kernel; most distributions build MPTCP in since 5.6",
      );
    case "EPERM":
    case "EACCES":
      return finding("socketForbidden", reason, "`ausearch -m avc` (SELinux) or the container's seccomp profile tell which");
    default: {
      const unsupported: Finding = { code: "unsupported", severity: "error", message: reason };
      return code === "UNSUPPORTED" ? unsupported : { ...unsupported, evidence: code };
    }
  }
}

function strippedLater(code: string, reason: string): Finding {
  return {
    code: "optionStrippedLater",
    severity: "error",
    message: `the handshake was MPTCP's, and then the connection had to go on as plain TCP: ${reason}`,
    hint: "something on the way lets the option pass in SYNs only; try from another network",
    evidence: `${code} grew`,
  };
}

function inHandshake(evidence: Evidence): Finding {
  if (count(evidence, "MPCapableSYNTXDisabled") > 0) return blackholeTimer(evidence);
  if (count(evidence, "MPCapableSYNTXDrop") > 0) return synLost(evidence);
  // Where the kernel counts nothing (its counters cannot be read), it is this by far the most often.
  if (count(evidence, "MPCapableFallbackSYNACK") > 0 || evidence.fallback!.code === "UNKNOWN") return synAck(evidence);
  const { code, message } = evidence.fallback!;
  return { code: "fallback", severity: "error", message, evidence: `${code} grew` };
}

function blackholeTimer({ support }: Evidence): Finding {
  const timeout = support.sysctls["blackhole_timeout"] ?? 3600;
  return {
    code: "blackholeTimer",
    severity: "error",
    message:
      "the kernel sent no MPTCP option: MPTCP SYNs were lost before, to this or to another peer, and therefore MPTCP " +
      "is switched off for all clients of this network namespace for a while",
    hint: `\`sysctl -w net.mptcp.blackhole_timeout=${timeout}\` ends it, as any write does; 0 switches this detection off`,
    evidence: "MPCapableSYNTXDisabled grew",
  };
}

function synLost(evidence: Evidence): Finding {
  const { support, connectMs } = evidence;
  const timeout = support.sysctls["blackhole_timeout"] ?? 3600;
  const now = count(evidence, "Blackhole") > 0;
  return {
    code: "synLost",
    severity: "error",
    message:
      "the SYNs with the MPTCP option were lost and the one without it came through: something on the way drops MPTCP" +
      (now ? "; the kernel has now switched MPTCP off for this network namespace for a while" : ""),
    hint: "try from another network; where the firewall is yours, let TCP option 30 pass" +
      (now ? `; \`sysctl -w net.mptcp.blackhole_timeout=${timeout}\` switches MPTCP on again` : ""),
    evidence: `MPCapableSYNTXDrop grew${now ? ", and Blackhole" : ""}; connecting took ${Math.round(connectMs)} ms`,
  };
}

/** The SYN-ACK had no option, as the kernel saw it. Who is to blame, the wire tells in part. */
function synAck(evidence: Evidence): Finding {
  const { local, remote } = evidence.ends!;
  const counted = "MPCapableFallbackSYNACK grew";
  const syns = handshakeOf(evidence, local, remote, false);
  const answers = handshakeOf(evidence, local, remote, true);
  const old = answers.find(({ mptcp, version }) => mptcp === "capable" && version === 0);
  if (old !== undefined) {
    return {
      code: "peerVersion",
      severity: "error",
      message: "the peer speaks MPTCP version 0 (RFC 6824), which Linux does not",
      hint: "the peer needs an implementation of RFC 8684, such as Linux 5.6 or later",
      evidence: `${counted}; the SYN-ACK on the wire has MP_CAPABLE of version 0`,
    };
  }
  const out = syns.length > 0 && syns.every(({ mptcp }) => mptcp === "erased" || mptcp === "none");
  const back = answers.some(({ mptcp }) => mptcp === "capable");
  if (out || back) {
    return {
      code: "optionRemovedHere",
      severity: "error",
      message: `a packet filter of this host takes the MPTCP option out of what ${out ? "leaves" : "arrives"}`,
      hint: "`nft list ruleset` shows the filters: look for `reset tcp option`, or `TCPOPTSTRIP` of iptables",
      evidence: out
        ? "the kernel made a SYN with the option (MPCapableSYNTX grew), and on the wire it has none"
        : `the SYN-ACK on the wire has the option, and the kernel did not see it (${counted})`,
    };
  }
  if (answers.some(({ mptcp }) => mptcp === "erased")) {
    return {
      code: "optionStripped",
      severity: "error",
      message: "something on the way takes the MPTCP option out of the peer's SYN-ACK",
      hint: "try from another network; where the firewall is yours, let TCP option 30 pass",
      evidence: `${counted}; the SYN-ACK on the wire has padding where the option was`,
    };
  }
  if (evidence.mptcpListener === false) {
    return {
      code: "peerWithoutMptcp",
      severity: "error",
      message: "the peer is on this very host, and it listens by plain TCP",
      hint: "make its listener MPTCP: `listen()` of this package, or `mptcpize run COMMAND`",
      evidence: `${counted}; sock_diag knows no MPTCP listener on port ${evidence.port}`,
    };
  }
  const seen = answers.length > 0 ? `${counted}; the SYN-ACK on the wire has no trace of the option` : counted;
  return {
    code: "synAckWithoutOption",
    severity: "error",
    message: "the answer to the SYN had no MPTCP option: the peer does not speak MPTCP, or something on the way removed it",
    hint:
      "diagnose another peer that is known to speak MPTCP from here (check.mptcp.dev, port 80): if that is multipath, it is " +
      `this peer, where \`ss -lnM 'sport = :${evidence.port}'\` must list the listener and \`sysctl net.mptcp.enabled\` be 1; if ` +
      `not, it is this network, and \`tcpdump -ni any port ${evidence.port}\` on both ends shows where the option gets lost`,
    evidence: seen,
  };
}

/** The counters are the namespace's: others' connections count too. */
function others(evidence: Evidence): Finding[] {
  const fallbacks = HANDSHAKE_COUNTERS.filter((name) => count(evidence, name) > 0);
  const total = fallbacks.reduce((sum, name) => sum + count(evidence, name), 0);
  if (total < 2) return [];
  return [{
    code: "otherConnections",
    severity: "info",
    message:
      "other connections of this network namespace fell back in the same moment: what the counters tell may be theirs",
    hint: "diagnose once more",
    evidence: fallbacks.map((name) => `${name} grew by ${count(evidence, name)}`).join(", "),
  }];
}
