/** Netlink messages and attributes: both ways, hostile lengths, acknowledgements, replies. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { describe, it } from "node:test";
import { MptcpError } from "../../kernel/error.ts";
import { encodeGenlMessage } from "../../kernel/genl.ts";
import {
  ackError,
  decodeAck,
  decodeMessages,
  encodeMessage,
  type ExtendedAck,
  messageAttributes,
  NLM_F_ACK,
  NLM_F_DUMP,
  NLM_F_DUMP_INTR,
  NLM_F_MULTI,
  NLM_F_REQUEST,
  NLMSG_DONE,
  NLMSG_ERROR,
  NLMSG_NOOP,
  NLMSG_OVERRUN,
  Reply,
  setSequence,
} from "../../kernel/netlink.ts";
import { AttributeDecoder, AttributeEncoder, netlinkAlign } from "../../kernel/netlink_attributes.ts";
import { viewOf } from "../../kernel/struct.ts";
import { bytes } from "./golden.ts";
import * as golden from "./golden_netlink.ts";
import { survives } from "./survives.ts";

const refuses = (decode: () => unknown, words = "") => {
  const error = assertThrows(decode, MptcpError, words);
  assertEquals([error.code, error.errno], ["EBADMSG", -74]);
};

/** All attributes of a list, those named in `nests` as lists. */
function walk(decoder: AttributeDecoder, nests: number[] = []): [number, unknown][] {
  const list: [number, unknown][] = [];
  while (decoder.next()) {
    const { type } = decoder;
    list.push([type, nests.includes(type) ? walk(decoder.nested(), nests) : decoder.bytes()]);
  }
  return list;
}

