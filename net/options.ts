/**
 * The options of `connect` and `listen`, checked before any system call.
 *
 * @module
 */

import { checkBoolean, checkInteger, show } from "../kernel/argument_checks.ts";
import { ipVersion } from "../kernel/ip.ts";

/** What to do where MPTCP cannot be had: fall back to TCP and say so, fail, or not even try it. */
export type MptcpMode = "prefer" | "require" | "off";

/** What can be set on a socket before it connects or listens. */
export interface SocketOptions {
  /**
   * `"prefer"` falls back to TCP and says so in `fallback()`, `"require"` fails instead, `"off"` makes plain TCP.
   *
   * @default {"prefer"}
   */
  mptcp?: MptcpMode;
  /**
   * Receive buffer (SO_RCVBUF), bytes; the kernel doubles it for its own needs, and stops tuning it by itself.
   *
   * @default {undefined} the kernel tunes it
   */
  receiveBuffer?: number;
  /**
   * Send buffer (SO_SNDBUF), bytes, shared by all subflows; the kernel doubles it, and stops tuning it by itself.
   *
   * @default {undefined} the kernel tunes it
   */
  sendBuffer?: number;
  /**
   * Congestion control (TCP_CONGESTION) for all subflows, such as `"cubic"`. Without privileges one of those in
   * `net.ipv4.tcp_allowed_congestion_control`.
   *
   * @default {undefined} the host's
   */
  congestion?: string;
  /**
   * Who manages the paths: `"kernel"` by endpoints and limits, `"userspace"` this program, by `openSubflow`, `closeSubflow`
   * and `setSubflowBackup`. Where the host says otherwise (`net.mptcp.path_manager`) it takes CAP_NET_ADMIN.
   *
   * The kernel looks at the sysctl when a socket is made: for a client it is changed for that moment, in which sockets that
   * other programs of the network namespace make are concerned too. Programs with this package take turns. For a listener it
   * stays changed as long as that is open, as connections arrive at any time: best in a namespace of its own.
   *
   * @default {undefined} as the host says
   */
  paths?: "kernel" | "userspace";
}

/** Options of `connect`. */
export interface ConnectOptions extends SocketOptions {
  /**
   * A name, or an IPv4 or IPv6 address. Of a name all addresses are tried in turn, 250 ms apart (RFC 8305); the first that
   * answers wins.
   *
   * @default {"127.0.0.1"}
   */
  hostname?: string;
  /** The port, 1 to 65535. */
  port: number;
  /**
   * The local IP address to connect from; only peers' addresses of its family are tried.
   *
   * @default {undefined} the kernel chooses
   */
  localAddress?: string;
  /**
   * The local port to connect from.
   *
   * @default {undefined} the kernel chooses
   */
  localPort?: number;
  /** Ends the attempt: `connect` then rejects with `signal.reason`. An established connection is not touched. */
  signal?: AbortSignal;
  /**
   * Milliseconds for resolving and connecting together; then `connect` rejects with a `DOMException` named `TimeoutError`.
   *
   * @default {undefined} the kernel's, about two minutes
   */
  timeout?: number;
  /**
   * Send small segments at once (TCP_NODELAY).
   *
   * @default {false}
   */
  noDelay?: boolean;
  /**
   * Probe an idle peer (SO_KEEPALIVE).
   *
   * @default {false}
   */
  keepAlive?: boolean;
}

/** Options of `listen`. */
export interface ListenOptions extends SocketOptions {
  /**
   * The IP address to listen on; `"::"` takes IPv4 clients too, unless `ipv6Only`. `"localhost"` means `"127.0.0.1"`; other
   * names are refused, as `listen` is synchronous.
   *
   * @default {"0.0.0.0"}
   */
  hostname?: string;
  /** The port, 0 to 65535; 0 takes any free one, to be read from `listener.addr`. */
  port: number;
  /**
   * How many connections may wait to be accepted; the kernel caps it at `net.core.somaxconn`.
   *
   * @default {511}
   */
  backlog?: number;
  /**
   * Let several listeners share the port (SO_REUSEPORT): the kernel spreads the connections.
   *
   * @default {false}
   */
  reusePort?: boolean;
  /**
   * Take no IPv4 clients on an IPv6 address.
   *
   * @default {false}
   */
  ipv6Only?: boolean;
}

