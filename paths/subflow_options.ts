/**
 * The socket options of one subflow.
 *
 * @module
 */
import { checkInteger, show } from "../kernel/argument_checks.ts";
import { IPPROTO_TCP, TCP_CONGESTION } from "../kernel/constants.ts";
import { decodeTcpSocket, type TcpDiagSocket } from "../kernel/diag_socket.ts";
import { EINVAL, ENOENT, EPERM } from "../kernel/errno.ts";
import { MptcpError, systemError } from "../kernel/error.ts";
import {
  encodeGetTcp,
  INET_DIAG_CONG,
  INET_DIAG_INFO,
  INET_DIAG_SKMEMINFO,
  INET_DIAG_TCLASS,
  INET_DIAG_TOS,
} from "../kernel/inet_diag.ts";
import { NETLINK_SOCK_DIAG } from "../kernel/netlink.ts";
import { HOST_LITTLE_ENDIAN, viewOf } from "../kernel/struct.ts";
import { MAX_VALUE } from "../kernel/subflow_option_program.ts";
import { SUBFLOW_OPTIONS, type SubflowOptionName, subflowOptionName } from "../kernel/subflow_option_names.ts";
import { NetlinkSocket } from "./netlink_socket.ts";
import { findSubflow } from "./sockets.ts";
import { getSocketOption, setSocketOption } from "./socket_options.ts";
import { subflowOf } from "./subflow_control.ts";
import { subflowTuner } from "./subflow_tuner.ts";

const INT = 4;
/** `TCP_CA_NAME_MAX`, and longer than any interface's name. */
const TEXT = 16;

/** An option, and how its value is to be understood. */
interface Option {
  level: number;
  name: number;
  /** Bytes to ask for. */
  size: number;
  kind: "number" | "text" | "bytes";
}

/**
 * What a caller named: an option by its name, or a level and a number.
 *
 * @throws {TypeError} For a name that is none.
 */
export function optionOf(named: SubflowOptionName | number, name: number | undefined, size: number | undefined): Option {
  if (typeof named === "string") {
    const known = Object.hasOwn(SUBFLOW_OPTIONS, named) ? SUBFLOW_OPTIONS[named] : undefined;
    if (known === undefined) {
      throw new TypeError(`Cannot use option ${show(named)}: known are ${Object.keys(SUBFLOW_OPTIONS).join(", ")}`);
    }
    return { level: known.level, name: known.name, kind: known.kind, size: known.kind === "text" ? TEXT : INT };
  }
  checkInteger("level", named, 0, 2 ** 31 - 1);
  checkInteger("option", name, 0, 2 ** 31 - 1);
  if (size !== undefined) checkInteger("size", size, 1, MAX_VALUE);
  return { level: named, name: name!, kind: size === undefined ? "number" : "bytes", size: size ?? INT };
}

/** The subflow's own socket. */
function socketOf(fd: number, id: number, what: string): TcpDiagSocket {
  const { token, subflow } = subflowOf(fd, id, what);
  const found = findSubflow(subflow.local, subflow.remote);
  if (found !== null && found.subflow.tokenLocal === token) return found;
  throw new MptcpError("ESRCH", `Cannot ${what}: the kernel does not tell which socket it is`, {
    syscall: what,
    hint: "up to Linux 6.12 that needs CAP_NET_ADMIN",
  });
}

function refused(errno: number, operation: "get" | "set", { level, name }: Option): MptcpError {
  const known = subflowOptionName(level, name) ?? `${level}/${name}`;
  const details: Record<number, [detail: string, hint: string]> = {
    [-EINVAL]: [
      `the kernel does not let a program ${operation} option ${known} of one subflow, or not with this value`,
      `it lets for ${Object.keys(SUBFLOW_OPTIONS).join(", ")}; TCP_INFO is in subflows()`,
    ],
    [-ENOENT]: [
      "there is no congestion control of that name",
      "`sysctl net.ipv4.tcp_available_congestion_control` lists them",
    ],
    [-EPERM]: [
      `option ${known} needs a privilege that this process lacks`,
      level === IPPROTO_TCP && name === TCP_CONGESTION
        ? "without CAP_NET_ADMIN only what `sysctl net.ipv4.tcp_allowed_congestion_control` lists"
        : "CAP_NET_ADMIN, as a rule",
    ],
  };
  const [detail, hint] = details[errno] ?? [undefined, undefined];
  return systemError(errno, `${operation}sockopt`, { detail, hint });
}

