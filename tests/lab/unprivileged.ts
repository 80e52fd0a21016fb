/**
 * A host as a process without privileges sees it.
 *
 * @module
 */
import type { Host } from "../host.ts";

/**
 * For `Agent.start`: what it spawns has no capability at all, and cannot get one. (It keeps its user, as another might not
 * be able to read these files, and a rootless namespace has only one; the kernel asks for capabilities alone.)
 */
export function unprivileged(host: Host): Host {
  return without(host, "all");
}

/** For `Agent.start`: what it spawns lacks one capability, such as `net_bind_service`. */
export function without(host: Host, capability: string): Host {
  const drop = [`--bounding-set=-${capability}`, `--inh-caps=-${capability}`];
  const spawn: Host["spawn"] = (command, args = [], env) => host.spawn("setpriv", [...drop, command, ...args], env);
  return { spawn } as unknown as Host;
}

/** For `Agent.start`: what it spawns cannot write sysctls, as in a container. */
export function withReadOnlySysctls(host: Host): Host {
  const mount = 'mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys && exec "$@"';
  const spawn: Host["spawn"] = (command, args = [], env) =>
    host.spawn("unshare", ["-m", "sh", "-c", mount, "sh", command, ...args], env);
  return { spawn } as unknown as Host;
}
