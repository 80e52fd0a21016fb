/**
 * IP addresses, text ↔ bytes. IPv6 text is canonical as RFC 5952 says (lower case, the longest run of zeros short).
 *
 * @module
 */

/** 4 or 6 for an address literal (an IPv6 zone such as `%eth0` is allowed), 0 for anything else. */
export function ipVersion(text: string): 0 | 4 | 6 {
  if (parseIPv4(text) !== null) return 4;
  const zone = text.indexOf("%");
  if (zone >= 0 && (zone === text.length - 1 || text.includes("%", zone + 1))) return 0;
  return parseIPv6(zone < 0 ? text : text.slice(0, zone)) === null ? 0 : 6;
}

/** The 4 bytes of a dotted-decimal address, or `null`. */
export function parseIPv4(text: string): Uint8Array | null {
  const parts = text.split(".");
  if (parts.length !== 4) return null;
  const bytes = new Uint8Array(4);
  for (const [index, part] of parts.entries()) {
    // A leading zero would be octal to some readers: refused, as inet_pton does.
    if (!/^(0|[1-9][0-9]{0,2})$/.test(part) || Number(part) > 255) return null;
    bytes[index] = Number(part);
  }
  return bytes;
}

/** The 16 bytes of an IPv6 address without a zone, or `null`. */
export function parseIPv6(text: string): Uint8Array | null {
  const halves = text.split("::");
  if (halves.length > 2) return null;
  const head = parseGroups(halves[0] ?? "", halves.length === 1);
  const tail = halves.length === 2 ? parseGroups(halves[1] ?? "", true) : [];
  if (head === null || tail === null) return null;
  const given = head.length + tail.length;
  if (halves.length === 2 ? given > 14 : given !== 16) return null;
  const bytes = new Uint8Array(16);
  bytes.set(head, 0);
  bytes.set(tail, 16 - tail.length);
  return bytes;
}

/** The bytes of groups between colons; the last may be dotted decimal where `last` says that it ends the address. */
function parseGroups(text: string, last: boolean): number[] | null {
  if (text === "") return [];
  const bytes: number[] = [];
  const groups = text.split(":");
  for (const [index, group] of groups.entries()) {
    if (last && index === groups.length - 1 && group.includes(".")) {
      const v4 = parseIPv4(group);
      if (v4 === null) return null;
      bytes.push(...v4);
    } else {
      if (!/^[0-9a-f]{1,4}$/i.test(group)) return null;
      const value = parseInt(group, 16);
      bytes.push(value >> 8, value & 0xff);
    }
  }
  return bytes;
}

/** Dotted decimal of the 4 bytes at `offset`. */
export function formatIPv4(bytes: Uint8Array, offset = 0): string {
  return `${bytes[offset]}.${bytes[offset + 1]}.${bytes[offset + 2]}.${bytes[offset + 3]}`;
}

/** Whether the 16 bytes at `offset` are an IPv4 address in IPv6 clothes (`::ffff:a.b.c.d`). */
export function isV4Mapped(bytes: Uint8Array, offset = 0): boolean {
  for (let i = 0; i < 10; i++) if (bytes[offset + i] !== 0) return false;
  return bytes[offset + 10] === 0xff && bytes[offset + 11] === 0xff;
}

/** RFC 5952 text of the 16 bytes at `offset`. */
export function formatIPv6(bytes: Uint8Array, offset = 0): string {
  const groups: number[] = [];
  for (let i = 0; i < 16; i += 2) groups.push((bytes[offset + i]! << 8) | bytes[offset + i + 1]!);
  let start = -1;
  let length = 1; // a single zero group is written out
  for (let i = 0; i < 8; i++) {
    let run = 0;
    while (i + run < 8 && groups[i + run] === 0) run++;
    if (run > length) [start, length] = [i, run];
  }
  const text = (part: number[]) => part.map((group) => group.toString(16)).join(":");
  if (start < 0) return text(groups);
  return `${text(groups.slice(0, start))}::${text(groups.slice(start + length))}`;
}

/**
 * An address in the one spelling that can be compared: IPv6 shortened, IPv4-mapped IPv6 as IPv4, without a zone. What is no
 * address stays as it is.
 */
export function canonicalAddress(text: string): string {
  const bytes = parseIPv6(text.replace(/%.*/, ""));
  if (bytes === null) return text;
  return isV4Mapped(bytes) ? formatIPv4(bytes, 12) : formatIPv6(bytes);
}