describe("netlink attributes", () => {
  it("encodes every type, padded", () => {
    const encoded = new AttributeEncoder()
      .u8(1, 0xfe).u16(2, 0x1234).be16(3, 443).u32(4, 0xdeadbeef).s32(5, -2).u64(6, 0xfedcba9876543210n)
      .bytes(7, Uint8Array.of(1, 2, 3, 4, 5)).cstring(8, "mp").bytes(9, new Uint8Array(0)).finish();
    assertEquals(
      encoded,
      bytes(`
        05000100 fe000000 06000200 34120000 06000300 01bb0000 08000400 efbeadde 08000500 feffffff
        0c000600 10325476 98badcfe 09000700 01020304 05000000 07000800 6d700000 04000900
      `),
    );
    const decoder = new AttributeDecoder(encoded);
    const next = () => decoder.next();
    assertEquals([next(), decoder.u8()], [true, 0xfe]);
    assertEquals([next(), decoder.u16()], [true, 0x1234]);
    assertEquals([next(), decoder.be16()], [true, 443]);
    assertEquals([next(), decoder.u32()], [true, 0xdeadbeef]);
    assertEquals([next(), decoder.s32()], [true, -2]);
    assertEquals([next(), decoder.u64()], [true, 0xfedcba9876543210n]);
    assertEquals([next(), decoder.bytes(), decoder.size], [true, Uint8Array.of(1, 2, 3, 4, 5), 5]);
    assertEquals([next(), decoder.cstring()], [true, "mp"]);
    assertEquals([next(), decoder.type, decoder.raw()], [true, 9, { type: 9, bytes: new Uint8Array(0) }]);
    assertEquals([next(), next()], [false, false]);
  });

  it("nests", () => {
    const encoded = new AttributeEncoder()
      .nested(1, (inner) => inner.u8(2, 3).nested(4, (deeper) => deeper.u16(5, 6))).u8(7, 8).finish();
    assertEquals(encoded, bytes("18000180 05000200 03000000 0c000480 06000500 06000000 05000700 08000000"));
    assertEquals(walk(new AttributeDecoder(encoded), [1, 4]), [
      [1, [[2, Uint8Array.of(3)], [4, [[5, Uint8Array.of(6, 0)]]]]],
      [7, Uint8Array.of(8)],
    ]);
  });

  it("is read without the flags of its type", () => {
    const decoder = new AttributeDecoder(bytes("0500 01c0 09000000"));
    assertEquals([decoder.next(), decoder.type, decoder.u8()], [true, 1, 9]);
  });

  it("reads text with and without a NUL, ASCII and other", () => {
    const text = (hex: string) => {
      const decoder = new AttributeDecoder(bytes(hex));
      decoder.next();
      return decoder.cstring();
    };
    assertEquals(text("0700 0100 6d7000 00"), "mp");
    assertEquals(text("0600 0100 6d70 ffff"), "mp");
    assertEquals(text("0400 0100"), "");
    assertEquals(text("0900 0100 61c3a400 62 000000"), "aä");
    assertEquals(text("0700 0100 61c3a4 00"), "aä");
  });

  it("grows", () => {
    const encoder = new AttributeEncoder();
    for (let index = 0; index < 1000; index++) encoder.u32(index, index);
    encoder.bytes(1000, new Uint8Array(65531).fill(7));
    const list = walk(new AttributeDecoder(encoder.finish()));
    assertEquals([list.length, list[999], (list[1000]![1] as Uint8Array).length], [
      1001,
      [999, Uint8Array.of(0xe7, 3, 0, 0)],
      65531,
    ]);
  });

  it("refuses to encode what does not fit", () => {
    const encoder = () => new AttributeEncoder();
    for (const bad of [-1, 256, 1.5, NaN]) assertThrows(() => encoder().u8(1, bad), RangeError);
    for (const bad of [-1, 65536]) assertThrows(() => encoder().u16(1, bad), RangeError);
    for (const bad of [-1, 65536]) assertThrows(() => encoder().be16(1, bad), RangeError);
    for (const bad of [-1, 2 ** 32]) assertThrows(() => encoder().u32(1, bad), RangeError);
    for (const bad of [-(2 ** 31) - 1, 2 ** 31]) assertThrows(() => encoder().s32(1, bad), RangeError);
    for (const bad of [-1n, 2n ** 64n]) assertThrows(() => encoder().u64(1, bad), RangeError);
    for (const bad of [-1, 65536, 0.5]) assertThrows(() => encoder().u8(bad, 1), RangeError);
    assertThrows(() => encoder().bytes(1, new Uint8Array(65532)), RangeError);
    assertThrows(() => encoder().nested(1, (inner) => inner.bytes(2, new Uint8Array(65531))), RangeError);
    assertThrows(() => encoder().cstring(1, "a\0b"), TypeError);
  });

  const hostile: readonly (readonly [what: string, hex: string])[] = [
    ["of length 0", "00000100 00000000"],
    ["shorter than its header", "03000100 00000000"],
    ["longer than what is left", "09000100 00000000"],
    ["of the greatest length", "ffff0100 00000000"],
    ["cut off in its header", "05000100 01000000 0500"],
    ["behind one byte too many", "05000100 01000000 00"],
  ];
  for (const [what, hex] of hostile) {
    it(`refuses one ${what}`, () => refuses(() => walk(new AttributeDecoder(bytes(hex))), "Cannot decode attributes"));
  }

  it("takes a last attribute without its padding", () => {
    assertEquals(walk(new AttributeDecoder(bytes("05000100 01"))), [[1, Uint8Array.of(1)]]);
  });

  it("refuses to read more than there is, and takes longer ones", () => {
    const short = new AttributeDecoder(bytes("04000900"));
    short.next();
    for (const read of ["u8", "u16", "be16", "u32", "s32", "u64"] as const) refuses(() => short[read](), "attribute 9");
    refuses(() => short.bytes(1));
    const long = new AttributeDecoder(bytes("0c000900 01000000 02000000"));
    long.next();
    assertEquals([long.u8(), long.u16(), long.u32(), long.bytes(4)], [1, 1, 1, Uint8Array.of(1, 0, 0, 0)]);
  });

  it("stays within its bounds", () => {
    const all = bytes("05000100 01000000 05000200 02000000");
    assertEquals(walk(new AttributeDecoder(all, 8)), [[2, Uint8Array.of(2)]]);
    assertEquals(walk(new AttributeDecoder(all, 0, 8)), [[1, Uint8Array.of(1)]]);
    refuses(() => new AttributeDecoder(all, 0, 17));
    refuses(() => new AttributeDecoder(all, -1));
  });

  it("refuses a nesting bomb", () => {
    const bomb = new Uint8Array(60000);
    for (let at = 0; at < bomb.length; at += 4) viewOf(bomb).setUint32(at, 0x80010000 | (bomb.length - at), true);
    const dive = (decoder: AttributeDecoder): void => {
      while (decoder.next()) dive(decoder.nested());
    };
    refuses(() => dive(new AttributeDecoder(bomb)), "nested");
  });

  it("decodes what it encoded", () => {
    const attribute = fc.tuple(fc.nat(0x3fff), fc.uint8Array({ maxLength: 40 }));
    fc.assert(fc.property(fc.array(attribute), (list) => {
      const encode = (all: [number, Uint8Array][]) =>
        all.reduce((encoder, [type, value]) => encoder.bytes(type, value), new AttributeEncoder()).finish();
      const encoded = encode(list);
      assertEquals(encoded.length % 4, 0);
      const decoded = walk(new AttributeDecoder(encoded)) as [number, Uint8Array][];
      assertEquals(decoded, list.map(([type, value]) => [type, new Uint8Array(value)]));
      assertEquals(encode(decoded), encoded);
    }));
  });

  it("survives any bytes", () => {
    const dive = (decoder: AttributeDecoder): void => {
      while (decoder.next()) {
        survives(() => decoder.u64());
        survives(() => decoder.cstring());
        survives(() => dive(decoder.nested()));
      }
    };
    const likely = fc.array(fc.tuple(fc.nat(24), fc.nat(255), fc.uint8Array({ maxLength: 12 })))
      .map((list) => Uint8Array.from(list.flatMap(([length, type, rest]) => [length, 0, type, 0, ...rest])));
    fc.assert(fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), likely), (given) => {
      survives(() => dive(new AttributeDecoder(given)));
    }));
  });
});

