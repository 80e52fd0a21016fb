/**
 * What this host offers.
 *
 * @module
 */
import process from "node:process";
import { runtime, system, unsupportedReason } from "../ffi/mod.ts";
import { AF_INET, AF_INET6, IPPROTO_MPTCP, MPTCP_INFO, SOCK_CLOEXEC, SOCK_STREAM, SOL_MPTCP } from "../kernel/constants.ts";
import { EINVAL, EPROTONOSUPPORT, errnoName } from "../kernel/errno.ts";
import { decodeMptcpInfo } from "../kernel/mptcp_info.ts";
import { hasBpf, hasNetAdmin } from "./privileges.ts";
import { readText, sysctl, SYSCTLS } from "./proc.ts";
import { socketReason } from "./socket_reason.ts";

/** What `support()` tells. */
export interface Support {
  /** The runtime that this process runs on. */
  runtime: "deno" | "bun" | "node";
  /** The operating system, as `process.platform` names it. */
  platform: string;
  /** The kernel's release, such as `"6.18.44"`; `null` where it is not known. */
  kernel: string | null;
  /** Whether the kernel has MPTCP, be it switched off. */
  available: boolean;
  /** Whether this process can make an MPTCP socket now. */
  enabled: boolean;
  /** Why `enabled` is false, in words; `null` when it is true. */
  reason: string | null;
  /** Whether MPTCP sockets can be made for IPv6 as well. */
  ipv6: boolean;
  /** Who manages paths in this network namespace; `null` where the kernel does not tell. */
  pathManager: "kernel" | "userspace" | null;
  /** The packet schedulers to choose from. */
  schedulers: string[];
  /** The sysctls below `net.mptcp` that this kernel has, with their values. */
  sysctls: Record<string, number | string>;
  /**
   * The kernel path manager's limits for each connection; `null` where the kernel does not tell. They do not count under the
   * userspace path manager.
   */
  limits: {
    /** Additional subflows. */
    subflows: number;
    /** Announced addresses of the peer that are used. */
    addAddrAccepted: number;
  } | null;
  /** Whether this process may change paths: CAP_NET_ADMIN over its network namespace. */
  canManagePaths: boolean;
  /** Whether this process may tune single subflows: CAP_BPF and CAP_PERFMON in the initial user namespace. */
  canTuneSubflows: boolean;
  /** Commands that a person can run to get more, each with what it does behind a `#`. */
  advice: string[];
}

/** What a try to make an MPTCP socket gave: its limits, or an errno. */
function probe(family: number): { limits: Support["limits"] } | { errno: number } {
  const { libc } = system()!;
  const fd = libc.socket(family, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_MPTCP);
  if (fd < 0) return { errno: fd };
  const buffer = new Uint8Array(256);
  const length = libc.getsockopt(fd, SOL_MPTCP, MPTCP_INFO, buffer);
  libc.close(fd);
  if (length < 0) return { limits: null };
  const { subflowsMax, addAddrAcceptedMax } = decodeMptcpInfo(buffer, length);
  if (subflowsMax === undefined || addAddrAcceptedMax === undefined) return { limits: null };
  return { limits: { subflows: subflowsMax, addAddrAccepted: addAddrAcceptedMax } };
}

function readSysctls(): Support["sysctls"] {
  const result: Support["sysctls"] = {};
  for (const name of SYSCTLS) {
    const value = sysctl(name);
    if (value !== null) result[name] = /^\d+$/.test(value) ? Number(value) : value;
  }
  return result;
}

function pathManagerOf(sysctls: Support["sysctls"]): Support["pathManager"] {
  const name = sysctls["path_manager"];
  if (name === "kernel" || name === "userspace") return name;
  const type = sysctls["pm_type"];
  return type === 0 ? "kernel" : type === 1 ? "userspace" : null;
}

function adviceFor({ available, enabled, sysctls, limits, pathManager, canManagePaths }: Support): string[] {
  const advice: string[] = [];
  if (available && !enabled && sysctls["enabled"] === 0) {
    advice.push("sysctl -w net.mptcp.enabled=1 # switches MPTCP on");
  }
  if (pathManager === "kernel" && limits !== null) {
    if (limits.subflows === 0) advice.push("ip mptcp limits set subflows 8 # allows additional subflows");
    if (limits.addAddrAccepted === 0) {
      advice.push("ip mptcp limits set add_addr_accepted 8 # uses the addresses that peers announce");
    }
  }
  if (enabled && !canManagePaths) {
    advice.push("unshare -Urn COMMAND # a network namespace of one's own, where paths can be managed without root");
  }
  return advice;
}

/** A host about which nothing more is known than why. */
function nothing(reason: string): Support {
  return {
    runtime,
    platform: process.platform,
    kernel: null,
    available: false,
    enabled: false,
    reason,
    ipv6: false,
    pathManager: null,
    schedulers: [],
    sysctls: {},
    limits: null,
    canManagePaths: false,
    canTuneSubflows: false,
    advice: [],
  };
}

/**
 * Tells what this host and this process can do with MPTCP, and what a person can do about the rest. Synchronous, cheap (a
 * few system calls), never throws. Nothing is cached: sysctls change.
 *
 * @example Say why there is no MPTCP
 * ```ts no-assert
 * import { support } from "@mptcp/mptcp";
 *
 * const { enabled, reason, advice } = support();
 * if (!enabled) console.log(reason, advice);
 * ```
 */
export function support(): Support {
  try {
    return ask();
  } catch (error) {
    // Deno without --allow-ffi
    const message = error instanceof Error ? error.message.split("\n")[0]! : String(error);
    return {
      ...nothing(message),
      advice: runtime === "deno" ? ["deno run --allow-ffi … # lets the package call libc"] : [],
    };
  }
}

function ask(): Support {
  if (system() === null) return nothing(unsupportedReason() ?? "this host has no FFI");
  const v4 = probe(AF_INET);
  const v6 = probe(AF_INET6);
  const refused = "errno" in v4 && "errno" in v6 ? v4.errno : null;
  const sysctls = readSysctls();
  const result: Support = {
    runtime,
    platform: process.platform,
    kernel: readText("/proc/sys/kernel/osrelease")?.trim() ?? null,
    available: refused === null || (refused !== -EINVAL && refused !== -EPROTONOSUPPORT),
    enabled: refused === null,
    reason: refused === null ? null : socketReason(errnoName(refused)),
    ipv6: !("errno" in v6),
    pathManager: pathManagerOf(sysctls),
    schedulers: String(sysctls["available_schedulers"] ?? "").split(/\s+/).filter((name) => name !== ""),
    sysctls,
    limits: "limits" in v4 ? v4.limits : "limits" in v6 ? v6.limits : null,
    canManagePaths: hasNetAdmin(),
    canTuneSubflows: hasBpf(),
    advice: [],
  };
  return { ...result, advice: adviceFor(result) };
}
