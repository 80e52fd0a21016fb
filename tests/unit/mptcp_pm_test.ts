/** Commands and answers of `mptcp_pm`, on what `ip mptcp` sent and Linux 6.18 took and answered. */
import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { describe, it } from "node:test";
import { MptcpError } from "../../kernel/error.ts";
import { encodeGenlMessage, genlAttributes } from "../../kernel/genl.ts";
import { formatIPv4, formatIPv6 } from "../../kernel/ip.ts";
import * as pm from "../../kernel/mptcp_pm.ts";
import { commandAddress, type EndpointInit } from "../../kernel/mptcp_pm_address.ts";
import { decodeMessages, setSequence } from "../../kernel/netlink.ts";
import { type AttributeDecoder, AttributeEncoder } from "../../kernel/netlink_attributes.ts";
import { bytes } from "./golden.ts";
import * as golden from "./golden_netlink.ts";
import { fuzzMessages } from "./survives.ts";

const FAMILY = 28;
const TOKEN = 0x3733bf3d;
const hex = (given: Uint8Array) => Array.from(given, (byte) => byte.toString(16).padStart(2, "0")).join("");

/** A request without what differs by nature: its sequence number, and the order of attributes, which has no meaning. */
function canonical(request: Uint8Array): unknown {
  const sorted = (decoder: AttributeDecoder, depth: number): string[] => {
    const list: string[] = [];
    while (decoder.next()) {
      const nest = depth === 0 && (decoder.type === 1 || decoder.type === 6);
      list.push(`${decoder.type}: ${nest ? `{${sorted(decoder.nested(), 1)}}` : hex(decoder.bytes())}`);
    }
    return list.sort();
  };
  const [message, ...more] = decodeMessages(request);
  assertEquals([more.length, message!.end], [0, request.length]);
  const { type, flags, bytes, start } = message!;
  return { type, flags, genl: hex(bytes.subarray(start, start + 4)), attributes: sorted(genlAttributes(message!), 0) };
}

function sameRequest(encoded: Uint8Array, recorded: Uint8Array): void {
  assertEquals(encoded.length, recorded.length);
  assertEquals(canonical(encoded), canonical(recorded));
}

/** Exactly the same bytes, the sequence number aside. */
function sameBytes(encoded: Uint8Array, recorded: Uint8Array): void {
  setSequence(encoded, new DataView(recorded.buffer, recorded.byteOffset).getUint32(8, true));
  assertEquals(hex(encoded), hex(recorded));
}

const flags = { signal: false, subflow: false, backup: false, fullmesh: false, implicit: false, laminar: false };

describe("mptcp_pm requests as ip mptcp sends them", () => {
  const v4 = { address: "10.77.0.2", interfaceIndex: 1, id: 7, subflow: true, backup: true };
  const v6 = { address: "fd77::2", interfaceIndex: 1, id: 11, subflow: true, fullmesh: true };
  const port = { address: "10.77.0.3", id: 9, port: 4444, signal: true };
  it("endpoint add", () => {
    sameRequest(pm.encodeAddEndpoint(FAMILY, v4), golden.ADD_V4);
    sameRequest(pm.encodeAddEndpoint(FAMILY, v6), golden.ADD_V6);
    sameRequest(pm.encodeAddEndpoint(FAMILY, port), golden.ADD_V4_PORT);
  });
  it("endpoint show", () => sameBytes(pm.encodeDumpEndpoints(FAMILY), golden.ENDPOINTS_REQUEST));
  it("endpoint show id", () => sameBytes(pm.encodeGetEndpoint(FAMILY, 9), golden.GET_REQUEST));
  it("endpoint change", () => {
    sameBytes(pm.encodeSetEndpointFlags(FAMILY, { id: 11 }, { backup: true, fullmesh: true }), golden.CHANGE);
  });
  it("endpoint delete", () => {
    sameBytes(pm.encodeRemoveEndpoint(FAMILY, { id: 9 }), golden.DELETE);
    sameBytes(pm.encodeRemoveEndpoint(FAMILY, { id: 9, address: "10.77.0.3" }), golden.DELETE);
    sameRequest(pm.encodeRemoveEndpoint(FAMILY, { id: 0, address: "10.77.0.1" }), golden.DELETE_0);
  });
  it("endpoint flush", () => sameBytes(pm.encodeFlushEndpoints(FAMILY), golden.FLUSH));
  it("limits", () => {
    sameBytes(pm.encodeGetLimits(FAMILY), golden.LIMITS_REQUEST);
    sameBytes(pm.encodeSetLimits(FAMILY, { subflows: 3, addAddrAccepted: 4 }), golden.LIMITS_SET);
  });
});

