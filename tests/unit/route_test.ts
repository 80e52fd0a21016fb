/** One route, on what Linux 6.18 answered in a lab: 10.0.1.0/24 and fd00:1::/64 on interface 2, 10.0.2.0/24 and fd00:2::/64 on 3. */
import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "node:test";
import { decodeMessages, setSequence } from "../../kernel/netlink.ts";
import { decodeRoute, encodeGetRoute, type Route, type RouteQuery } from "../../kernel/route.ts";
import { bytes } from "./golden.ts";
import { LINK_NEW } from "./golden_rtnetlink.ts";
import { fuzzMessages } from "./survives.ts";

/** What was asked, as it was sent, and what was answered. The sequence numbers count from 1. */
const GOLDEN: readonly (readonly [name: string, query: RouteQuery, request: string, reply: string, route: Route])[] = [
  [
    "a neighbour",
    { destination: "10.0.1.2" },
    "24000000 1a000100 01000000 00000000 02200000 *8 08000100 0a000102",
    `68000000 18000000 01000000 9c420000 02200000 fe000001 00020000 08000f00 fe000000 08000100 0a000102 08000400 02000000
     08000700 0a000101 08001900 00000000 24000c00 02000000 17000000 *24`,
    { interfaceIndex: 2, source: "10.0.1.1", gateway: false, local: false },
  ],
  [
    "a host beyond the link, from an address and by an interface",
    { destination: "10.0.1.2", source: "10.0.2.1", interfaceIndex: 3 },
    "34000000 1a000100 02000000 00000000 02202000 *8 08000100 0a000102 08000200 0a000201 08000400 03000000",
    `68000000 18000000 02000000 9c420000 02202000 fe000001 00020000 08000f00 fe000000 08000100 0a000102 08000200 0a000201
     08000400 03000000 08001900 00000000 24000c00 01000000 *28`,
    { interfaceIndex: 3, gateway: false, local: false },
  ],
  [
    "a host behind a router",
    { destination: "192.0.2.9" },
    "24000000 1a000100 03000000 00000000 02200000 *8 08000100 c0000209",
    `70000000 18000000 03000000 9c420000 02200000 fe000001 00020000 08000f00 fe000000 08000100 c0000209 08000400 02000000
     08000700 0a000101 08000500 0a000102 08001900 00000000 24000c00 02000000 *28`,
    { interfaceIndex: 2, source: "10.0.1.1", gateway: true, local: false },
  ],
  [
    "this host",
    { destination: "10.0.1.1" },
    "24000000 1a000100 04000000 00000000 02200000 *8 08000100 0a000101",
    `68000000 18000000 04000000 9c420000 02200000 fe000002 00800800 08000f00 fe000000 08000100 0a000101 08000400 01000000
     08000700 0a000101 08001900 00000000 24000c00 01000000 *28`,
    { interfaceIndex: 1, source: "10.0.1.1", gateway: false, local: true },
  ],
  [
    "an IPv6 host behind a router, from an address",
    { destination: "2001:db8::1", source: "fd00:2::1" },
    `44000000 1a000100 06000000 00000000 0a808000 *8 14000100 20010db8 *8 00000001 14000200 fd000002 *8 00000001`,
    `b0000000 18000000 06000000 9c420000 0a808000 fe030001 00000000 08000f00 fe000000 14000100 20010db8 *8 00000001
     14000200 fd000002 *8 00000001 14000700 fd000001 *8 00000001 08000600 00040000 14000500 fd000001 *8 00000002
     08000400 02000000 24000c00 02000000 *28 05001400 00000000`,
    { interfaceIndex: 2, source: "fd00:1::1", gateway: true, local: false },
  ],
];

describe("route", () => {
  for (const [index, [name, query, request, reply, route]] of GOLDEN.entries()) {
    it(`is asked and told for ${name}`, () => {
      const message = encodeGetRoute(query);
      setSequence(message, index === 4 ? 6 : index + 1);
      assertEquals(message, bytes(request));
      assertEquals(decodeMessages(bytes(reply)).map(decodeRoute), [route]);
    });
  }

  it("is asked for as an entry of the table", () => {
    const message = encodeGetRoute({ destination: "10.0.1.2", entry: true });
    assertEquals(message, bytes("24000000 1a000100 *8 02200000 00000000 00200000 08000100 0a000102"));
  });

  it("is not read from other messages", () => {
    assertEquals(decodeMessages(LINK_NEW).map(decodeRoute), [null]);
  });

  it("is not asked for what is no address, or of two families", () => {
    assertThrows(() => encodeGetRoute({ destination: "example.com" }), TypeError);
    assertThrows(() => encodeGetRoute({ destination: "fe80::1%eth0" }), TypeError);
    assertThrows(() => encodeGetRoute({ destination: "10.0.0.1", source: "::1" }), TypeError);
    assertThrows(() => encodeGetRoute({ destination: "10.0.0.1", source: "" }), TypeError);
  });

  it("survives any bytes", () => {
    fuzzMessages(GOLDEN.map(([, , , reply]) => bytes(reply)), decodeRoute);
  });
});
