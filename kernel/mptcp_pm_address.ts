/**
 * The nested address of `mptcp_pm` commands and answers (`MPTCP_PM_ADDR_ATTR_*` of `<linux/mptcp_pm.h>`), and what an
 * endpoint is made of.
 *
 * @module
 */
import { checkBoolean, checkInteger, checkObject } from "./argument_checks.ts";
import { AF_INET, AF_INET6 } from "./constants.ts";
import { formatIPv4, formatIPv6, isV4Mapped, parseIPv4, parseIPv6 } from "./ip.ts";
import { type AttributeDecoder, type AttributeEncoder, malformed } from "./netlink_attributes.ts";

const MPTCP_PM_ADDR_ATTR_FAMILY = 1;
const MPTCP_PM_ADDR_ATTR_ID = 2;
const MPTCP_PM_ADDR_ATTR_ADDR4 = 3;
const MPTCP_PM_ADDR_ATTR_ADDR6 = 4;
/** In host order, unlike every other port of netlink. */
const MPTCP_PM_ADDR_ATTR_PORT = 5;
const MPTCP_PM_ADDR_ATTR_FLAGS = 6;
const MPTCP_PM_ADDR_ATTR_IF_IDX = 7;

/** `#define MPTCP_PM_ADDR_FLAG_SIGNAL (1 << 0)` */
export const MPTCP_PM_ADDR_FLAG_SIGNAL = 1;
/** `#define MPTCP_PM_ADDR_FLAG_SUBFLOW (1 << 1)` */
export const MPTCP_PM_ADDR_FLAG_SUBFLOW = 2;
/** `#define MPTCP_PM_ADDR_FLAG_BACKUP (1 << 2)` */
export const MPTCP_PM_ADDR_FLAG_BACKUP = 4;
/** `#define MPTCP_PM_ADDR_FLAG_FULLMESH (1 << 3)` */
export const MPTCP_PM_ADDR_FLAG_FULLMESH = 8;
/** `#define MPTCP_PM_ADDR_FLAG_IMPLICIT (1 << 4)` */
export const MPTCP_PM_ADDR_FLAG_IMPLICIT = 16;
/** `#define MPTCP_PM_ADDR_FLAG_LAMINAR (1 << 5)` */
export const MPTCP_PM_ADDR_FLAG_LAMINAR = 32;

/** What the kernel does with an endpoint. */
export interface EndpointFlags {
  /** Announce the address to peers (ADD_ADDR). `MPTCP_PM_ADDR_FLAG_SIGNAL` */
  signal: boolean;
  /** Open a subflow from the address. `MPTCP_PM_ADDR_FLAG_SUBFLOW` */
  subflow: boolean;
  /** Subflows of the address are backups, used when no other works. `MPTCP_PM_ADDR_FLAG_BACKUP` */
  backup: boolean;
  /**
   * Open subflows from the address to all addresses that the peer announces; with `subflow` also to the peer's initial one.
   * `MPTCP_PM_ADDR_FLAG_FULLMESH` (5.15)
   */
  fullmesh: boolean;
  /** Made by the kernel itself, when a peer joined at the address; not to be set. `MPTCP_PM_ADDR_FLAG_IMPLICIT` (5.18) */
  implicit: boolean;
  /**
   * Use the address as the source of a subflow to an address that the peer announced. `MPTCP_PM_ADDR_FLAG_LAMINAR` (6.18);
   * older kernels drop it in silence: read the endpoint back to see.
   */
  laminar: boolean;
}

/** An endpoint: a local address that the kernel's path manager may use. */
export interface Endpoint extends EndpointFlags {
  /** 1 to 255. `MPTCP_PM_ADDR_ATTR_ID` */
  id: number;
  /** IPv4 or IPv6. `MPTCP_PM_ADDR_ATTR_ADDR4`, `MPTCP_PM_ADDR_ATTR_ADDR6` */
  address: string;
  /** The port that is announced, if it is not the connection's own. `MPTCP_PM_ADDR_ATTR_PORT` */
  port?: number;
  /** The interface that subflows are bound to. `MPTCP_PM_ADDR_ATTR_IF_IDX` */
  interfaceIndex?: number;
  /** All flags as the kernel has them, also those without a name here. `MPTCP_PM_ADDR_ATTR_FLAGS` */
  flags: number;
}

