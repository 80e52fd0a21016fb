/**
 * From options to a connected channel: resolve, race, make the socket, bind, connect.
 *
 * @module
 */
import { type Channel, connectPlain, type Libc, type System, system, unsupportedReason } from "../ffi/mod.ts";
import {
  IP_BIND_ADDRESS_NO_PORT,
  IPPROTO_IP,
  IPPROTO_TCP,
  SO_KEEPALIVE,
  SO_REUSEADDR,
  SOL_SOCKET,
  TCP_NODELAY,
} from "../kernel/constants.ts";
import { check, hostPort, MptcpError } from "../kernel/error.ts";
import { ipVersion } from "../kernel/ip.ts";
import { sockaddrOf } from "./address.ts";
import { isMptcp } from "../paths/connection.ts";
import { listenToEvents } from "../paths/event_hub.ts";
import { unlessAborted } from "./deadline.ts";
import { type Fallback, handshakeFallback, requiredError, unsupportedFallback, watchCounters } from "./fallback.ts";
import type { ConnectOptions } from "./options.ts";
import { type Origin, originOf } from "./path_control.ts";
import { race } from "./race.ts";
import { type Candidate, resolve } from "./resolve.ts";
import { makeSocket } from "./socket.ts";

/** A connected channel, and why its socket is not MPTCP if it was to be. */
interface Dialled {
  channel: Channel;
  refused: Fallback | null;
}

/** The attempt's name, for errors. */
export function connectingTo({ hostname = "127.0.0.1", port }: ConnectOptions): string {
  return `connect to ${hostPort(hostname, port)}`;
}

/**
 * Connects.
 *
 * @param signal Ends the attempt.
 * @throws {MptcpError} When the name, the socket or the connection fails; of several addresses the first one's code, with
 * an `AggregateError` of all as `cause`. With `mptcp: "require"` also when the connection came out as plain TCP.
 */
export async function dial(options: ConnectOptions, signal: AbortSignal): Promise<{ channel: Channel; origin: Origin }> {
  // The peer may announce addresses as soon as it has the connection, which is before we know of it.
  const listening = options.paths === "userspace" && system() !== null ? listenToEvents() : null;
  try {
    const { channel, origin } = await dialAs(options, signal);
    return { channel, origin: { ...origin, listening } };
  } catch (error) {
    listening?.close();
    throw error;
  }
}

async function dialAs(options: ConnectOptions, signal: AbortSignal): Promise<{ channel: Channel; origin: Origin }> {
  const { channel, refused } = await dialUntil(options, signal);
  const origin = originOf("client", options, refused);
  if (options.mptcp === "require" && !isMptcp(channel.fd)) {
    channel.close();
    const { hostname = "127.0.0.1", port } = options;
    const { message } = handshakeFallback();
    throw new MptcpError("EOPNOTSUPP", `Cannot connect to ${hostPort(hostname, port)} by MPTCP: ${message}`, {
      syscall: "connect",
      address: hostname,
      port,
      hint: 'mptcp: "prefer" takes plain TCP as well',
    });
  }
  return { channel, origin };
}

async function dialUntil(options: ConnectOptions, signal: AbortSignal): Promise<Dialled> {
  const { hostname = "127.0.0.1", port, localAddress } = options;
  const host = system();
  const attempt = host === null ? plainAttempt(options) : attemptOn(host, options);
  let candidates = ipVersion(hostname) === 0 ? await unlessAborted(resolve(hostname), signal) : await resolve(hostname);
  const family = localAddress === undefined ? 0 : ipVersion(localAddress);
  if (family !== 0) candidates = candidates.filter(({ version }) => version === family);
  if (candidates.length === 0) {
    throw new MptcpError("EADDRNOTAVAIL", `Cannot connect to ${hostPort(hostname, port)}: it has no IPv${family} address`, {
      syscall: "connect",
      address: hostname,
      port,
      hint: `localAddress ${localAddress} is IPv${family}`,
    });
  }
  try {
    return await race(candidates, attempt, ({ channel }) => channel.close(), signal);
  } catch (error) {
    if (!(error instanceof AggregateError)) throw error;
    const first = error.errors.find((each) => each instanceof MptcpError);
    if (first === undefined) throw error;
    const reasons = error.errors.map((each) => (each as Error).message).join("; ");
    throw new MptcpError(first.code, `Cannot connect to ${hostPort(hostname, port)}: ${reasons}`, {
      syscall: first.syscall,
      address: hostname,
      port,
      cause: error,
    });
  }
}

/** One attempt with a socket of ours. */
function attemptOn({ libc, loop }: System, options: ConnectOptions) {
  const { port, localAddress, localPort, noDelay, keepAlive, mptcp } = options;
  if (mptcp !== "off") watchCounters();
  return async ({ address, version }: Candidate, signal: AbortSignal): Promise<Dialled> => {
    const sockaddr = sockaddrOf(libc, address, port);
    const { fd, refused } = makeSocket(libc, version, options);
    try {
      if (noDelay) check(libc.setInt(fd, IPPROTO_TCP, TCP_NODELAY, 1), "setsockopt");
      if (keepAlive) check(libc.setInt(fd, SOL_SOCKET, SO_KEEPALIVE, 1), "setsockopt");
      if (localAddress !== undefined || localPort) bindLocal(libc, fd, version, localAddress, localPort);
    } catch (error) {
      libc.close(fd);
      throw error;
    }
    return { channel: await loop.connect(fd, { address, port, sockaddr }, signal), refused };
  };
}

/**
 * Binds a socket before it connects.
 *
 * @throws {MptcpError} `EADDRNOTAVAIL`, `EADDRINUSE` and the like.
 */
export function bindLocal(
  libc: Libc,
  fd: number,
  version: 4 | 6,
  localAddress: string | undefined,
  localPort = 0,
): void {
  const address = localAddress ?? (version === 6 ? "::" : "0.0.0.0");
  // A port asked for may still be in TIME_WAIT; one not asked for is chosen at connect, when the peer is known.
  if (localPort) libc.setInt(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  else libc.setInt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
  check(libc.bind(fd, sockaddrOf(libc, address, localPort)), "bind", { address, port: localPort });
}

/** One attempt by the runtime's own TCP, on a host without FFI. */
function plainAttempt(options: ConnectOptions) {
  const { port, mptcp, noDelay, keepAlive } = options;
  const refused = mptcp === "off" ? null : unsupportedFallback(unsupportedReason() ?? "no FFI");
  if (refused !== null && mptcp === "require") {
    throw requiredError(refused);
  }
  return async ({ address }: Candidate, signal: AbortSignal): Promise<Dialled> => {
    const channel = await connectPlain(address, port, options, signal);
    if (noDelay) channel.socket.setNoDelay(true);
    if (keepAlive) channel.socket.setKeepAlive(true);
    return { channel, refused };
  };
}
