/**
 * What it means when socket(2) refuses MPTCP.
 *
 * @module
 */
import { errnoMeaning } from "../kernel/errno.ts";
import { sysctl } from "./proc.ts";

/** The meaning of a refusal in words, with what to do, by the errno's name. */
export function socketReason(code: string): string {
  switch (code) {
    case "EINVAL":
      return "this kernel has no MPTCP: it needs Linux 5.6 or later";
    case "EPROTONOSUPPORT":
      return "this kernel was built without MPTCP (CONFIG_MPTCP, or CONFIG_MPTCP_IPV6 for IPv6)";
    case "ENOPROTOOPT":
      return sysctl("enabled") === "0"
        ? "MPTCP is switched off in this network namespace; `sysctl -w net.mptcp.enabled=1` switches it on"
        : "MPTCP is not available in this network namespace";
    case "EPERM":
    case "EACCES":
      return "a security policy (SELinux, seccomp, eBPF) forbids MPTCP sockets";
    default:
      return `the kernel refused an MPTCP socket: ${errnoMeaning(code)}`;
  }
}
