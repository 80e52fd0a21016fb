/** IP addresses: text and bytes. The text of the runtime's own `net.isIP` and `inet_ntop` rules is the yardstick. */
import { assertEquals, assertStrictEquals } from "@std/assert";
import fc from "fast-check";
import { isIP } from "node:net";
import { describe, it } from "node:test";
import { formatIPv4, formatIPv6, ipVersion, isV4Mapped, parseIPv4, parseIPv6 } from "../../kernel/ip.ts";

const hex = (bytes: Uint8Array | null) => bytes && Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

/** Written in many ways, and the one way of RFC 5952. */
const CANONICAL: readonly (readonly [given: string, canonical: string])[] = [
  // section 1: one address, ten ways
  ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
  ["2001:0db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
  ["2001:db8::1:0:0:1", "2001:db8::1:0:0:1"],
  ["2001:db8::0:1:0:0:1", "2001:db8::1:0:0:1"],
  ["2001:0db8::1:0:0:1", "2001:db8::1:0:0:1"],
  ["2001:db8:0:0:1::1", "2001:db8::1:0:0:1"],
  ["2001:db8:0000:0:1::1", "2001:db8::1:0:0:1"],
  ["2001:DB8:0:0:1::1", "2001:db8::1:0:0:1"],
  // 4.1: no leading zeros
  ["2001:0db8::0001", "2001:db8::1"],
  // 4.2.1: as short as can be
  ["2001:db8:0:0:0:0:2:1", "2001:db8::2:1"],
  // 4.2.2: a lone zero group stays
  ["2001:db8::1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
  // 4.2.3: the longest run, the first of equals
  ["2001:0:0:1:0:0:0:1", "2001:0:0:1::1"],
  ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
  // 4.3: lower case
  ["2001:DB8::AbCd", "2001:db8::abcd"],
  ["::", "::"],
  ["0:0:0:0:0:0:0:0", "::"],
  ["::1", "::1"],
  ["1::", "1::"],
  ["1:0:0:0:0:0:0:0", "1::"],
  ["1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"],
  ["::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"],
  ["1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"],
  ["fe80::1", "fe80::1"],
  ["64:ff9b::192.0.2.33", "64:ff9b::c000:221"],
  ["::ffff:10.0.0.1", "::ffff:a00:1"],
  ["1:2:3:4:5:6:255.255.255.255", "1:2:3:4:5:6:ffff:ffff"],
];

const INVALID = [
  "",
  " ",
  "localhost",
  "1",
  "1.2.3",
  "1.2.3.4.5",
  "1.2.3.",
  ".1.2.3",
  "1..2.3",
  "256.1.1.1",
  "1.2.3.999",
  "1.2.3.1000",
  "01.2.3.4",
  "1.2.3.00",
  "0x1.2.3.4",
  "1.2.3.4 ",
  " 1.2.3.4",
  "1.2.3.4\n",
  "1.2.3.4\0",
  "-1.2.3.4",
  "+1.2.3.4",
  "1e1.2.3.4",
  "١.2.3.4",
  "1.2.3.4%eth0",
  ":",
  ":::",
  "1:",
  ":1",
  "1::2::3",
  "::1::",
  "1:2:3:4:5:6:7",
  "1:2:3:4:5:6:7:8:9",
  "1:2:3:4:5:6:7:8::",
  "::1:2:3:4:5:6:7:8",
  "1:2:3:4::5:6:7:8",
  "12345::",
  "g::",
  "1:2:3:4:5:6:7:1.2.3.4",
  "1.2.3.4::",
  "::1.2.3.4:5",
  "::1.2.3",
  "::1.2.3.256",
  "::01.2.3.4",
  "[::1]",
  "::1/64",
  "fe80::1%",
  "%eth0",
  "fe80::1%1%2",
];

describe("ip", () => {
  for (const [given, canonical] of CANONICAL) {
    it(`writes ${given} as ${canonical}`, () => {
      assertStrictEquals(formatIPv6(parseIPv6(given)!), canonical);
      assertStrictEquals(ipVersion(given), 6);
    });
  }

  it("refuses what is no address", () => {
    for (const text of INVALID) {
      assertEquals([text, ipVersion(text)], [text, 0]);
      assertEquals([text, parseIPv4(text)], [text, null]);
      if (!text.includes("%")) assertEquals([text, parseIPv6(text)], [text, null]);
    }
  });

  it("reads IPv4", () => {
    assertEquals(hex(parseIPv4("192.0.2.255")), "c00002ff");
    assertEquals(hex(parseIPv4("0.0.0.0")), "00000000");
    assertEquals(ipVersion("255.255.255.255"), 4);
    assertEquals(parseIPv6("1.2.3.4"), null);
    assertEquals(parseIPv4("::1"), null);
  });

  it("takes a zone for IPv6 only", () => {
    assertEquals(ipVersion("fe80::1%eth0"), 6);
    assertEquals(ipVersion("fe80::1%3"), 6);
    assertEquals(ipVersion("127.0.0.1%lo"), 0);
    assertEquals(parseIPv6("fe80::1%3"), null);
  });

  it("formats at an offset", () => {
    const bytes = Uint8Array.of(9, 9, ...parseIPv6("::ffff:1.2.3.4")!, 9);
    assertEquals(formatIPv6(bytes, 2), "::ffff:102:304");
    assertEquals(formatIPv4(bytes, 14), "1.2.3.4");
    assertEquals(isV4Mapped(bytes, 2), true);
    assertEquals(isV4Mapped(bytes, 1), false);
  });

  it("tells IPv4-mapped addresses from their neighbours", () => {
    assertEquals(isV4Mapped(parseIPv6("::ffff:0:0")!), true);
    for (const text of ["::1.2.3.4", "::fffe:1.2.3.4", "::1:ffff:1.2.3.4", "::ff00:1.2.3.4", "64:ff9b::1.2.3.4"]) {
      assertEquals([text, isV4Mapped(parseIPv6(text)!)], [text, false]);
    }
  });

  it("reads back what it wrote, and writes it the same again", () => {
    fc.assert(fc.property(fc.uint8Array({ minLength: 4, maxLength: 4 }), (bytes) => {
      assertEquals(parseIPv4(formatIPv4(bytes)), bytes);
    }));
    // Many zeros, or no run would ever be shortened.
    const group = fc.oneof(fc.constant([0, 0]), fc.tuple(fc.nat(255), fc.nat(255)));
    fc.assert(fc.property(fc.array(group, { minLength: 8, maxLength: 8 }), (groups) => {
      const bytes = Uint8Array.from(groups.flat());
      const text = formatIPv6(bytes);
      assertEquals(parseIPv6(text), bytes);
      assertEquals(formatIPv6(parseIPv6(text)!), text);
      assertEquals(new URL(`http://[${text}]/`).hostname, `[${text}]`); // WHATWG URL writes as RFC 5952 does
    }));
  });

  it("agrees with node:net on addresses", () => {
    fc.assert(fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (text) => assertEquals(ipVersion(text), isIP(text) as 0 | 4 | 6)));
  });

  it("agrees with node:net on what is nearly an address", () => {
    const parts = fc.constantFrom("0", "1", "25", "255", "256", "a", "ffff", "g", "00", ":", ":", "::", ".", ".");
    const text = fc.array(parts, { maxLength: 12 }).map((all) => all.join(""));
    fc.assert(fc.property(text, (near) => assertEquals([near, ipVersion(near)], [near, isIP(near) as 0 | 4 | 6])), {
      numRuns: 2000,
    });
  });

  it("never throws on a text", () => {
    fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => void ipVersion(text)));
  });
});
