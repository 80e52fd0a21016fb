/**
 * Endpoints that cannot do what they are there for: open a subflow from their address, by their interface.
 *
 * @module
 */
import type { EndpointView, HostInterface } from "../host_view.ts";
import { established, type Evidence, shellWord } from "./evidence.ts";
import type { Finding } from "./finding.ts";

/** A finding about one endpoint. */
export interface EndpointFinding extends Finding {
  /** The endpoint's address. */
  address: string;
}

/** The endpoints from which a further path could come: not the address that the connection has already. */
export function furtherEndpoints({ host, ends }: Evidence): EndpointView[] {
  return (host?.endpoints ?? []).filter(({ address }) => address !== ends?.local.hostname);
}

/** What is wrong with the endpoints. */
export function judgeEndpoints(evidence: Evidence): EndpointFinding[] {
  return furtherEndpoints(evidence).flatMap((endpoint) =>
    judgeEndpoint(evidence, endpoint).map((finding) => ({ ...finding, address: endpoint.address }))
  );
}

function judgeEndpoint(evidence: Evidence, endpoint: EndpointView): Finding[] {
  const interfaces = evidence.host!.interfaces;
  const { id, address, interfaceIndex, freeRoute } = endpoint;
  const owner = interfaces.find((each) => each.addresses.some((own) => own.address === address));
  const warning = (code: Finding["code"], message: string, hint: string): Finding => ({
    code,
    severity: "warning",
    message,
    hint,
    evidence: `endpoint ${address} id ${id}${
      interfaceIndex === undefined ? "" : ` dev ${nameOf(interfaces, interfaceIndex)}`
    }`,
  });
  if (owner === undefined) {
    return [warning(
      "endpointAddressMissing",
      `endpoint ${address} is no address of this host: no subflow can come from it`,
      `\`ip mptcp endpoint delete id ${id}\` removes it, \`ip address\` lists this host's addresses`,
    )];
  }
  const bound = interfaceIndex === undefined ? owner : interfaces.find(({ index }) => index === interfaceIndex);
  if (bound === undefined || !bound.running) {
    const name = bound?.name ?? nameOf(interfaces, interfaceIndex!);
    return [warning(
      "endpointInterfaceDown",
      `the interface ${name} of endpoint ${address} is ${bound === undefined ? "gone" : "down"}`,
      bound === undefined
        ? `\`ip mptcp endpoint delete id ${id}\`, and add it anew`
        : `\`ip link set ${shellWord(name)} up\``,
    )];
  }
  const works = established(evidence).some(({ local }) => local.hostname === address);
  const name = owner.name;
  if (interfaceIndex === undefined) {
    if (freeRoute === null || freeRoute.local || freeRoute.interfaceIndex === owner.index) return [];
    const other = nameOf(interfaces, freeRoute.interfaceIndex);
    return [warning(
      "endpointWithoutDevice",
      `endpoint ${address} names no device: its subflow leaves by ${other}, as the route says, and not by ${name}, which has ` +
        "that address",
      `\`ip mptcp endpoint delete id ${id}\` and \`ip mptcp endpoint add ${address} dev ${
        shellWord(name)
      } subflow\`; or a routing table ` +
        `for that address: ${ownTable(address, name)}`,
    )];
  }
  if (works) return [];
  return [...strictReversePath(evidence, endpoint, bound), ...withoutRoute(evidence, endpoint, bound)];
}

/** Answers come by an interface by which the route to their sender does not lead: with rp_filter 1 the kernel drops them. */
function strictReversePath(evidence: Evidence, endpoint: EndpointView, { index, name, rpFilter }: HostInterface): Finding[] {
  const { address, freeRoute } = endpoint;
  if (rpFilter !== 1 || freeRoute === null || freeRoute.interfaceIndex === index || address.includes(":")) return [];
  const drops = evidence.reversePathDrops;
  // With slashes, as a name may have dots: eth0.5
  const key = shellWord(`net/ipv4/conf/${name}/rp_filter`);
  return [{
    code: "strictReversePath",
    severity: "warning",
    message:
      `strict reverse path filtering drops the answers to endpoint ${address}: they come by ${name}, while the route to ` +
      `the peer leads by ${nameOf(evidence.host!.interfaces, freeRoute.interfaceIndex)}`,
    hint: `\`sysctl -w ${key}=2\`; or a routing table for that address: ${ownTable(address, name)}`,
    evidence: `rp_filter of ${name} is 1${drops > 0 ? `; IPReversePathFilter grew by ${drops}` : ""}`,
  }];
}

function withoutRoute(evidence: Evidence, { address, routed }: EndpointView, { name }: HostInterface): Finding[] {
  // A dropped answer came back, so there is a way.
  if (routed || evidence.reversePathDrops > 0) return [];
  const remote = evidence.ends!.remote.hostname;
  return [{
    code: "endpointWithoutRoute",
    severity: "warning",
    message: `there is no route from endpoint ${address} to ${remote} by ${name}`,
    hint: `give that address a routing table of its own: ${ownTable(address, name)}`,
    evidence: "no entry of the routing table matches" +
      (address.includes(":") ? "" : `; the kernel takes ${remote} for a neighbour on ${name}`),
  }];
}

/** The commands that give an address a routing table of its own. */
export function ownTable(address: string, name: string): string {
  const ip = address.includes(":") ? "ip -6" : "ip";
  return `\`${ip} route add default via ROUTER dev ${
    shellWord(name)
  } table 100\` and \`${ip} rule add from ${address} table 100\``;
}

function nameOf(interfaces: readonly HostInterface[], index: number): string {
  return interfaces.find((each) => each.index === index)?.name ?? `number ${index}`;
}
