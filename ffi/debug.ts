/**
 * `MPTCP_DEBUG=ffi,…` prints what the package does to standard error, one line each.
 *
 * @module
 */
import process from "node:process";
import { environment } from "./libc_paths.ts";

const topics = new Set((environment("MPTCP_DEBUG") ?? "").split(",").map((topic) => topic.trim()));

/** Whether a topic is to be printed: `"ffi"` for system calls. */
export function debugs(topic: string): boolean {
  return topics.has(topic);
}

/** Prints a line on a topic. */
export function debug(topic: string, line: string): void {
  process.stderr.write(`mptcp ${topic}: ${line}\n`);
}

/** An argument of a system call, short enough for a line. */
function show(argument: unknown): string {
  if (!ArrayBuffer.isView(argument)) return String(argument);
  const bytes = new Uint8Array(argument.buffer, argument.byteOffset, Math.min(argument.byteLength, 24));
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return `[${argument.byteLength}]${hex}${argument.byteLength > bytes.length ? "…" : ""}`;
}

/** The same call, printed with its arguments as they are after it, and its result. */
export function traced<A extends unknown[]>(name: string, call: (...args: A) => number): (...args: A) => number {
  return (...args) => {
    const result = call(...args);
    debug("ffi", `${name}(${args.map(show).join(", ")}) = ${result}`);
    return result;
  };
}
