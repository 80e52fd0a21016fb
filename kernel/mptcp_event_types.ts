/**
 * What the events of group `mptcp_pm_events` become: one union, told apart by `type`.
 *
 * @module
 */
import type { RawAttribute } from "./netlink_attributes.ts";
import type { Addr } from "./sockaddr.ts";

/** Why a subflow failed: the errno of its socket. */
export interface SubflowError {
  /** The errno's name: `"ECONNREFUSED"`, `"ECONNRESET"`, `"ETIMEDOUT"`, `"ECONNABORTED"` (closed by SOCK_DESTROY) … */
  code: string;
  /** The errno, negative as in Node and in `MptcpError`. */
  errno: number;
}

/** Why the peer reset a subflow: the reason in its MP_TCPRST option. */
export interface ResetReason {
  /** The number, RFC 8684 §3.6; 0 also where the RST had no such option. */
  code: number;
  /** The number in words. */
  meaning: string;
}

/** What every event may have. */
export interface EventBase {
  /** A timeout. In the kernel's list, but not sent by any known kernel; its unit is not documented. `MPTCP_ATTR_TIMEOUT` */
  timeout?: number;
}

/** What is known about a path: of events about one subflow, the initial one too. */
export interface PathEventBase extends EventBase {
  /** The connection's local token. `MPTCP_ATTR_TOKEN` */
  token: number;
  /**
   * The family of the subflow's socket. `local` and `remote` are IPv4 also with 6, where an IPv6 socket speaks IPv4.
   * `MPTCP_ATTR_FAMILY`
   */
  family: 4 | 6;
  /** Our end. `MPTCP_ATTR_SADDR4`, `MPTCP_ATTR_SADDR6`, `MPTCP_ATTR_SPORT` */
  local: Addr;
  /** The peer's end. `MPTCP_ATTR_DADDR4`, `MPTCP_ATTR_DADDR6`, `MPTCP_ATTR_DPORT` */
  remote: Addr;
  /** The id of our address in this connection, 0 for the initial subflow's. `MPTCP_ATTR_LOC_ID` */
  localId: number;
  /** The id of the peer's address in this connection. `MPTCP_ATTR_REM_ID` */
  remoteId: number;
}

/** What is known about a connection when it begins. */
export interface ConnectionEventBase extends PathEventBase {
  /** Whether we accepted the connection. `MPTCP_ATTR_SERVER_SIDE`; in newer kernels `MPTCP_PM_EV_FLAG_SERVER_SIDE` */
  serverSide: boolean;
  /** Whether the peer wants no more subflows to its initial address and port. `MPTCP_PM_EV_FLAG_DENY_JOIN_ID0` */
  denyJoinId0: boolean;
  /** All bits of `MPTCP_ATTR_FLAGS`, also those without a name here. */
  flags: number;
}

/** A connection began; whether it can have more subflows is not known yet. `MPTCP_EVENT_CREATED` */
export interface CreatedEvent extends ConnectionEventBase {
  /** Tells the kinds of events apart. */
  type: "created";
}

/** A connection is fully established: subflows can be opened. It takes some traffic. `MPTCP_EVENT_ESTABLISHED` */
export interface EstablishedEvent extends ConnectionEventBase {
  /** Tells the kinds of events apart. */
  type: "established";
}

/**
 * A connection ended, all subflows with it, without an event for each. Also told of clients that fell back to TCP in the
 * handshake, with a token that was never mentioned before. `MPTCP_EVENT_CLOSED`
 */
export interface ClosedEvent extends EventBase {
  /** Tells the kinds of events apart. */
  type: "closed";
  /** The connection's local token. `MPTCP_ATTR_TOKEN` */
  token: number;
}

/** The peer announced an address (ADD_ADDR). `MPTCP_EVENT_ANNOUNCED` */
export interface AnnouncedEvent extends EventBase {
  /** Tells the kinds of events apart. */
  type: "announced";
  /** The connection's local token. `MPTCP_ATTR_TOKEN` */
  token: number;
  /** The id of the address. `MPTCP_ATTR_REM_ID` */
  remoteId: number;
  /**
   * The address, and the port that it came with; if it came without, the remote port of the connection.
   * `MPTCP_ATTR_DADDR4`, `MPTCP_ATTR_DADDR6`, `MPTCP_ATTR_DPORT`
   */
  remote: Addr;
}

