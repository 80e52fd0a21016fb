/**
 * Addresses as people type them.
 *
 * @module
 */
import { ipVersion } from "../../kernel/ip.ts";
import { UsageError } from "./command.ts";

/** A host and a port. */
export interface HostPort {
  hostname: string;
  port: number;
}

/**
 * Reads `host:port`, `[v6]:port`, `:port` or `port`.
 *
 * @param what What it is for, as it stands in the usage.
 * @param host The host, where there is only a port; without it there must be one.
 * @param least The least port.
 * @throws {UsageError} When it is none.
 */
export function parseHostPort(text: string, what: string, host?: string, least = 1): HostPort {
  const match = /^(?:(?:\[([^\]]+)\]|([^:[\]]*)):)?(\d{1,5})$/.exec(text);
  const hostname = match?.[1] ?? (match?.[2] || host);
  const port = Number(match?.[3]);
  if (match === null || hostname === undefined) {
    throw new UsageError(`${what} ${JSON.stringify(text)} is not of the form host:port or [v6]:port`);
  }
  if (port < least || port > 65535) {
    throw new UsageError(`${what} ${JSON.stringify(text)} has no port from ${least} to 65535`);
  }
  return { hostname, port };
}

/**
 * Reads where to listen: `address:port`, `:port` for all IPv4 addresses, `port` for loopback.
 *
 * @throws {UsageError} When it is none.
 */
export function parseListen(text: string): HostPort {
  const host = text.startsWith(":") ? "0.0.0.0" : "127.0.0.1";
  const { hostname, port } = parseHostPort(text, "LISTEN", host, 0);
  if (hostname !== "localhost" && ipVersion(hostname) === 0) {
    throw new UsageError(`LISTEN ${JSON.stringify(text)} needs an IP address, or the port alone`);
  }
  return { hostname: hostname === "localhost" ? "127.0.0.1" : hostname, port };
}
