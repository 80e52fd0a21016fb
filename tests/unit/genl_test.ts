/** Generic netlink: a family's number and groups. */
import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { describe, it } from "node:test";
import { MptcpError } from "../../kernel/error.ts";
import { decodeFamily, encodeGenlMessage, encodeGetFamily, genlAttributes, genlCommand } from "../../kernel/genl.ts";
import { decodeMessages, setSequence } from "../../kernel/netlink.ts";
import { AttributeEncoder } from "../../kernel/netlink_attributes.ts";
import { FAMILY_REPLY, FAMILY_REQUEST } from "./golden_netlink.ts";
import { survives } from "./survives.ts";

const familyOf = (datagram: Uint8Array) => decodeFamily(decodeMessages(datagram)[0]!);

describe("generic netlink", () => {
  it("asks for a family", () => {
    const request = encodeGetFamily("mptcp_pm");
    setSequence(request, 0x12);
    // The version of the control family: 1 here, 0 by the program that was recorded; the kernel looks at neither.
    const recorded = FAMILY_REQUEST.slice();
    assertEquals([recorded[17], request[17]], [1, 1]);
    assertEquals(request, recorded);
  });

  it("decodes the answer", () => {
    assertEquals(familyOf(FAMILY_REPLY), {
      id: 28,
      name: "mptcp_pm",
      version: 1,
      groups: new Map([["mptcp_pm_cmds", 8], ["mptcp_pm_events", 9]]),
    });
  });

  it("decodes what another kernel may answer", () => {
    const attributes = new AttributeEncoder().u16(1, 31).nested(7, (list) => {
      list.nested(1, (group) => group.u32(2, 4)).nested(2, (group) => group.cstring(1, "x").u32(2, 5).u8(77, 1));
    }).u32(99, 1);
    assertEquals(familyOf(encodeGenlMessage(16, 0, 1, 2, attributes.finish())), {
      id: 31,
      name: "",
      version: 0,
      groups: new Map([["x", 5]]),
    });
    assertThrows(() => familyOf(encodeGenlMessage(16, 0, 1, 2)), MptcpError, "no number");
  });

  it("refuses names that no family has", () => {
    for (const name of ["", "sixteen-letters!"]) assertThrows(() => encodeGetFamily(name), RangeError, "Cannot ask");
    assertThrows(() => encodeGetFamily("a\0b"), TypeError);
  });

  it("has a header", () => {
    const [message] = decodeMessages(encodeGenlMessage(28, 1, 10, 1));
    assertEquals([genlCommand(message!), genlAttributes(message!).next()], [10, false]);
    const [short] = decodeMessages(encodeGenlMessage(28, 1, 10, 1).fill(18, 0, 1).subarray(0, 18));
    assertThrows(() => genlCommand(short!), MptcpError);
    assertThrows(() => genlAttributes(short!), MptcpError);
  });

  it("survives any change and any cut", () => {
    fc.assert(
      fc.property(fc.nat(FAMILY_REPLY.length - 17), fc.nat(255), fc.nat(FAMILY_REPLY.length), (at, value, end) => {
        const changed = FAMILY_REPLY.slice();
        changed[16 + at] = value;
        survives(() => familyOf(changed));
        const [message] = decodeMessages(FAMILY_REPLY);
        survives(() => decodeFamily({ ...message!, end: Math.max(message!.start, end) }));
      }),
    );
  });
});
