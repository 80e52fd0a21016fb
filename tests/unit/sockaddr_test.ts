/** `struct sockaddr_in` and `sockaddr_in6`. */
import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { describe, it } from "node:test";
import {
  decodeSockaddr,
  encodeSockaddr,
  SOCKADDR_IN6_SIZE,
  SOCKADDR_IN_SIZE,
  SOCKADDR_STORAGE_SIZE,
} from "../../kernel/sockaddr.ts";
import { formatIPv4, formatIPv6, isV4Mapped, parseIPv6 } from "../../kernel/ip.ts";
import { bytes, MAPPED_PEER } from "./golden.ts";

const addr = (hostname: string, port: number) => ({ transport: "tcp" as const, hostname, port });

// The family is in the machine's order, the rest in the network's.
const V4 = bytes("0200 01bb c0000201 *8");
const V6 = bytes("0a00 01bb 00000000 20010db8 *11 01 00000000");
const SCOPED = bytes("0a00 0050 00000000 fe80 *13 01 03000000");
const MAPPED = bytes("0a00 01bb *4 *10 ffff c0000201 00000000");

describe("sockaddr", () => {
  it("has the kernel's sizes", () => {
    assertEquals([SOCKADDR_IN_SIZE, SOCKADDR_IN6_SIZE, SOCKADDR_STORAGE_SIZE], [16, 28, 128]);
  });

  it("encodes", () => {
    assertEquals(encodeSockaddr("192.0.2.1", 443), V4);
    assertEquals(encodeSockaddr("2001:db8::1", 443), V6);
    assertEquals(encodeSockaddr("fe80::1%3", 80), SCOPED);
    assertEquals(encodeSockaddr("192.0.2.1", 443, true), MAPPED);
    assertEquals(encodeSockaddr("2001:db8::1", 443, true), V6);
    assertEquals(encodeSockaddr("0.0.0.0", 0), bytes("0200 *14"));
    assertEquals(encodeSockaddr("::", 65535), bytes("0a00 ffff *24"));
    assertEquals(encodeSockaddr("fe80::1%4294967295", 0).slice(24), bytes("ffffffff"));
  });

  it("decodes", () => {
    assertEquals(decodeSockaddr(V4), addr("192.0.2.1", 443));
    assertEquals(decodeSockaddr(V6), addr("2001:db8::1", 443));
    assertEquals(decodeSockaddr(SCOPED), addr("fe80::1%3", 80));
    assertEquals(decodeSockaddr(MAPPED), addr("192.0.2.1", 443));
    assertEquals(decodeSockaddr(MAPPED_PEER), addr("10.77.0.1", 4432));
  });

  it("decodes at an offset", () => {
    const both = Uint8Array.of(...V4, ...SCOPED);
    assertEquals(decodeSockaddr(both, 16), addr("fe80::1%3", 80));
    assertEquals(decodeSockaddr(both, 0, 16), addr("192.0.2.1", 443));
    assertEquals(decodeSockaddr(both, 1), null);
  });

  it("decodes at every length what is whole", () => {
    for (let length = 0; length <= 16; length++) {
      assertEquals(decodeSockaddr(V4, 0, length), length < 8 ? null : addr("192.0.2.1", 443));
      assertEquals(decodeSockaddr(V4.subarray(0, length)), length < 8 ? null : addr("192.0.2.1", 443));
    }
    for (let length = 0; length <= 28; length++) {
      const expected = length < 24 ? null : addr(length < 28 ? "fe80::1" : "fe80::1%3", 80);
      assertEquals(decodeSockaddr(SCOPED, 0, length), expected);
      assertEquals(decodeSockaddr(SCOPED.subarray(0, length)), expected);
    }
  });

  it("takes no length on trust", () => {
    assertEquals(decodeSockaddr(V4.subarray(0, 6), 0, 1000), null);
    assertEquals(decodeSockaddr(V4, 100), null);
    assertEquals(decodeSockaddr(V4, 0, -5), null);
  });

  it("knows no other family", () => {
    for (const family of ["0000", "0100", "0300", "1000", "000a", "ffff"]) {
      assertEquals(decodeSockaddr(bytes(`${family} 01bb *124`)), null);
    }
  });

  const refused: readonly (readonly [string, number, ErrorConstructor | TypeErrorConstructor | RangeErrorConstructor])[] = [
    ["localhost", 1, TypeError],
    ["", 1, TypeError],
    ["1.2.3", 1, TypeError],
    ["1.2.3.4%1", 1, TypeError],
    ["fe80::1%", 1, TypeError],
    ["fe80::1%eth0", 1, TypeError],
    ["fe80::1%1%2", 1, TypeError],
    ["fe80::1%-1", 1, TypeError],
    ["fe80::1%4294967296", 1, TypeError],
    ["fe80::1%99999999999999999999", 1, TypeError],
    ["::1", -1, RangeError],
    ["::1", 65536, RangeError],
    ["::1", 1.5, RangeError],
    ["::1", NaN, RangeError],
    ["::1", Infinity, RangeError],
  ];
  for (const [address, port, type] of refused) {
    it(`refuses "${address}" with port ${port}`, () => {
      assertThrows(() => encodeSockaddr(address, port), type, "Cannot encode");
      assertThrows(() => encodeSockaddr(address, port, true), type, "Cannot encode");
    });
  }

  it("decodes what it encoded, and encodes that the same", () => {
    const v4 = fc.uint8Array({ minLength: 4, maxLength: 4 }).map((address) => formatIPv4(address));
    const v6 = fc.tuple(fc.uint8Array({ minLength: 16, maxLength: 16 }), fc.nat(0xffffffff))
      .filter(([address]) => !isV4Mapped(address))
      .map(([address, scope]) => formatIPv6(address) + (scope ? `%${scope}` : ""));
    fc.assert(fc.property(fc.oneof(v4, v6), fc.nat(65535), (address, port) => {
      const encoded = encodeSockaddr(address, port);
      const decoded = decodeSockaddr(encoded)!;
      assertEquals(decoded, addr(address, port));
      assertEquals(encodeSockaddr(decoded.hostname, decoded.port), encoded);
      assertEquals(decodeSockaddr(encodeSockaddr(address, port, true)), decoded);
    }));
  });

  it("gives an address or null for any bytes", () => {
    const random = fc.uint8Array({ maxLength: 40 });
    const likely = random.map((tail) => Uint8Array.of(tail.length % 2 ? 2 : 10, 0, ...tail));
    fc.assert(
      fc.property(fc.oneof(random, likely), fc.nat(12), fc.integer({ min: -2, max: 60 }), (given, offset, length) => {
        const decoded = decodeSockaddr(given, offset, length);
        if (decoded === null) return;
        const [host] = decoded.hostname.split("%");
        assertEquals(parseIPv6(host!) !== null || /^[\d.]+$/.test(host!), true);
      }),
    );
  });
});
