/**
 * The generic netlink family `mptcp_pm` of `<linux/mptcp_pm.h>`: its commands, for endpoints and limits of the kernel's
 * path manager and for connections whose paths a program manages. What each does and needs is documented by the kernel in
 * `Documentation/netlink/specs/mptcp_pm.yaml`.
 *
 * Every encoder gives a whole message with sequence number 0, for the family of the number that `decodeFamily` gave.
 *
 * @module
 */
import { checkBoolean, checkInteger, checkObject } from "./argument_checks.ts";
import { encodeGenlMessage, genlAttributes } from "./genl.ts";
import { type NetlinkMessage, NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST } from "./netlink.ts";
import { AttributeEncoder, malformed } from "./netlink_attributes.ts";
import {
  checkEndpoint,
  decodePmAddress,
  encodePmAddress,
  type Endpoint,
  type EndpointFlags,
  type EndpointInit,
  flagsOf,
  MPTCP_PM_ADDR_FLAG_BACKUP,
  MPTCP_PM_ADDR_FLAG_FULLMESH,
  MPTCP_PM_ADDR_FLAG_SIGNAL,
  sameFamily,
} from "./mptcp_pm_address.ts";
import type { AnnouncedAddress, EndpointKey, Limits, NewSubflowLocal, SubflowEnd } from "./mptcp_pm_types.ts";

export type { Endpoint, EndpointFlags, EndpointInit };
export type * from "./mptcp_pm_types.ts";

/** `#define MPTCP_PM_NAME "mptcp_pm"` */
export const MPTCP_PM_NAME = "mptcp_pm";
/** `#define MPTCP_PM_EV_GRP_NAME "mptcp_pm_events"` */
export const MPTCP_PM_EV_GRP_NAME = "mptcp_pm_events";
/** `#define MPTCP_PM_VER 1` */
export const MPTCP_PM_VER = 1;

/** Commands of `<linux/mptcp_pm.h>`: add an endpoint. */
export const MPTCP_PM_CMD_ADD_ADDR = 1;
/** … remove an endpoint */
export const MPTCP_PM_CMD_DEL_ADDR = 2;
/** … one endpoint, or all */
export const MPTCP_PM_CMD_GET_ADDR = 3;
/** … remove all endpoints */
export const MPTCP_PM_CMD_FLUSH_ADDRS = 4;
/** … set the limits */
export const MPTCP_PM_CMD_SET_LIMITS = 5;
/** … ask for the limits */
export const MPTCP_PM_CMD_GET_LIMITS = 6;
/** … change the flags of an endpoint or of a subflow */
export const MPTCP_PM_CMD_SET_FLAGS = 7;
/** … announce an address to a peer */
export const MPTCP_PM_CMD_ANNOUNCE = 8;
/** … withdraw an address from a peer */
export const MPTCP_PM_CMD_REMOVE = 9;
/** … open a subflow */
export const MPTCP_PM_CMD_SUBFLOW_CREATE = 10;
/** … close a subflow */
export const MPTCP_PM_CMD_SUBFLOW_DESTROY = 11;

/** nested address; the same number as `MPTCP_PM_ENDPOINT_ADDR` */
const MPTCP_PM_ATTR_ADDR = 1;
const MPTCP_PM_ATTR_RCV_ADD_ADDRS = 2;
const MPTCP_PM_ATTR_SUBFLOWS = 3;
const MPTCP_PM_ATTR_TOKEN = 4;
const MPTCP_PM_ATTR_LOC_ID = 5;
/** nested address */
const MPTCP_PM_ATTR_ADDR_REMOTE = 6;

const DO = NLM_F_REQUEST | NLM_F_ACK;

function command(family: number, flags: number, cmd: number, attributes?: AttributeEncoder): Uint8Array<ArrayBuffer> {
  return encodeGenlMessage(family, flags, cmd, MPTCP_PM_VER, attributes?.finish());
}

function ofToken(token: number): AttributeEncoder {
  checkInteger("token", token, 1, 0xffffffff);
  return new AttributeEncoder().u32(MPTCP_PM_ATTR_TOKEN, token);
}

/**
 * `ip mptcp endpoint add`. Without an id the kernel picks one.
 *
 * @throws {TypeError} When the flags contradict each other.
 */
export function encodeAddEndpoint(family: number, endpoint: EndpointInit): Uint8Array<ArrayBuffer> {
  checkEndpoint(endpoint);
  const { id, address, port, interfaceIndex } = endpoint;
  const attributes = new AttributeEncoder().nested(MPTCP_PM_ATTR_ADDR, (nest) => {
    encodePmAddress(nest, { id: id || undefined, address, port, interfaceIndex, flags: flagsOf(endpoint) });
  });
  return command(family, DO, MPTCP_PM_CMD_ADD_ADDR, attributes);
}

/**
 * `ip mptcp endpoint delete id …`. Id 0 closes the initial subflows from `address`, of all connections: no endpoint has
 * that id, and without the address the kernel does nothing and calls it success.
 */