describe("netlink messages", () => {
  it("encodes a header, and parts at multiples of 4", () => {
    const message = encodeMessage(0x1234, NLM_F_REQUEST | NLM_F_ACK, Uint8Array.of(1), Uint8Array.of(2, 3));
    setSequence(message, 0xdeadbeef);
    assertEquals(message, bytes("16000000 3412 0500 efbeadde 00000000 01000000 02030000"));
    assertEquals(encodeMessage(2, 0), bytes("10000000 0200 0000 *8"));
  });

  it("decodes the messages of a datagram", () => {
    const messages = decodeMessages(golden.ENDPOINTS_REPLY);
    assertEquals(messages.map(({ type, flags, portId, start, end }) => [type, flags, portId, start, end]), [
      [28, 2, 0x653d, 16, 72],
      [28, 2, 0x653d, 88, 136],
      [28, 2, 0x653d, 152, 220],
    ]);
    assertEquals(decodeMessages(golden.FAMILY_REQUEST)[0]!.sequence, 0x12);
    assertEquals(decodeMessages(new Uint8Array(0)), []);
  });

  it("takes a last message without its padding", () => {
    const datagram = Uint8Array.of(...bytes("11000000 1c00 0000 *8 07000000 11000000 1c00 0000 *8 08"));
    assertEquals(decodeMessages(datagram).map(({ start, end }) => datagram.slice(start, end)), [
      Uint8Array.of(7),
      Uint8Array.of(8),
    ]);
  });

  for (
    const [what, hex] of [
      ["of length 0", "00000000 1c000000 *8"],
      ["shorter than its header", "0f000000 1c000000 *8"],
      ["longer than the datagram", "11000000 1c000000 *8"],
      ["of the greatest length", "ffffffff 1c000000 *8"],
      ["cut off in its header", "10000000 1c000000 *8 10000000"],
    ] as const
  ) {
    it(`refuses one ${what}`, () => refuses(() => decodeMessages(bytes(hex)), "Cannot decode a netlink datagram"));
  }

  it("has attributes behind a fixed part, which must be there", () => {
    const [message] = decodeMessages(golden.GET_REPLY);
    assertEquals(walk(messageAttributes(message!, 4)).map(([type]) => type), [1]);
    const [empty] = decodeMessages(bytes("12000000 1c000000 *8 0100"));
    assertEquals(walk(messageAttributes(empty!, 2)), []);
    refuses(() => messageAttributes(empty!, 3), "type 28");
  });

  it("survives any bytes, and any cut", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 100 }), (given) => survives(() => decodeMessages(given))));
    for (const [name, datagram] of Object.entries(golden)) {
      const whole = decodeMessages(datagram).length;
      assert(whole > 0, name);
      for (let length = 0; length < datagram.length; length++) {
        survives(() => assert(decodeMessages(datagram.subarray(0, length)).length < whole));
      }
    }
  });
});

