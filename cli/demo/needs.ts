/**
 * What the demonstration needs of this machine, what is missing, and how to get it.
 *
 * @module
 */
import { accessSync, constants, readFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import process from "node:process";
import { listen } from "../../mod.ts";

type Family = "debian" | "fedora" | "arch" | "alpine" | "suse";

/** How a family of distributions installs packages, and what it calls those with `ip` and `tc`. */
const INSTALL: Record<Family, { command: string; ip: string; tc: string }> = {
  debian: { command: "apt-get install", ip: "iproute2", tc: "iproute2" },
  fedora: { command: "dnf install", ip: "iproute", tc: "iproute-tc" },
  arch: { command: "pacman -S", ip: "iproute2", tc: "iproute2" },
  alpine: { command: "apk add", ip: "iproute2", tc: "iproute2" },
  suse: { command: "zypper install", ip: "iproute2", tc: "iproute2" },
};

/** The programs that make the two hosts. */
const PROGRAMS = ["ip", "tc", "unshare", "nsenter"] as const;

/** Which family a distribution belongs to, by its os-release file; Debian's where it is none of the known ones. */
export function distribution(osRelease: string): Family {
  const ids = [...osRelease.matchAll(/^ID(?:_LIKE)?="?([^"\n]*)/gm)].flatMap(([, id]) => id!.split(/\s+/));
  const known: [Family, RegExp][] = [
    ["debian", /^(debian|ubuntu)$/],
    ["fedora", /^(fedora|rhel|centos)$/],
    ["arch", /^arch$/],
    ["alpine", /^alpine$/],
    ["suse", /suse/],
  ];
  return known.find(([, pattern]) => ids.some((id) => pattern.test(id)))?.[0] ?? "debian";
}

/** Programs that are in none of the folders, and the command that installs them. */
export function missingPrograms(path: string, family: Family): { programs: string[]; install: string } | null {
  const programs = PROGRAMS.filter((program) => !onPath(program, path));
  if (programs.length === 0) return null;
  const { command, ip, tc } = INSTALL[family];
  const packageOf = { ip, tc, unshare: "util-linux", nsenter: "util-linux" };
  const packages = new Set(programs.map((program) => packageOf[program]));
  return { programs, install: `sudo ${command} ${[...packages].join(" ")}` };
}

function onPath(program: string, path: string): boolean {
  return path.split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** The family of this machine's distribution. */
export function thisDistribution(): Family {
  return distribution(fileText("/etc/os-release"));
}

function fileText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

/** What may be done when the kernel would not make namespaces, by what forbids it. */
export function namespaceAdvice(): string {
  const root = "as root it works: sudo npm start";
  if (process.getuid?.() === 0) {
    return "this container may not make network namespaces (it needs CAP_SYS_ADMIN and CAP_NET_ADMIN)";
  }
  const forbidden: [string, string][] = [
    ["kernel/apparmor_restrict_unprivileged_userns", "1"],
    ["kernel/unprivileged_userns_clone", "0"],
    ["user/max_user_namespaces", "0"],
  ];
  for (const [name, value] of forbidden) {
    if (fileText(`/proc/sys/${name}`).trim() === value) return `${name.replace("/", ".")} = ${value} forbids them; ${root}`;
  }
  return root;
}

/** Why this machine has no MPTCP for us; `null` when it has. */
export function missingMptcp(): { code: string; message: string; advice: string } | null {
  using listener = listen({ hostname: "127.0.0.1", port: 0, mptcp: "prefer" });
  const refused = listener.fallback();
  if (refused === null) return null;
  return { code: refused.code, message: refused.message, advice: mptcpAdvice(refused.code) };
}

/** How to get MPTCP, by the reason why it is not there. */
export function mptcpAdvice(code: string): string {
  switch (code) {
    case "ENOPROTOOPT":
      return "switch it on: sudo sysctl -w net.mptcp.enabled=1";
    case "EINVAL":
    case "EPROTONOSUPPORT":
      return "use a kernel with it (CONFIG_MPTCP=y, Linux 5.6 or later): Debian 12, Ubuntu 22.04, Fedora, RHEL 9 and Arch have it";
    case "EPERM":
    case "EACCES":
      return "allow IPPROTO_MPTCP (262) sockets in the container's seccomp profile or the security module's policy";
    default:
      return "use Linux 5.6 or later with CONFIG_MPTCP=y, and Deno, Bun, or Node 26 or later";
  }
}

/** Cubic, where it may be used: it fills such paths to the brim, where others (bbr) pace themselves below. */
export function congestionControl(privileged: boolean): "cubic" | undefined {
  const list = privileged ? "available" : "allowed";
  const names = fileText(`/proc/sys/net/ipv4/tcp_${list}_congestion_control`).trim().split(/\s+/);
  return names.includes("cubic") ? "cubic" : undefined;
}

/**
 * A send buffer that is filled by what two such paths hold at a round trip of 30 ms, and not by much more: of a path that
 * dies the kernel sends everything again over the other, but only when that one has nothing new to send.
 *
 * @param limit Bytes per second of one path.
 * @returns Bytes, or `undefined` where the host would not give so much.
 */
export function sendBuffer(limit: number): number | undefined {
  const wanted = Math.max(65_536, Math.ceil(limit * 0.034));
  return wanted <= Number(fileText("/proc/sys/net/core/wmem_max")) ? wanted : undefined;
}