describe("mptcp_pm requests about one connection, as the kernel took them", () => {
  const local = { address: "10.77.0.2", port: 45001 };
  const remote = { address: "10.77.0.1", port: 4430 };
  it("create a subflow", () => {
    sameBytes(pm.encodeCreateSubflow(FAMILY, TOKEN, { ...local, id: 5, backup: true }, remote), golden.CREATE);
    const bound = { address: "10.77.0.3", id: 8, interfaceIndex: 1 };
    sameBytes(pm.encodeCreateSubflow(FAMILY, TOKEN, bound, remote), golden.CREATE_BOUND);
  });
  it("create a subflow, of another capture", () => {
    sameBytes(
      pm.encodeCreateSubflow(28, 0x0c2c4182, { address: "10.0.2.1", id: 1 }, { address: "10.0.2.2", port: 40121 }),
      bytes(`
        54000000 1c000500 66000000 00000000 0a010000 08000400 82412c0c 1c000180 06000100 02000000 05000200 01000000
        08000300 0a000201 1c000680 06000100 02000000 08000300 0a000202 06000500 b99c0000
      `),
    );
  });
  it("destroy a subflow", () => sameBytes(pm.encodeDestroySubflow(FAMILY, TOKEN, local, remote), golden.DESTROY));
  it("change its priority", () => {
    sameBytes(pm.encodeSetSubflowBackup(FAMILY, TOKEN, local, remote, false), golden.SET_FLAGS);
    const backup = pm.encodeSetSubflowBackup(FAMILY, TOKEN, local, remote, true);
    assertEquals(backup.filter((byte, at) => byte !== golden.SET_FLAGS[at] && (at < 8 || at > 11)), Uint8Array.of(4));
  });
  it("announce", () => {
    sameBytes(pm.encodeAnnounce(FAMILY, TOKEN, { address: "10.77.0.3", port: 4500, id: 6 }), golden.ANNOUNCE);
  });
  it("withdraw", () => sameBytes(pm.encodeWithdraw(FAMILY, TOKEN, 6), golden.REMOVE));
  it("list its addresses", () => sameBytes(pm.encodeDumpEndpoints(FAMILY, TOKEN), golden.TOKEN_DUMP_REQUEST));
});

