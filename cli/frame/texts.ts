/**
 * How the things of MPTCP are written for people.
 *
 * @module
 */
import { system } from "../../ffi/mod.ts";
import type { Endpoint, EndpointFlags } from "../../kernel/mptcp_pm.ts";
import type { Addr } from "../../kernel/sockaddr.ts";
import { readText } from "../../paths/proc.ts";
import { UsageError } from "./command.ts";

/** An address and its port. */
export function addrText({ hostname, port }: Addr): string {
  return hostname.includes(":") ? `[${hostname}]:${port}` : `${hostname}:${port}`;
}

/** A token as `ss` and `ip mptcp monitor` print it. */
export function tokenText(token: number): string {
  return token.toString(16).padStart(8, "0");
}

/**
 * Reads a token: up to eight hexadecimal digits, as it is printed, or the number that JSON has.
 *
 * @throws {UsageError} When it is none.
 */
export function parseToken(text: string): number {
  const token = /^(0x)?[0-9a-f]{1,8}$/i.test(text) ? parseInt(text, 16) : /^\d{9,10}$/.test(text) ? Number(text) : NaN;
  if (token > 0 && token <= 0xffffffff) return token;
  throw new UsageError(`TOKEN ${JSON.stringify(text)} is not one as mptcp connections prints it`);
}

/** The flags of endpoints, in the order in which they are printed. */
export const ENDPOINT_FLAGS = [
  "signal",
  "subflow",
  "backup",
  "fullmesh",
  "laminar",
  "implicit",
] as const satisfies readonly (
  keyof EndpointFlags
)[];

/** An endpoint's flags as words. */
export function flagsText(endpoint: Endpoint): string {
  return ENDPOINT_FLAGS.filter((flag) => endpoint[flag]).join(" ");
}

/** An endpoint on a line. */
export function endpointText(endpoint: Endpoint): string {
  const { id, address, port, interfaceIndex } = endpoint;
  const where = port === undefined ? address : addrText({ transport: "tcp", hostname: address, port });
  const device = interfaceIndex === undefined ? "" : `dev ${interfaceName(interfaceIndex)}`;
  return [where, `id ${id}`, flagsText(endpoint), device].filter((part) => part !== "").join(" ");
}

/** The name of an interface, or its index where it has none any more. */
export function interfaceName(index: number): string {
  // Of this network namespace, as /sys/class/net need not be.
  const names = (readText("/proc/net/dev") ?? "").split("\n").map((line) => /^ *(\S+):/.exec(line)?.[1]);
  return names.find((name) => name !== undefined && system()?.libc.ifIndex(name) === index) ?? `${index}`;
}

/** A time of the day, with milliseconds. */
export function clockText(time: Date): string {
  const two = (number: number) => String(number).padStart(2, "0");
  const clock = [time.getHours(), time.getMinutes(), time.getSeconds()].map(two).join(":");
  return `${clock}.${String(time.getMilliseconds()).padStart(3, "0")}`;
}
