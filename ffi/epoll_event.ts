/**
 * `struct epoll_event`, bytes ↔ objects.
 *
 * @module
 */
import process from "node:process";
import { type Field, type Struct, struct, u32, u64 } from "../kernel/struct.ts";

/** The kernel packs it on x86-64 only. */
const PACKED = process.arch === "x64";

/** `struct epoll_event`; `data` is its owner's, the kernel only keeps it. */
export const EVENT: Struct<{ events: Field<number>; data: Field<bigint> }> = struct({
  events: u32(0),
  data: u64(PACKED ? 4 : 8),
});

/** `sizeof(struct epoll_event)` */
export const EVENT_SIZE: number = PACKED ? 12 : 16;
