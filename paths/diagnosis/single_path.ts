/**
 * Why a connection by MPTCP has one path only, and what is wrong with the others.
 *
 * @module
 */
import { furtherEndpoints, judgeEndpoints, ownTable } from "./endpoints.ts";
import { announced, established, type Evidence, familyOf, shellWord, usableInterfaces } from "./evidence.ts";
import { type Finding, peerClosed } from "./finding.ts";
import { type FailedJoin, failedJoins, joinFinding } from "./joins.ts";

/** Findings about an endpoint's way to the peer's address. */
const ABOUT_THE_WAY: readonly Finding["code"][] = ["endpointWithoutDevice", "endpointWithoutRoute", "strictReversePath"];

/** The findings about the paths of a connection by MPTCP. */
export function judgePaths(evidence: Evidence): Finding[] {
  if (!evidence.multipath) return [];
  const several = established(evidence).length > 1;
  if (evidence.support.pathManager === "userspace") return several ? [] : [userspacePathManager()];
  const deny = several ? [] : denied(evidence);
  // Where no subflow may go to, the way there does not matter.
  const endpoints = judgeEndpoints(evidence).filter(({ code }) => deny.length === 0 || !ABOUT_THE_WAY.includes(code));
  const known = new Set(endpoints.map(({ address }) => address));
  const joins = failedJoins(evidence).filter((join) => !isExplained(join, known)).map((join) => joinFinding(join));
  const found: Finding[] = [...endpoints.map(({ address: _, ...finding }) => finding), ...joins];
  if (several) return [...found, ...sameInterface(evidence)];
  found.unshift(...limits(evidence), ...deny);
  if (found.length === 0 && evidence.peerEnded) return [peerClosed()];
  return found.length > 0 ? found : [nothingTried(evidence)];
}

/** An endpoint's fault explains why its own subflow has failed. */
function isExplained({ code, ends }: FailedJoin, known: ReadonlySet<string>): boolean {
  return ends === null ? code === "joinNotSent" && known.size > 0 : known.has(ends.local.hostname);
}

function sameHost(): Finding {
  return {
    code: "sameHost",
    severity: "info",
    message: "the peer is on this very host: there is one way to it, and it needs no other",
  };
}

function userspacePathManager(): Finding {
  return {
    code: "userspacePathManager",
    severity: "warning",
    message: "paths are left to a program (net.mptcp.path_manager=userspace), and none opened another one",
    hint:
      "`sysctl -w net.mptcp.path_manager=kernel` gives them back to the kernel (`net.mptcp.pm_type=0` before Linux 6.15)",
  };
}

function limits(evidence: Evidence): Finding[] {
  const limits = evidence.host?.limits ?? evidence.support.limits;
  if (limits === null) return [];
  if (limits.subflows === 0) {
    return [{
      code: "subflowsLimit",
      severity: "warning",
      message: "this host's limit of additional subflows is 0",
      hint: "`ip mptcp limits set subflows 8`",
      evidence: "limits of the kernel's path manager: subflows 0",
    }];
  }
  const { addresses, count } = announced(evidence);
  if (limits.addAddrAccepted > 0 || count === 0) return [];
  return [{
    code: "addAddrLimit",
    severity: "warning",
    message:
      `the peer announced ${addresses?.join(", ") ?? "an address"}, and this host takes no announced addresses: its limit ` +
      "of them is 0",
    hint: "`ip mptcp limits set add_addr_accepted 8`",
    evidence: addresses === null ? `AddAddr grew by ${count}` : "event announced; limits: add_addr_accepted 0",
  }];
}

function denied(evidence: Evidence): Finding[] {
  const byEvent = evidence.events?.some((event) => event.type === "created" && event.denyJoinId0) ?? false;
  const { local, remote } = evidence.ends!;
  const onWire = (evidence.packets ?? []).some((packet) =>
    packet.denyJoinId0 && packet.ack && packet.sourcePort === remote.port && packet.destinationPort === local.port
  );
  if ((!byEvent && !onWire) || announced(evidence).count > 0) return [];
  return [{
    code: "denyJoinId0",
    severity: "warning",
    message: "the peer takes no further subflow to this address, as behind a load balancer, and it announced no other",
    hint:
      "on the peer, `ip mptcp endpoint add ADDRESS dev DEVICE signal` announces one that is its own; where there is no load " +
      "balancer, `sysctl -w net.mptcp.allow_join_initial_addr_port=1`",
    evidence: byEvent ? "flag deny-join-id0 of event created" : "flag C in MP_CAPABLE of the SYN-ACK",
  }];
}

