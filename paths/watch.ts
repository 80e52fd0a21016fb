/**
 * The events of MPTCP, of all connections of the network namespace.
 *
 * @module
 */
import { system, type Watcher } from "../ffi/mod.ts";
import { SO_MEMINFO, SO_RCVBUF, SO_RCVBUFFORCE, SOCK_NONBLOCK, SOL_SOCKET } from "../kernel/constants.ts";
import { EAGAIN, EINTR } from "../kernel/errno.ts";
import { check, MptcpError } from "../kernel/error.ts";
import { decodeEvent, type PathEvent } from "../kernel/mptcp_event.ts";
import { MPTCP_PM_EV_GRP_NAME } from "../kernel/mptcp_pm.ts";
import {
  decodeMessages,
  encodeSockaddrNl,
  NETLINK_ADD_MEMBERSHIP,
  NETLINK_GENERIC,
  NETLINK_NO_ENOBUFS,
  SOL_NETLINK,
} from "../kernel/netlink.ts";
import { HOST_LITTLE_ENDIAN, viewOf } from "../kernel/struct.ts";
import { NetlinkSocket, openNetlink } from "./netlink_socket.ts";
import { mptcpPmFamily } from "./path_manager.ts";
import { Queue } from "./queue.ts";

/** Events were lost, as they came faster than they were read: what is known by them is to be asked for anew. */
export interface OverflowEvent {
  /** Tells the kinds of events apart. */
  type: "overflow";
  /** How many datagrams the kernel dropped. */
  lost: number;
}

/** Options of `watch`. */
export interface WatchOptions {
  /** Ends the watching: the iteration then ends too. */
  signal?: AbortSignal;
}

/** Room for some ten thousand events, if the process may; else what the kernel allows. */
const RECEIVE_BUFFER = 4 << 20;
/** `SK_MEMINFO_DROPS`, the index of the count of dropped datagrams. */
const SK_MEMINFO_DROPS = 8;

/** Joins the group of events. It is a socket of its own: replies would come between the events. */
function openEvents(): number {
  using socket = new NetlinkSocket(NETLINK_GENERIC);
  const group = mptcpPmFamily(socket).groups.get(MPTCP_PM_EV_GRP_NAME);
  if (group === undefined) {
    throw new MptcpError("EOPNOTSUPP", "Cannot watch: this kernel has no MPTCP events, it needs Linux 5.12 or later");
  }
  const { libc } = system()!;
  const fd = openNetlink(NETLINK_GENERIC, SOCK_NONBLOCK);
  try {
    // A socket without an address of its own counts as the kernel's, and gets nothing.
    check(libc.bind(fd, encodeSockaddrNl()), "bind");
    // Without it an overflow is an error, at which the runtimes close the socket.
    check(libc.setInt(fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, 1), "setsockopt");
    if (libc.setInt(fd, SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER) < 0) {
      libc.setInt(fd, SOL_SOCKET, SO_RCVBUF, RECEIVE_BUFFER);
    }
    const joined = libc.setInt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group);
    check(joined, "setsockopt", {
      detail: "CAP_NET_ADMIN is needed over this network namespace to watch its MPTCP events",
      hint: "run as root, or in a namespace of one's own: `unshare -Urn …`",
    });
    return fd;
  } catch (error) {
    libc.close(fd);
    throw error;
  }
}

/** How many datagrams the kernel has dropped of a socket. */
function drops(fd: number): number {
  const words = new Uint8Array(64);
  const length = system()!.libc.getsockopt(fd, SOL_SOCKET, SO_MEMINFO, words);
  return length < 4 * (SK_MEMINFO_DROPS + 1) ? 0 : viewOf(words).getUint32(4 * SK_MEMINFO_DROPS, HOST_LITTLE_ENDIAN);
}

/**
 * Watches all MPTCP events of this network namespace: connections, subflows, addresses, priorities, listeners. Watching has
 * begun when it returns. Needs CAP_NET_ADMIN over the namespace.
 *
 * Events that nobody has asked for yet wait; a process that only waits for events goes on. When more come than fit, an event
 * of type `"overflow"` tells how many were lost.
 *
 * @throws {MptcpError} `EPERM` without the privilege, with a hint.
 *
 * @example Print them, as `ip mptcp monitor` does
 * ```ts ignore
 * import { watch } from "@mptcp/mptcp";
 *
 * for await (const event of watch()) console.log(event.type, "token" in event ? event.token : "");
 * ```
 */
export function watch(options: WatchOptions = {}): AsyncIterableIterator<PathEvent | OverflowEvent> {
  const { signal } = options;
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw new TypeError("Cannot watch: signal must be an AbortSignal");
  }
  const fd = openEvents();
  const { libc, loop } = system()!;
  const datagram = new Uint8Array(1 << 16);
  let dropped = 0;

  const take = (bytes: Uint8Array) => {
    for (const message of decodeMessages(bytes)) queue.push(decodeEvent(message));
  };
  const readable = (bytes: Uint8Array) => {
    try {
      if (bytes.length > 0) take(bytes);
      for (;;) {
        const count = libc.recv(fd, datagram);
        if (count === -EINTR) continue;
        if (count === -EAGAIN) break;
        // A copy: an event of an unknown type keeps its bytes.
        take(datagram.slice(0, check(count, "recv")));
      }
      const lost = drops(fd) - dropped;
      if (lost > 0) {
        dropped += lost;
        queue.push({ type: "overflow", lost });
      }
      watcher.awaitReadable();
    } catch (error) {
      queue.close(error);
    }
  };
  const stop = () => queue.close();
  const queue = new Queue<PathEvent | OverflowEvent>(
    () => {
      signal?.removeEventListener("abort", stop);
      watcher.close();
    },
    (waiting) => watcher.setRef(waiting),
  );
  const watcher: Watcher = loop.watch(fd, { readable, closed: (error) => queue.close(error ?? undefined) });
  watcher.setRef(false);
  watcher.awaitReadable();
  if (signal?.aborted) stop();
  else signal?.addEventListener("abort", stop, { once: true });
  return queue;
}
