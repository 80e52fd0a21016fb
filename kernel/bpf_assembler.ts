/**
 * A small eBPF assembler: instructions by name, jumps to labels.
 *
 * @module
 */
import { HOST_LITTLE_ENDIAN, viewOf } from "./struct.ts";

/** The registers: results in r0, arguments in r1 to r5, r6 to r9 survive calls. */
export const R = { r0: 0, r1: 1, r2: 2, r3: 3, r4: 4, r5: 5, r6: 6, r7: 7, r8: 8, r9: 9, r10: 10 } as const;

/** A register's number. */
export type Register = typeof R[keyof typeof R];

/** Helpers of the kernel, `enum bpf_func_id` of `<linux/bpf.h>`. */
export const HELPER = {
  /** `u64 bpf_get_socket_cookie(void *ctx)` */
  get_socket_cookie: 46,
  /** `long bpf_setsockopt(void *sk, int level, int optname, void *optval, int optlen)` */
  setsockopt: 49,
  /** `long bpf_getsockopt(void *sk, int level, int optname, void *optval, int optlen)` */
  getsockopt: 57,
} as const;

// <linux/bpf_common.h>, <linux/bpf.h>: class, size or operation, source
const LDX_MEM_W = 0x61;
const LDX_MEM_DW = 0x79;
const STX_MEM_W = 0x63;
const LD_IMM_DW = 0x18;
const ADD64_IMM = 0x07;
const MOV64_IMM = 0xb7;
const MOV64_REG = 0xbf;
const JA = 0x05;
const JEQ_IMM = 0x15;
const JGT_IMM = 0x25;
const JNE_REG = 0x5d;
const CALL = 0x85;
const EXIT = 0x95;
/** As the source of `LD_IMM_DW`: the number is a map's descriptor, and its first value's address is meant. */
const BPF_PSEUDO_MAP_VALUE = 2;

/** `sizeof(struct bpf_insn)` */
export const INSTRUCTION_SIZE = 8;

interface Instruction {
  code: number;
  dst: number;
  src: number;
  off: number;
  imm: number;
  /** Where to jump. */
  label?: string;
}

/** See the module's comment. Each call adds one instruction, `mapValue` two. */
export class BpfAssembler {
  readonly #instructions: Instruction[] = [];
  readonly #labels = new Map<string, number>();

  #add(code: number, dst = 0, src = 0, off = 0, imm = 0, label?: string): this {
    this.#instructions.push({ code, dst, src, off, imm, ...(label === undefined ? {} : { label }) });
    return this;
  }

  /** `dst = *(u32 *)(src + offset)` */
  load32(dst: Register, src: Register, offset: number): this {
    return this.#add(LDX_MEM_W, dst, src, offset);
  }

  /** `dst = *(u64 *)(src + offset)` */
  load64(dst: Register, src: Register, offset: number): this {
    return this.#add(LDX_MEM_DW, dst, src, offset);
  }

  /** `*(u32 *)(dst + offset) = src` */
  store32(dst: Register, offset: number, src: Register): this {
    return this.#add(STX_MEM_W, dst, src, offset);
  }

  /** `dst = src` */
  move(dst: Register, src: Register): this {
    return this.#add(MOV64_REG, dst, src);
  }

  /** `dst = value` */
  set(dst: Register, value: number): this {
    return this.#add(MOV64_IMM, dst, 0, 0, value);
  }

  /** `dst += value` */
  add(dst: Register, value: number): this {
    return this.#add(ADD64_IMM, dst, 0, 0, value);
  }

  /** `dst =` the address of the only value of an array map. */
  mapValue(dst: Register, mapFd: number): this {
    return this.#add(LD_IMM_DW, dst, BPF_PSEUDO_MAP_VALUE, 0, mapFd).#add(0);
  }

  /** `goto label` */
  jump(label: string): this {
    return this.#add(JA, 0, 0, 0, 0, label);
  }

  /** `if (register == value) goto label` */
  jumpIfEqual(register: Register, value: number, label: string): this {
    return this.#add(JEQ_IMM, register, 0, 0, value, label);
  }

  /** `if (register > value) goto label`, unsigned */
  jumpIfGreater(register: Register, value: number, label: string): this {
    return this.#add(JGT_IMM, register, 0, 0, value, label);
  }

  /** `if (a != b) goto label` */
  jumpUnlessSame(a: Register, b: Register, label: string): this {
    return this.#add(JNE_REG, a, b, 0, 0, label);
  }

  /** `r0 = helper(r1, …)` */
  call(helper: typeof HELPER[keyof typeof HELPER]): this {
    return this.#add(CALL, 0, 0, 0, helper);
  }

  /** `return r0` */
  exit(): this {
    return this.#add(EXIT);
  }

  /** Names the place of the next instruction. */
  label(name: string): this {
    if (this.#labels.has(name)) throw new TypeError(`Cannot assemble: label ${name} is there twice`);
    this.#labels.set(name, this.#instructions.length);
    return this;
  }

  /** How many instructions there are. */
  get length(): number {
    return this.#instructions.length;
  }

  /** The program's bytes, in the host's order. */
  finish(): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(this.#instructions.length * INSTRUCTION_SIZE);
    const view = viewOf(bytes);
    this.#instructions.forEach(({ code, dst, src, off, imm, label }, index) => {
      const at = index * INSTRUCTION_SIZE;
      const target = label === undefined ? undefined : this.#labels.get(label);
      if (label !== undefined && target === undefined) throw new TypeError(`Cannot assemble: there is no label ${label}`);
      view.setUint8(at, code);
      // Two bit fields of one byte: the first lies where the host's bytes begin.
      view.setUint8(at + 1, HOST_LITTLE_ENDIAN ? src << 4 | dst : dst << 4 | src);
      view.setInt16(at + 2, target === undefined ? off : target - index - 1, HOST_LITTLE_ENDIAN);
      view.setInt32(at + 4, imm, HOST_LITTLE_ENDIAN);
    });
    return bytes;
  }
}
