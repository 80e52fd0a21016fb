/**
 * Events of the generic netlink group `mptcp_pm_events`: `enum mptcp_event_type` and `enum mptcp_event_attr` of
 * `<linux/mptcp_pm.h>` and `<linux/mptcp.h>`.
 *
 * @module
 */
import { errnoName } from "./errno.ts";
import { genlAttributes, genlCommand } from "./genl.ts";
import { formatIPv4, formatIPv6, isV4Mapped } from "./ip.ts";
import type { NetlinkMessage } from "./netlink.ts";
import type { RawAttribute } from "./netlink_attributes.ts";
import type { Addr } from "./sockaddr.ts";
import type { PathEvent, ResetReason, SubflowError } from "./mptcp_event_types.ts";

export type * from "./mptcp_event_types.ts";

/** `enum mptcp_event_type`: see `CreatedEvent` */
export const MPTCP_EVENT_CREATED = 1;
/** … see `EstablishedEvent` */
export const MPTCP_EVENT_ESTABLISHED = 2;
/** … see `ClosedEvent` */
export const MPTCP_EVENT_CLOSED = 3;
/** … see `AnnouncedEvent` */
export const MPTCP_EVENT_ANNOUNCED = 6;
/** … see `RemovedEvent` */
export const MPTCP_EVENT_REMOVED = 7;
/** … see `SubflowEstablishedEvent` */
export const MPTCP_EVENT_SUB_ESTABLISHED = 10;
/** … see `SubflowClosedEvent` */
export const MPTCP_EVENT_SUB_CLOSED = 11;
/** … see `SubflowPriorityEvent` */
export const MPTCP_EVENT_SUB_PRIORITY = 13;
/** … see `ListenerCreatedEvent` */
export const MPTCP_EVENT_LISTENER_CREATED = 15;
/** … see `ListenerClosedEvent` */
export const MPTCP_EVENT_LISTENER_CLOSED = 16;

const KNOWN: ReadonlySet<number> = new Set([
  MPTCP_EVENT_CREATED,
  MPTCP_EVENT_ESTABLISHED,
  MPTCP_EVENT_CLOSED,
  MPTCP_EVENT_ANNOUNCED,
  MPTCP_EVENT_REMOVED,
  MPTCP_EVENT_SUB_ESTABLISHED,
  MPTCP_EVENT_SUB_CLOSED,
  MPTCP_EVENT_SUB_PRIORITY,
  MPTCP_EVENT_LISTENER_CREATED,
  MPTCP_EVENT_LISTENER_CLOSED,
]);

const MPTCP_ATTR_TOKEN = 1;
// 2 is MPTCP_ATTR_FAMILY: the addresses tell it too.
const MPTCP_ATTR_LOC_ID = 3;
const MPTCP_ATTR_REM_ID = 4;
const MPTCP_ATTR_SADDR4 = 5;
const MPTCP_ATTR_SADDR6 = 6;
const MPTCP_ATTR_DADDR4 = 7;
const MPTCP_ATTR_DADDR6 = 8;
const MPTCP_ATTR_SPORT = 9;
const MPTCP_ATTR_DPORT = 10;
const MPTCP_ATTR_BACKUP = 11;
const MPTCP_ATTR_ERROR = 12;
const MPTCP_ATTR_FLAGS = 13;
const MPTCP_ATTR_TIMEOUT = 14;
const MPTCP_ATTR_IF_IDX = 15;
const MPTCP_ATTR_RESET_REASON = 16;
const MPTCP_ATTR_RESET_FLAGS = 17;
const MPTCP_ATTR_SERVER_SIDE = 18;

/** `#define MPTCP_PM_EV_FLAG_DENY_JOIN_ID0 (1 << 0)` */
const MPTCP_PM_EV_FLAG_DENY_JOIN_ID0 = 1;
/** `#define MPTCP_PM_EV_FLAG_SERVER_SIDE (1 << 1)` */
const MPTCP_PM_EV_FLAG_SERVER_SIDE = 2;

/** The reasons of an MP_TCPRST option, RFC 8684 §3.6, by number. */
const RESET_REASONS: readonly string[] = [
  "unspecified",
  "MPTCP-specific error",
  "lack of resources",
  "administratively prohibited",
  "too much outstanding data",
  "unacceptable performance",
  "middlebox interference",
];

/** The attributes of an event, as they came. */
interface Attributes {
  token?: number;
  localId?: number;
  remoteId?: number;
  source?: Uint8Array;
  destination?: Uint8Array;
  sourcePort?: number;
  destinationPort?: number;
  backup?: number;
  error?: number;
  flags?: number;
  timeout?: number;
  interfaceIndex?: number;
  resetReason?: number;
  resetFlags?: number;
  serverSide?: number;
}

