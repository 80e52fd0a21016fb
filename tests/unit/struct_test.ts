/** The struct codec: every kind of field, both byte orders, and bounds. */
import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { describe, it } from "node:test";
import {
  be16,
  bits8,
  counter64,
  type Field,
  HOST_LITTLE_ENDIAN,
  s32,
  struct,
  u16,
  u32,
  u64,
  u8,
  viewOf,
} from "../../kernel/struct.ts";

const SAMPLE = struct({
  byte: u8(0),
  low: bits8(1, 0, 4),
  high: bits8(1, 4, 4),
  half: u16(2),
  port: be16(4),
  signed: s32(8),
  word: u32(12),
  long: u64(16),
  counter: counter64(24),
});

const VALUES = {
  byte: 0xfe,
  low: 0x3,
  high: 0xa,
  half: 0x1234,
  port: 443,
  signed: -2,
  word: 0xdeadbeef,
  long: 0xfedcba9876543210n,
  counter: 2 ** 53 - 1,
};

const LITTLE = "fea3 3412 01bb 0000 feffffff efbeadde 1032547698badcfe ffffffffffff1f00".replaceAll(" ", "");
const BIG = "fea3 1234 01bb 0000 fffffffe deadbeef fedcba9876543210 001fffffffffffff".replaceAll(" ", "");

const hex = (bytes: Uint8Array) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
const unhex = (text: string) => Uint8Array.from(text.match(/../g)!, (pair) => parseInt(pair, 16));