/** An endpoint to be made. A flag that is left out is off, or as in `flags`. */
export interface EndpointInit extends Partial<EndpointFlags> {
  /**
   * 0 to 255.
   *
   * @default {0} the kernel picks one
   */
  id?: number;
  /** IPv4 or IPv6, without a zone. */
  address: string;
  /**
   * Announce this port too, 1 to 65535; the kernel listens there. Only with `signal`, and not with `subflow`. With an IPv6
   * address only connections without TCP timestamps can tell their peers: else there is no room for it in a packet.
   *
   * @default {undefined} the connection's own port
   */
  port?: number;
  /**
   * Bind subflows to this interface.
   *
   * @default {undefined} as routing says
   */
  interfaceIndex?: number;
  /**
   * Flags by their bits; those that are also given by name are as the name says.
   *
   * @default {0}
   */
  flags?: number;
}

const FLAG_BITS: readonly (readonly [keyof EndpointFlags, number])[] = [
  ["signal", MPTCP_PM_ADDR_FLAG_SIGNAL],
  ["subflow", MPTCP_PM_ADDR_FLAG_SUBFLOW],
  ["backup", MPTCP_PM_ADDR_FLAG_BACKUP],
  ["fullmesh", MPTCP_PM_ADDR_FLAG_FULLMESH],
  ["implicit", MPTCP_PM_ADDR_FLAG_IMPLICIT],
  ["laminar", MPTCP_PM_ADDR_FLAG_LAMINAR],
];

/** The bits of flags that are given by name, by number, or both. */
export function flagsOf(init: Partial<EndpointFlags> & { flags?: number }): number {
  let flags = init.flags ?? 0;
  for (const [name, bit] of FLAG_BITS) {
    if (init[name] !== undefined) flags = init[name] ? flags | bit : flags & ~bit;
  }
  return flags >>> 0;
}

/**
 * Checks an endpoint that is to be made: also what the kernel refuses with nothing but EINVAL, or takes and ignores.
 *
 * @throws {TypeError} When a type is wrong or flags contradict each other.
 * @throws {RangeError} When a number is out of range.
 */
export function checkEndpoint(endpoint: EndpointInit): void {
  checkObject("endpoint", endpoint);
  const { id, port, flags } = endpoint;
  if (id !== undefined) checkInteger("id", id, 0, 255);
  if (flags !== undefined) checkInteger("flags", flags, 0, 0xffffffff);
  for (const [name] of FLAG_BITS) checkBoolean(name, endpoint[name]);
  const bits = flagsOf(endpoint);
  const has = (bit: number) => (bits & bit) !== 0;
  if (has(MPTCP_PM_ADDR_FLAG_IMPLICIT)) {
    throw new TypeError("Cannot make an implicit endpoint: only the kernel does that by itself");
  }
  if (has(MPTCP_PM_ADDR_FLAG_FULLMESH) && has(MPTCP_PM_ADDR_FLAG_SIGNAL)) {
    throw new TypeError("Cannot make an endpoint with both fullmesh and signal: make two endpoints");
  }
  if (port !== undefined && (!has(MPTCP_PM_ADDR_FLAG_SIGNAL) || has(MPTCP_PM_ADDR_FLAG_SUBFLOW))) {
    throw new TypeError("Cannot make an endpoint with a port: that is for signal without subflow only");
  }
}

/** What goes into a nested address; what is absent is left out. An address that is there must be one. */
export interface PmAddress {
  /** `MPTCP_PM_ADDR_ATTR_ID` */
  id?: number | undefined;
  /** `MPTCP_PM_ADDR_ATTR_FAMILY` and `_ADDR4` or `_ADDR6` */
  address?: string | undefined;
  /** `MPTCP_PM_ADDR_ATTR_PORT` */
  port?: number | undefined;
  /** `MPTCP_PM_ADDR_ATTR_FLAGS` */
  flags?: number | undefined;
  /** `MPTCP_PM_ADDR_ATTR_IF_IDX` */
  interfaceIndex?: number | undefined;
}

/** The bytes of an address literal: 4 or 16. */
function addressBytes(address: unknown): Uint8Array {
  const bytes = typeof address === "string" ? parseIPv4(address) ?? parseIPv6(address) : null;
  if (bytes !== null) return bytes;
  const zoned = typeof address === "string" && address.includes("%");
  throw new TypeError(
    `Cannot use address "${String(address).slice(0, 80)}": ` +
      (zoned ? "netlink knows no zones, use interfaceIndex" : "it is not an IP address"),
  );
}

/**
 * Makes two addresses of one family. IPv4 goes with IPv4-mapped IPv6, then as such; with nothing else.
 *
 * @throws {TypeError} When the one is IPv4 and the other is not.
 */