const ackOf = (datagram: Uint8Array): ExtendedAck => decodeAck(decodeMessages(datagram)[0]!);

describe("netlink acknowledgements", () => {
  const samples: readonly (readonly [name: string, datagram: Uint8Array, ack: ExtendedAck])[] = [
    ["success", golden.ACK_CAPPED, { errno: 0 }],
    ["the end of a dump", golden.DUMP_DONE, { errno: 0 }],
    ["words, behind the request", golden.ADD_TWICE_ERROR, {
      errno: 17,
      message: "too many addresses or duplicate one: -17",
    }],
    ["a missing attribute, behind the request", golden.MISSING_ERROR, { errno: 22, missingType: 1 }],
    ["a missing attribute", golden.MISSING_ERROR_CAPPED, { errno: 22, missingType: 1 }],
    ["words and a place, behind the request", golden.POLICY_ERROR, {
      errno: 34,
      message: "Attribute failed policy validation",
      offset: 32,
    }],
    ["words and a place", golden.POLICY_ERROR_CAPPED, {
      errno: 34,
      message: "Attribute failed policy validation",
      offset: 32,
    }],
    ["a wrong token", golden.TOKEN_ERROR_CAPPED, { errno: 22, message: "invalid token", offset: 20 }],
    ["no words", golden.PLAIN_ERROR_CAPPED, { errno: 1 }],
    ["no attributes, the request repeated", golden.DIAG_ERROR, { errno: 2 }],
  ];
  for (const [name, datagram, ack] of samples) it(`decodes ${name}`, () => assertEquals(ackOf(datagram), ack));

  it("decodes a missing nest, a cookie, and words at the end of a dump", () => {
    const extended = new AttributeEncoder().cstring(1, "no").bytes(3, Uint8Array.of(7, 8)).u32(5, 4).u32(6, 20).u8(99, 1)
      .finish();
    const error = bytes("f4ffffff");
    const request = new Uint8Array(16);
    const expected = { errno: 12, message: "no", cookie: Uint8Array.of(7, 8), missingType: 4, missingNest: 20 };
    assertEquals(ackOf(encodeMessage(NLMSG_ERROR, 0x300, error, request, extended)), expected);
    assertEquals(ackOf(encodeMessage(NLMSG_DONE, 0x200, error, extended)), expected);
    assertEquals(ackOf(encodeMessage(NLMSG_DONE, 2)), { errno: 0 });
  });

  it("refuses hostile ones", () => {
    refuses(() => ackOf(encodeMessage(NLMSG_ERROR, 0)));
    refuses(() => ackOf(encodeMessage(NLMSG_ERROR, 0, Uint8Array.of(1, 0))));
    refuses(() => ackOf(encodeMessage(NLMSG_ERROR, 0, bytes("05000000"))), "errno");
    refuses(() => ackOf(encodeMessage(NLMSG_ERROR, 0x200, bytes("f4ffffff"))), "header");
    refuses(() => ackOf(encodeMessage(NLMSG_ERROR, 0x200, bytes("f4ffffff ffffffff *12"))), "needs");
    refuses(() => ackOf(encodeMessage(NLMSG_ERROR, 0x200, bytes("f4ffffff 10000000 *12 00000100"))), "attributes");
    // A request shorter than its own header: the attributes cannot start within it.
    assertEquals(ackOf(encodeMessage(NLMSG_ERROR, 0x200, bytes("f4ffffff *16"))), { errno: 12 });
  });

  it("becomes an error with the kernel's words", () => {
    const error = ackError(ackOf(golden.ADD_TWICE_ERROR), "netlink", { hint: "remove it" });
    assertEquals(
      [error.code, error.errno, error.detail, error.hint],
      ["EEXIST", -17, "too many addresses or duplicate one: -17", "remove it"],
    );
    assertEquals(
      ackError(ackOf(golden.MISSING_ERROR), "netlink").message,
      "netlink failed: attribute 1 is missing (EINVAL)",
    );
    const plain = ackError(ackOf(golden.PLAIN_ERROR_CAPPED), "netlink");
    assertEquals([plain.code, plain.detail, plain.message], [
      "EPERM",
      undefined,
      "netlink failed: operation not permitted (EPERM)",
    ]);
  });

  it("survives any bytes", () => {
    const types = fc.constantFrom(NLMSG_ERROR, NLMSG_DONE);
    const body = fc.array(fc.nat(40), { maxLength: 80 }).map((list) => Uint8Array.from(list));
    fc.assert(fc.property(types, fc.nat(0x3ff), fc.nat(200), body, (type, flags, errno, tail) => {
      const error = new Uint8Array(4);
      viewOf(error).setInt32(0, -errno, true);
      survives(() => ackOf(encodeMessage(type, flags, error, tail)));
    }));
  });
});

