/**
 * The host's path manager: endpoints and limits of the kernel's, and the commands for connections whose paths a program
 * manages.
 *
 * @module
 */
import { system } from "../ffi/mod.ts";
import { checkInteger, checkObject } from "../kernel/argument_checks.ts";
import { decodeFamily, encodeGetFamily, type GenlFamily } from "../kernel/genl.ts";
import { EINVAL } from "../kernel/errno.ts";
import { MptcpError, type MptcpErrorOptions, systemError } from "../kernel/error.ts";
import { canonicalAddress, formatIPv6, parseIPv6 } from "../kernel/ip.ts";
import { commandAddress } from "../kernel/mptcp_pm_address.ts";
import {
  decodeEndpoint,
  decodeLimits,
  encodeAddEndpoint,
  encodeAnnounce,
  encodeCreateSubflow,
  encodeDestroySubflow,
  encodeDumpEndpoints,
  encodeFlushEndpoints,
  encodeGetEndpoint,
  encodeGetLimits,
  encodeRemoveEndpoint,
  encodeSetEndpointFlags,
  encodeSetLimits,
  encodeSetSubflowBackup,
  encodeWithdraw,
  type Endpoint,
  type EndpointInit,
  type EndpointKey,
  type Limits,
  MPTCP_PM_NAME,
  type SubflowEnd,
} from "../kernel/mptcp_pm.ts";
import { NETLINK_GENERIC } from "../kernel/netlink.ts";
import { NetlinkSocket } from "./netlink_socket.ts";
import { pathManagerMode } from "./path_manager_mode.ts";
import { findConnection } from "./sockets.ts";

/** An endpoint to be made, its interface by name or by index. */
export interface NewEndpoint extends EndpointInit {
  /**
   * Bind subflows to the interface of this name.
   *
   * @default {undefined} as routing says
   */
  interface?: string;
}

/** Whose addresses are asked for. */
export interface EndpointsOptions {
  /**
   * Those of one connection under the userspace path manager, by its local token: what was announced, what subflows were
   * made from, and what the peer joined at. Needs Linux 6.10; before, it is ignored.
   *
   * @default {undefined} the endpoints of the kernel's path manager
   */
  token?: number;
}

/** One subflow of a connection under the userspace path manager. */
export interface SubflowAddress {
  /** The connection's local token, `conn.token`. */
  token: number;
  /** Our end. */
  local: SubflowEnd;
  /** The peer's end. */
  remote: SubflowEnd;
}

/** A subflow to be made on a connection under the userspace path manager. */
export interface NewSubflow {
  /** The connection's local token, `conn.token`. */
  token: number;
  /** One of the host's addresses. */
  localAddress: string;
  /** The id of that address in this connection: one address, one id. 0 is the initial subflow's address, and no other. */
  localId: number;
  /**
   * The local port.
   *
   * @default {undefined} the kernel picks one
   */
  localPort?: number;
  /** One of the peer's addresses. */
  remoteAddress: string;
  /** The peer's port. */
  remotePort: number;
  /** Bind the subflow to the interface of this name. */
  interface?: string;
  /**
   * Ask the peer to use it as a backup only.
   *
   * @default {false}
   */
  backup?: boolean;
}

/** An address to announce to the peer of a connection under the userspace path manager. */
export interface Announcement {
  /** The connection's local token, `conn.token`. */
  token: number;
  /** One of the host's addresses. */
  address: string;
  /** The id of that address in this connection, 1 to 255. */
  id: number;
  /**
   * The port of a listener that is bound to this very address: one that is bound to all takes no subflow. With an IPv6
   * address it needs `net.ipv4.tcp_timestamps` to be 0 before the connection is made: else there is no room for it in a
   * packet, and the kernel announces nothing.
   *
   * @default {undefined} the connection's own
   */
  port?: number;
}

/** As the kernel gave the numbers out when it started. */
let known: GenlFamily | undefined;

