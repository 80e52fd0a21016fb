/**
 * What a test needs of the host, asked before it runs: `it(name, { skip: labNeeds("nft") }, …)`.
 *
 * @module
 */
import { spawnSync } from "node:child_process";
import { accessSync, constants, existsSync } from "node:fs";
import process from "node:process";

/** Commands, and the Debian packages that have them. */
const PACKAGES = {
  ip: "iproute2",
  tc: "iproute2",
  ss: "iproute2",
  nstat: "iproute2",
  nft: "nftables",
  unshare: "util-linux",
  nsenter: "util-linux",
  mount: "mount",
  python3: "python3",
  gcc: "gcc",
  mptcpize: "mptcpize",
  curl: "curl",
} as const;

/** A command that a test may need. */
export type Tool = keyof typeof PACKAGES;

function installed(tool: Tool): boolean {
  const folders = `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin:/usr/bin:/bin`.split(":");
  return folders.some((folder) => {
    try {
      accessSync(`${folder}/${tool}`, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** How network namespaces can be made here. */
export type Privilege = "root" | "rootless" | "none";

let privilege: Privilege | undefined;

/** Tries it, as a container's root may be as powerless as anyone. */
function unshares(flags: string): boolean {
  return spawnSync("unshare", [flags, "true"], { stdio: "ignore" }).status === 0;
}

/** How the network namespaces of a lab are made here. */
export function namespacePrivilege(): Privilege {
  return privilege ??= unshares("-n") ? "root" : unshares("-Urn") ? "rootless" : "none";
}

/** Why a lab without root cannot be made here, if it cannot. */
export function rootlessNeeds(): string | false {
  return unshares("-Urn") ? false : "no user namespaces";
}

/**
 * Why a lab cannot be made here, or one with these commands in it.
 *
 * @returns The reason for node:test's `skip` option; `false` when nothing is missing.
 */
export function labNeeds(...tools: Tool[]): string | false {
  if (process.platform !== "linux") return "network namespaces need Linux";
  if (!existsSync("/proc/sys/net/mptcp/enabled")) return "this kernel has no MPTCP";
  const missing = (["ip", "unshare", "nsenter", ...tools] as const).filter((tool) => !installed(tool));
  if (missing.length > 0) {
    const packages = new Set(missing.map((tool) => PACKAGES[tool]));
    return `${missing.join(", ")} not found: apt-get install ${[...packages].join(" ")}`;
  }
  return namespacePrivilege() === "none" ? "no root and no user namespaces" : false;
}