export function encodeRemoveEndpoint(
  family: number,
  endpoint: { id: number; address?: string | undefined },
): Uint8Array<ArrayBuffer> {
  checkObject("endpoint", endpoint);
  const { id, address } = endpoint;
  checkInteger("id", id, 0, 255);
  if (id === 0 && address === undefined) throw new TypeError("Cannot remove endpoint 0: its address is needed too");
  const attributes = new AttributeEncoder().nested(MPTCP_PM_ATTR_ADDR, (nest) => {
    encodePmAddress(nest, id === 0 ? { id, address } : { id });
  });
  return command(family, DO, MPTCP_PM_CMD_DEL_ADDR, attributes);
}

/** `ip mptcp endpoint show id …`; unprivileged. With a token: of the addresses of that userspace-managed connection. */
export function encodeGetEndpoint(family: number, id: number, token?: number): Uint8Array<ArrayBuffer> {
  checkInteger("id", id, token === undefined ? 1 : 0, 255);
  const attributes = token === undefined ? new AttributeEncoder() : ofToken(token);
  attributes.nested(MPTCP_PM_ATTR_ADDR, (nest) => encodePmAddress(nest, { id }));
  return command(family, NLM_F_REQUEST, MPTCP_PM_CMD_GET_ADDR, attributes);
}

/** `ip mptcp endpoint show`; unprivileged. With a token: the addresses of that userspace-managed connection (Linux 6.10). */
export function encodeDumpEndpoints(family: number, token?: number): Uint8Array<ArrayBuffer> {
  const attributes = token === undefined ? undefined : ofToken(token);
  return command(family, NLM_F_REQUEST | NLM_F_DUMP, MPTCP_PM_CMD_GET_ADDR, attributes);
}

/** `ip mptcp endpoint flush` */
export function encodeFlushEndpoints(family: number): Uint8Array<ArrayBuffer> {
  return command(family, DO, MPTCP_PM_CMD_FLUSH_ADDRS);
}

/** `ip mptcp limits set`. A limit that is left out stays as it is. How much is possible, the kernel says. */
export function encodeSetLimits(family: number, limits: Partial<Limits>): Uint8Array<ArrayBuffer> {
  checkObject("limits", limits);
  const { subflows, addAddrAccepted } = limits;
  if (subflows === undefined && addAddrAccepted === undefined) throw new TypeError("Cannot set limits: none is given");
  const attributes = new AttributeEncoder();
  if (addAddrAccepted !== undefined) {
    checkInteger("addAddrAccepted", addAddrAccepted, 0, 0xffffffff);
    attributes.u32(MPTCP_PM_ATTR_RCV_ADD_ADDRS, addAddrAccepted);
  }
  if (subflows !== undefined) {
    checkInteger("subflows", subflows, 0, 0xffffffff);
    attributes.u32(MPTCP_PM_ATTR_SUBFLOWS, subflows);
  }
  return command(family, DO, MPTCP_PM_CMD_SET_LIMITS, attributes);
}

/** `ip mptcp limits show`; unprivileged. */
export function encodeGetLimits(family: number): Uint8Array<ArrayBuffer> {
  return command(family, NLM_F_REQUEST, MPTCP_PM_CMD_GET_LIMITS);
}

/**
 * `ip mptcp endpoint change`. Both flags are assigned, so both must be given; the kernel changes no others. Subflows of the
 * endpoint tell their peers (MP_PRIO), in all connections.
 */
export function encodeSetEndpointFlags(
  family: number,
  key: EndpointKey,
  flags: { backup: boolean; fullmesh: boolean },
): Uint8Array<ArrayBuffer> {
  checkObject("endpoint", key);
  checkObject("flags", flags);
  for (const name of ["backup", "fullmesh"] as const) {
    checkBoolean(name, flags[name]);
    if (flags[name] === undefined) throw new TypeError(`Cannot set flags: ${name} is not given, and would be cleared`);
  }
  if ("id" in key && key.id !== undefined) checkInteger("id", key.id, 1, 255);
  const { id, address, port } = key as { id?: number; address?: string; port?: number };
  if ((id === undefined) === (address === undefined)) {
    throw new TypeError("Cannot name an endpoint: either its id or its address is needed");
  }
  const bits = (flags.backup ? MPTCP_PM_ADDR_FLAG_BACKUP : 0) | (flags.fullmesh ? MPTCP_PM_ADDR_FLAG_FULLMESH : 0);
  const attributes = new AttributeEncoder().nested(MPTCP_PM_ATTR_ADDR, (nest) => {
    encodePmAddress(nest, id === undefined ? { address, port, flags: bits } : { id, flags: bits });
  });
  return command(family, DO, MPTCP_PM_CMD_SET_FLAGS, attributes);
}

