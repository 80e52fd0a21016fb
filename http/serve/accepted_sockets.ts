/**
 * The sockets that the runtime's HTTP server has accepted, which it shows to nobody, found among the descriptors of the process
 * by their addresses. So whether a request's connection is multipath is asked of the connection itself.
 *
 * @module
 */
import type { Libc } from "../../ffi/mod.ts";
import { IPPROTO_TCP, TCP_CLOSE, TCP_INFO } from "../../kernel/constants.ts";
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

/** See the module's comment. */
export class AcceptedSockets {
  readonly #means: Means;
  readonly #local: Addr;
  readonly #name = new Uint8Array(SOCKADDR_STORAGE_SIZE);
  /**
   * Descriptors by the client's address. Only where the server listens on one address: there a client's address and port name
   * one TCP connection or initial subflow at a time. A connection whose initial subflow lives still is the only one.
   */
  readonly #known: Map<string, number> | null;

  /** @param local What the server listens on. */
  constructor(means: Means, local: Addr) {
    this.#means = means;
    this.#local = local;
    this.#known = local.hostname === "0.0.0.0" || local.hostname === "::" ? null : new Map();
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
    const { libc, readText } = this.#means;
    const slots = descriptorSlots(readText);
    for (let fd = 0; fd < slots; fd++) {
      if (this.#isAt(libc, fd, "getsockname", this.#local) && libc.getpeername(fd, this.#name) >= 0) return true;
    }
    return false;
  }

  /** The subflows of the connection of a client. */
  subflows(remote: Addr): Subflow[] {
    const found = this.#find(remote);
    return found.length === 1 ? subflows(found[0]!) : [];
  }

  #find(remote: Addr): number[] {
    const key = `${remote.hostname} ${remote.port}`;
    const known = this.#known?.get(key);
    if (known !== undefined) {
      if (this.#isFrom(known, remote) && this.#hasInitialSubflow(known)) return [known];
      this.#known!.delete(key);
    }
    const slots = descriptorSlots(this.#means.readText);
    const found: number[] = [];
    for (let fd = 0; fd < slots; fd++) if (this.#isFrom(fd, remote)) found.push(fd);
    if (this.#known !== null && found.length === 1) {
      if (this.#known.size >= 2 * slots) this.#known.clear(); // of clients that are gone
      this.#known.set(key, found[0]!);
    }
    return found;
  }

  /** An MPTCP connection outlives its initial subflow, by others or for a moment; the client's port is free meanwhile. */
  #hasInitialSubflow(fd: number): boolean {
    // The first byte is the state, of the initial subflow for MPTCP.
    const info = this.#means.libc.getInt(fd, IPPROTO_TCP, TCP_INFO);
    return info >= 0 && (info & 0xff) !== TCP_CLOSE;
  }

  #isFrom(fd: number, remote: Addr): boolean {
    const { libc } = this.#means;
    return this.#isAt(libc, fd, "getpeername", remote) && this.#isAt(libc, fd, "getsockname", this.#local);
  }

  #isAt(libc: Libc, fd: number, call: "getpeername" | "getsockname", { hostname, port }: Addr): boolean {
    const length = libc[call](fd, this.#name);
    // The port stands at the same place for both families; it alone tells most sockets apart.
    if (length < 4 || (this.#name[2]! << 8 | this.#name[3]!) !== port) return false;
    const address = decodeSockaddr(this.#name, 0, length);
    if (address === null) return false;
    return call === "getsockname" && this.#known === null || withoutZone(address.hostname) === withoutZone(hostname);
  }
}
