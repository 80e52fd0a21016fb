/**
 * Changing the subflows of one connection.
 *
 * @module
 */
import { setImmediate } from "node:timers";
import { checkInteger } from "../kernel/argument_checks.ts";
import { MptcpError } from "../kernel/error.ts";
import { encodeDestroyTcp } from "../kernel/inet_diag.ts";
import { commandAddress } from "../kernel/mptcp_pm_address.ts";
import type { SubflowEnd } from "../kernel/mptcp_pm.ts";
import { NETLINK_SOCK_DIAG } from "../kernel/netlink.ts";
import type { Addr } from "../kernel/sockaddr.ts";
import { mptcpInfo, type Subflow, subflows } from "./connection.ts";
import { NetlinkSocket } from "./netlink_socket.ts";
import { PathManager } from "./path_manager.ts";
import { findSubflow } from "./sockets.ts";

/** A live subflow of a connection, by its id. */
export function subflowOf(fd: number, id: number, what: string): { token: number; subflow: Subflow } {
  checkInteger("the subflow's id", id, 0, 2 ** 32 - 1);
  const token = mptcpInfo(fd)?.token;
  if (token === undefined) {
    throw new MptcpError("EOPNOTSUPP", `Cannot ${what}: the connection is plain TCP and has no subflows`, { syscall: what });
  }
  const all = subflows(fd);
  const subflow = all.find((each) => each.id === id);
  if (subflow !== undefined) return { token, subflow };
  throw new MptcpError("EINVAL", `Cannot ${what}: no live subflow has id ${id}`, {
    syscall: what,
    hint: `the ids are ${all.map((each) => each.id).join(", ")}`,
  });
}

/** Whether the kernel said that a connection's paths are its own path manager's business. */
export function isKernelManaged(error: unknown): boolean {
  return error instanceof MptcpError && error.code === "EINVAL" &&
    (error.detail ?? "").includes("userspace PM not selected");
}

/** How commands name the ends of a subflow: in the family of its own socket. */
function endsOf({ local, remote }: Subflow, family: 4 | 6): { local: SubflowEnd; remote: SubflowEnd } {
  const end = ({ hostname, port }: Addr) => ({ address: commandAddress(hostname.replace(/%.*/, ""), family), port });
  return { local: end(local), remote: end(remote) };
}

/** How long a path may take for its FIN, ms; a dead one takes longer, and is not waited for. */
const GONE_PATIENCE = 1000;

/** Waits until a subflow is gone from the connection: its FIN takes a round trip. No event tells. */
export async function subflowGone(fd: () => number, id: number): Promise<void> {
  const deadline = performance.now() + GONE_PATIENCE;
  const isThere = () => fd() >= 0 && subflows(fd()).some((each) => each.id === id);
  for (let pause = 0; isThere() && performance.now() < deadline; pause = Math.min(pause + 1, 20)) {
    await new Promise<void>((resolve) => pause === 0 ? setImmediate(resolve) : setTimeout(resolve, pause));
  }
}

/** What to do without the privilege. */
export const PRIVILEGE = "run as root, or in a namespace of one's own: `unshare -Urn …`";

/**
 * Closes one subflow; the connection goes on over the others.
 *
 * Under the userspace path manager by its own command. Under the kernel's by SOCK_DESTROY, with the cookie and interface
 * that were found just before: with a wildcard the kernel might end another socket, even a listener.
 */
export function closeSubflow(fd: number, id: number): void {
  const what = "close the subflow";
  const { token, subflow } = subflowOf(fd, id, what);
  const found = findSubflow(subflow.local, subflow.remote);
  if (found === null || found.subflow.tokenLocal !== token) {
    throw new MptcpError("ESRCH", `Cannot ${what}: the kernel does not tell which socket it is`, {
      syscall: what,
      hint: "up to Linux 6.12 that needs CAP_NET_ADMIN",
    });
  }
  try {
    using paths = PathManager.open();
    return paths.destroySubflow({ token, ...endsOf(subflow, found.family) });
  } catch (error) {
    if (!isKernelManaged(error)) throw error;
  }
  using socket = new NetlinkSocket(NETLINK_SOCK_DIAG);
  socket.request(encodeDestroyTcp(found), what, { hint: PRIVILEGE });
}

/**
 * Changes the priority of one subflow, by MP_PRIO. Only under the userspace path manager: the kernel's changes that of an
 * endpoint, so of all connections.
 *
 * @returns The subflow, as it was.
 */
export function setSubflowBackup(fd: number, id: number, backup: boolean): Subflow {
  const what = "change the subflow's priority";
  if (typeof backup !== "boolean") throw new TypeError(`Cannot ${what}: backup must be a boolean`);
  const { token, subflow } = subflowOf(fd, id, what);
  const family = findSubflow(subflow.local, subflow.remote)?.family ?? (subflow.local.hostname.includes(":") ? 6 : 4);
  try {
    using paths = PathManager.open();
    paths.setBackup({ token, ...endsOf(subflow, family), backup });
    return subflow;
  } catch (error) {
    if (!isKernelManaged(error)) throw error;
    throw new MptcpError("EOPNOTSUPP", `Cannot ${what}: the kernel's path manager manages this connection`, {
      syscall: what,
      hint: "PathManager.setEndpointFlags changes the priority of an endpoint, for all connections; " +
        "connections made under net.mptcp.path_manager=userspace can change one subflow's",
      cause: error,
    });
  }
}
