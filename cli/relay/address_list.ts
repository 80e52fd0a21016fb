/**
 * Addresses and prefixes, such as `192.0.2.0/24`.
 *
 * @module
 */
import { canonicalAddress, ipVersion, parseIPv4, parseIPv6 } from "../../kernel/ip.ts";

interface Prefix {
  bytes: Uint8Array;
  bits: number;
}

/** See the module's comment. An IPv4 address that an IPv6 socket tells is that IPv4 address. */
export class AddressList {
  readonly #prefixes: readonly Prefix[];

  /** @throws {TypeError} When one is no address and no prefix. */
  constructor(prefixes: readonly string[]) {
    this.#prefixes = prefixes.map(parsePrefix);
  }

  /** Whether an address is one of them, or within one. */
  has(address: string): boolean {
    const bytes = bytesOf(address);
    return bytes !== null && this.#prefixes.some((prefix) => prefix.bytes.length === bytes.length && covers(prefix, bytes));
  }
}

function covers({ bytes, bits }: Prefix, address: Uint8Array): boolean {
  for (let bit = 0; bit < bits; bit += 8) {
    const index = bit >> 3;
    const mask = bits - bit >= 8 ? 0xff : 0xff << (8 - (bits - bit)) & 0xff;
    if ((bytes[index]! & mask) !== (address[index]! & mask)) return false;
  }
  return true;
}

function bytesOf(address: string): Uint8Array | null {
  const plain = address.replace(/%.*/, "");
  if (ipVersion(plain) === 0) return null;
  const canonical = canonicalAddress(plain);
  return canonical.includes(":") ? parseIPv6(canonical) : parseIPv4(canonical);
}

function parsePrefix(text: string): Prefix {
  const [address = "", length, ...rest] = text.split("/");
  const bytes = bytesOf(address);
  const bits = length === undefined ? (bytes?.length ?? 0) * 8 : /^\d{1,3}$/.test(length) ? Number(length) : NaN;
  if (bytes === null || rest.length > 0 || !(bits <= bytes.length * 8)) {
    throw new TypeError(`${JSON.stringify(text)} is no address and no prefix such as 192.0.2.0/24`);
  }
  return { bytes, bits };
}
