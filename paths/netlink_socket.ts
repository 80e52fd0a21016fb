/**
 * A netlink socket for requests. The kernel answers while the request is sent, and makes the next part of a dump while the
 * last is received: so nothing here has to wait.
 *
 * @module
 */
import { system } from "../ffi/mod.ts";
import { SOCK_CLOEXEC } from "../kernel/constants.ts";
import { EAGAIN, EINTR } from "../kernel/errno.ts";
import { check, MptcpError, type MptcpErrorOptions } from "../kernel/error.ts";
import {
  ackError,
  AF_NETLINK,
  NETLINK_CAP_ACK,
  NETLINK_EXT_ACK,
  Reply,
  setSequence,
  SOL_NETLINK,
} from "../kernel/netlink.ts";

const SOCK_RAW = 3;
/** One for all, as a request is answered before the next is made. The kernel makes no larger part of a dump than 32 KiB. */
const datagram = new Uint8Array(1 << 16);
/** How often a dump is begun anew when the kernel's list changed meanwhile. */
const DUMP_TRIES = 5;

/** Opens a netlink socket of a protocol. */
export function openNetlink(protocol: number, flags = 0): number {
  const host = system();
  if (host === null) throw new MptcpError("EOPNOTSUPP", "Cannot open a netlink socket: this host has no FFI or no Linux");
  const fd = check(host.libc.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | flags, protocol), "socket");
  // The kernel's words for an error, without the request repeated. Kernels before 4.12 have neither, and need neither.
  host.libc.setInt(fd, SOL_NETLINK, NETLINK_EXT_ACK, 1);
  host.libc.setInt(fd, SOL_NETLINK, NETLINK_CAP_ACK, 1);
  return fd;
}

/** See the module's comment. */
export class NetlinkSocket implements Disposable {
  #fd: number;
  #sequence = 0;

  /** @param protocol `NETLINK_GENERIC`, `NETLINK_SOCK_DIAG` … */
  constructor(protocol: number) {
    this.#fd = openNetlink(protocol);
  }

  /**
   * Sends a request and gives the whole answer.
   *
   * @param what The operation's name, for errors.
   * @throws {MptcpError} With the kernel's words, when it refuses.
   */
  request(message: Uint8Array, what: string, options: MptcpErrorOptions = {}): Reply {
    for (let left = DUMP_TRIES;; left--) {
      const reply = this.#once(message, what, options);
      if (!reply.interrupted || left === 1) return reply;
    }
  }

  #once(message: Uint8Array, what: string, options: MptcpErrorOptions): Reply {
    if (this.#fd < 0) throw new MptcpError("EBADF", `Cannot ${what}: it is closed`, { syscall: what });
    const { libc } = system()!;
    setSequence(message, ++this.#sequence);
    check(libc.send(this.#fd, message), "send");
    const reply = new Reply(message);
    while (!reply.done) {
      const count = libc.recv(this.#fd, datagram);
      if (count === -EINTR) continue;
      if (count === -EAGAIN) throw new MptcpError("EAGAIN", `Cannot ${what}: the kernel did not answer`, { syscall: what });
      reply.add(datagram.slice(0, check(count, "recv")));
    }
    if (reply.ack.errno !== 0) throw ackError(reply.ack, what, options);
    return reply;
  }

  /** Closes the socket; a second call does nothing. */
  close(): void {
    const fd = this.#fd;
    this.#fd = -1;
    if (fd >= 0) system()!.libc.close(fd);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
