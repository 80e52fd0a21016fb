/**
 * The options of `openSubflow`, checked, and completed from what the connection and the routing say.
 *
 * @module
 */
import { system } from "../ffi/mod.ts";
import { checkBoolean, checkInteger, checkObject, show } from "../kernel/argument_checks.ts";
import { MptcpError } from "../kernel/error.ts";
import { canonicalAddress, ipVersion } from "../kernel/ip.ts";
import type { Addr } from "../kernel/sockaddr.ts";
import type { SubflowRequest } from "../paths/open_subflow.ts";
import { sourceAddress } from "../paths/source_address.ts";
import { unlessAborted } from "./deadline.ts";
import { resolve } from "./resolve.ts";

/** Options of `openSubflow`. */
export interface OpenSubflowOptions {
  /**
   * The address of ours to open it from; a name is resolved. `"0.0.0.0"` and `"::"` mean any, as the default does.
   *
   * @default {undefined} that by which the routing, or `interface`, leads to `remoteAddress`
   */
  localAddress?: string;
  /**
   * The port of ours, 1 to 65535.
   *
   * @default {undefined} the kernel picks one
   */
  localPort?: number;
  /**
   * The peer's address; a name is resolved.
   *
   * @default {undefined} that of the initial subflow
   */
  remoteAddress?: string;
  /**
   * The peer's port, 1 to 65535.
   *
   * @default {undefined} that of the initial subflow
   */
  remotePort?: number;
  /**
   * Bind the subflow to the network interface of this name.
   *
   * @default {undefined} as the routing says
   */
  interface?: string;
  /**
   * Ask the peer to use it as a backup only, and do so ourselves.
   *
   * @default {false}
   */
  backup?: boolean;
  /**
   * `"endpoint"`: for a connection under the kernel's path manager, by an endpoint of type `subflow` for `localAddress`. It
   * stays, and so **each** connection of the network namespace gets a subflow. Where to, the kernel decides.
   *
   * @default {undefined} a subflow of this connection alone, which must be under the userspace path manager
   */
  via?: "endpoint";
  /** Ends the attempt: `openSubflow` then rejects with `signal.reason`, and what was begun is undone. */
  signal?: AbortSignal;
  /**
   * Milliseconds for all of it; then `openSubflow` rejects with a `DOMException` named `TimeoutError`.
   *
   * @default {undefined} the kernel's for a SYN without an answer, about two minutes
   */
  timeout?: number;
}

/**
 * Checks the options.
 *
 * @throws {TypeError} When one has the wrong type, or two contradict each other.
 * @throws {RangeError} When a number is out of range.
 */
export function checkOpenSubflowOptions(options: OpenSubflowOptions): void {
  checkObject("options", options);
  const { localPort, remotePort, backup, via, signal, timeout } = options;
  for (const name of ["localAddress", "remoteAddress", "interface"] as const) {
    const value = options[name];
    if (value === undefined) continue;
    if (typeof value !== "string" || value === "" || value.includes("\0")) {
      throw new TypeError(`Cannot use ${name} ${show(value)}: it must be a string that is not empty`);
    }
    if (value.includes("%")) throw new TypeError(`Cannot use ${name} "${value}": give the zone as interface`);
  }
  if (localPort !== undefined) checkInteger("localPort", localPort, 1, 65535);
  if (remotePort !== undefined) checkInteger("remotePort", remotePort, 1, 65535);
  checkBoolean("backup", backup);
  if (via !== undefined && via !== "endpoint") throw new TypeError(`Cannot use via ${show(via)}: it must be "endpoint"`);
  if (via === "endpoint") {
    for (const name of ["localPort", "remoteAddress", "remotePort"] as const) {
      if (options[name] !== undefined) throw new TypeError(`Cannot use ${name} with via "endpoint": the kernel chooses it`);
    }
  }
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw new TypeError(`Cannot use signal ${show(signal)}: it must be an AbortSignal`);
  }
  if (timeout !== undefined) {
    if (typeof timeout !== "number") throw new TypeError(`Cannot use timeout ${show(timeout)}: it must be a number`);
    if (!(timeout >= 0)) throw new RangeError(`Cannot use timeout ${timeout}: it must be 0 or more milliseconds`);
  }
}

/** Resolves a name, in the family of the other address if that is known. */
async function addressOf(name: string, other: string | undefined, signal: AbortSignal): Promise<string> {
  if (ipVersion(name) !== 0) return name;
  const candidates = await unlessAborted(resolve(name), signal);
  const version = other === undefined ? 0 : ipVersion(other);
  const found = candidates.find((each) => version === 0 || each.version === version);
  if (found !== undefined) return found.address;
  throw new MptcpError("EADDRNOTAVAIL", `Cannot open a subflow: ${name} has no IPv${version} address`, { address: name });
}

/** What means any address. */
const ANY: readonly string[] = ["0.0.0.0", "::"];

/** Completes the options to what the kernel is to be asked. */
export async function completeRequest(
  options: OpenSubflowOptions,
  connection: { token: number; remote: Addr },
  signal: AbortSignal,
): Promise<SubflowRequest> {
  const { token, remote } = connection;
  const { localPort = 0, remotePort = remote.port, interface: name, backup = false, via } = options;
  const wanted = ANY.includes(canonicalAddress(options.localAddress ?? "::")) ? undefined : options.localAddress;
  const literal = wanted !== undefined && ipVersion(wanted) !== 0;
  const remoteAddress = await addressOf(
    options.remoteAddress ?? remote.hostname.replace(/%.*/, ""),
    literal ? wanted : undefined,
    signal,
  );
  const localAddress = wanted === undefined
    ? sourceAddress(remoteAddress, remotePort, interfaceIndex(name)).replace(/%.*/, "")
    : await addressOf(wanted, remoteAddress, signal);
  if (ipVersion(localAddress) !== ipVersion(remoteAddress)) {
    throw new MptcpError("EINVAL", `Cannot open a subflow from ${localAddress} to ${remoteAddress}: their families differ`, {
      syscall: "open a subflow",
      hint: "both must be IPv4 or both IPv6, and an IPv4 connection can have no IPv6 subflows",
    });
  }
  return { token, localAddress, localPort, remoteAddress, remotePort, interface: name, backup, via };
}

function interfaceIndex(name: string | undefined): number {
  if (name === undefined) return 0;
  const index = system()!.libc.ifIndex(name);
  if (index === 0) throw new MptcpError("ENODEV", `Cannot use interface "${name}": there is none of that name`);
  return index;
}