describe("struct codec", () => {
  it("knows this machine's byte order", () => {
    assertEquals(HOST_LITTLE_ENDIAN, new Uint8Array(new Uint32Array([1]).buffer)[0] === 1);
  });

  it("is as long as its last field reaches", () => {
    assertEquals(SAMPLE.size, 32);
    assertEquals(struct({ tail: u32(8), head: u8(0) }).size, 12);
    assertEquals(struct({}).size, 0);
  });

  for (const [order, text, little] of [["little-endian", LITTLE, true], ["big-endian", BIG, false]] as const) {
    it(`encodes every kind of field, ${order}`, () => {
      const bytes = new Uint8Array(SAMPLE.size);
      SAMPLE.encode(viewOf(bytes), 0, VALUES, little);
      assertEquals(hex(bytes), text);
    });

    it(`decodes every kind of field, ${order}`, () => {
      assertEquals(SAMPLE.decode(viewOf(unhex(text)), 0, 32, little), VALUES);
    });
  }

  it("uses the machine's order where none is given", () => {
    assertEquals(SAMPLE.decode(viewOf(unhex(HOST_LITTLE_ENDIAN ? LITTLE : BIG))), VALUES);
  });

  it("reads and writes at a base, and leaves the other bytes alone", () => {
    const bytes = new Uint8Array(48).fill(0x55);
    SAMPLE.encode(viewOf(bytes), 8, { byte: 1, word: 2 }, true);
    assertEquals(hex(bytes.subarray(8, 24)), "015555555555555555555555" + "02000000");
    assertEquals(hex(bytes.subarray(0, 8)) + hex(bytes.subarray(24)), "55".repeat(32));
    assertEquals(SAMPLE.decode(viewOf(bytes), 8, 1, true), { byte: 1 });
  });

  it("views exactly the bytes of a subarray", () => {
    const bytes = unhex(`ffff${LITTLE}ffff`).subarray(2, 34);
    assertEquals(SAMPLE.decode(viewOf(bytes), 0, 32, true), VALUES);
    assertThrows(() => SAMPLE.decode(viewOf(bytes), 1, 32), RangeError);
  });

  it("has a field only where the length reaches the field's end", () => {
    const view = viewOf(unhex(LITTLE));
    for (let length = 0; length <= 32; length++) {
      const ends = Object.entries(SAMPLE.layout).filter(([, field]) => field.offset + field.size <= length);
      assertEquals(Object.keys(SAMPLE.decode(view, 0, length)), ends.map(([name]) => name));
    }
  });

  it("takes more bytes than it knows", () => {
    assertEquals(SAMPLE.decode(viewOf(unhex(LITTLE + "ff".repeat(64))), 0, undefined, true), VALUES);
  });

  it("keeps the other bits of a bit field's byte", () => {
    const flags = struct({ one: bits8(0, 0, 1), two: bits8(0, 1, 2), five: bits8(0, 3, 5) });
    const bytes = Uint8Array.of(0b10101_01_1);
    flags.encode(viewOf(bytes), 0, { two: 0b110 }); // too wide: only its low bits count
    assertEquals(bytes[0], 0b10101_10_1);
    assertEquals(flags.decode(viewOf(bytes)), { one: 1, two: 2, five: 0b10101 });
  });

  it("rounds a counter above 2^53", () => {
    const only = struct({ rate: counter64(0) });
    assertEquals(only.decode(viewOf(new Uint8Array(8).fill(0xff))).rate, 2 ** 64);
    assertEquals(only.decode(viewOf(unhex("0000000001000000")), 0, 8, true).rate, 2 ** 32);
  });

  it("refuses to decode outside of the view", () => {
    const view = viewOf(new Uint8Array(8));
    for (const [base, length] of [[-1, 4], [0, 9], [8, 1], [9, 0], [0, -1], [NaN, 1], [0, NaN]] as const) {
      assertThrows(() => SAMPLE.decode(view, base, length), RangeError, "Cannot decode");
    }
    assertEquals(SAMPLE.decode(view, 8, 0), {});
  });

  it("refuses to encode outside of the view", () => {
    const view = viewOf(new Uint8Array(15));
    for (const base of [-1, 0, 4, NaN]) {
      assertThrows(() => SAMPLE.encode(view, base, { word: 1 }), RangeError, "Cannot encode word");
    }
    SAMPLE.encode(view, 0, { signed: 1 });
    SAMPLE.encode(view, 0, {});
  });

  it("decodes what it encoded, in both orders, at any base", () => {
    const values = fc.record({
      byte: fc.nat(0xff),
      low: fc.nat(15),
      high: fc.nat(15),
      half: fc.nat(0xffff),
      port: fc.nat(0xffff),
      signed: fc.integer(),
      word: fc.nat(0xffffffff),
      long: fc.bigInt(0n, 2n ** 64n - 1n),
      counter: fc.maxSafeNat(),
    }, { requiredKeys: ["byte"] });
    fc.assert(fc.property(values, fc.boolean(), fc.nat(20), (value, little, base) => {
      const bytes = new Uint8Array(base + SAMPLE.size);
      SAMPLE.encode(viewOf(bytes), base, value, little);
      const decoded = SAMPLE.decode(viewOf(bytes), base, SAMPLE.size, little);
      assertEquals({ ...decoded, ...value }, decoded);
      const again = new Uint8Array(bytes.length);
      SAMPLE.encode(viewOf(again), base, decoded, little);
      assertEquals(again, bytes);
    }));
  });

  it("agrees with DataView on every field", () => {
    const fields: [Field<number | bigint>, (view: DataView, little: boolean) => number | bigint][] = [
      [u8(3) as Field<number | bigint>, (view) => view.getUint8(3)],
      [u16(3) as Field<number | bigint>, (view, little) => view.getUint16(3, little)],
      [be16(3) as Field<number | bigint>, (view) => view.getUint16(3, false)],
      [s32(3) as Field<number | bigint>, (view, little) => view.getInt32(3, little)],
      [u32(3) as Field<number | bigint>, (view, little) => view.getUint32(3, little)],
      [u64(3) as Field<number | bigint>, (view, little) => view.getBigUint64(3, little)],
      [counter64(3) as Field<number | bigint>, (view, little) => Number(view.getBigUint64(3, little))],
    ];
    fc.assert(fc.property(fc.uint8Array({ minLength: 11, maxLength: 11 }), fc.boolean(), (bytes, little) => {
      const view = viewOf(bytes);
      for (const [field, read] of fields) {
        assertEquals(struct({ field }).decode(view, 0, 11, little).field, read(view, little));
      }
    }));
  });
});
