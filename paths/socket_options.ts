/**
 * Socket options of a whole connection, with the options that MPTCP refuses explained.
 *
 * @module
 */
import { system } from "../ffi/mod.ts";
import { checkInteger } from "../kernel/argument_checks.ts";
import { IPPROTO_IP, IPPROTO_IPV6, IPPROTO_TCP, SOL_MPTCP, SOL_SOCKET } from "../kernel/constants.ts";
import { ENOPROTOOPT, EOPNOTSUPP } from "../kernel/errno.ts";
import { type MptcpError, systemError } from "../kernel/error.ts";
import { HOST_LITTLE_ENDIAN, viewOf } from "../kernel/struct.ts";
import { isMptcp } from "./connection.ts";

/** No option of the kernel is larger, but for packet filters, which MPTCP refuses. */
const MAX_OPTION_SIZE = 65536;

const ON_ONE_SUBFLOW = "MPTCP has it only for one subflow: see setSubflowOption";

/** What to use instead of an option that MPTCP refuses: level, then option. */
const INSTEAD: Readonly<Record<number, Readonly<Record<number, readonly [name: string, instead: string]>>>> = {
  [SOL_SOCKET]: {
    10: ["SO_OOBINLINE", "MPTCP has no urgent data; leave it out"],
    26: ["SO_ATTACH_FILTER", "packet filters cannot be attached to MPTCP"],
    50: ["SO_ATTACH_BPF", "packet filters cannot be attached to MPTCP"],
    60: ["SO_ZEROCOPY", "MPTCP always copies; leave it out"],
    61: ["SO_TXTIME", "MPTCP cannot schedule single packets"],
    47: ["SO_MAX_PACING_RATE", ON_ONE_SUBFLOW],
    74: ["SO_TXREHASH", ON_ONE_SUBFLOW],
    2: ["SO_REUSEADDR", "set it before connecting: connect({ localPort }) and listen() do"],
    15: ["SO_REUSEPORT", "set it before listening: listen({ reusePort: true })"],
    25: ["SO_BINDTODEVICE", "openSubflow({ interface }) binds one subflow to a device"],
  },
  [IPPROTO_TCP]: {
    18: ["TCP_USER_TIMEOUT", ON_ONE_SUBFLOW],
    7: ["TCP_SYNCNT", ON_ONE_SUBFLOW],
    10: ["TCP_WINDOW_CLAMP", ON_ONE_SUBFLOW],
    12: ["TCP_QUICKACK", "the kernel decides for each subflow; leave it out"],
    8: ["TCP_LINGER2", "net.ipv4.tcp_fin_timeout sets it for the host"],
    14: ["TCP_MD5SIG", 'signatures leave no room for MPTCP: connect with mptcp: "off"'],
    31: ["TCP_ULP", "there is no kernel TLS over MPTCP: connectTls encrypts in the runtime"],
    19: ["TCP_REPAIR", "an MPTCP connection cannot be moved between processes"],
  },
  [IPPROTO_IP]: {
    2: ["IP_TTL", "net.ipv4.ip_default_ttl sets it for the host"],
    10: ["IP_MTU_DISCOVER", "net.ipv4.ip_no_pmtu_disc sets it for the host"],
  },
  [IPPROTO_IPV6]: {
    67: ["IPV6_TCLASS", ON_ONE_SUBFLOW],
    16: ["IPV6_UNICAST_HOPS", "net.ipv6.conf.all.hop_limit sets it for the host"],
  },
};

function checkNames(level: number, name: number): void {
  checkInteger("level", level, 0, 2 ** 31 - 1);
  checkInteger("option", name, 0, 2 ** 31 - 1);
}

/** The error for a refused option, with what to do instead where MPTCP is the reason. */
export function optionError(fd: number, errno: number, syscall: string, level: number, name: number): MptcpError {
  const [known, instead] = INSTEAD[level]?.[name] ?? [`${level}/${name}`, undefined];
  const refused = errno === -EOPNOTSUPP || errno === -ENOPROTOOPT;
  if (!refused) {
    return systemError(errno, syscall, { detail: instead && `the kernel refused option ${known}`, hint: instead });
  }
  if (level === SOL_MPTCP && syscall === "setsockopt") {
    return systemError(errno, syscall, { detail: "options at level SOL_MPTCP can only be read" });
  }
  if (level === SOL_MPTCP || !isMptcp(fd)) {
    return systemError(errno, syscall, {
      detail: level === SOL_MPTCP ? "the connection is plain TCP, or the kernel has no such MPTCP option" : undefined,
    });
  }
  return systemError(errno, syscall, {
    detail: `MPTCP does not support option ${known}`,
    hint: instead ?? 'connect with mptcp: "off" if the option matters more than several paths',
  });
}

/**
 * Reads an option: an `int` without `size`, else as many bytes as the kernel gives of `size`.
 *
 * @throws {MptcpError} When the kernel refuses.
 */
export function getSocketOption(fd: number, level: number, name: number, size?: number): number | Uint8Array {
  checkNames(level, name);
  if (size !== undefined) checkInteger("size", size, 1, MAX_OPTION_SIZE);
  const buffer = new Uint8Array(size ?? 4);
  const length = system()!.libc.getsockopt(fd, level, name, buffer);
  if (length < 0) throw optionError(fd, length, "getsockopt", level, name);
  if (size !== undefined) return buffer.subarray(0, length);
  // Some IP options come as a single byte when that is enough for their value.
  return length === 1 ? buffer[0]! : viewOf(buffer).getInt32(0, HOST_LITTLE_ENDIAN);
}

/**
 * Sets an option to a number (an `int`) or to bytes.
 *
 * @throws {MptcpError} When the kernel refuses.
 */
export function setSocketOption(fd: number, level: number, name: number, value: number | Uint8Array): void {
  checkNames(level, name);
  const { libc } = system()!;
  let result: number;
  if (typeof value === "number") {
    checkInteger("value", value, -(2 ** 31), 2 ** 32 - 1);
    result = libc.setInt(fd, level, name, value);
  } else if (value instanceof Uint8Array) {
    if (value.length > MAX_OPTION_SIZE) {
      throw new RangeError(`Cannot use ${value.length} bytes as a value: ${MAX_OPTION_SIZE} is the most`);
    }
    result = libc.setsockopt(fd, level, name, value);
  } else {
    throw new TypeError("Cannot set the option: the value must be a number or a Uint8Array");
  }
  if (result < 0) throw optionError(fd, result, "setsockopt", level, name);
}