describe("mptcp_pm answers", () => {
  const one = (datagram: Uint8Array) => pm.decodeEndpoint(decodeMessages(datagram)[0]!);

  it("are endpoints", () => {
    assertEquals(decodeMessages(golden.ENDPOINTS_REPLY).map(pm.decodeEndpoint), [
      { id: 7, address: "10.77.0.2", interfaceIndex: 1, ...flags, subflow: true, backup: true, flags: 6 },
      { id: 9, address: "10.77.0.3", port: 4444, ...flags, signal: true, flags: 1 },
      { id: 11, address: "fd77::2", interfaceIndex: 1, ...flags, subflow: true, fullmesh: true, flags: 10 },
    ]);
    assertEquals(one(golden.GET_REPLY), { id: 9, address: "10.77.0.3", port: 4444, ...flags, signal: true, flags: 1 });
    assertEquals(decodeMessages(golden.TOKEN_DUMP_REPLY).map(pm.decodeEndpoint), [
      { id: 5, address: "10.77.0.2", ...flags, subflow: true, flags: 2 },
      { id: 8, address: "10.77.0.3", interfaceIndex: 1, ...flags, subflow: true, flags: 2 },
    ]);
  });

  it("are limits", () => {
    assertEquals(pm.decodeLimits(decodeMessages(golden.LIMITS_REPLY)[0]!), { subflows: 2, addAddrAccepted: 0 });
  });

  it("keep flags without a name, and pass over other attributes", () => {
    const encoded = new AttributeEncoder().u8(77, 1).nested(1, (nest) => {
      nest.u8(77, 1).u16(1, 2).u8(2, 3).bytes(3, Uint8Array.of(192, 0, 2, 1)).u32(6, 0x80000071);
    });
    assertEquals(one(encodeGenlMessage(28, 0, 3, 1, encoded.finish())), {
      id: 3,
      address: "192.0.2.1",
      ...flags,
      signal: true,
      implicit: true,
      laminar: true,
      flags: 0x80000071,
    });
  });

  it("are refused when they lack what they are about", () => {
    const empty = decodeMessages(encodeGenlMessage(28, 0, 3, 1))[0]!;
    const bare = encodeGenlMessage(28, 0, 3, 1, new AttributeEncoder().nested(1, (nest) => nest.u8(2, 3)).finish());
    for (const decode of [() => pm.decodeEndpoint(empty), () => one(bare), () => pm.decodeLimits(empty)]) {
      assertEquals(assertThrows(decode, MptcpError).code, "EBADMSG");
    }
  });

  it("survive any change and any cut", () => {
    fuzzMessages([golden.ENDPOINTS_REPLY, golden.GET_REPLY, golden.TOKEN_DUMP_REPLY], pm.decodeEndpoint);
    fuzzMessages([golden.LIMITS_REPLY], pm.decodeLimits);
  });
});

describe("mptcp_pm endpoints", () => {
  const v4 = fc.uint8Array({ minLength: 4, maxLength: 4 }).map((address) => formatIPv4(address));
  const v6 = fc.uint8Array({ minLength: 16, maxLength: 16 }).map((address) => formatIPv6(address));
  const optional = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });

  it("are decoded as they were encoded, and encoded as they were decoded", () => {
    const endpoint = fc.record({
      id: fc.integer({ min: 1, max: 255 }),
      address: fc.oneof(v4, v6),
      port: optional(fc.integer({ min: 1, max: 65535 })),
      interfaceIndex: optional(fc.integer({ min: 1, max: 0x7fffffff })),
      flags: fc.nat(0xffffffff).map((bits) => (bits & ~16) >>> 0),
    });
    fc.assert(fc.property(endpoint, (given) => {
      // What is refused, see below.
      const bits = given.flags;
      if ((bits & 8) !== 0 && ((bits & 1) !== 0 || (bits & 2) === 0)) return;
      if (given.port !== undefined && (bits & 3) !== 1) return;
      const { port, interfaceIndex, ...rest } = given;
      const init: EndpointInit = {
        ...rest,
        ...(port === undefined ? {} : { port }),
        ...(interfaceIndex === undefined ? {} : { interfaceIndex }),
      };
      const encoded = pm.encodeAddEndpoint(FAMILY, init);
      const decoded = pm.decodeEndpoint(decodeMessages(encoded)[0]!);
      assertEquals({ ...decoded, ...init } as pm.Endpoint, decoded);
      assertEquals([decoded.signal, decoded.laminar], [(bits & 1) !== 0, (bits & 32) !== 0]);
      assertEquals(pm.encodeAddEndpoint(FAMILY, decoded), encoded);
    }));
  });

  it("may be IPv4-mapped, and stay so", () => {
    const encoded = pm.encodeAddEndpoint(FAMILY, { address: "::ffff:192.0.2.1", id: 1 });
    assertEquals(pm.decodeEndpoint(decodeMessages(encoded)[0]!).address, "::ffff:192.0.2.1");
    assertEquals(encoded[28], 10); // AF_INET6
  });

  it("have flags by name and by number; the name wins", () => {
    const bits = (init: Omit<EndpointInit, "address">) =>
      pm.decodeEndpoint(decodeMessages(pm.encodeAddEndpoint(FAMILY, { address: "::1", id: 1, ...init }))[0]!).flags;
    assertEquals(bits({}), 0);
    assertEquals(bits({ flags: 7, backup: false, laminar: true }), 0x23);
    assertEquals(bits({ flags: 0xffffff00, subflow: true }), 0xffffff02);
  });

  it("leave the id to the kernel", () => {
    const encoded = pm.encodeAddEndpoint(FAMILY, { address: "192.0.2.1", subflow: true });
    assertEquals(pm.encodeAddEndpoint(FAMILY, { address: "192.0.2.1", subflow: true, id: 0 }), encoded);
    assertEquals(canonical(encoded), {
      type: 28,
      flags: 5,
      genl: "01010000",
      attributes: ["1: {1: 0200,3: c0000201,6: 02000000}"],
    });
  });

  it("can be named by address and port", () => {
    const key = { address: "192.0.2.1", port: 4444 };
    const encoded = pm.encodeSetEndpointFlags(FAMILY, key, { backup: false, fullmesh: true });
    assertEquals(canonical(encoded), {
      type: 28,
      flags: 5,
      genl: "07010000",
      attributes: ["1: {1: 0200,3: c0000201,5: 5c11,6: 08000000}"],
    });
  });

  it("have one limit set alone", () => {
    const set = (limits: Partial<pm.Limits>) =>
      (canonical(pm.encodeSetLimits(FAMILY, limits)) as { attributes: string[] })
        .attributes;
    assertEquals([set({ subflows: 8 }), set({ addAddrAccepted: 0 })], [["3: 08000000"], ["2: 00000000"]]);
  });
});

