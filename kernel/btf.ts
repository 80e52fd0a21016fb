/**
 * Finding one function in the kernel's description of its own types (BTF, /sys/kernel/btf/vmlinux).
 *
 * @module
 */
import { HOST_LITTLE_ENDIAN, struct, u16, u32, viewOf } from "./struct.ts";

const MAGIC = 0xeb9f;
const HEADER_SIZE = 24;
const HEADER = struct({
  magic: u16(0),
  hdr_len: u32(4),
  type_off: u32(8),
  type_len: u32(12),
  str_off: u32(16),
  str_len: u32(20),
});

/** `sizeof(struct btf_type)` */
const TYPE_SIZE = 12;
const KIND_FUNC = 12;
/** What follows a type by its kind, bytes: in any case, and for each of its `vlen` members. */
const EXTRA: readonly (readonly [once: number, each: number])[] = [
  [0, 0], // void
  [4, 0], // INT
  [0, 0], // PTR
  [12, 0], // ARRAY
  [0, 12], // STRUCT
  [0, 12], // UNION
  [0, 8], // ENUM
  [0, 0], // FWD
  [0, 0], // TYPEDEF
  [0, 0], // VOLATILE
  [0, 0], // CONST
  [0, 0], // RESTRICT
  [0, 0], // FUNC
  [0, 8], // FUNC_PROTO
  [4, 0], // VAR
  [0, 12], // DATASEC
  [0, 0], // FLOAT
  [4, 0], // DECL_TAG
  [0, 0], // TYPE_TAG
  [0, 12], // ENUM64
];

/**
 * The id of a function. It reads no name but compares places: the name is looked for once among the strings.
 *
 * @param btf The whole file.
 * @returns `null` when there is none, or the file is not what it should be.
 */
export function findBtfFunction(btf: Uint8Array, name: string): number | null {
  if (btf.length < HEADER_SIZE) return null;
  const view = viewOf(btf);
  const { magic, hdr_len = 0, type_off = 0, type_len = 0, str_off = 0, str_len = 0 } = HEADER.decode(view, 0, btf.length);
  const typesEnd = hdr_len + type_off + type_len;
  if (magic !== MAGIC || typesEnd > btf.length || hdr_len + str_off + str_len > btf.length) return null;
  const strings = btf.subarray(hdr_len + str_off, hdr_len + str_off + str_len);
  const nameOffset = indexOf(strings, new TextEncoder().encode(`\0${name}\0`)) + 1;
  if (nameOffset === 0) return null;
  let at = hdr_len + type_off;
  for (let id = 1; at + TYPE_SIZE <= typesEnd; id++) {
    const info = view.getUint32(at + 4, HOST_LITTLE_ENDIAN);
    const kind = info >>> 24 & 0x1f;
    if (kind === KIND_FUNC && view.getUint32(at, HOST_LITTLE_ENDIAN) === nameOffset) return id;
    const extra = EXTRA[kind];
    if (extra === undefined) return null; // of a later kernel: what comes behind it cannot be found
    at += TYPE_SIZE + extra[0] + extra[1] * (info & 0xffff);
  }
  return null;
}

function indexOf(bytes: Uint8Array, wanted: Uint8Array): number {
  for (let at = bytes.indexOf(wanted[1]!); at > 0; at = bytes.indexOf(wanted[1]!, at + 1)) {
    let same = true;
    for (let index = 0; same && index < wanted.length; index++) same = bytes[at - 1 + index] === wanted[index];
    if (same) return at - 1;
  }
  return -1;
}
