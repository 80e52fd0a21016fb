/**
 * What of this host decides about paths to a peer: interfaces and their addresses, the path manager's endpoints and limits,
 * and the routes. All of it is free for all to read.
 *
 * @module
 */
import { decodeMptcpSocket } from "../kernel/diag_socket.ts";
import { encodeDumpMptcp, LISTEN_STATE } from "../kernel/inet_diag.ts";
import { ipVersion } from "../kernel/ip.ts";
import type { Endpoint, Limits } from "../kernel/mptcp_pm.ts";
import { NETLINK_ROUTE, NETLINK_SOCK_DIAG, type NetlinkMessage } from "../kernel/netlink.ts";
import { decodeRoute, encodeGetRoute, type Route, type RouteQuery } from "../kernel/route.ts";
import {
  type AddressMessage,
  decodeRouteMessage,
  encodeDumpAddresses,
  encodeDumpLinks,
  IFF_DORMANT,
  IFF_LOWER_UP,
  IFF_UP,
  type LinkMessage,
} from "../kernel/rtnetlink.ts";
import { NetlinkSocket } from "./netlink_socket.ts";
import { PathManager } from "./path_manager.ts";
import { readText } from "./proc.ts";

/** An interface that can carry traffic, or could. */
export interface HostInterface {
  /** The interface's number. */
  index: number;
  /** The interface's name. */
  name: string;
  /** Up, and can carry traffic. */
  running: boolean;
  /** The loopback interface. */
  loopback: boolean;
  /** Its addresses, but for link-local ones and those that cannot be used. */
  addresses: {
    address: string;
    family: 4 | 6;
    /** Whether the routing table has a way from it, by this interface, to the peer. */
    routed: boolean;
  }[];
  /** `rp_filter` as it counts: the larger of the interface's own and that of `all`; 1 is strict. `null` where unknown. */
  rpFilter: number | null;
}

/** An endpoint of which subflows to the peer are opened, and the ways that they take. */
export interface EndpointView extends Endpoint {
  /** The way of a subflow that is not bound to an interface; `null` where there is none. */
  freeRoute: Route | null;
  /** Whether the routing table has a way by the endpoint's own interface; true for an endpoint without one. */
  routed: boolean;
}

/** See the module's comment. */
export interface HostView {
  interfaces: HostInterface[];
  limits: Limits | null;
  /** Endpoints with flag `subflow`, of the peer's family. */
  endpoints: EndpointView[];
  /** The way to the peer; `null` where there is none. */
  route: Route | null;
}

/** Asks for routes. */
export class RouteTable implements Disposable {
  readonly #socket = new NetlinkSocket(NETLINK_ROUTE);

  /** The route, or `null` where there is none. */
  find(query: RouteQuery): Route | null {
    const message = this.#ask(query);
    return message === null ? null : decodeRoute(message);
  }

  /** Whether the routing table has an entry for it. */
  has(query: RouteQuery): boolean {
    const message = this.#ask({ ...query, entry: true });
    const index = message === null ? undefined : decodeRoute(message)?.interfaceIndex;
    // For IPv6 the kernel tells another interface's, rather than that there is none by the one asked for.
    return message !== null && (index === undefined || query.interfaceIndex === undefined || index === query.interfaceIndex);
  }

  #ask(query: RouteQuery): NetlinkMessage | null {
    try {
      return this.#socket.request(encodeGetRoute(query), "find a route").messages[0] ?? null;
    } catch {
      return null;
    }
  }

  /**
   * All interfaces.
   *
   * @param destination The peer's address. @default {undefined} nothing is routed
   */
  interfaces(destination?: string): HostInterface[] {
    const dump = (request: Uint8Array) => this.#socket.request(request, "list interfaces").messages.map(decodeRouteMessage);
    const addresses = dump(encodeDumpAddresses()).filter((each) => each?.type === "address").filter(isUsable);
    const everywhere = rpFilterOf("all");
    return dump(encodeDumpLinks()).filter((each) => each?.type === "link").map((link) => {
      const { index, name, loopback } = link;
      const running = canCarry(link);
      const own = rpFilterOf(name);
      return {
        index,
        name,
        running,
        loopback,
        addresses: addresses.filter((each) => each.index === index).map(({ address, family }) => ({
          address,
          family,
          routed: running && !loopback && destination !== undefined && ipVersion(destination) === family &&
            this.has({ destination, source: address, interfaceIndex: index }),
        })),
        rpFilter: own === null || everywhere === null ? null : Math.max(own, everywhere),
      };
    });
  }

  close(): void {
    this.#socket.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** A link that has just come up works at once; the kernel calls it running only when it gets round to it, up to a second later. */
function canCarry({ running, flags }: LinkMessage): boolean {
  return running || (flags & (IFF_UP | IFF_LOWER_UP | IFF_DORMANT)) === (IFF_UP | IFF_LOWER_UP);
}

function isUsable({ scope, tentative, duplicate }: AddressMessage): boolean {
  return scope !== "link" && !tentative && !duplicate;
}

function rpFilterOf(name: string): number | null {
  const text = readText(`/proc/sys/net/ipv4/conf/${name}/rp_filter`)?.trim();
  return text === undefined || !/^\d+$/.test(text) ? null : Number(text);
}

/**
 * Reads it for one peer.
 *
 * @param remote The peer's address.
 * @returns `null` where the kernel cannot be asked.
 */
export function readHost(remote: string): HostView | null {
  const destination = remote.replace(/%.*/, "");
  try {
    using routes = new RouteTable();
    const { limits, endpoints } = readPathManager();
    return {
      interfaces: routes.interfaces(destination),
      limits,
      route: routes.find({ destination }),
      endpoints: endpoints.filter(({ subflow, address }) => subflow && ipVersion(address) === ipVersion(destination)).map(
        (endpoint) => {
          const { address: source, interfaceIndex } = endpoint;
          return {
            ...endpoint,
            freeRoute: routes.find({ destination, source }),
            routed: interfaceIndex === undefined || routes.has({ destination, source, interfaceIndex }),
          };
        },
      ),
    };
  } catch {
    return null;
  }
}

/** Whether an MPTCP listener of this host has a port, whatever its address; `null` where the kernel does not tell. */
export function hasMptcpListener(port: number): boolean | null {
  try {
    using socket = new NetlinkSocket(NETLINK_SOCK_DIAG);
    const messages = ([4, 6] as const).flatMap((family) =>
      socket.request(encodeDumpMptcp(family, { states: LISTEN_STATE }), "list listeners").messages
    );
    return messages.some((message) => decodeMptcpSocket(message).local.port === port);
  } catch {
    return null;
  }
}

function readPathManager(): { limits: Limits | null; endpoints: Endpoint[] } {
  try {
    using paths = PathManager.open();
    return { limits: paths.limits(), endpoints: paths.endpoints() };
  } catch {
    return { limits: null, endpoints: [] }; // a kernel without MPTCP
  }
}
