/** The eBPF program of one subflow's options, the requests it is given, and the kernel's types. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { describe, it } from "node:test";
import {
  encodeIteratorLoad,
  encodeIterCreate,
  encodeLinkCreate,
  encodeMapCreate,
  encodeMapElement,
} from "../../kernel/bpf.ts";
import { BpfAssembler, R } from "../../kernel/bpf_assembler.ts";
import { findBtfFunction } from "../../kernel/btf.ts";
import { SUBFLOW_OPTIONS, subflowOptionName } from "../../kernel/subflow_option_names.ts";
import {
  assembleOptionProgram,
  decodeOptionAnswer,
  encodeOptionRequest,
  MAX_VALUE,
  REQUEST_SIZE,
} from "../../kernel/subflow_option_program.ts";

const hex = (bytes: Uint8Array) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

describe("BpfAssembler", () => {
  it("makes the program that a kernel has taken", () => {
    // 29 instructions of 8 bytes, for a map of descriptor 9
    assertEquals(
      hex(assembleOptionProgram(9)).match(/.{16}/g),
      [
        "7917080000000000",
        "1507190000000000",
        "bf71000000000000",
        "850000002e000000",
        "1828000009000000",
        "0000000000000000",
        "7981000000000000",
        "5d01130000000000",
        "61811c0000000000",
        "0701000001000000",
        "63181c0000000000",
        "61820c0000000000",
        "6183100000000000",
        "bf84000000000000",
        "0704000020000000",
        "6185140000000000",
        "15050a0000000000",
        "2505090040000000",
        "bf71000000000000",
        "6189080000000000",
        "1509020000000000",
        "8500000031000000",
        "0500010000000000",
        "8500000039000000",
        "6308180000000000",
        "b700000001000000",
        "9500000000000000",
        "b700000000000000",
        "9500000000000000",
      ],
    );
  });

  it("jumps backwards and forwards, and knows its labels", () => {
    const program = new BpfAssembler().label("again").jumpIfEqual(R.r1, 0, "end").jump("again").label("end").exit();
    assertEquals(program.length, 3);
    assertEquals(hex(program.finish()), "15010100000000000500feff000000009500000000000000");
    assertThrows(() => new BpfAssembler().jump("nowhere").finish(), TypeError, "no label nowhere");
    assertThrows(() => new BpfAssembler().label("a").label("a"), TypeError, "twice");
  });
});

describe("an option's request", () => {
  it("goes there and comes back", () => {
    fc.assert(fc.property(
      fc.bigInt(1n, 2n ** 64n - 1n),
      fc.constantFrom("get" as const, "set" as const),
      fc.uint8Array({ minLength: 1, maxLength: MAX_VALUE }),
      (cookie, operation, value) => {
        const bytes = encodeOptionRequest({ operation, cookie, level: 6, name: 13, value });
        assertEquals(bytes.length, REQUEST_SIZE);
        assertEquals(decodeOptionAnswer(bytes), { matched: false, result: 0, value });
      },
    ));
  });

  it("has a size that the program can bear", () => {
    const request = { operation: "set", cookie: 1n, level: 6, name: 13 } as const;
    assertThrows(() => encodeOptionRequest({ ...request, value: new Uint8Array(0) }), RangeError);
    assertThrows(() => encodeOptionRequest({ ...request, value: new Uint8Array(MAX_VALUE + 1) }), RangeError);
  });
});

describe("bpf(2)", () => {
  it("gets its arguments where it looks for them", () => {
    assertEquals(hex(encodeMapCreate(96)).slice(0, 34), "02000000040000006000000001000000" + "00");
    assertEquals(
      hex(encodeMapElement(5, 0x1122n, 0x3344n)),
      "0500000000000000" + "2211000000000000" + "4433000000000000" + "0".repeat(16),
    );
    const load = encodeIteratorLoad(1n, 27, 2n, 64281);
    assertEquals(load.length, 144);
    assertEquals(hex(load.subarray(0, 24)), "1a0000001b000000" + "0100000000000000" + "0200000000000000");
    assertEquals([hex(load.subarray(68, 72)), hex(load.subarray(108, 112))], ["1c000000", "19fb0000"]);
    assertEquals(hex(encodeLinkCreate(7)).slice(0, 24), "07000000000000001c000000");
    assertEquals(hex(encodeIterCreate(8)), "0800000000000000");
  });
});

/** A small BTF file: an INT, a STRUCT with a member, a FUNC_PROTO with a parameter, and two functions. */
function btf(): Uint8Array {
  const strings = new TextEncoder().encode("\0bpf_iter_tcp_more\0bpf_iter_tcp\0int\0");
  const at = (name: string) => new TextDecoder().decode(strings).indexOf(`\0${name}\0`) + 1;
  const info = (kind: number, vlen = 0) => kind << 24 | vlen;
  const types = [
    [at("int"), info(1), 4, 32],
    [0, info(4, 1), 4, 0, 1, 0],
    [0, info(13, 1), 0, 0, 1],
    [at("bpf_iter_tcp_more"), info(12), 3],
    [at("bpf_iter_tcp"), info(12), 3],
  ].flat();
  const header = [0x0001eb9f, 24, 0, types.length * 4, types.length * 4, strings.length];
  const words = new Uint8Array(new Uint32Array([...header, ...types]).buffer);
  const bytes = new Uint8Array(words.length + strings.length);
  bytes.set(words);
  bytes.set(strings, words.length);
  return bytes;
}

describe("findBtfFunction", () => {
  it("finds the very name, and no other", () => {
    assertEquals(findBtfFunction(btf(), "bpf_iter_tcp"), 5);
    assertEquals(findBtfFunction(btf(), "bpf_iter_tcp_more"), 4);
    assertEquals(findBtfFunction(btf(), "bpf_iter"), null);
    assertEquals(findBtfFunction(btf(), "int"), null); // a name, but of no function
  });

  it("survives what is no BTF, or only part of it", () => {
    const whole = btf();
    for (let length = 0; length < whole.length; length++) {
      assertEquals(findBtfFunction(whole.subarray(0, length), "bpf_iter_tcp"), null);
    }
    fc.assert(fc.property(fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { maxLength: 8 }), (changes) => {
      const broken = whole.slice();
      for (const [offset, value] of changes) broken[offset] = value;
      const found = findBtfFunction(broken, "bpf_iter_tcp");
      assert(found === null || found > 0);
    }));
  });
});

describe("SUBFLOW_OPTIONS", () => {
  it("are found by level and number", () => {
    for (const [name, option] of Object.entries(SUBFLOW_OPTIONS)) {
      assertEquals(subflowOptionName(option.level, option.name), name);
    }
    assertEquals(subflowOptionName(6, 11), undefined);
  });
});
