/**
 * Netlink attributes, `struct nlattr` of `<linux/netlink.h>`: an encoder with a method for each type, and a decoder that
 * walks them with every bound checked. Neither knows what an attribute means.
 *
 * @module
 */
import { MptcpError } from "./error.ts";
import { HOST_LITTLE_ENDIAN, viewOf } from "./struct.ts";

/** `#define NLA_F_NESTED (1 << 15)`: the payload is attributes again. */
export const NLA_F_NESTED = 0x8000;
/** `#define NLA_F_NET_BYTEORDER (1 << 14)` */
export const NLA_F_NET_BYTEORDER = 0x4000;
/** `#define NLA_TYPE_MASK ~(NLA_F_NESTED | NLA_F_NET_BYTEORDER)` */
export const NLA_TYPE_MASK = 0x3fff;
/** `#define NLA_HDRLEN ((int) NLA_ALIGN(sizeof(struct nlattr)))`: u16 length, u16 type */
export const NLA_HDRLEN = 4;
/** The length is a u16 and counts the header. */
const NLA_MAX = 0xffff;
/** The kernel's own attributes nest five deep at most; more is an attack or rubbish. */
const DEPTH_MAX = 16;

/**
 * Rounds a length up to where the next header may start.
 * `#define NLA_ALIGN(len) (((len) + NLA_ALIGNTO - 1) & ~(NLA_ALIGNTO - 1))`, `NLA_ALIGNTO` and `NLMSG_ALIGNTO` being 4.
 */
export function netlinkAlign(length: number): number {
  return (length + 3) & ~3;
}

/** The error for bytes that are no netlink message: `EBADMSG`. */
export function malformed(what: string, why: string): MptcpError {
  return new MptcpError("EBADMSG", `Cannot decode ${what}: ${why}`, { syscall: "netlink" });
}

const utf8 = new TextDecoder();

/** Text up to the first NUL, or to `end`. Nearly all is short ASCII, for which a `TextDecoder` takes longer. */
export function decodeCString(bytes: Uint8Array, start: number, end: number): string {
  let result = "";
  for (let at = start; at < end; at++) {
    const byte = bytes[at]!;
    if (byte === 0) return result;
    if (byte >= 0x80) {
      const nul = bytes.subarray(at, end).indexOf(0);
      return result + utf8.decode(bytes.subarray(at, nul < 0 ? end : at + nul));
    }
    result += String.fromCharCode(byte);
  }
  return result;
}

/**
 * Builds a list of attributes. Every method adds one attribute, padded to 4 bytes with zeros, and returns the encoder.
 *
 * @example Encode a token and a nested address
 * ```ts
 * import { AttributeEncoder } from "./netlink_attributes.ts";
 *
 * new AttributeEncoder().u32(4, 0x0c2c4182).nested(1, (address) => address.u16(1, 2).u8(2, 1)).finish();
 * ```
 */
export class AttributeEncoder {
  #bytes: Uint8Array<ArrayBuffer> = new Uint8Array(128);
  #view: DataView = viewOf(this.#bytes);
  #length = 0;

  /** Writes a header and makes room for `size` bytes of payload, which are zero; gives where they start. */
  #add(type: number, size: number): number {
    if (!Number.isInteger(type) || type < 0 || type > 0xffff) {
      throw new RangeError(`Cannot encode attribute ${type}: a type is an integer from 0 to 65535`);
    }
    if (size > NLA_MAX - NLA_HDRLEN) {
      throw new RangeError(`Cannot encode attribute ${type}: ${size} bytes are more than an attribute can hold`);
    }
    const at = this.#length;
    this.#length = at + netlinkAlign(NLA_HDRLEN + size);
    if (this.#length > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(this.#length, 2 * this.#bytes.length));
      grown.set(this.#bytes);
      this.#bytes = grown;
      this.#view = viewOf(grown);
    }
    this.#view.setUint16(at, NLA_HDRLEN + size, HOST_LITTLE_ENDIAN);
    this.#view.setUint16(at + 2, type, HOST_LITTLE_ENDIAN);
    return at + NLA_HDRLEN;
  }

  /** `__u8` */
  u8(type: number, value: number): this {
    inRange(type, value, 0, 0xff);
    this.#view.setUint8(this.#add(type, 1), value);
    return this;
  }

  /** `__u16` in host order */
  u16(type: number, value: number): this {
    inRange(type, value, 0, 0xffff);
    const at = this.#add(type, 2);
    this.#view.setUint16(at, value, HOST_LITTLE_ENDIAN);
    return this;
  }

  /** `__be16`: network order, as ports in most places */
  be16(type: number, value: number): this {
    inRange(type, value, 0, 0xffff);
    const at = this.#add(type, 2);
    this.#view.setUint16(at, value);
    return this;
  }

  /** `__u32` in host order */
  u32(type: number, value: number): this {
    inRange(type, value, 0, 0xffffffff);
    const at = this.#add(type, 4);
    this.#view.setUint32(at, value, HOST_LITTLE_ENDIAN);
    return this;
  }

  /** `__s32` in host order */
  s32(type: number, value: number): this {
    inRange(type, value, -0x80000000, 0x7fffffff);
    const at = this.#add(type, 4);
    this.#view.setInt32(at, value, HOST_LITTLE_ENDIAN);
    return this;
  }

  /** `__u64` in host order */
  u64(type: number, value: bigint): this {
    if (typeof value !== "bigint" || value < 0n || value > 0xffff_ffff_ffff_ffffn) {
      throw new RangeError(`Cannot encode attribute ${type}: ${value} is no bigint from 0 to 2^64-1`);
    }
    const at = this.#add(type, 8);
    this.#view.setBigUint64(at, value, HOST_LITTLE_ENDIAN);
    return this;
  }