/** Changes the priority of one subflow of a userspace-managed connection (MP_PRIO). */
export function encodeSetSubflowBackup(
  family: number,
  token: number,
  local: SubflowEnd,
  remote: SubflowEnd,
  backup: boolean,
): Uint8Array<ArrayBuffer> {
  checkBoolean("backup", backup);
  const flags = backup ? MPTCP_PM_ADDR_FLAG_BACKUP : 0;
  return ofSubflow(family, MPTCP_PM_CMD_SET_FLAGS, token, local, remote, flags);
}

/** Announces an address to the peer of a userspace-managed connection (ADD_ADDR). */
export function encodeAnnounce(family: number, token: number, announced: AnnouncedAddress): Uint8Array<ArrayBuffer> {
  checkObject("announced address", announced);
  const { id, address, port, interfaceIndex } = announced;
  checkInteger("id", id, 1, 255);
  const attributes = ofToken(token).nested(MPTCP_PM_ATTR_ADDR, (nest) => {
    encodePmAddress(nest, { id, address, port, interfaceIndex, flags: MPTCP_PM_ADDR_FLAG_SIGNAL });
  });
  return command(family, DO, MPTCP_PM_CMD_ANNOUNCE, attributes);
}

/** Withdraws an address from a userspace-managed connection (REMOVE_ADDR); id 0 is the initial subflow's. */
export function encodeWithdraw(family: number, token: number, id: number): Uint8Array<ArrayBuffer> {
  checkInteger("id", id, 0, 255);
  return command(family, DO, MPTCP_PM_CMD_REMOVE, ofToken(token).u8(MPTCP_PM_ATTR_LOC_ID, id));
}

/** Opens a subflow of a userspace-managed connection. Success means that the SYN was sent; an event tells the rest. */
export function encodeCreateSubflow(
  family: number,
  token: number,
  local: NewSubflowLocal,
  remote: SubflowEnd,
): Uint8Array<ArrayBuffer> {
  checkObject("local", local);
  checkObject("remote", remote);
  checkInteger("local id", local.id, 0, 255);
  checkBoolean("backup", local.backup);
  checkInteger("remote port", remote.port, 1, 65535);
  const { id, port, interfaceIndex, backup } = local;
  const flags = backup ? MPTCP_PM_ADDR_FLAG_BACKUP : undefined;
  const [localAddress, remoteAddress] = sameFamily(local.address, remote.address);
  const attributes = ofToken(token)
    .nested(MPTCP_PM_ATTR_ADDR, (nest) => {
      encodePmAddress(nest, { id, address: localAddress, port, interfaceIndex, flags });
    })
    .nested(MPTCP_PM_ATTR_ADDR_REMOTE, (nest) => encodePmAddress(nest, { address: remoteAddress, port: remote.port }));
  return command(family, DO, MPTCP_PM_CMD_SUBFLOW_CREATE, attributes);
}

/** Closes a subflow of a userspace-managed connection, named in the family of its socket: see `commandAddress`. */
export function encodeDestroySubflow(
  family: number,
  token: number,
  local: SubflowEnd,
  remote: SubflowEnd,
): Uint8Array<ArrayBuffer> {
  return ofSubflow(family, MPTCP_PM_CMD_SUBFLOW_DESTROY, token, local, remote);
}

/** A command about a subflow that exists. */
function ofSubflow(
  family: number,
  cmd: number,
  token: number,
  local: SubflowEnd,
  remote: SubflowEnd,
  flags?: number,
): Uint8Array<ArrayBuffer> {
  checkObject("local", local);
  checkObject("remote", remote);
  // Without ports the first subflow with these addresses would be taken.
  checkInteger("local port", local.port, 1, 65535);
  checkInteger("remote port", remote.port, 1, 65535);
  const [localAddress, remoteAddress] = sameFamily(local.address, remote.address);
  const attributes = ofToken(token)
    .nested(MPTCP_PM_ATTR_ADDR, (nest) => encodePmAddress(nest, { address: localAddress, port: local.port, flags }))
    .nested(MPTCP_PM_ATTR_ADDR_REMOTE, (nest) => encodePmAddress(nest, { address: remoteAddress, port: remote.port }));
  return command(family, DO, cmd, attributes);
}

/** Decodes an endpoint, of a dump or of one answer. */
export function decodeEndpoint(message: NetlinkMessage): Endpoint {
  const attributes = genlAttributes(message);
  while (attributes.next()) {
    if (attributes.type === MPTCP_PM_ATTR_ADDR) return decodePmAddress(attributes.nested());
  }
  throw malformed("an endpoint", "there is none");
}

/** Decodes the limits. */
export function decodeLimits(message: NetlinkMessage): Limits {
  let subflows: number | undefined;
  let addAddrAccepted: number | undefined;
  const attributes = genlAttributes(message);
  while (attributes.next()) {
    if (attributes.type === MPTCP_PM_ATTR_SUBFLOWS) subflows = attributes.u32();
    if (attributes.type === MPTCP_PM_ATTR_RCV_ADD_ADDRS) addAddrAccepted = attributes.u32();
  }
  if (subflows === undefined || addAddrAccepted === undefined) throw malformed("limits", "one is missing");
  return { subflows, addAddrAccepted };
}