function text(what: string, value: unknown): void {
  if (value === undefined) return;
  if (typeof value !== "string") throw new TypeError(`Cannot use ${what} ${show(value)}: it must be a string`);
  if (value === "") throw new TypeError(`Cannot use ${what} "": it must not be empty`);
  // A NUL would end the name early in C: another host than the one that was checked.
  if (value.includes("\0")) throw new TypeError(`Cannot use ${what} ${show(value)}: it contains a NUL`);
}

function checkIsObject(verb: string, options: unknown): void {
  if (typeof options !== "object" || options === null) {
    throw new TypeError(`Cannot ${verb} with ${show(options)}: an object of options is needed`);
  }
}

const INT_MAX = 2 ** 31 - 1;

/** Checks what can be set on any socket. */
export function checkSocketOptions(options: SocketOptions): void {
  const { mptcp = "prefer", receiveBuffer, sendBuffer, congestion, paths } = options;
  if (paths !== undefined && paths !== "kernel" && paths !== "userspace") {
    throw new TypeError(`Cannot use paths ${show(paths)}: it must be "kernel" or "userspace"`);
  }
  if (mptcp !== "prefer" && mptcp !== "require" && mptcp !== "off") {
    throw new TypeError(`Cannot use mptcp ${show(mptcp)}: it must be "prefer", "require" or "off"`);
  }
  if (receiveBuffer !== undefined) checkInteger("receiveBuffer", receiveBuffer, 1, INT_MAX);
  if (sendBuffer !== undefined) checkInteger("sendBuffer", sendBuffer, 1, INT_MAX);
  text("congestion", congestion);
  // TCP_CA_NAME_MAX, the NUL included
  if (congestion !== undefined && congestion.length > 15) {
    throw new RangeError(`Cannot use congestion ${show(congestion)}: a name has at most 15 characters`);
  }
}

/**
 * Checks the options of `connect`.
 *
 * @throws {TypeError} When an option has the wrong type.
 * @throws {RangeError} When a number is out of range.
 */
export function checkConnectOptions(options: ConnectOptions): void {
  checkIsObject("connect", options);
  checkSocketOptions(options);
  const { hostname, port, localAddress, localPort, signal, timeout, noDelay, keepAlive } = options;
  text("hostname", hostname);
  checkInteger("port", port, 1, 65535);
  text("localAddress", localAddress);
  if (localAddress !== undefined && ipVersion(localAddress) === 0) {
    throw new TypeError(`Cannot use localAddress ${show(localAddress)}: it is not an IP address`);
  }
  if (localPort !== undefined) checkInteger("localPort", localPort, 0, 65535);
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw new TypeError(`Cannot use signal ${show(signal)}: it must be an AbortSignal`);
  }
  if (timeout !== undefined) {
    if (typeof timeout !== "number") throw new TypeError(`Cannot use timeout ${show(timeout)}: it must be a number`);
    if (!(timeout >= 0)) throw new RangeError(`Cannot use timeout ${timeout}: it must be 0 or more milliseconds`);
  }
  checkBoolean("noDelay", noDelay);
  checkBoolean("keepAlive", keepAlive);
}

/**
 * Checks the options of `listen`.
 *
 * @throws {TypeError} When an option has the wrong type.
 * @throws {RangeError} When a number is out of range.
 */
export function checkListenOptions(options: ListenOptions): void {
  checkIsObject("listen", options);
  checkSocketOptions(options);
  const { hostname, port, backlog, reusePort, ipv6Only } = options;
  text("hostname", hostname);
  checkInteger("port", port, 0, 65535);
  if (backlog !== undefined) checkInteger("backlog", backlog, 0, INT_MAX);
  checkBoolean("reusePort", reusePort);
  checkBoolean("ipv6Only", ipv6Only);
}
