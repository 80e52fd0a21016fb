/**
 * Address literals as sockaddrs, with the zone of a link-local address resolved by the kernel.
 *
 * @module
 */
import type { Libc } from "../ffi/mod.ts";
import { MptcpError } from "../kernel/error.ts";
import { ipVersion } from "../kernel/ip.ts";
import { encodeSockaddr } from "../kernel/sockaddr.ts";

/**
 * Encodes an address literal such as `192.0.2.1`, `2001:db8::1` or `fe80::1%eth0`.
 *
 * @param mapped Write IPv4 as IPv4-mapped IPv6. @default {false}
 * @throws {TypeError} When `address` is not an IP address.
 * @throws {MptcpError} `ENODEV` when the zone names no network interface.
 */
export function sockaddrOf(libc: Libc, address: string, port: number, mapped = false): Uint8Array {
  const [host = "", zone] = address.split("%");
  if (zone === undefined || /^[0-9]+$/.test(zone)) return encodeSockaddr(address, port, mapped);
  if (ipVersion(address) !== 6) throw new TypeError(`Cannot use "${address}": it is not an IP address`);
  const index = libc.ifIndex(zone);
  if (index === 0) {
    throw new MptcpError("ENODEV", `Cannot use ${address}: there is no network interface "${zone}"`, {
      syscall: "if_nametoindex",
      address,
      port,
    });
  }
  return encodeSockaddr(`${host}%${index}`, port, mapped);
}
