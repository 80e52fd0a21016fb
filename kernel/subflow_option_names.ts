/**
 * The socket options that one subflow can have for itself: those that the kernel's `bpf_getsockopt` and `bpf_setsockopt` know.
 *
 * @module
 */
import { IPPROTO_IP, IPPROTO_TCP, SOL_SOCKET } from "./constants.ts";

/** What can be done with an option of one subflow, and what its value is. */
export interface SubflowOption {
  /** As for `setsockopt(2)`, such as `SOL_SOCKET`. */
  level: number;
  /** As for `setsockopt(2)`, such as `SO_MARK`. */
  name: number;
  /** An `int`, or a text. */
  kind: "number" | "text";
  /** Some can be set but not read. */
  access: "both" | "set";
}

/** An option whose value is a text. */
export type SubflowTextOptionName = "SO_BINDTODEVICE" | "TCP_CONGESTION";

/** The name of an option that one subflow can have for itself. */
export type SubflowOptionName =
  | SubflowTextOptionName
  | "SO_REUSEADDR"
  | "SO_SNDBUF"
  | "SO_RCVBUF"
  | "SO_KEEPALIVE"
  | "SO_PRIORITY"
  | "SO_REUSEPORT"
  | "SO_MARK"
  | "SO_MAX_PACING_RATE"
  | "SO_BINDTOIFINDEX"
  | "SO_TXREHASH"
  | "TCP_NODELAY"
  | "TCP_MAXSEG"
  | "TCP_KEEPIDLE"
  | "TCP_KEEPINTVL"
  | "TCP_KEEPCNT"
  | "TCP_SYNCNT"
  | "TCP_WINDOW_CLAMP"
  | "TCP_THIN_LINEAR_TIMEOUTS"
  | "TCP_USER_TIMEOUT"
  | "TCP_NOTSENT_LOWAT"
  | "TCP_SAVE_SYN"
  | "TCP_RTO_MAX_MS"
  | "TCP_BPF_IW"
  | "TCP_BPF_SNDCWND_CLAMP"
  | "TCP_BPF_DELACK_MAX"
  | "TCP_BPF_RTO_MIN"
  | "IP_TOS";

/** What the value of a named option is. */
export type SubflowOptionValue<N extends SubflowOptionName> = N extends SubflowTextOptionName ? string : number;

const number = (level: number, name: number): SubflowOption => ({ level, name, kind: "number", access: "both" });
const setOnly = (level: number, name: number): SubflowOption => ({ level, name, kind: "number", access: "set" });

/** By the names of `<sys/socket.h>`, `<linux/tcp.h>` and `<linux/bpf.h>`. */
export const SUBFLOW_OPTIONS: Readonly<Record<SubflowOptionName, SubflowOption>> = {
  SO_REUSEADDR: number(SOL_SOCKET, 2),
  SO_SNDBUF: number(SOL_SOCKET, 7),
  SO_RCVBUF: number(SOL_SOCKET, 8),
  SO_KEEPALIVE: number(SOL_SOCKET, 9),
  SO_PRIORITY: number(SOL_SOCKET, 12),
  SO_REUSEPORT: number(SOL_SOCKET, 15),
  SO_MARK: number(SOL_SOCKET, 36),
  SO_MAX_PACING_RATE: number(SOL_SOCKET, 47),
  SO_BINDTOIFINDEX: number(SOL_SOCKET, 62),
  SO_TXREHASH: number(SOL_SOCKET, 74),
  SO_BINDTODEVICE: { level: SOL_SOCKET, name: 25, kind: "text", access: "set" },
  TCP_NODELAY: number(IPPROTO_TCP, 1),
  TCP_MAXSEG: setOnly(IPPROTO_TCP, 2),
  TCP_KEEPIDLE: number(IPPROTO_TCP, 4),
  TCP_KEEPINTVL: number(IPPROTO_TCP, 5),
  TCP_KEEPCNT: number(IPPROTO_TCP, 6),
  TCP_SYNCNT: number(IPPROTO_TCP, 7),
  TCP_WINDOW_CLAMP: number(IPPROTO_TCP, 10),
  TCP_CONGESTION: { level: IPPROTO_TCP, name: 13, kind: "text", access: "both" },
  TCP_THIN_LINEAR_TIMEOUTS: number(IPPROTO_TCP, 16),
  TCP_USER_TIMEOUT: number(IPPROTO_TCP, 18),
  TCP_NOTSENT_LOWAT: number(IPPROTO_TCP, 25),
  TCP_SAVE_SYN: number(IPPROTO_TCP, 27),
  TCP_RTO_MAX_MS: number(IPPROTO_TCP, 44),
  TCP_BPF_IW: setOnly(IPPROTO_TCP, 1001),
  TCP_BPF_SNDCWND_CLAMP: setOnly(IPPROTO_TCP, 1002),
  TCP_BPF_DELACK_MAX: number(IPPROTO_TCP, 1003),
  TCP_BPF_RTO_MIN: number(IPPROTO_TCP, 1004),
  IP_TOS: number(IPPROTO_IP, 1),
};

/** The option of a level and a number, if it is a known one, under its name. */
export function subflowOptionName(level: number, name: number): SubflowOptionName | undefined {
  for (const [key, option] of Object.entries(SUBFLOW_OPTIONS)) {
    if (option.level === level && option.name === name) return key as SubflowOptionName;
  }
  return undefined;
}
