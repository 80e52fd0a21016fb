/**
 * `struct sockaddr_in` and `struct sockaddr_in6`, bytes ↔ addresses.
 *
 * @module
 */
import { AF_INET, AF_INET6 } from "./constants.ts";
import { formatIPv4, formatIPv6, isV4Mapped, parseIPv4, parseIPv6 } from "./ip.ts";
import { be16, struct, u16, u32, viewOf } from "./struct.ts";

/** One end of a TCP connection, shaped as `Deno.NetAddr`. */
export interface Addr {
  /** Always `"tcp"`: so an `Addr` can be used where a `Deno.NetAddr` is expected. */
  transport: "tcp";
  /** The IP address as text; an IPv4-mapped IPv6 address is given as IPv4, a link-local one with its `%` zone. */
  hostname: string;
  /** The port, 0 to 65535. */
  port: number;
}

/** `sizeof(struct sockaddr_in)` */
export const SOCKADDR_IN_SIZE = 16;
/** `sizeof(struct sockaddr_in6)` */
export const SOCKADDR_IN6_SIZE = 28;
/** `sizeof(struct sockaddr_storage)` */
export const SOCKADDR_STORAGE_SIZE = 128;

const HEAD = struct({ family: u16(0), port: be16(2) });
const V6 = struct({ scopeId: u32(24) });

/**
 * Encodes an address literal.
 *
 * @param address IPv4 or IPv6, the latter with a numeric zone at most (`fe80::1%3`); names of interfaces are turned into
 * numbers by the caller, as that asks the kernel.
 * @param port 0 to 65535
 * @param mapped Write an IPv4 address as IPv4-mapped IPv6, for sockets of that family. @default {false}
 * @throws {TypeError} When `address` is not an IP address.
 * @throws {RangeError} When `port` is out of range.
 */
export function encodeSockaddr(address: string, port: number, mapped = false): Uint8Array {
  if (!Number.isInteger(port) || port < 0 || port > 65535) {
    throw new RangeError(`Cannot encode port ${port}: it must be an integer from 0 to 65535`);
  }
  const [host = "", zone = "0", ...more] = address.split("%");
  const v4 = parseIPv4(address);
  if (v4 !== null && !mapped) {
    const bytes = new Uint8Array(SOCKADDR_IN_SIZE);
    HEAD.encode(viewOf(bytes), 0, { family: AF_INET, port });
    bytes.set(v4, 4);
    return bytes;
  }
  const v6 = v4 !== null ? mappedBytes(v4) : parseIPv6(host);
  if (v6 === null || more.length > 0 || !/^[0-9]+$/.test(zone) || Number(zone) > 0xffffffff) {
    throw new TypeError(`Cannot encode "${address}": it is not an IP address`);
  }
  const bytes = new Uint8Array(SOCKADDR_IN6_SIZE);
  HEAD.encode(viewOf(bytes), 0, { family: AF_INET6, port });
  V6.encode(viewOf(bytes), 0, { scopeId: Number(zone) });
  bytes.set(v6, 8);
  return bytes;
}

function mappedBytes(v4: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(16);
  bytes.set([0xff, 0xff], 10);
  bytes.set(v4, 12);
  return bytes;
}

/**
 * Decodes the sockaddr at `offset`.
 *
 * @returns The address, or `null` when the bytes are too short for their family or of another family.
 */
export function decodeSockaddr(bytes: Uint8Array, offset = 0, length: number = bytes.length - offset): Addr | null {
  const available = Math.min(length, bytes.length - offset);
  if (available < 4) return null;
  const { family, port } = HEAD.decode(viewOf(bytes), offset, available);
  if (family === AF_INET && available >= 8) {
    return { transport: "tcp", hostname: formatIPv4(bytes, offset + 4), port: port! };
  }
  if (family !== AF_INET6 || available < 24) return null;
  if (isV4Mapped(bytes, offset + 8)) {
    return { transport: "tcp", hostname: formatIPv4(bytes, offset + 20), port: port! };
  }
  const { scopeId = 0 } = V6.decode(viewOf(bytes), offset, available);
  const zone = scopeId === 0 ? "" : `%${scopeId}`;
  return { transport: "tcp", hostname: formatIPv6(bytes, offset + 8) + zone, port: port! };
}