/** Nothing went wrong, as nothing was tried. */
function nothingTried(evidence: Evidence): Finding {
  const possible = furtherEndpoints(evidence).length > 0 || announced(evidence).count > 0;
  if (!possible && evidence.host?.route?.local) return sameHost();
  // What the peer announces may still be on its way.
  if (!possible && evidence.host !== null && evidence.fullyEstablished !== false) return noEndpoint(evidence);
  if (evidence.fullyEstablished !== true) return notFullyEstablished(evidence.fullyEstablished === undefined);
  const untold = evidence.events === null && !evidence.countsJoins;
  const finding = joinFinding({ code: "joinNotTried", ends: null, evidence: "MPJoinSynTx did not grow" });
  if (!untold) return finding;
  const message = "a further path did not come about: why, this kernel tells only a process with CAP_NET_ADMIN";
  return { ...finding, message, evidence: "the kernel has no counter MPJoinSynTx" };
}

function notFullyEstablished(untold: boolean): Finding {
  const state = untold
    ? "whether this one got so far without, the kernel does not tell"
    : "this one had none, and its keep-alive no answer yet";
  return {
    code: "notFullyEstablished",
    severity: "info",
    message: `further paths begin when both sides are certain of MPTCP, which takes some traffic: ${state}`,
    hint: "wait longer (`wait`), or look at a connection that carries data: `conn.subflows()`",
    evidence: untold ? "sock_diag gives no flags of subflows" : "flag FULLY_ESTABLISHED is not set",
  };
}

function noEndpoint(evidence: Evidence): Finding {
  const family = familyOf(evidence);
  const own = evidence.ends!.local.hostname;
  const usable = usableInterfaces(evidence);
  // One address of each interface but the connection's own; of IPv6 there may be many.
  const others = usable.filter(({ addresses }) => !addresses.some(({ address }) => address === own)).map(
    ({ name, addresses }) => ({ name, ...addresses.find((each) => each.family === family)! }),
  );
  const routed = others.filter((each) => each.routed);
  const evident = "no endpoint with flag subflow but the connection's own; no address announced";
  if (routed.length > 0) {
    return {
      code: "noEndpoint",
      severity: "warning",
      message: `nothing tells the kernel to use a second path: ${
        list(routed)
      } no endpoint, and the peer announced no address`,
      hint: routed.map(addEndpoint).join("; "),
      evidence: evident,
    };
  }
  if (others.length > 0) {
    // As likely a bridge of containers or a tunnel as a way to the peer.
    return {
      code: "noEndpoint",
      severity: "info",
      message:
        `the kernel knows one path: ${list(others)} no endpoint, no route to the peer leads by it, and the peer announced ` +
        "no address",
      hint: others.map((each) =>
        `where ${each.name} leads to the peer too, ${addEndpoint(each)} and a routing table of its own: ` +
        ownTable(each.address, each.name)
      ).join("; "),
      evidence: evident,
    };
  }
  return {
    code: "oneInterface",
    severity: "info",
    message:
      `this host has one interface with an IPv${family} address, and the peer announced no other address: there is one path`,
    hint: "on a peer with a second address, `ip mptcp endpoint add ADDRESS dev DEVICE signal` announces it",
    evidence: `interfaces: ${usable.map(({ name }) => name).join(", ") || "none"}; no address announced`,
  };
}

interface OtherAddress {
  name: string;
  address: string;
}

function addEndpoint({ name, address }: OtherAddress): string {
  return `\`ip mptcp endpoint add ${address} dev ${shellWord(name)} subflow\``;
}

function list(others: readonly OtherAddress[]): string {
  return `${others.map(({ address }) => address).join(", ")} ${others.length > 1 ? "are" : "is"}`;
}

function sameInterface(evidence: Evidence): Finding[] {
  const names = new Set(established(evidence).map((path) => path.interface));
  if (names.size !== 1 || names.has(null) || evidence.host?.route?.local) return [];
  return [{
    code: "sameInterface",
    severity: "info",
    message: `all paths leave by ${[...names][0]}: they share its speed, and its end`,
    ...(usableInterfaces(evidence).length > 1
      ? { hint: "`ip mptcp endpoint add ADDRESS dev DEVICE subflow` binds one to another" }
      : {}),
  }];
}