function readAttributes(message: NetlinkMessage): Attributes {
  const result: Attributes = {};
  const attributes = genlAttributes(message);
  while (attributes.next()) {
    switch (attributes.type) {
      case MPTCP_ATTR_TOKEN:
        result.token = attributes.u32();
        break;
      case MPTCP_ATTR_LOC_ID:
        result.localId = attributes.u8();
        break;
      case MPTCP_ATTR_REM_ID:
        result.remoteId = attributes.u8();
        break;
      case MPTCP_ATTR_SADDR4:
        result.source = attributes.bytes(4);
        break;
      case MPTCP_ATTR_SADDR6:
        result.source = attributes.bytes(16);
        break;
      case MPTCP_ATTR_DADDR4:
        result.destination = attributes.bytes(4);
        break;
      case MPTCP_ATTR_DADDR6:
        result.destination = attributes.bytes(16);
        break;
      case MPTCP_ATTR_SPORT:
        result.sourcePort = attributes.be16();
        break;
      case MPTCP_ATTR_DPORT:
        result.destinationPort = attributes.be16();
        break;
      case MPTCP_ATTR_BACKUP:
        result.backup = attributes.u8();
        break;
      case MPTCP_ATTR_ERROR:
        result.error = attributes.u8();
        break;
      case MPTCP_ATTR_FLAGS:
        result.flags = attributes.u16();
        break;
      case MPTCP_ATTR_TIMEOUT:
        result.timeout = attributes.u32();
        break;
      case MPTCP_ATTR_IF_IDX:
        result.interfaceIndex = attributes.s32();
        break;
      case MPTCP_ATTR_RESET_REASON:
        result.resetReason = attributes.u32();
        break;
      case MPTCP_ATTR_RESET_FLAGS:
        result.resetFlags = attributes.u32();
        break;
      case MPTCP_ATTR_SERVER_SIDE:
        result.serverSide = attributes.u8();
        break;
    }
  }
  return result;
}

function addr(address: Uint8Array | undefined, port: number | undefined): Addr | undefined {
  if (address === undefined || port === undefined) return undefined;
  let hostname: string;
  if (address.length === 4) hostname = formatIPv4(address);
  else hostname = isV4Mapped(address) ? formatIPv4(address, 12) : formatIPv6(address);
  return { transport: "tcp", hostname, port };
}

function subflowError(errno: number | undefined): SubflowError | undefined {
  return errno ? { code: errnoName(errno), errno: -errno } : undefined;
}

function resetReason(code: number | undefined): ResetReason | undefined {
  return code === undefined ? undefined : { code, meaning: RESET_REASONS[code] ?? `reason ${code}` };
}

/** Leaves out what is `undefined`. */
function defined<T extends object>(members: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}

/**
 * Decodes an event. One that is not known here, or lacks an attribute that its kind always had, is given as `"unknown"`
 * with all its attributes: a stream of events should not end because the kernel has news.
 *
 * @throws {MptcpError} `EBADMSG`, when the message is malformed.
 */
export function decodeEvent(message: NetlinkMessage): PathEvent {
  const event = genlCommand(message);
  return (KNOWN.has(event) ? knownEvent(event, readAttributes(message)) : null) ?? unknownEvent(message);
}

function knownEvent(event: number, given: Attributes): PathEvent | null {
  const { token, localId, remoteId, timeout } = given;
  const local = addr(given.source, given.sourcePort);
  const remote = addr(given.destination, given.destinationPort);
  const family = given.source?.length === 16 ? 6 : 4;
  const more = defined({ timeout });

  if (event === MPTCP_EVENT_LISTENER_CREATED || event === MPTCP_EVENT_LISTENER_CLOSED) {
    if (local === undefined) return null;
    const type = event === MPTCP_EVENT_LISTENER_CREATED ? "listenerCreated" : "listenerClosed";
    return { type, family, local, ...more };
  }
  if (token === undefined) return null;
  if (event === MPTCP_EVENT_CLOSED) return { type: "closed", token, ...more };
  if (remoteId === undefined) return null;
  if (event === MPTCP_EVENT_REMOVED) return { type: "removed", token, remoteId, ...more };
  if (remote === undefined) return null;
  if (event === MPTCP_EVENT_ANNOUNCED) return { type: "announced", token, remoteId, remote, ...more };
  if (local === undefined || localId === undefined) return null;

  const path = { token, family, local, remote, localId, remoteId } as const;
  const flags = given.flags ?? 0;
  switch (event) {
    case MPTCP_EVENT_CREATED:
    case MPTCP_EVENT_ESTABLISHED:
      return {
        type: event === MPTCP_EVENT_CREATED ? "created" : "established",
        ...path,
        serverSide: given.serverSide === 1 || (flags & MPTCP_PM_EV_FLAG_SERVER_SIDE) !== 0,
        denyJoinId0: (flags & MPTCP_PM_EV_FLAG_DENY_JOIN_ID0) !== 0,
        flags,
        ...more,
      };
    case MPTCP_EVENT_SUB_ESTABLISHED:
    case MPTCP_EVENT_SUB_CLOSED:
    case MPTCP_EVENT_SUB_PRIORITY: {
      const subflow = {
        ...path,
        backup: (given.backup ?? 0) !== 0,
        ...defined({ interfaceIndex: given.interfaceIndex || undefined }),
        ...more,
      };
      if (event === MPTCP_EVENT_SUB_ESTABLISHED) {
        return { type: "subflowEstablished", ...subflow, ...defined({ error: subflowError(given.error) }) };
      }
      if (event === MPTCP_EVENT_SUB_PRIORITY) {
        return { type: "subflowPriority", ...subflow, ...defined({ error: subflowError(given.error) }) };
      }
      const { resetFlags } = given;
      const reset = defined({ resetReason: resetReason(given.resetReason), resetFlags });
      return { type: "subflowClosed", ...subflow, ...defined({ error: subflowError(given.error) }), ...reset };
    }
    default:
      return null;
  }
}

function unknownEvent(message: NetlinkMessage): PathEvent {
  const list: RawAttribute[] = [];
  let token: number | undefined;
  const attributes = genlAttributes(message);
  while (attributes.next()) {
    if (attributes.type === MPTCP_ATTR_TOKEN && attributes.size >= 4) token = attributes.u32();
    list.push(attributes.raw());
  }
  return { type: "unknown", event: genlCommand(message), ...defined({ token }), attributes: list };
}