describe("mptcp_pm addresses of a subflow", () => {
  const attributes = (local: string, remote: string) => {
    const encoded = pm.encodeDestroySubflow(FAMILY, 1, { address: local, port: 1 }, { address: remote, port: 2 });
    return (canonical(encoded) as { attributes: string[] }).attributes;
  };
  it("are IPv6", () => {
    assertEquals(attributes("fd77::1", "fd77::2"), [
      "1: {1: 0a00,4: fd770000000000000000000000000001,5: 0100}",
      "4: 01000000",
      "6: {1: 0a00,4: fd770000000000000000000000000002,5: 0200}",
    ]);
  });
  it("are IPv4-mapped, both if one is", () => {
    const mapped = [
      "1: {1: 0a00,4: 00000000000000000000ffffc0000201,5: 0100}",
      "4: 01000000",
      "6: {1: 0a00,4: 00000000000000000000ffffc0000202,5: 0200}",
    ];
    assertEquals(attributes("::ffff:192.0.2.1", "::ffff:192.0.2.2"), mapped);
    assertEquals(attributes("192.0.2.1", "::ffff:192.0.2.2"), mapped);
    assertEquals(attributes("::ffff:192.0.2.1", "192.0.2.2"), mapped);
  });
  it("are of one family", () => {
    for (
      const [local, remote] of [["192.0.2.1", "fd77::1"], ["fd77::1", "192.0.2.1"], ["fd77::1", "::ffff:192.0.2.1"]] as const
    ) {
      assertThrows(() => attributes(local, remote), TypeError, "both must be");
    }
  });
  it("are written as the subflow's socket has them", () => {
    assertEquals(commandAddress("192.0.2.1", 6), "::ffff:192.0.2.1");
    assertEquals([commandAddress("192.0.2.1", 4), commandAddress("fd77::1", 6)], ["192.0.2.1", "fd77::1"]);
  });
});

