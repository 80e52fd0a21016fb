/**
 * One route by rtnetlink, `<linux/rtnetlink.h>`: by which interface and from which address packets to a destination leave,
 * as `ip route get` asks it.
 *
 * @module
 */
import { AF_INET, AF_INET6 } from "./constants.ts";
import { formatIPv4, formatIPv6, parseIPv4, parseIPv6 } from "./ip.ts";
import { encodeMessage, messageAttributes, type NetlinkMessage, NLM_F_REQUEST } from "./netlink.ts";
import { AttributeEncoder } from "./netlink_attributes.ts";
import { struct, u32, u8, viewOf } from "./struct.ts";

/** A route. */
export const RTM_NEWROUTE = 24;
/** Asks for the route to a destination. */
export const RTM_GETROUTE = 26;

/** `struct rtmsg` */
const RTMSG = struct({ rtm_family: u8(0), rtm_dst_len: u8(1), rtm_src_len: u8(2), rtm_type: u8(7), rtm_flags: u32(8) });

const RTA_DST = 1;
const RTA_SRC = 2;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RTA_PREFSRC = 7;
/** A gateway of the other family, as for IPv4 by way of an IPv6 router: `struct rtvia`. */
const RTA_VIA = 18;

/** `RTM_F_FIB_MATCH`: tell the entry of the table that matches */
const RTM_F_FIB_MATCH = 0x2000;
/** `RTN_LOCAL`: the destination is an address of this host */
const RTN_LOCAL = 2;

/** What a route is asked for. */
export interface RouteQuery {
  /** Where to: IPv4 or IPv6, without a zone. */
  destination: string;
  /** From which of the host's addresses, as policy routing may heed that. @default {undefined} as the route says */
  source?: string | undefined;
  /** Only by this interface. @default {undefined} by any */
  interfaceIndex?: number | undefined;
  /**
   * Ask for the entry of the routing table instead of the way: it is an error where there is none. For the way the kernel
   * takes every IPv4 destination for a neighbour, when an interface is given and no entry matches.
   *
   * @default {false}
   */
  entry?: boolean;
}

/** How packets get to a destination. */
export interface Route {
  /** The interface that they leave by. `RTA_OIF` */
  interfaceIndex: number;
  /** The address that they come from. `RTA_PREFSRC` */
  source?: string;
  /** Whether a router takes them; else the destination is looked for on the link itself. `RTA_GATEWAY`, `RTA_VIA` */
  gateway: boolean;
  /** Whether the destination is this host. `RTN_LOCAL` */
  local: boolean;
}

/**
 * Encodes the question. The sequence number is 0, see `setSequence`.
 *
 * @throws {TypeError} When an address is none, or the two are of different families.
 */
export function encodeGetRoute({ destination, source, interfaceIndex, entry = false }: RouteQuery): Uint8Array<ArrayBuffer> {
  const to = parseIPv4(destination) ?? parseIPv6(destination);
  if (to === null) throw new TypeError(`Cannot ask for the route to "${destination}": it is not an IP address`);
  const from = source === undefined ? undefined : parseIPv4(source) ?? parseIPv6(source);
  if (from === null || (from !== undefined && from.length !== to.length)) {
    throw new TypeError(`Cannot ask for the route from "${source}" to ${destination}: the families differ`);
  }
  const head = new Uint8Array(RTMSG.size);
  RTMSG.encode(viewOf(head), 0, {
    rtm_family: to.length === 4 ? AF_INET : AF_INET6,
    rtm_dst_len: 8 * to.length,
    rtm_src_len: from === undefined ? 0 : 8 * from.length,
    rtm_flags: entry ? RTM_F_FIB_MATCH : 0,
  });
  const attributes = new AttributeEncoder().bytes(RTA_DST, to);
  if (from !== undefined) attributes.bytes(RTA_SRC, from);
  if (interfaceIndex !== undefined) attributes.u32(RTA_OIF, interfaceIndex);
  return encodeMessage(RTM_GETROUTE, NLM_F_REQUEST, head, attributes.finish());
}

/**
 * Decodes the answer.
 *
 * @returns `null` for other messages, and for an entry with several next hops.
 * @throws {MptcpError} `EBADMSG`, when the message is malformed.
 */
export function decodeRoute(message: NetlinkMessage): Route | null {
  if (message.type !== RTM_NEWROUTE) return null;
  const attributes = messageAttributes(message, RTMSG.size);
  const { rtm_family, rtm_type } = RTMSG.decode(message.view, message.start, RTMSG.size);
  let interfaceIndex = 0;
  let gateway = false;
  let source: string | undefined;
  while (attributes.next()) {
    if (attributes.type === RTA_OIF) interfaceIndex = attributes.u32();
    if (attributes.type === RTA_GATEWAY || attributes.type === RTA_VIA) gateway = true;
    if (attributes.type === RTA_PREFSRC) {
      source = rtm_family === AF_INET ? formatIPv4(attributes.bytes(4)) : formatIPv6(attributes.bytes(16));
    }
  }
  if (interfaceIndex === 0) return null;
  return { interfaceIndex, gateway, local: rtm_type === RTN_LOCAL, ...(source === undefined ? {} : { source }) };
}
