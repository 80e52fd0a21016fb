/**
 * The arguments of bpf(2), `union bpf_attr` of `<linux/bpf.h>`: only what an iterator over TCP sockets needs.
 *
 * @module
 */
import { s32, struct, u32, u64, viewOf } from "./struct.ts";

export const BPF_MAP_CREATE = 0;
export const BPF_MAP_LOOKUP_ELEM = 1;
export const BPF_MAP_UPDATE_ELEM = 2;
export const BPF_PROG_LOAD = 5;
export const BPF_LINK_CREATE = 28;
export const BPF_ITER_CREATE = 33;

const BPF_MAP_TYPE_ARRAY = 2;
const BPF_PROG_TYPE_TRACING = 26;
const BPF_TRACE_ITER = 28;

/** The number of bpf(2), by the name that `process.arch` has for the machine. */
export const NR_BPF: Readonly<Record<string, number>> = { x64: 321, arm64: 280, riscv64: 280, loong64: 280 };

const MAP_CREATE = struct({ map_type: u32(0), key_size: u32(4), value_size: u32(8), max_entries: u32(12) });
const MAP_ELEM = struct({ map_fd: s32(0), key: u64(8), value: u64(16), flags: u64(24) });
const PROG_LOAD = struct({
  prog_type: u32(0),
  insn_cnt: u32(4),
  insns: u64(8),
  license: u64(16),
  expected_attach_type: u32(68),
  attach_btf_id: u32(108),
});
const LINK_CREATE = struct({ prog_fd: s32(0), target_fd: s32(4), attach_type: u32(8) });
const ITER_CREATE = struct({ link_fd: s32(0), flags: u32(4) });

function attr(size: number, fill: (view: DataView) => void): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(size);
  fill(viewOf(bytes));
  return bytes;
}

/** An array map of one value. */
export function encodeMapCreate(valueSize: number): Uint8Array<ArrayBuffer> {
  return attr(
    72,
    (view) =>
      MAP_CREATE.encode(view, 0, { map_type: BPF_MAP_TYPE_ARRAY, key_size: 4, value_size: valueSize, max_entries: 1 }),
  );
}

/** Reads or writes a map's value; `key` and `value` are addresses. */
export function encodeMapElement(mapFd: number, key: bigint, value: bigint): Uint8Array<ArrayBuffer> {
  return attr(32, (view) => MAP_ELEM.encode(view, 0, { map_fd: mapFd, key, value }));
}

/** A program for an iterator; `instructions` and `license` are addresses. */
export function encodeIteratorLoad(
  instructions: bigint,
  count: number,
  license: bigint,
  btfId: number,
): Uint8Array<ArrayBuffer> {
  return attr(144, (view) =>
    PROG_LOAD.encode(view, 0, {
      prog_type: BPF_PROG_TYPE_TRACING,
      insn_cnt: count,
      insns: instructions,
      license,
      expected_attach_type: BPF_TRACE_ITER,
      attach_btf_id: btfId,
    }));
}

/** Attaches a program to its iterator. */
export function encodeLinkCreate(programFd: number): Uint8Array<ArrayBuffer> {
  return attr(64, (view) => LINK_CREATE.encode(view, 0, { prog_fd: programFd, attach_type: BPF_TRACE_ITER }));
}

/** A file whose reading runs the program over all sockets. */
export function encodeIterCreate(linkFd: number): Uint8Array<ArrayBuffer> {
  return attr(8, (view) => ITER_CREATE.encode(view, 0, { link_fd: linkFd }));
}
