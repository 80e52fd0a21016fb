/**
 * The struct codec: C structs as tables of fields over a `DataView`. Every field is read and written with its bounds
 * checked; a field exists only if the bytes that the kernel returned reach its end. So one table serves every kernel
 * version: newer fields are simply absent on an older one.
 *
 * @module
 */

/** `true` on a little-endian machine (all that the runtimes support today). */
export const HOST_LITTLE_ENDIAN: boolean = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

/** How one field is read and written. */
export interface Field<T> {
  /** Where it starts, in bytes from the start of the struct. */
  readonly offset: number;
  /** How many bytes it takes. */
  readonly size: number;
  /** Reads it from a struct that starts at `base`; the caller has checked the bounds. */
  read(view: DataView, base: number, littleEndian: boolean): T;
  /** Writes it; the caller has checked the bounds. */
  write(view: DataView, base: number, value: T, littleEndian: boolean): void;
}

/** A field for each name. */
// deno-lint-ignore no-explicit-any
export type Layout = Readonly<Record<string, Field<any>>>;

/** The value type of a field. */
export type FieldValue<F> = F extends Field<infer T> ? T : never;

/** What decoding gives: every field may be absent, as the bytes may end before it. */
export type Decoded<L extends Layout> = { [K in keyof L]?: FieldValue<L[K]> };

/** `__u8` */
export function u8(offset: number): Field<number> {
  return {
    offset,
    size: 1,
    read: (view, base) => view.getUint8(base + offset),
    write: (view, base, value) => view.setUint8(base + offset, value),
  };
}

/** `__u16` in host order */
export function u16(offset: number): Field<number> {
  return {
    offset,
    size: 2,
    read: (view, base, little) => view.getUint16(base + offset, little),
    write: (view, base, value, little) => view.setUint16(base + offset, value, little),
  };
}

/** `__be16`: network order on every machine */
export function be16(offset: number): Field<number> {
  return {
    offset,
    size: 2,
    read: (view, base) => view.getUint16(base + offset),
    write: (view, base, value) => view.setUint16(base + offset, value),
  };
}

/** `__u32` in host order */
export function u32(offset: number): Field<number> {
  return {
    offset,
    size: 4,
    read: (view, base, little) => view.getUint32(base + offset, little),
    write: (view, base, value, little) => view.setUint32(base + offset, value, little),
  };
}

/** `__s32` in host order */
export function s32(offset: number): Field<number> {
  return {
    offset,
    size: 4,
    read: (view, base, little) => view.getInt32(base + offset, little),
    write: (view, base, value, little) => view.setInt32(base + offset, value, little),
  };
}

/** `__u64` in host order, exact: for sequence numbers and pointers, which use all 64 bits */
export function u64(offset: number): Field<bigint> {
  return {
    offset,
    size: 8,
    read: (view, base, little) => view.getBigUint64(base + offset, little),
    write: (view, base, value, little) => view.setBigUint64(base + offset, value, little),
  };
}

/**
 * `__u64` in host order as a number: for counters and rates. Exact up to 2^53 (9 petabytes); above, rounded.
 * Two 32-bit reads are several times faster than a `bigint` here, and a tcp_info has eleven of them.
 */
export function counter64(offset: number): Field<number> {
  return {
    offset,
    size: 8,
    read: (view, base, little) => {
      const at = base + offset;
      const high = view.getUint32(little ? at + 4 : at, little);
      const low = view.getUint32(little ? at : at + 4, little);
      return high * 0x1_0000_0000 + low;
    },
    write: (view, base, value, little) => view.setBigUint64(base + offset, BigInt(value), little),
  };
}

/** Some bits of a byte: `width` bits from bit `shift` on (bit 0 is the lowest). */
export function bits8(offset: number, shift: number, width: number): Field<number> {
  const mask = (1 << width) - 1;
  return {
    offset,
    size: 1,
    read: (view, base) => (view.getUint8(base + offset) >> shift) & mask,
    write: (view, base, value) => {
      const kept = view.getUint8(base + offset) & ~(mask << shift);
      view.setUint8(base + offset, kept | ((value & mask) << shift));
    },
  };
}

/** A view over exactly the bytes of an array, wherever it lies in its buffer. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** A C struct, to decode and encode. */
export interface Struct<L extends Layout> {
  /** The table itself. */
  readonly layout: L;
  /** The end of the last field. */
  readonly size: number;
  /**
   * Decodes the fields that lie wholly within `length` bytes from `base`.
   *
   * @throws {RangeError} When `base` and `length` do not fit in the view.
   */
  decode(view: DataView, base?: number, length?: number, littleEndian?: boolean): Decoded<L>;
  /**
   * Writes the given fields; the rest of the bytes stay as they are.
   *
   * @throws {RangeError} When a field does not fit in the view.
   */
  encode(view: DataView, base: number, values: Decoded<L>, littleEndian?: boolean): void;
}

/** Makes a struct of its table of fields. */
export function struct<L extends Layout>(layout: L): Struct<L> {
  const fields = Object.entries(layout);
  const size = Math.max(0, ...fields.map(([, field]) => field.offset + field.size));
  return {
    layout,
    size,
    decode(view, base = 0, length = view.byteLength - base, littleEndian = HOST_LITTLE_ENDIAN) {
      if (!(base >= 0 && length >= 0 && base + length <= view.byteLength)) {
        throw new RangeError(`Cannot decode ${length} bytes at ${base}: the view holds ${view.byteLength}`);
      }
      const result: Record<string, unknown> = {};
      for (const [name, field] of fields) {
        if (field.offset + field.size <= length) result[name] = field.read(view, base, littleEndian);
      }
      return result as Decoded<L>;
    },
    encode(view, base, values, littleEndian = HOST_LITTLE_ENDIAN) {
      for (const [name, field] of fields) {
        const value = values[name];
        if (value === undefined) continue;
        if (!(base >= 0 && base + field.offset + field.size <= view.byteLength)) {
          throw new RangeError(`Cannot encode ${name} at ${base + field.offset}: the view holds ${view.byteLength}`);
        }
        field.write(view, base, value, littleEndian);
      }
    },
  };
}