/** Finds the generic netlink family `mptcp_pm`: its number and its groups. They are asked for once. */
export function mptcpPmFamily(socket: NetlinkSocket): GenlFamily {
  if (known !== undefined) return known;
  try {
    const { messages: [message] } = socket.request(encodeGetFamily(MPTCP_PM_NAME), "find mptcp_pm");
    if (message) return known = decodeFamily(message);
  } catch (error) {
    if ((error as { code?: string }).code !== "ENOENT") throw error;
  }
  throw new MptcpError("EOPNOTSUPP", "Cannot find mptcp_pm: this kernel has no MPTCP", { syscall: "netlink" });
}

/**
 * The path manager of this network namespace. Reading needs no privileges; changing needs CAP_NET_ADMIN over the namespace,
 * which `unshare -Urn` gives to anyone in a namespace of one's own.
 *
 * @example List endpoints and limits, as `ip mptcp endpoint` and `ip mptcp limits` do
 * ```ts
 * import { PathManager } from "@mptcp/mptcp";
 *
 * using paths = PathManager.open();
 * console.log(paths.mode, paths.limits(), paths.endpoints());
 * ```
 */
export class PathManager implements Disposable {
  readonly #socket: NetlinkSocket;
  readonly #family: number;

  private constructor(socket: NetlinkSocket, family: number) {
    this.#socket = socket;
    this.#family = family;
  }

  /**
   * Opens it.
   *
   * @throws {MptcpError} `EOPNOTSUPP`, when the kernel has no MPTCP.
   */
  static open(): PathManager {
    const socket = new NetlinkSocket(NETLINK_GENERIC);
    try {
      return new PathManager(socket, mptcpPmFamily(socket).id);
    } catch (error) {
      socket.close();
      throw error;
    }
  }

  /** Who manages the paths of connections that begin now: `net.mptcp.path_manager`, before Linux 6.15 `pm_type`. */
  get mode(): "kernel" | "userspace" {
    return pathManagerMode() ?? "kernel";
  }

  /**
   * The endpoints in the order of their ids, as `ip mptcp endpoint show`.
   *
   * @throws {MptcpError} `EINVAL` "invalid token"; only with a token.
   */
  endpoints(options: EndpointsOptions = {}): Endpoint[] {
    checkObject("options", options);
    const { token } = options;
    return this.#request(encodeDumpEndpoints(this.#family, token), "list endpoints").map(decodeEndpoint);
  }

  /**
   * One endpoint, as `ip mptcp endpoint show id`.
   *
   * @param id The endpoint's id, 1 to 255.
   * @throws {MptcpError} `EINVAL` "address not found".
   */
  endpoint(id: number, options: EndpointsOptions = {}): Endpoint {
    checkObject("options", options);
    const [message] = this.#request(encodeGetEndpoint(this.#family, id, options.token), "get an endpoint");
    if (message === undefined) throw new MptcpError("EBADMSG", `Cannot get endpoint ${id}: the kernel sent none`);
    return decodeEndpoint(message);
  }

  /**
   * Adds an endpoint, as `ip mptcp endpoint add`. It acts on live connections at once: `subflow` opens, `signal` announces.
   *
   * @returns The endpoint as the kernel has it, with the id that it picked.
   * @throws {MptcpError} `EEXIST` for an address that is there, `EBUSY` for such an id, `ERANGE` when there are too many.
   */
  addEndpoint(endpoint: NewEndpoint): Endpoint {
    checkObject("endpoint", endpoint);
    const { interface: name, ...init } = endpoint;
    const interfaceIndex = name === undefined ? init.interfaceIndex : interfaceOf(name);
    const message = encodeAddEndpoint(
      this.#family,
      interfaceIndex === undefined ? init : { ...init, interfaceIndex },
    );
    this.#command(message, "add an endpoint", `ip mptcp endpoint add ${init.address}${name ? ` dev ${name}` : ""} …`);
    const port = init.port ?? 0;
    const added = this.endpoints().find((each) => sameAddress(each.address, init.address) && (each.port ?? 0) === port);
    if (added === undefined) throw new MptcpError("ENOENT", `Cannot find endpoint ${init.address}: somebody removed it`);
    return added;
  }