  /** Bytes as they are */
  bytes(type: number, value: Uint8Array): this {
    const at = this.#add(type, value.length);
    this.#bytes.set(value, at);
    return this;
  }

  /** Text with a NUL behind it (`NLA_NUL_STRING`) */
  cstring(type: number, value: string): this {
    if (value.includes("\0")) throw new TypeError(`Cannot encode attribute ${type}: the text contains a NUL`);
    return this.bytes(type, new TextEncoder().encode(`${value}\0`));
  }

  /** Attributes in an attribute: `fill` adds them to the encoder that it is given. `NLA_F_NESTED` is set. */
  nested(type: number, fill: (inner: AttributeEncoder) => void): this {
    const inner = new AttributeEncoder();
    fill(inner);
    return this.bytes(type | NLA_F_NESTED, inner.finish());
  }

  /** All attributes added so far, as bytes of their own. */
  finish(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(0, this.#length);
  }
}

function inRange(type: number, value: number, min: number, max: number): void {
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new RangeError(`Cannot encode attribute ${type}: ${value} is no integer from ${min} to ${max}`);
  }
}

/** An attribute as it came, for those that nobody here knows. */
export interface RawAttribute {
  /** The type, without its flags. */
  type: number;
  /** The payload, as bytes of their own. */
  bytes: Uint8Array;
}

/**
 * Walks a list of attributes: `while (decoder.next()) switch (decoder.type) { … }`. The reading methods are about the
 * attribute that `next` came to. A payload may be longer than what is read of it (newer kernels), never shorter.
 */
export class AttributeDecoder {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #limit: number;
  readonly #depth: number;
  #next: number;
  /** The type, without its flags. */
  type = 0;
  /** Where the payload starts in the bytes. */
  start = 0;
  /** Where the payload ends. */
  end = 0;

  /**
   * Starts before the first attribute.
   *
   * @param bytes What holds the attributes.
   * @param start Where they start. @default {0}
   * @param end Where they end. @default {bytes.length}
   * @param view A view over exactly `bytes`, where the caller has one already.
   * @param depth In how many attributes these ones are nested. @default {0}
   */
  constructor(bytes: Uint8Array, start = 0, end: number = bytes.length, view: DataView = viewOf(bytes), depth = 0) {
    if (!(start >= 0 && end <= bytes.length)) {
      throw malformed("attributes", `bytes ${start} to ${end} are asked for, of ${bytes.length}`);
    }
    this.#bytes = bytes;
    this.#view = view;
    this.#next = start;
    this.#limit = end;
    this.#depth = depth;
  }

  /**
   * Goes to the next attribute.
   *
   * @returns `false` after the last one.
   * @throws {MptcpError} `EBADMSG`, when a length cannot be true. The padding of the last attribute may be missing.
   */
  next(): boolean {
    const at = this.#next;
    const left = this.#limit - at;
    if (left <= 0) return false;
    if (left < NLA_HDRLEN) throw malformed("attributes", `${left} bytes are left over at ${at}`);
    const length = this.#view.getUint16(at, HOST_LITTLE_ENDIAN);
    if (length < NLA_HDRLEN || length > left) {
      throw malformed("attributes", `the one at ${at} claims ${length} bytes, where ${NLA_HDRLEN} to ${left} are possible`);
    }
    this.type = this.#view.getUint16(at + 2, HOST_LITTLE_ENDIAN) & NLA_TYPE_MASK;
    this.start = at + NLA_HDRLEN;
    this.end = at + length;
    this.#next = at + netlinkAlign(length);
    return true;
  }

  /** The size of the payload, bytes. */
  get size(): number {
    return this.end - this.start;
  }

  #need(size: number): number {
    if (this.end - this.start < size) {
      throw malformed(`attribute ${this.type}`, `it has ${this.end - this.start} bytes, and needs ${size}`);
    }
    return this.start;
  }

  /** `__u8` */
  u8(): number {
    return this.#view.getUint8(this.#need(1));
  }

  /** `__u16` in host order */
  u16(): number {
    return this.#view.getUint16(this.#need(2), HOST_LITTLE_ENDIAN);
  }

  /** `__be16` */
  be16(): number {
    return this.#view.getUint16(this.#need(2));
  }

  /** `__u32` in host order */
  u32(): number {
    return this.#view.getUint32(this.#need(4), HOST_LITTLE_ENDIAN);
  }

  /** `__s32` in host order */
  s32(): number {
    return this.#view.getInt32(this.#need(4), HOST_LITTLE_ENDIAN);
  }

  /** `__u64` in host order */
  u64(): bigint {
    return this.#view.getBigUint64(this.#need(8), HOST_LITTLE_ENDIAN);
  }

  /** A copy of the payload, of `size` bytes at least where that is given; all of it otherwise. */
  bytes(size = 0): Uint8Array<ArrayBuffer> {
    const start = this.#need(size);
    return new Uint8Array(this.#bytes.subarray(start, size === 0 ? this.end : start + size));
  }

  /** Text up to its NUL; one that has none ends with the payload. */
  cstring(): string {
    return decodeCString(this.#bytes, this.start, this.end);
  }

  /** The attributes in this one. */
  nested(): AttributeDecoder {
    if (this.#depth >= DEPTH_MAX) throw malformed(`attribute ${this.type}`, `it is nested ${DEPTH_MAX} deep`);
    return new AttributeDecoder(this.#bytes, this.start, this.end, this.#view, this.#depth + 1);
  }

  /** This attribute as it came. */
  raw(): RawAttribute {
    return { type: this.type, bytes: this.bytes() };
  }
}