function run(operation: "get" | "set", socket: TcpDiagSocket, option: Option, value: Uint8Array): Uint8Array {
  const { level, name } = option;
  const answer = subflowTuner().run({ operation, cookie: socket.cookie, level, name, value });
  if (!answer.matched) {
    throw new MptcpError("ESRCH", `Cannot ${operation} the option: the subflow is gone`, { syscall: `${operation}sockopt` });
  }
  if (answer.result < 0) throw refused(answer.result, operation, option);
  return answer.value;
}

/** What sock_diag tells to everybody, for who may load no program. */
function readByDiag(socket: TcpDiagSocket, { level, name }: Option): number | string | undefined {
  const extensions = [INET_DIAG_INFO, INET_DIAG_CONG, INET_DIAG_TOS, INET_DIAG_TCLASS, INET_DIAG_SKMEMINFO];
  using netlink = new NetlinkSocket(NETLINK_SOCK_DIAG);
  const [message] = netlink.request(encodeGetTcp(socket, extensions), "look at the subflow").messages;
  const { congestion, tos, memory, mark } = message ? decodeTcpSocket(message, false) : {} as Partial<TcpDiagSocket>;
  const told: Partial<Record<SubflowOptionName, number | string | undefined>> = {
    TCP_CONGESTION: congestion,
    IP_TOS: tos,
    SO_MARK: mark,
    SO_SNDBUF: memory?.sendBuffer,
    SO_RCVBUF: memory?.receiveBuffer,
  };
  const known = subflowOptionName(level, name);
  return known && told[known];
}

function decode(bytes: Uint8Array, kind: Option["kind"]): number | string | Uint8Array {
  if (kind === "bytes") return bytes;
  if (kind === "number") return viewOf(bytes).getInt32(0, HOST_LITTLE_ENDIAN);
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
}

function encode(value: unknown, { kind }: Option): Uint8Array {
  if (kind === "text" && typeof value === "string") {
    const bytes = new TextEncoder().encode(value);
    if (bytes.length < 1 || bytes.length >= TEXT || bytes.includes(0)) {
      throw new RangeError(`Cannot set the option to ${show(value)}: it must be a name of 1 to ${TEXT - 1} bytes`);
    }
    return bytes;
  }
  if (typeof value === "number") {
    checkInteger("value", value, -(2 ** 31), 2 ** 32 - 1);
    const bytes = new Uint8Array(INT);
    viewOf(bytes).setUint32(0, value >>> 0, HOST_LITTLE_ENDIAN);
    return bytes;
  }
  if (!(value instanceof Uint8Array)) {
    throw new TypeError(`Cannot set the option to ${show(value)}: it must be a number, a Uint8Array, or a name's text`);
  }
  if (value.length < 1 || value.length > MAX_VALUE) {
    throw new RangeError(`Cannot set the option to ${value.length} bytes: 1 to ${MAX_VALUE} are possible`);
  }
  return value;
}

/**
 * Reads an option of one subflow.
 *
 * @param id `Subflow.id`; 0 is the one path of a connection that is plain TCP.
 * @throws {MptcpError} With a hint, when the kernel refuses or the privilege is missing.
 */
export function getSubflowOption(fd: number, id: number, option: Option): number | string | Uint8Array {
  const what = "read the subflow's option";
  if (id === 0) {
    const value = getSocketOption(fd, option.level, option.name, option.kind === "number" ? undefined : option.size);
    return typeof value === "number" ? value : decode(value, option.kind);
  }
  const socket = socketOf(fd, id, what);
  try {
    return decode(run("get", socket, option, new Uint8Array(option.size)), option.kind);
  } catch (error) {
    if (!(error instanceof MptcpError) || error.syscall !== "bpf") throw error;
    const told = readByDiag(socket, option);
    if (told === undefined) throw error;
    if (option.kind !== "bytes") return told;
    const bytes = new Uint8Array(option.size);
    if (typeof told === "string") bytes.set(new TextEncoder().encode(told).subarray(0, option.size));
    else if (option.size >= INT) viewOf(bytes).setInt32(0, told, HOST_LITTLE_ENDIAN);
    return bytes;
  }
}

/**
 * Sets an option of one subflow.
 *
 * @throws {MptcpError} With a hint, when the kernel refuses or the privilege is missing.
 */
export function setSubflowOption(fd: number, id: number, option: Option, value: unknown): void {
  const bytes = encode(value, option);
  if (id === 0) return setSocketOption(fd, option.level, option.name, bytes);
  run("set", socketOf(fd, id, "set the subflow's option"), option, bytes);
}
