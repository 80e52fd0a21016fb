/**
 * The socket on which the kernel tells the MPTCP events of the network namespace.
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

/** Who is told of events, from the event loop. */
export interface EventOwner {
  event(event: PathEvent): void;
  /** The kernel dropped datagrams, as they came faster than they were read: so many of them. */
  lost(count: number): void;
  /** There will be no more. */
  failed(error: unknown): void;
}

/** Room for some ten thousand events, if the process may; else what the kernel allows. */
const RECEIVE_BUFFER = 4 << 20;
/** `SK_MEMINFO_DROPS`, the index of the count of dropped datagrams. */
const SK_MEMINFO_DROPS = 8;

/** Joins the group of events. It is a socket of its own: replies would come between the events. */
function join(): number {
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

/** See the module's comment. It does not keep the process alive, unless told to. */
export class EventSource {
  readonly #owner: EventOwner;
  readonly #fd: number;
  readonly #watcher: Watcher;
  readonly #datagram = new Uint8Array(1 << 16);
  #dropped = 0;
  #closed = false;

  /**
   * Joins the events; from now on none is missed.
   *
   * @throws {MptcpError} `EPERM` without CAP_NET_ADMIN, `EOPNOTSUPP` when the kernel has no events.
   */
  constructor(owner: EventOwner) {
    this.#owner = owner;
    this.#fd = join();
    this.#watcher = system()!.loop.watch(this.#fd, {
      readable: (bytes) => this.#readable(bytes),
      closed: (error) => {
        this.#closed = true;
        owner.failed(error ?? new MptcpError("EBADF", "Cannot watch: the socket was closed"));
      },
    });
    this.#watcher.setRef(false);
    this.#watcher.awaitReadable();
  }

  /** Whether waiting for events keeps the process alive. */
  setRef(ref: boolean): void {
    if (!this.#closed) this.#watcher.setRef(ref);
  }

  /** Tells what has happened already, without waiting for the event loop. */
  drain(): void {
    if (!this.#closed) this.#receive();
  }

  /** Leaves the events; a second call does nothing. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#watcher.close();
  }

  #readable(bytes: Uint8Array): void {
    if (this.#closed) return;
    this.#receive(bytes);
    if (!this.#closed) this.#watcher.awaitReadable();
  }

  /** @param bytes A datagram that was read before. */
  #receive(bytes?: Uint8Array): void {
    const { libc } = system()!;
    try {
      if (bytes?.length) this.#take(bytes);
      while (!this.#closed) {
        const count = libc.recv(this.#fd, this.#datagram);
        if (count === -EINTR) continue;
        if (count === -EAGAIN) break;
        // A copy: an event of an unknown type keeps its bytes.
        this.#take(this.#datagram.slice(0, check(count, "recv")));
      }
      if (this.#closed) return;
      const lost = drops(this.#fd) - this.#dropped;
      this.#dropped += lost;
      if (lost > 0) this.#owner.lost(lost);
    } catch (error) {
      this.close();
      this.#owner.failed(error);
    }
  }

  #take(bytes: Uint8Array): void {
    for (const message of decodeMessages(bytes)) this.#owner.event(decodeEvent(message));
  }
}