/** The peer withdrew an address (REMOVE_ADDR). `MPTCP_EVENT_REMOVED` */
export interface RemovedEvent extends EventBase {
  /** Tells the kinds of events apart. */
  type: "removed";
  /** The connection's local token. `MPTCP_ATTR_TOKEN` */
  token: number;
  /** The id of the address. `MPTCP_ATTR_REM_ID` */
  remoteId: number;
}

/** What is known about an additional subflow. */
export interface SubflowEventBase extends PathEventBase {
  /** Whether the **peer** asked to use the subflow as a backup only; our own wish makes no event. `MPTCP_ATTR_BACKUP` */
  backup: boolean;
  /** The interface that the subflow is bound to, if it is. `MPTCP_ATTR_IF_IDX` */
  interfaceIndex?: number;
  /** The error of its socket, if it has one. `MPTCP_ATTR_ERROR` */
  error?: SubflowError;
}

/**
 * A subflow is established. If the peer's limits refuse it, `"subflowClosed"` follows a moment later.
 * `MPTCP_EVENT_SUB_ESTABLISHED`
 */
export interface SubflowEstablishedEvent extends SubflowEventBase {
  /** Tells the kinds of events apart. */
  type: "subflowEstablished";
}

/** A subflow ended while its connection went on, or could not be opened at all. `MPTCP_EVENT_SUB_CLOSED` */
export interface SubflowClosedEvent extends SubflowEventBase {
  /** Tells the kinds of events apart. */
  type: "subflowClosed";
  /** The peer's reason, if it reset the subflow. `MPTCP_ATTR_RESET_REASON` */
  resetReason?: ResetReason;
  /** With the reason: 1 when the peer says that the trouble is transient. `MPTCP_ATTR_RESET_FLAGS` */
  resetFlags?: number;
}

/** The peer changed the priority of a subflow (MP_PRIO); `backup` is the new one. `MPTCP_EVENT_SUB_PRIORITY` */
export interface SubflowPriorityEvent extends SubflowEventBase {
  /** Tells the kinds of events apart. */
  type: "subflowPriority";
}

/** What is known about a listener. */
export interface ListenerEventBase extends EventBase {
  /** The family of its socket. `MPTCP_ATTR_FAMILY` */
  family: 4 | 6;
  /** Where it listens. `MPTCP_ATTR_SADDR4`, `MPTCP_ATTR_SADDR6`, `MPTCP_ATTR_SPORT` */
  local: Addr;
}

/** An MPTCP listener began, of a program or of the kernel for an endpoint with a port. `MPTCP_EVENT_LISTENER_CREATED` */
export interface ListenerCreatedEvent extends ListenerEventBase {
  /** Tells the kinds of events apart. */
  type: "listenerCreated";
}

/** An MPTCP listener ended. `MPTCP_EVENT_LISTENER_CLOSED` */
export interface ListenerClosedEvent extends ListenerEventBase {
  /** Tells the kinds of events apart. */
  type: "listenerClosed";
}

/** An event that this version does not know. */
export interface UnknownEvent {
  /** Tells the kinds of events apart. */
  type: "unknown";
  /** Its number, `enum mptcp_event_type`. */
  event: number;
  /** The connection's local token, where it has one. `MPTCP_ATTR_TOKEN` */
  token?: number;
  /** All its attributes, as they came. */
  attributes: RawAttribute[];
}

/** An event of the network namespace's MPTCP. */
export type PathEvent =
  | CreatedEvent
  | EstablishedEvent
  | ClosedEvent
  | AnnouncedEvent
  | RemovedEvent
  | SubflowEstablishedEvent
  | SubflowClosedEvent
  | SubflowPriorityEvent
  | ListenerCreatedEvent
  | ListenerClosedEvent
  | UnknownEvent;
