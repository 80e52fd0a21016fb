/**
 * What changes of the host's links, addresses and routes, told to whoever wants to know by one socket for all of the process.
 * It is open while somebody listens, and never keeps the process alive.
 *
 * @module
 */
import { clearTimeout, setTimeout } from "node:timers";
import { system, type Watcher } from "../ffi/mod.ts";
import { SOCK_NONBLOCK } from "../kernel/constants.ts";
import { EAGAIN, EINTR } from "../kernel/errno.ts";
import { check, MptcpError } from "../kernel/error.ts";
import {
  encodeSockaddrNl,
  NETLINK_ADD_MEMBERSHIP,
  NETLINK_NO_ENOBUFS,
  NETLINK_ROUTE,
  SOL_NETLINK,
} from "../kernel/netlink.ts";
import {
  RTNLGRP_IPV4_IFADDR,
  RTNLGRP_IPV4_ROUTE,
  RTNLGRP_IPV6_IFADDR,
  RTNLGRP_IPV6_ROUTE,
  RTNLGRP_LINK,
} from "../kernel/rtnetlink.ts";
import { openNetlink } from "./netlink_socket.ts";

const GROUPS = [RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE];

/**
 * Changes come in bursts: the first is told at once, what follows it within so many ms together. A route may be there only
 * after the notification of its address, so this second look is made in any case.
 */
const BURST = 20;

const listeners = new Set<() => void>();
let watching: HostWatch | null = null;

class HostWatch {
  readonly #fd: number;
  readonly #watcher: Watcher;
  readonly #datagram = new Uint8Array(1 << 15);
  #timer: ReturnType<typeof setTimeout> | null = null;
  #closed = false;

  constructor() {
    const fd = openNetlink(NETLINK_ROUTE, SOCK_NONBLOCK);
    const { libc, loop } = system()!;
    try {
      check(libc.bind(fd, encodeSockaddrNl()), "bind");
      // Without it an overflow is an error, at which the runtimes close the socket. What was lost does not matter: each
      // message only says that one should look.
      check(libc.setInt(fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, 1), "setsockopt");
      for (const group of GROUPS) check(libc.setInt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group), "setsockopt");
    } catch (error) {
      libc.close(fd);
      throw error;
    }
    this.#fd = fd;
    this.#watcher = loop.watch(fd, {
      readable: () => this.#readable(),
      closed: () => {
        this.#closed = true;
        if (watching === this) watching = null;
      },
    });
    this.#watcher.setRef(false);
    this.#watcher.awaitReadable();
  }

  close(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    if (this.#closed) return;
    this.#closed = true;
    this.#watcher.close();
  }

  #readable(): void {
    if (this.#closed) return;
    const { libc } = system()!;
    for (;;) {
      const count = libc.recv(this.#fd, this.#datagram);
      if (count === -EINTR) continue;
      if (count < 0 && count !== -EAGAIN) return this.close();
      if (count <= 0) break;
    }
    this.#watcher.awaitReadable();
    if (this.#timer !== null) return;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      tell();
    }, BURST);
    this.#timer.unref();
    tell();
  }
}

function tell(): void {
  for (const listener of [...listeners]) if (listeners.has(listener)) listener();
}

/**
 * Calls a function from the event loop whenever a link, an address or a route of the host has changed; what it is now, is to
 * be asked.
 *
 * @returns What ends it; a second call does nothing.
 * @throws {MptcpError} Where the kernel cannot be asked.
 */
export function watchHost(changed: () => void): () => void {
  if (system() === null) throw new MptcpError("EOPNOTSUPP", "Cannot watch the host's addresses: no FFI or no Linux");
  watching ??= new HostWatch();
  const listener = () => changed(); // one function may listen twice
  listeners.add(listener);
  return () => {
    if (!listeners.delete(listener) || listeners.size > 0) return;
    watching?.close();
    watching = null;
  };
}
