/**
 * Opening listeners.
 *
 * @module
 */
import { type Channel, type Libc, listenPlain, type System, system, unsupportedReason } from "../ffi/mod.ts";
import { IPPROTO_IPV6, IPV6_V6ONLY, SO_REUSEADDR, SO_REUSEPORT, SOL_SOCKET } from "../kernel/constants.ts";
import { check } from "../kernel/error.ts";
import { ipVersion } from "../kernel/ip.ts";
import type { Addr } from "../kernel/sockaddr.ts";
import { localAddress } from "../paths/connection.ts";
import { sockaddrOf } from "./address.ts";
import { Arrivals } from "./arrivals.ts";
import { Conn } from "./conn.ts";
import { type Fallback, requiredError, unsupportedFallback, watchCounters } from "./fallback.ts";
import { Listener } from "./listener.ts";
import { checkListenOptions, type ListenOptions } from "./options.ts";
import { type Origin, originOf } from "./path_control.ts";
import { makeSocket } from "./socket.ts";

/** Node's and Deno's default. */
export const BACKLOG = 511;

/**
 * Listens for connections, by MPTCP where this host has it. Plain TCP clients are served as well.
 *
 * @returns The listener, at once: `listener.addr` is the bound address.
 * @throws {TypeError} When an option has the wrong type, or `hostname` is not an IP address.
 * @throws {RangeError} When a number is out of range.
 * @throws {MptcpError} `EADDRINUSE`, `EACCES` and the like; with `mptcp: "require"` also when the host has no MPTCP.
 */
export function listen(options: ListenOptions): Listener {
  return openListener(options, (channel, origin) => new Conn(channel, origin));
}

/** A socket that listens already; whoever has it closes it. */
export interface ListeningSocket {
  /** The descriptor, non-blocking. */
  fd: number;
  /** The bound address. */
  addr: Addr;
  /** Why the socket is plain TCP though MPTCP was wanted; `null` when it is as wanted. */
  refused: Fallback | null;
}

/**
 * The IP address that a hostname option means.
 *
 * @throws {TypeError} When it is a name.
 */
export function listenAddress(hostname = "0.0.0.0"): string {
  const address = hostname === "localhost" ? "127.0.0.1" : hostname;
  if (ipVersion(address) === 0) {
    throw new TypeError(`Cannot listen on "${hostname}": an IP address is needed, as listen() does not wait for a resolver`);
  }
  return address;
}

/**
 * Makes a listening socket.
 *
 * @param options Checked ones.
 * @throws {MptcpError} As `listen` does; nothing is left open then.
 */
export function openListeningSocket(libc: Libc, options: ListenOptions): ListeningSocket {
  const { port, backlog = BACKLOG, reusePort = false, ipv6Only = false, mptcp } = options;
  const address = listenAddress(options.hostname);
  const version = ipVersion(address) as 4 | 6;
  const sockaddr = sockaddrOf(libc, address, port);
  if (mptcp !== "off") watchCounters();
  const { fd, refused } = makeSocket(libc, version, options);
  try {
    check(libc.setInt(fd, SOL_SOCKET, SO_REUSEADDR, 1), "setsockopt");
    if (reusePort) check(libc.setInt(fd, SOL_SOCKET, SO_REUSEPORT, 1), "setsockopt");
    if (version === 6) check(libc.setInt(fd, IPPROTO_IPV6, IPV6_V6ONLY, ipv6Only ? 1 : 0), "setsockopt");
    check(libc.bind(fd, sockaddr), "bind", { address, port });
    check(libc.listen(fd, backlog), "listen", { address, port });
    return { fd, addr: localAddress(fd), refused };
  } catch (error) {
    libc.close(fd);
    throw error;
  }
}

/** What becomes of an accepted channel. */
type Wrap<C> = (channel: Channel, origin: Origin) => C | Promise<C>;

/**
 * Makes a listener whose connections are of a kind of their own.
 *
 * @param ahead How many connections to make before anybody accepts them. @default {0}
 */
export function openListener<C extends Conn>(options: ListenOptions, wrap: Wrap<C>, ahead = 0): Listener<C> {
  checkListenOptions(options);
  const address = listenAddress(options.hostname);
  const host = system();
  if (host === null) return plainListener(options, address, wrap, ahead);
  const arrivals = new Arrivals(options);
  try {
    return listenerOn(host, openListeningSocket(host.libc, options), options, wrap, arrivals, ahead);
  } catch (error) {
    arrivals.close();
    throw error;
  }
}

/**
 * Makes a listener of a listening socket, which is the listener's from then on.
 *
 * @param arrivals Closed by the listener's end; not when this throws.
 */
export function listenerOn<C extends Conn>(
  { libc, loop }: System,
  { fd, addr, refused }: ListeningSocket,
  options: ListenOptions,
  wrap: Wrap<C>,
  arrivals: Arrivals,
  ahead = 0,
): Listener<C> {
  try {
    return new Listener<C>(
      (owner) => loop.listen(fd, options.backlog ?? BACKLOG, owner),
      addr,
      options.mptcp !== "off" && refused === null,
      refused,
      (channel) => wrap(channel, originOf("server", options, refused, arrivals.paths)),
      () => arrivals.close(),
      ahead,
    );
  } catch (error) {
    libc.close(fd);
    throw error;
  }
}

function plainListener<C extends Conn>(
  options: ListenOptions,
  address: string,
  wrap: Wrap<C>,
  ahead: number,
): Listener<C> {
  const refused = options.mptcp === "off" ? null : unsupportedFallback(unsupportedReason() ?? "no FFI");
  if (refused !== null && options.mptcp === "require") {
    throw requiredError(refused);
  }
  return new Listener<C>(
    (owner) => listenPlain(address, options.port, options, owner),
    null,
    false,
    refused,
    (channel) => wrap(channel, originOf("server", options, refused)),
    () => {},
    ahead,
  );
}
