/** Links and addresses, on what Linux 6.18 sent while `ip` changed them. */
import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "node:test";
import { MptcpError } from "../../kernel/error.ts";
import { decodeMessages, encodeMessage, setSequence } from "../../kernel/netlink.ts";
import { AttributeEncoder } from "../../kernel/netlink_attributes.ts";
import { decodeRouteMessage, encodeDumpAddresses, encodeDumpLinks } from "../../kernel/rtnetlink.ts";
import { bytes } from "./golden.ts";
import * as golden from "./golden_rtnetlink.ts";
import { fuzzMessages } from "./survives.ts";

const all = (datagram: Uint8Array) => decodeMessages(datagram).map(decodeRouteMessage);

const lo = {
  type: "link",
  removed: false,
  index: 1,
  name: "lo",
  flags: 0x10049,
  up: true,
  running: true,
  loopback: true,
  operState: "unknown",
  mtu: 65536,
} as const;
const mp0 = { ...lo, index: 3, name: "mp0", flags: 0x1002, up: false, running: false, loopback: false, mtu: 1500 } as const;
const address = {
  type: "address",
  removed: false,
  index: 1,
  family: 4,
  address: "127.0.0.1",
  prefixLength: 8,
  flags: 0x80,
  tentative: false,
  deprecated: false,
  duplicate: false,
  scope: "host",
} as const;
const v4 = { ...address, index: 3, address: "10.78.0.1", prefixLength: 24, scope: "global" } as const;
const v6 = { ...address, index: 3, family: 6, address: "fd78::1", prefixLength: 64, flags: 0x82, scope: "global" } as const;
const peer = { ...v4, index: 1, address: "10.79.0.1", prefixLength: 32 } as const;

describe("rtnetlink", () => {
  it("asks for all links, and all addresses", () => {
    const [links, addresses] = [encodeDumpLinks(), encodeDumpAddresses()];
    setSequence(links, 7);
    setSequence(addresses, 7);
    assertEquals([links, addresses], [golden.LINKS_REQUEST, golden.ADDRESSES_REQUEST]);
    assertEquals([encodeDumpAddresses(4)[16], encodeDumpAddresses(6)[16]], [2, 10]);
  });

  it("decodes the answers", () => {
    assertEquals(all(golden.LINKS_REPLY), [lo]);
    assertEquals(all(golden.ADDRESSES_REPLY), [
      address,
      peer,
      { ...address, family: 6, address: "::1", prefixLength: 128 },
    ]);
  });

  it("decodes a link's life", () => {
    assertEquals(all(golden.LINK_NEW), [{ ...mp0, operState: "down" }]);
    assertEquals(all(golden.LINK_UP), [{ ...mp0, flags: 0x11043, up: true, running: true, operState: "up" }]);
    assertEquals(all(golden.LINK_DOWN), [{ ...mp0, operState: "down" }]);
    assertEquals(all(golden.LINK_GONE), [{ ...mp0, removed: true, operState: "down" }]);
  });

  it("decodes an address's life", () => {
    assertEquals(all(golden.ADDRESS_NEW), [v4]);
    assertEquals(all(golden.ADDRESS_GONE), [{ ...v4, removed: true }]);
    assertEquals(all(golden.ADDRESS6_NEW), [v6]);
    assertEquals(all(golden.ADDRESS6_GONE), [{ ...v6, removed: true }]);
  });

  it("tells the host's own address of a point-to-point link", () => assertEquals(all(golden.ADDRESS_PEER), [peer]));

  const addr = (head: string, attributes: AttributeEncoder) =>
    all(encodeMessage(20, 0, bytes(head), attributes.finish()))[0] as Record<string, unknown> | null;
  const here = () => new AttributeEncoder().bytes(1, Uint8Array.of(192, 0, 2, 1));

  it("tells the state of an address, with the flags of either place", () => {
    const { tentative, deprecated, duplicate, scope, flags } = addr("021868fd 02000000", here())!;
    assertEquals([tentative, deprecated, duplicate, scope, flags], [true, true, true, "link", 0x68]);
    assertEquals(addr("021868fd 02000000", here().u32(8, 0x280))!.flags, 0x280);
    assertEquals([200, 255, 17].map((scope) => addr(`021800${scope.toString(16)} 02000000`, here())!.scope), [
      "site",
      "nowhere",
      "17",
    ]);
  });

  it("passes over what it is not about", () => {
    assertEquals(addr("11180000 02000000", here()), null);
    assertEquals(addr("02180000 02000000", new AttributeEncoder()), null);
    assertEquals(all(encodeMessage(24, 0)), [null]);
    // What a bridge tells about its port: a DELLINK that leaves the link in place.
    const left = golden.LINK_GONE.slice();
    left[16] = 7;
    assertEquals(all(left), [null]);
  });

  it("does without a name and with a state that it does not know", () => {
    const message = encodeMessage(16, 0, bytes("*4 05000000 01000000 *4"), new AttributeEncoder().u8(16, 99).finish());
    const { mtu: _, ...rest } = lo;
    assertEquals(all(message), [{ ...rest, index: 5, name: "", flags: 1, running: false, loopback: false }]);
  });

  it("refuses what is cut off", () => {
    for (const type of [16, 17, 20, 21]) {
      const error = assertThrows(() => all(encodeMessage(type, 0, bytes("02000000"))), MptcpError);
      assertEquals(error.code, "EBADMSG");
    }
    assertThrows(() => addr("02180000 02000000", new AttributeEncoder().u16(1, 1)), MptcpError);
  });

  it("survives any change and any cut", () => {
    const { LINKS_REQUEST: _, ADDRESSES_REQUEST: __, ...answers } = golden;
    fuzzMessages(Object.values(answers), decodeRouteMessage);
  });
});