  /**
   * Removes an endpoint, as `ip mptcp endpoint delete`: its subflows are closed, in all connections, and the address is
   * withdrawn from their peers.
   *
   * @param key The endpoint's id, 1 to 255, or what has it, such as what `addEndpoint` gave.
   * @throws {MptcpError} `EINVAL` "address not found".
   */
  removeEndpoint(key: number | { id: number }): void {
    if (typeof key !== "number") checkObject("endpoint", key);
    const id = typeof key === "number" ? key : key.id;
    this.#command(encodeRemoveEndpoint(this.#family, { id }), "remove an endpoint", `ip mptcp endpoint delete id ${id}`);
  }

  /** Removes all endpoints, also those that others made: `ip mptcp endpoint flush`. */
  flushEndpoints(): void {
    this.#command(encodeFlushEndpoints(this.#family), "flush the endpoints", "ip mptcp endpoint flush");
  }

  /**
   * Changes an endpoint's priority or mesh, as `ip mptcp endpoint change`: live subflows too, in all connections (MP_PRIO).
   * A flag that is not given stays as it is.
   *
   * @param key The endpoint's id, or its address and port.
   */
  setEndpointFlags(key: number | EndpointKey, flags: { backup?: boolean; fullmesh?: boolean }): void {
    checkObject("flags", flags);
    const wanted: EndpointKey = typeof key === "number" ? { id: key } : key;
    const encode = (wanted: EndpointKey, now?: Endpoint) =>
      encodeSetEndpointFlags(this.#family, wanted, {
        backup: flags.backup ?? now?.backup ?? false,
        fullmesh: flags.fullmesh ?? now?.fullmesh ?? false,
      });
    encode(wanted); // which checks the arguments
    const { id, address, port } = wanted as { id?: number; address?: string; port?: number };
    // The kernel assigns both flags: what is not given must be told as it is.
    const now = this.endpoints().find((each) =>
      id === undefined ? sameAddress(each.address, address!) && each.port === port : each.id === id
    );
    if (now === undefined) throw systemError(EINVAL, "change an endpoint", { detail: "address not found" });
    // By an address and a port the kernel would find an endpoint without a port too.
    const message = encode({ id: now.id }, now);
    const name = id === undefined ? address : `id ${id}`;
    this.#command(message, "change an endpoint", `ip mptcp endpoint change ${name} …`);
  }

  /** The limits for each connection, as `ip mptcp limits show`. */
  limits(): Limits {
    const [message] = this.#request(encodeGetLimits(this.#family), "get the limits");
    if (message === undefined) throw new MptcpError("EBADMSG", "Cannot get the limits: the kernel sent none");
    return decodeLimits(message);
  }

  /**
   * Sets limits, as `ip mptcp limits set`; one that is not given stays. Live connections heed `subflows` from the next
   * subflow on; whether they accept announced addresses at all was settled when they began.
   *
   * @throws {MptcpError} `EINVAL`, for more than the kernel allows (8 on Linux 6.18).
   */
  setLimits(limits: Partial<Limits>): void {
    this.#command(encodeSetLimits(this.#family, limits), "set the limits", "ip mptcp limits set …");
  }

  /**
   * Begins a subflow of a connection under the userspace path manager. When this returns, its SYN was sent; an event tells
   * whether it was established.
   */
  createSubflow(subflow: NewSubflow): void {
    checkObject("subflow", subflow);
    checkInteger("localId", subflow.localId, 0, 255);
    if (subflow.localId === 0) this.#checkInitial(subflow);
    const { token, localAddress, localId, localPort, remoteAddress, remotePort, interface: name, backup } = subflow;
    const message = encodeCreateSubflow(this.#family, token, {
      address: localAddress,
      id: localId,
      port: localPort,
      interfaceIndex: name === undefined ? undefined : interfaceOf(name),
      backup,
    }, { address: remoteAddress, port: remotePort });
    this.#command(message, "create a subflow");
  }

  /** The kernel takes 0, the id of the initial subflow's address, for any address, and mixes them up later. */
  #checkInitial({ token, localAddress }: NewSubflow): void {
    const initial = findConnection(token)?.local.hostname;
    if (initial === undefined || canonicalAddress(initial) === canonicalAddress(localAddress)) return;
    throw new RangeError(
      `Cannot use localId 0 for ${localAddress}: it is that of ${initial}, the initial subflow's address`,
    );
  }

  /**
   * Closes a subflow of a connection under the userspace path manager; the connection outlives even its last one for a while
   * (`net.mptcp.close_timeout`). The kernel then forgets the id of the local address, so withdraw what was announced before.
   *
   * @throws {MptcpError} `ESRCH` "subflow not found", `EINVAL` "invalid token" or "userspace PM not selected".
   */
  destroySubflow(subflow: SubflowAddress): void {
    checkObject("subflow", subflow);
    const { token, local, remote } = subflow;
    const destroy = (local: SubflowEnd, remote: SubflowEnd) =>
      this.#command(encodeDestroySubflow(this.#family, token, local, remote), "destroy a subflow");
    try {
      destroy(local, remote);
    } catch (error) {
      const isIPv4 = !local.address.includes(":") && !remote.address.includes(":");
      if (!(error instanceof MptcpError) || error.code !== "ESRCH" || !isIPv4) throw error;
      // The kernel looks among the sockets of the addresses' family only, and an IPv6 socket may speak IPv4.
      const mapped = ({ address, port }: SubflowEnd) => ({ address: commandAddress(address, 6), port });
      destroy(mapped(local), mapped(remote));
    }
  }

  /** Announces an address to the peer of a connection under the userspace path manager (ADD_ADDR). */
  announce(announcement: Announcement): void {
    checkObject("announcement", announcement);
    const { token, address, id, port } = announcement;
    this.#command(encodeAnnounce(this.#family, token, { address, id, port }), "announce an address");
  }

  /**
   * Withdraws an address from the peer of a connection under the userspace path manager (REMOVE_ADDR); the peer closes its
   * subflows. Id 0 is the initial subflow's address.
   *
   * @throws {MptcpError} `EINVAL` "invalid token", or when no address has that id.
   */
  withdraw(announced: { token: number; id: number }): void {
    checkObject("announced", announced);
    const { token, id } = announced;
    this.#command(encodeWithdraw(this.#family, token, id), "withdraw an address");
  }

  /** Changes the priority of one subflow of a connection under the userspace path manager (MP_PRIO). */
  setBackup(subflow: SubflowAddress & { backup: boolean }): void {
    checkObject("subflow", subflow);
    const { token, local, remote, backup } = subflow;
    this.#command(encodeSetSubflowBackup(this.#family, token, local, remote, backup), "set a subflow's priority");
  }

  /** Closes it; a second call does nothing. Endpoints and limits stay as they are. */
  close(): void {
    this.#socket.close();
  }

  /** `close()` */
  [Symbol.dispose](): void {
    this.close();
  }

  #request(
    message: Uint8Array,
    what: string,
    options?: MptcpErrorOptions,
  ): ReturnType<NetlinkSocket["request"]>["messages"] {
    return this.#socket.request(message, what, options).messages;
  }

  /** A command that changes something; `command` is what a person would type instead. */
  #command(message: Uint8Array, what: string, command?: string): void {
    try {
      this.#request(message, what);
    } catch (error) {
      if (!(error instanceof MptcpError) || error.code !== "EPERM") throw error;
      const alternative = command === undefined ? "" : `\`sudo ${command}\`, or `;
      throw new MptcpError("EPERM", `Cannot ${what}: CAP_NET_ADMIN is needed over this network namespace`, {
        syscall: what,
        hint: `run ${alternative}the program in a namespace of its own: \`unshare -Urn …\``,
        cause: error,
      });
    }
  }
}

function interfaceOf(name: string): number {
  if (typeof name !== "string") throw new TypeError("Cannot use interface: it must be a name");
  const index = system()!.libc.ifIndex(name);
  if (index === 0) throw new MptcpError("ENODEV", `Cannot use interface "${name}": there is none of that name`);
  return index;
}

/** Compares the canonical texts, as IPv6 can be written in many ways. */
function sameAddress(a: string, b: string): boolean {
  const canonical = (text: string) => {
    const bytes = parseIPv6(text);
    return bytes === null ? text : formatIPv6(bytes);
  };
  return canonical(a) === canonical(b);
}
