/**
 * Which path manager new connections get. The kernel decides that by a sysctl in the moment that a socket is made (a
 * client's by socket(2), a server's when the client's connection arrives), and never changes it.
 *
 * So a connection of its own kind takes a moment in which the sysctl says something else. Of all programs that use this
 * package only one at a time can be in such a moment: they take turns by a lock on the network namespace. Sockets that
 * other programs make in it get the other path manager too.
 *
 * @module
 */
import process from "node:process";
import { system } from "../ffi/mod.ts";
import { SOCK_CLOEXEC } from "../kernel/constants.ts";
import { EAGAIN, EINTR } from "../kernel/errno.ts";
import { check, MptcpError, systemError } from "../kernel/error.ts";
import { sysctl } from "./proc.ts";

/** Who manages a connection's paths: the kernel by its endpoints and limits, or a program by commands. */
export type PathManagerMode = "kernel" | "userspace";

const O_WRONLY = 1;
const LOCK_EX = 2;
const LOCK_NB = 4;
/** A lock is held for some 50 µs; who holds it for a second is no program of ours. */
const LOCK_PATIENCE = 1000;
/** The lock is on this file's inode, which is the namespace itself. */
const NAMESPACE = "/proc/self/ns/net";

/** Who manages the paths of connections that begin now; `null` on a kernel where that is no question. */
export function pathManagerMode(): PathManagerMode | null {
  const name = sysctl("path_manager"); // Linux 6.15
  if (name !== null) return name === "userspace" ? "userspace" : "kernel";
  const type = sysctl("pm_type"); // Linux 5.19
  return type === null ? null : type === "1" ? "userspace" : "kernel";
}

function setPathManagerMode(mode: PathManagerMode): void {
  const named = sysctl("path_manager") !== null;
  const [path, value] = named
    ? ["/proc/sys/net/mptcp/path_manager", mode]
    : ["/proc/sys/net/mptcp/pm_type", mode === "userspace" ? "1" : "0"];
  const { libc } = system()!;
  const what = `choose the ${mode} path manager`;
  const fd = libc.open(path, O_WRONLY | SOCK_CLOEXEC);
  const written = fd < 0 ? fd : libc.write(fd, new TextEncoder().encode(value));
  if (fd >= 0) libc.close(fd);
  if (written >= 0) return;
  throw systemError(written, what, {
    address: path,
    detail: "the sysctl that says so can be written only with CAP_NET_ADMIN over this network namespace",
    hint: `\`sudo sysctl -w net.mptcp.${named ? "path_manager" : "pm_type"}=${value}\` sets it for everybody; ` +
      "in a namespace of one's own (`unshare -Urn …`) anyone may",
  });
}

/** Runs `work` while no other process of the namespace is in here. */
function locked<T>(work: () => T): T {
  const { libc } = system()!;
  const fd = check(libc.open(NAMESPACE, SOCK_CLOEXEC), "open", { address: NAMESPACE });
  try {
    for (let left = LOCK_PATIENCE;; left--) {
      const result = libc.flock(fd, LOCK_EX | LOCK_NB);
      if (result >= 0) break;
      if (left === 0 || (result !== -EAGAIN && result !== -EINTR)) check(result, "flock", { address: NAMESPACE });
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
    return work();
  } finally {
    libc.close(fd); // which unlocks
  }
}

/** What the host said before a hold of ours, while there is one. */
let held: { before: PathManagerMode; mode: PathManagerMode; count: number } | null = null;

/** Who manages a connection that asked for nothing: as the host says, apart from our own holds. */
export function defaultMode(): PathManagerMode | null {
  return held?.before ?? pathManagerMode();
}

/**
 * Makes a socket, so that its paths are managed as wanted.
 *
 * @param mode What is wanted; `undefined`: what the host says.
 * @throws {MptcpError} `EPERM` or `EACCES` where the host says something else and the process may not change that;
 * `EOPNOTSUPP` when the kernel knows no userspace path manager.
 */
export function makeUnder<T>(mode: PathManagerMode | undefined, make: () => T): T {
  const wanted = mode ?? held?.before;
  if (wanted === undefined) return make();
  const now = pathManagerMode();
  if (now === null) {
    if (wanted === "kernel") return make();
    throw noUserspace();
  }
  // Also where nothing has to be changed: somebody else may be in the moment of changing it.
  return locked(() => {
    const before = pathManagerMode()!;
    if (before === wanted) return make();
    setPathManagerMode(wanted);
    try {
      return make();
    } finally {
      setPathManagerMode(before);
    }
  });
}

function noUserspace(): MptcpError {
  return new MptcpError("EOPNOTSUPP", "Cannot choose the userspace path manager: this kernel has none", {
    syscall: "open",
    hint: "it came with Linux 5.19",
  });
}

/**
 * Keeps a mode for connections that arrive, until the returned function is called. As they can arrive at any time, the
 * host's sysctl stays changed for as long: for all programs of the namespace. Nothing changes where it says so already.
 */
export function holdMode(mode: PathManagerMode): () => void {
  const now = pathManagerMode();
  if (now === null && mode === "userspace") throw noUserspace();
  if (held === null && (now === null || now === mode)) return () => {};
  if (held !== null && held.mode !== mode) {
    throw new MptcpError("EBUSY", `Cannot keep the ${mode} path manager: another listener keeps the ${held.mode} one`, {
      syscall: "open",
      hint: "the sysctl is one for the whole network namespace: listen in another, or with the same paths",
    });
  }
  if (held === null) {
    locked(() => setPathManagerMode(mode));
    held = { before: now!, mode, count: 0 };
  }
  const hold = held;
  hold.count++;
  let over = false;
  const release = () => {
    process.off("exit", release);
    if (over) return;
    over = true;
    if (--hold.count > 0) return;
    held = null;
    locked(() => {
      // Somebody else may have changed it meanwhile: then it is theirs.
      if (pathManagerMode() === mode) setPathManagerMode(hold.before);
    });
  };
  process.once("exit", release);
  return release;
}
