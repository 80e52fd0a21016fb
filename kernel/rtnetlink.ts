/**
 * Links and addresses of the host by rtnetlink, `<linux/rtnetlink.h>`, `<linux/if_link.h>`, `<linux/if_addr.h>`: requests
 * for dumps, and what dumps and notifications say.
 *
 * @module
 */
import { AF_INET, AF_INET6 } from "./constants.ts";
import { formatIPv4, formatIPv6 } from "./ip.ts";
import { encodeMessage, messageAttributes, type NetlinkMessage, NLM_F_DUMP, NLM_F_REQUEST } from "./netlink.ts";
import { AttributeEncoder } from "./netlink_attributes.ts";
import { s32, struct, u16, u32, u8 } from "./struct.ts";

/** A link is there, or changed. */
export const RTM_NEWLINK = 16;
/** A link is gone. */
export const RTM_DELLINK = 17;
/** Asks for links. */
export const RTM_GETLINK = 18;
/** An address is there, or changed. */
export const RTM_NEWADDR = 20;
/** An address is gone. */
export const RTM_DELADDR = 21;
/** Asks for addresses. */
export const RTM_GETADDR = 22;

/** Group of link notifications; free for all to join. */
export const RTNLGRP_LINK = 1;
/** Group of IPv4 address notifications. */
export const RTNLGRP_IPV4_IFADDR = 5;
/** Group of IPv4 route notifications. */
export const RTNLGRP_IPV4_ROUTE = 7;
/** Group of IPv6 address notifications. */
export const RTNLGRP_IPV6_IFADDR = 9;
/** Group of IPv6 route notifications. */
export const RTNLGRP_IPV6_ROUTE = 11;

/** `struct ifinfomsg` */
const IFINFOMSG = struct({ ifi_family: u8(0), ifi_type: u16(2), ifi_index: s32(4), ifi_flags: u32(8), ifi_change: u32(12) });
/** `struct ifaddrmsg` */
const IFADDRMSG = struct({
  ifa_family: u8(0),
  ifa_prefixlen: u8(1),
  ifa_flags: u8(2),
  ifa_scope: u8(3),
  ifa_index: u32(4),
});

const IFLA_IFNAME = 3;
const IFLA_MTU = 4;
const IFLA_OPERSTATE = 16;
const IFLA_EXT_MASK = 29;
/** `#define RTEXT_FILTER_SKIP_STATS (1 << 3)`: without the counters, which make up most of a dump */
const RTEXT_FILTER_SKIP_STATS = 8;

/** `enum net_device_flags` of `<linux/if.h>`: administratively up */
export const IFF_UP = 0x1;
/** … the loopback interface */
export const IFF_LOOPBACK = 0x8;
/** … operational by RFC 2863 */
export const IFF_RUNNING = 0x40;
/** … the driver sees a carrier */
export const IFF_LOWER_UP = 0x10000;
/** … the driver waits for something, as for a Wi-Fi network's consent */
export const IFF_DORMANT = 0x20000;

/** The state of a link, RFC 2863. Interfaces without a carrier, such as `lo`, are `"unknown"` while they work. */
export type OperState = "unknown" | "notpresent" | "down" | "lowerlayerdown" | "testing" | "dormant" | "up";

/** `IF_OPER_*` of `<linux/if.h>` by number */
const OPERSTATES: readonly OperState[] = ["unknown", "notpresent", "down", "lowerlayerdown", "testing", "dormant", "up"];

const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_FLAGS = 8;

/** `ifa_flags` of `<linux/if_addr.h>`: duplicate address detection found another holder */
export const IFA_F_DADFAILED = 0x08;
/** … not to be used for new connections */
export const IFA_F_DEPRECATED = 0x20;
/** … duplicate address detection still runs: not usable yet */
export const IFA_F_TENTATIVE = 0x40;
/** … was set by hand, does not expire */
export const IFA_F_PERMANENT = 0x80;

/** `enum rt_scope_t` of `<linux/rtnetlink.h>` by number */
const SCOPES: ReadonlyMap<number, string> = new Map([
  [0, "global"],
  [200, "site"],
  [253, "link"],
  [254, "host"],
  [255, "nowhere"],
]);

/** A network interface, as a dump or a notification tells it. */
export interface LinkMessage {
  /** Tells the kinds of messages apart. */
  type: "link";
  /** Whether the link is gone: `RTM_DELLINK` instead of `RTM_NEWLINK`. */
  removed: boolean;
  /** The interface's number. `ifi_index` */
  index: number;
  /** The interface's name. `IFLA_IFNAME` */
  name: string;
  /** All flags. `ifi_flags` */
  flags: number;
  /** Administratively up. `IFF_UP` */
  up: boolean;
  /** Up, and can carry traffic. `IFF_RUNNING` */
  running: boolean;
  /** The loopback interface. `IFF_LOOPBACK` */
  loopback: boolean;
  /** The state of the link. `IFLA_OPERSTATE` */
  operState: OperState;
  /** MTU, bytes. `IFLA_MTU` */
  mtu?: number;
}