describe("netlink replies", () => {
  const part = (sequence: number, type: number, flags: number, ...rest: Uint8Array[]) => {
    const message = encodeMessage(type, flags, ...rest);
    setSequence(message, sequence);
    return message;
  };
  const request = (flags: number) => part(5, 28, NLM_F_REQUEST | flags);
  const zero = new Uint8Array(4);

  it("is one message where nothing else was asked for", () => {
    const reply = new Reply(request(0));
    assertEquals([reply.add(part(5, 28, 0, zero)), reply.messages.length, reply.ack], [true, 1, { errno: 0 }]);
  });

  it("is an acknowledgement, or a message and an acknowledgement", () => {
    const reply = new Reply(golden.ADD_V4);
    assertEquals([reply.add(golden.ACK_CAPPED), reply.messages, reply.ack], [true, [], { errno: 0 }]);
    const both = new Reply(request(NLM_F_ACK));
    assertEquals([both.add(part(5, 28, 0, zero)), both.add(part(5, 2, 0, zero, new Uint8Array(16)))], [false, true]);
    assertEquals([both.messages.length, both.ack.errno], [1, 0]);
  });

  it("is an error", () => {
    const reply = new Reply(golden.ADD_TWICE);
    assertEquals([reply.add(golden.ADD_TWICE_ERROR), reply.ack.errno], [true, 17]);
  });

  it("is a dump in several datagrams", () => {
    const reply = new Reply(golden.ENDPOINTS_REQUEST);
    assertEquals([reply.add(golden.ENDPOINTS_REPLY), reply.add(golden.DUMP_DONE)], [false, true]);
    assertEquals([reply.messages.length, reply.interrupted, reply.ack], [3, false, { errno: 0 }]);
  });

  it("is a dump that fails at its end", () => {
    const reply = new Reply(request(NLM_F_DUMP));
    assertEquals(reply.add(Uint8Array.of(...part(5, 28, 2, zero), ...part(5, 3, 2, bytes("f4ffffff")))), true);
    assertEquals([reply.messages.length, reply.ack.errno], [1, 12]);
  });

  it("tells a dump whose list changed", () => {
    for (const flags of [[NLM_F_DUMP_INTR, 0], [0, NLM_F_DUMP_INTR]] as const) {
      const reply = new Reply(request(NLM_F_DUMP));
      reply.add(part(5, 28, NLM_F_MULTI | flags[0], zero));
      assertEquals(reply.add(part(5, NLMSG_DONE, NLM_F_MULTI | flags[1], zero)), true);
      assertEquals([reply.interrupted, reply.ack.errno], [true, 0]);
    }
  });

  it("passes over other requests' messages and NOOP, and stops at its end", () => {
    const reply = new Reply(request(0));
    assertEquals(reply.add(Uint8Array.of(...part(4, 2, 0, bytes("f4ffffff")), ...part(5, NLMSG_NOOP, 0))), false);
    assertEquals(reply.add(Uint8Array.of(...part(5, 28, 0, zero), ...part(5, 28, 0, zero))), true);
    assertEquals([reply.messages.length, reply.ack.errno], [1, 0]);
  });

  it("waits for the end of a list in parts, even unasked", () => {
    const reply = new Reply(request(0));
    assertEquals([reply.add(part(5, 28, NLM_F_MULTI)), reply.add(part(5, NLMSG_DONE, NLM_F_MULTI))], [false, true]);
  });

  it("fails when data was lost", () => {
    const reply = new Reply(request(NLM_F_DUMP));
    assertEquals([reply.add(part(5, NLMSG_OVERRUN, 0)), reply.ack.errno], [true, 75]);
  });

  it("aligns as the kernel does", () => {
    assertEquals([0, 1, 3, 4, 5].map(netlinkAlign), [0, 4, 4, 4, 8]);
    assertEquals(encodeGenlMessage(28, 1, 3, 1).length, 20);
  });
});
