/**
 * The sockets that the runtime's HTTP server has accepted, which it shows to nobody, found among the descriptors of the process
 * by their addresses. So whether a request's connection is multipath is asked of the connection itself.
 *
 * @module
 */
import type { HttpHostClients } from "../../ffi/mod.ts";
import { IPPROTO_TCP, SHUT_RDWR, TCP_CLOSE, TCP_INFO } from "../../kernel/constants.ts";
import { type Addr, decodeSockaddr, SOCKADDR_STORAGE_SIZE } from "../../kernel/sockaddr.ts";
import { isMptcp, type Subflow, subflows } from "../../paths/connection.ts";
import { descriptorSlots, type Means } from "../../net/takeover.ts";

/** An address without what only this host knows of it. */
const withoutZone = (hostname: string): string => hostname.replace(/%.*/, "");

/** `::ffff:a.b.c.d`, as some runtimes write the IPv4 clients of an IPv6 listener. */
const MAPPED = /^::ffff:(?=\d+\.\d+\.\d+\.\d+$)/i;

/** An address of the runtime, written as all addresses here are. */
export function plainAddr({ transport, hostname, port }: Addr): Addr {
  return { transport, hostname: hostname.replace(MAPPED, ""), port };
}

/** What the search of all descriptors may cost: one part in so many of the time. Longest pause between two, ms. */
const SHARE = 100;
const LONGEST_PAUSE = 1000;

const keyOf = ({ hostname, port }: Addr): string => `${withoutZone(hostname)} ${port}`;

/** See the module's comment. */
export class AcceptedSockets implements HttpHostClients {
  readonly #means: Means;
  readonly #local: Addr;
  /**
   * Whether clients may come to several of this host's addresses. Only then can two connections have one client's address and
   * port; else they name one TCP connection or initial subflow at a time.
   */
  readonly #several: boolean;
  readonly #name = new Uint8Array(SOCKADDR_STORAGE_SIZE);
  /** Descriptors by the client's address. */
  readonly #known = new Map<string, number[]>();
  /** When all descriptors are to be looked at again, for clients that have got a second connection. */
  #due = 0;

  /** @param local What the server listens on. */
  constructor(means: Means, local: Addr) {
    this.#means = means;
    this.#local = local;
    this.#several = local.hostname === "0.0.0.0" || local.hostname === "::";
  }

  /**
   * Whether the connection of a client speaks MPTCP now. A client may use one address and port for several of this host's
   * addresses at once; which of those a request came over is not known, and the answer is `true` only if it is for all.
   */
  isMultipath(remote: Addr): boolean {
    const found = this.#find(remote);
    return found.length > 0 && found.every(isMptcp);
  }

  /** Whether any client is connected. */
  get any(): boolean {
    return !this.#accepted().next().done;
  }

  /** Ends all connections; the runtime notices, and closes their descriptors. */
  cut(): void {
    for (const [fd] of this.#accepted()) this.#means.libc.shutdown(fd, SHUT_RDWR);
  }

  /** The subflows of the connection of a client. */
  subflows(remote: Addr): Subflow[] {
    const found = this.#find(remote);
    return found.length === 1 ? subflows(found[0]!) : [];
  }

  #find(remote: Addr): readonly number[] {
    if (this.#several && performance.now() >= this.#due) this.#lookAtAll();
    const key = keyOf(remote);
    const known = this.#known.get(key);
    if (known?.every((fd) => this.#isFrom(fd, remote) && this.#hasInitialSubflow(fd))) return known;
    const slots = descriptorSlots(this.#means.readText);
    const found: number[] = [];
    for (let fd = 0; fd < slots; fd++) if (this.#isFrom(fd, remote)) found.push(fd);
    if (this.#known.size >= 2 * slots) this.#known.clear(); // of clients that are gone
    if (found.length > 0) this.#known.set(key, found);
    else this.#known.delete(key);
    return found;
  }

  #lookAtAll(): void {
    const begun = performance.now();
    this.#known.clear();
    for (const [fd, remote] of this.#accepted()) {
      const key = keyOf(remote);
      const others = this.#known.get(key);
      if (others) others.push(fd);
      else this.#known.set(key, [fd]);
    }
    const now = performance.now();
    this.#due = now + Math.min((now - begun) * SHARE, LONGEST_PAUSE);
  }

  /** The descriptors of all clients. */
  *#accepted(): IterableIterator<[fd: number, remote: Addr]> {
    const slots = descriptorSlots(this.#means.readText);
    for (let fd = 0; fd < slots; fd++) {
      const remote = this.#isOurs(fd) ? this.#addressOf(fd, "getpeername") : null;
      if (remote !== null) yield [fd, remote];
    }
  }

  /** An MPTCP connection outlives its initial subflow, by others or for a moment; the client's port is free meanwhile. */
  #hasInitialSubflow(fd: number): boolean {
    // The first byte is the state, of the initial subflow for MPTCP.
    const info = this.#means.libc.getInt(fd, IPPROTO_TCP, TCP_INFO);
    return info >= 0 && (info & 0xff) !== TCP_CLOSE;
  }

  #isFrom(fd: number, { hostname, port }: Addr): boolean {
    const remote = this.#addressOf(fd, "getpeername", port);
    return remote !== null && withoutZone(remote.hostname) === withoutZone(hostname) && this.#isOurs(fd);
  }

  /** Whether it is a socket of the server: one that was accepted, or the one that listens. */
  #isOurs(fd: number): boolean {
    const local = this.#addressOf(fd, "getsockname", this.#local.port);
    return local !== null && (this.#several || withoutZone(local.hostname) === withoutZone(this.#local.hostname));
  }

  /** @returns `null` when it has none, or not with that port. */
  #addressOf(fd: number, call: "getpeername" | "getsockname", port?: number): Addr | null {
    const length = this.#means.libc[call](fd, this.#name);
    // The port stands at the same place for both families; it alone tells most sockets apart.
    if (length < 4 || (port !== undefined && (this.#name[2]! << 8 | this.#name[3]!) !== port)) return null;
    return decodeSockaddr(this.#name, 0, length);
  }
}