/** An address of an interface, as a dump or a notification tells it. */
export interface AddressMessage {
  /** Tells the kinds of messages apart. */
  type: "address";
  /** Whether the address is gone: `RTM_DELADDR` instead of `RTM_NEWADDR`. */
  removed: boolean;
  /** The interface's number. `ifa_index` */
  index: number;
  /** 4 or 6. `ifa_family` */
  family: 4 | 6;
  /** The host's own address. `IFA_LOCAL`; `IFA_ADDRESS` where that is absent, as IPv6 has it */
  address: string;
  /** The length of the network's prefix, bits. `ifa_prefixlen` */
  prefixLength: number;
  /** All flags. `IFA_FLAGS`; `ifa_flags` where that is absent */
  flags: number;
  /** Duplicate address detection still runs: the address cannot be used yet. `IFA_F_TENTATIVE` */
  tentative: boolean;
  /** Not to be used for new connections. `IFA_F_DEPRECATED` */
  deprecated: boolean;
  /** Another host has the address: it cannot be used. `IFA_F_DADFAILED` */
  duplicate: boolean;
  /** Where the address is valid: `"global"`, `"link"`, `"host"`, `"site"`, `"nowhere"`, or a number. `ifa_scope` */
  scope: string;
}

/** Encodes the request for all links. The sequence number is 0, see `setSequence`. */
export function encodeDumpLinks(): Uint8Array<ArrayBuffer> {
  const filter = new AttributeEncoder().u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS).finish();
  return encodeMessage(RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, new Uint8Array(IFINFOMSG.size), filter);
}

/**
 * Encodes the request for all addresses. The sequence number is 0, see `setSequence`.
 *
 * @param family Only addresses of this one. @default {0} both
 */
export function encodeDumpAddresses(family: 0 | 4 | 6 = 0): Uint8Array<ArrayBuffer> {
  const head = new Uint8Array(IFADDRMSG.size);
  head[0] = family === 0 ? 0 : family === 4 ? AF_INET : AF_INET6;
  return encodeMessage(RTM_GETADDR, NLM_F_REQUEST | NLM_F_DUMP, head);
}

/**
 * Decodes a message about a link or an address.
 *
 * @returns `null` for other messages, other families, and what a bridge tells about its ports.
 * @throws {MptcpError} `EBADMSG`, when the message is malformed.
 */
export function decodeRouteMessage(message: NetlinkMessage): LinkMessage | AddressMessage | null {
  switch (message.type) {
    case RTM_NEWLINK:
    case RTM_DELLINK:
      return decodeLink(message);
    case RTM_NEWADDR:
    case RTM_DELADDR:
      return decodeAddress(message);
    default:
      return null;
  }
}

function decodeLink(message: NetlinkMessage): LinkMessage | null {
  const attributes = messageAttributes(message, IFINFOMSG.size);
  const { ifi_family, ifi_index, ifi_flags } = IFINFOMSG.decode(message.view, message.start, IFINFOMSG.size);
  // AF_BRIDGE: a DELLINK then means that the interface left its bridge, not that it is gone.
  if (ifi_family !== 0) return null;
  const flags = ifi_flags!;
  let name = "";
  let operState: OperState = "unknown";
  let mtu: number | undefined;
  while (attributes.next()) {
    if (attributes.type === IFLA_IFNAME) name = attributes.cstring();
    if (attributes.type === IFLA_MTU) mtu = attributes.u32();
    if (attributes.type === IFLA_OPERSTATE) operState = OPERSTATES[attributes.u8()] ?? "unknown";
  }
  return {
    type: "link",
    removed: message.type === RTM_DELLINK,
    index: ifi_index!,
    name,
    flags,
    up: (flags & IFF_UP) !== 0,
    running: (flags & IFF_RUNNING) !== 0,
    loopback: (flags & IFF_LOOPBACK) !== 0,
    operState,
    ...(mtu === undefined ? {} : { mtu }),
  };
}

function decodeAddress(message: NetlinkMessage): AddressMessage | null {
  const attributes = messageAttributes(message, IFADDRMSG.size);
  const head = IFADDRMSG.decode(message.view, message.start, IFADDRMSG.size);
  if (head.ifa_family !== AF_INET && head.ifa_family !== AF_INET6) return null;
  const family = head.ifa_family === AF_INET ? 4 : 6;
  const read = () => family === 4 ? formatIPv4(attributes.bytes(4)) : formatIPv6(attributes.bytes(16));
  let local: string | undefined;
  let address: string | undefined;
  let flags = head.ifa_flags!;
  while (attributes.next()) {
    if (attributes.type === IFA_LOCAL) local = read();
    if (attributes.type === IFA_ADDRESS) address = read();
    if (attributes.type === IFA_FLAGS) flags = attributes.u32();
  }
  // On a point-to-point link IFA_ADDRESS is the other end.
  const own = local ?? address;
  if (own === undefined) return null;
  return {
    type: "address",
    removed: message.type === RTM_DELADDR,
    index: head.ifa_index!,
    family,
    address: own,
    prefixLength: head.ifa_prefixlen!,
    flags,
    tentative: (flags & IFA_F_TENTATIVE) !== 0,
    deprecated: (flags & IFA_F_DEPRECATED) !== 0,
    duplicate: (flags & IFA_F_DADFAILED) !== 0,
    scope: SCOPES.get(head.ifa_scope!) ?? String(head.ifa_scope),
  };
}