export function sameFamily(local: string, remote: string): [local: string, remote: string] {
  const [a, b] = [addressBytes(local), addressBytes(remote)];
  if (a.length === b.length && (a.length === 4 || isV4Mapped(a) === isV4Mapped(b))) return [local, remote];
  if (a.length === 4 && isV4Mapped(b)) return [`::ffff:${local}`, remote];
  if (b.length === 4 && isV4Mapped(a)) return [local, `::ffff:${remote}`];
  throw new TypeError(`Cannot use ${local} with ${remote}: both must be IPv4, or both IPv6`);
}

/** Adds the attributes of an address. An id alone comes without a family, else the kernel asks for the address too. */
export function encodePmAddress(nest: AttributeEncoder, given: PmAddress): void {
  const { id, port, flags, interfaceIndex } = given;
  const bytes = "address" in given ? addressBytes(given.address) : null;
  if (port !== undefined) checkInteger("port", port, 1, 65535);
  if (interfaceIndex !== undefined) checkInteger("interfaceIndex", interfaceIndex, 1, 0x7fffffff);
  if (bytes !== null) nest.u16(MPTCP_PM_ADDR_ATTR_FAMILY, bytes.length === 4 ? AF_INET : AF_INET6);
  if (id !== undefined) nest.u8(MPTCP_PM_ADDR_ATTR_ID, id);
  if (bytes !== null) nest.bytes(bytes.length === 4 ? MPTCP_PM_ADDR_ATTR_ADDR4 : MPTCP_PM_ADDR_ATTR_ADDR6, bytes);
  if (port !== undefined) nest.u16(MPTCP_PM_ADDR_ATTR_PORT, port);
  if (flags !== undefined) nest.u32(MPTCP_PM_ADDR_ATTR_FLAGS, flags);
  if (interfaceIndex !== undefined) nest.s32(MPTCP_PM_ADDR_ATTR_IF_IDX, interfaceIndex);
}

/** IPv6 as text; IPv4-mapped addresses stay so, as the kernel tells them from IPv4, but readable. */
function textOf(bytes: Uint8Array): string {
  return isV4Mapped(bytes) ? `::ffff:${formatIPv4(bytes, 12)}` : formatIPv6(bytes);
}

/** Decodes an endpoint. */
export function decodePmAddress(nest: AttributeDecoder): Endpoint {
  let id: number | undefined;
  let address: string | undefined;
  let port = 0;
  let interfaceIndex = 0;
  let flags = 0;
  while (nest.next()) {
    switch (nest.type) {
      case MPTCP_PM_ADDR_ATTR_ID:
        id = nest.u8();
        break;
      case MPTCP_PM_ADDR_ATTR_ADDR4:
        address = formatIPv4(nest.bytes(4));
        break;
      case MPTCP_PM_ADDR_ATTR_ADDR6:
        address = textOf(nest.bytes(16));
        break;
      case MPTCP_PM_ADDR_ATTR_PORT:
        port = nest.u16();
        break;
      case MPTCP_PM_ADDR_ATTR_FLAGS:
        flags = nest.u32();
        break;
      case MPTCP_PM_ADDR_ATTR_IF_IDX:
        interfaceIndex = nest.s32();
        break;
    }
  }
  if (id === undefined || address === undefined) throw malformed("an endpoint", "its id or its address is missing");
  const has = (bit: number) => (flags & bit) !== 0;
  return {
    id,
    address,
    ...(port === 0 ? {} : { port }),
    ...(interfaceIndex === 0 ? {} : { interfaceIndex }),
    signal: has(MPTCP_PM_ADDR_FLAG_SIGNAL),
    subflow: has(MPTCP_PM_ADDR_FLAG_SUBFLOW),
    backup: has(MPTCP_PM_ADDR_FLAG_BACKUP),
    fullmesh: has(MPTCP_PM_ADDR_FLAG_FULLMESH),
    implicit: has(MPTCP_PM_ADDR_FLAG_IMPLICIT),
    laminar: has(MPTCP_PM_ADDR_FLAG_LAMINAR),
    flags,
  };
}

/**
 * How a command writes an address of a subflow that an event or a dump told: IPv4 of an IPv6 socket as `::ffff:192.0.2.1`.
 * MPTCP_PM_CMD_SUBFLOW_DESTROY finds a subflow by its socket's own family only, which may differ from the connection's.
 *
 * @param family The family of the subflow's socket.
 */
export function commandAddress(hostname: string, family: 4 | 6): string {
  return family === 6 && !hostname.includes(":") ? `::ffff:${hostname}` : hostname;
}
