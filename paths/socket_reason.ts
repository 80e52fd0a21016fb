/**
 * What it means when socket(2) refuses MPTCP.
 *
 * @module
 */
import { errnoMeaning } from "../kernel/errno.ts";
import { sysctl } from "./proc.ts";

/** What a refusal means, and what a person can do about it, if anything. */
export interface SocketRefusal {
  reason: string;
  hint?: string;
}

/** The meaning of a refusal, by the errno's name. */
export function socketRefusal(code: string): SocketRefusal {
  switch (code) {
    case "EINVAL":
      return { reason: "this kernel has no MPTCP", hint: "it needs Linux 5.6 or later" };
    case "EPROTONOSUPPORT":
      return {
        reason: "this kernel was built without MPTCP",
        hint: "it needs CONFIG_MPTCP, and CONFIG_MPTCP_IPV6 for IPv6",
      };
    case "ENOPROTOOPT":
      return sysctl("enabled") === "0"
        ? {
          reason: "MPTCP is switched off in this network namespace",
          hint: "`sysctl -w net.mptcp.enabled=1` switches it on",
        }
        : { reason: "MPTCP is not available in this network namespace" };
    case "EPERM":
    case "EACCES":
      return { reason: "a security policy (SELinux, seccomp, eBPF) forbids MPTCP sockets" };
    default:
      return { reason: `the kernel refused an MPTCP socket: ${errnoMeaning(code)}` };
  }
}

/** Both in one sentence. */
export function socketReason(code: string): string {
  const { reason, hint } = socketRefusal(code);
  return hint === undefined ? reason : `${reason}; ${hint}`;
}