describe("mptcp_pm refuses, before the kernel does or does not", () => {
  const end = { address: "192.0.2.1", port: 1 };
  const add = (init: object) => () => pm.encodeAddEndpoint(FAMILY, { address: "192.0.2.1", ...init });
  const cases: readonly (readonly [what: string, type: TypeErrorConstructor | RangeErrorConstructor, act: () => unknown])[] =
    [
      ["an endpoint that is none", TypeError, () => pm.encodeAddEndpoint(FAMILY, null as unknown as EndpointInit)],
      ["no address", TypeError, add({ address: undefined })],
      ["a name", TypeError, add({ address: "localhost" })],
      ["a zone", TypeError, add({ address: "fe80::1%2" })],
      ["id 256", RangeError, add({ id: 256 })],
      ["id -1", RangeError, add({ id: -1 })],
      ["id 1.5", RangeError, add({ id: 1.5 })],
      ["an id of text", TypeError, add({ id: "1" })],
      ["port 0", RangeError, add({ port: 0, signal: true })],
      ["port 65536", RangeError, add({ port: 65536, signal: true })],
      ["a port without signal", TypeError, add({ port: 1 })],
      ["a port with subflow", TypeError, add({ port: 1, signal: true, subflow: true })],
      ["signal and fullmesh", TypeError, add({ signal: true, subflow: true, fullmesh: true })],
      ["implicit", TypeError, add({ implicit: true })],
      ["implicit by number", TypeError, add({ flags: 16 })],
      ["flags of text", TypeError, add({ signal: "yes" })],
      ["flags beyond 32 bits", RangeError, add({ flags: 2 ** 32 })],
      ["interface 0", RangeError, add({ interfaceIndex: 0 })],
      ["interface 2^31", RangeError, add({ interfaceIndex: 2 ** 31 })],
      ["to remove endpoint 0 without its address", TypeError, () => pm.encodeRemoveEndpoint(FAMILY, { id: 0 })],
      ["to remove endpoint 256", RangeError, () => pm.encodeRemoveEndpoint(FAMILY, { id: 256 })],
      ["to get endpoint 0", RangeError, () => pm.encodeGetEndpoint(FAMILY, 0)],
      ["no limit", TypeError, () => pm.encodeSetLimits(FAMILY, {})],
      ["limit -1", RangeError, () => pm.encodeSetLimits(FAMILY, { subflows: -1 })],
      [
        "half of the flags",
        TypeError,
        () => pm.encodeSetEndpointFlags(FAMILY, { id: 1 }, { backup: true } as { backup: boolean; fullmesh: boolean }),
      ],
      ["id 0 for flags", RangeError, () => pm.encodeSetEndpointFlags(FAMILY, { id: 0 }, { backup: true, fullmesh: false })],
      [
        "both names of an endpoint",
        TypeError,
        () =>
          pm.encodeSetEndpointFlags(FAMILY, { id: 1, address: "::1" } as pm.EndpointKey, { backup: true, fullmesh: false }),
      ],
      [
        "no name of an endpoint",
        TypeError,
        () => pm.encodeSetEndpointFlags(FAMILY, {} as pm.EndpointKey, { backup: true, fullmesh: false }),
      ],
      ["token 0", RangeError, () => pm.encodeWithdraw(FAMILY, 0, 1)],
      ["token 2^32", RangeError, () => pm.encodeDumpEndpoints(FAMILY, 2 ** 32)],
      ["to announce id 0", RangeError, () => pm.encodeAnnounce(FAMILY, 1, { address: "::1", id: 0 })],
      ["to withdraw id 256", RangeError, () => pm.encodeWithdraw(FAMILY, 1, 256)],
      [
        "a subflow without an id",
        TypeError,
        () => pm.encodeCreateSubflow(FAMILY, 1, { address: "192.0.2.1" } as pm.NewSubflowLocal, end),
      ],
      ["a subflow to port 0", RangeError, () => pm.encodeCreateSubflow(FAMILY, 1, { ...end, id: 1 }, { ...end, port: 0 })],
      ["to destroy without a port", RangeError, () => pm.encodeDestroySubflow(FAMILY, 1, { ...end, port: 0 }, end)],
      [
        "to destroy without the remote port",
        TypeError,
        () => pm.encodeDestroySubflow(FAMILY, 1, end, { address: "::1" } as pm.SubflowEnd),
      ],
      [
        "no priority",
        TypeError,
        () => pm.encodeSetSubflowBackup(FAMILY, 1, end, end, "no" as unknown as boolean),
      ],
    ];
  for (const [what, type, act] of cases) it(what, () => void assertThrows(act, type, "Cannot"));
});
