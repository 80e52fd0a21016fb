/**
 * What commands of `mptcp_pm` are given.
 *
 * @module
 */

/** Limits of the kernel's path manager, for each connection of the namespace: `ip mptcp limits`. */
export interface Limits {
  /** Additional subflows of a connection. `MPTCP_PM_ATTR_SUBFLOWS` */
  subflows: number;
  /** Announced addresses of the peer that are accepted. `MPTCP_PM_ATTR_RCV_ADD_ADDRS` */
  addAddrAccepted: number;
}

/** Names an endpoint by its id, or by its address and, if it has one, port. */
export type EndpointKey =
  | {
    /** The endpoint's id, 1 to 255. */
    id: number;
  }
  | {
    /** The endpoint's address. */
    address: string;
    /** The endpoint's port, where it has one. */
    port?: number | undefined;
  };

/** One end of a subflow, in commands. */
export interface SubflowEnd {
  /** IPv4 or IPv6, as events and `subflows()` tell it. */
  address: string;
  /** 1 to 65535 */
  port: number;
}

/** The local end of a subflow that is to be made. */
export interface NewSubflowLocal {
  /** One of the host's addresses; `0.0.0.0` or `::` lets routing choose. */
  address: string;
  /**
   * The id of the address in this connection, 0 to 255. Within a connection one address has one id; 0 is the address of the
   * initial subflow.
   */
  id: number;
  /** The local port, 1 to 65535. Left out, the kernel picks one; then give each address an id of its own. */
  port?: number | undefined;
  /** Bind the subflow to this interface. */
  interfaceIndex?: number | undefined;
  /** Ask the peer to use it as a backup only. */
  backup?: boolean | undefined;
}

/** An address to announce to the peer. */
export interface AnnouncedAddress {
  /** One of the host's addresses. */
  address: string;
  /** The id of the address in this connection, 1 to 255. */
  id: number;
  /** The port of a listener there, if it is not the connection's own. The program must listen there, with MPTCP. */
  port?: number | undefined;
  /** The interface of the address. */
  interfaceIndex?: number | undefined;
}
