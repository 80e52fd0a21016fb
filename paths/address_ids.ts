/**
 * Which address of ours has which id in one connection.
 *
 * In a connection an id means one address (and port, where one was chosen), and an address has one id: the kernel refuses
 * what contradicts that. Ids are given by commands, also by other programs', and by joins of the peer.
 *
 * @module
 */
import { MptcpError } from "../kernel/error.ts";
import { canonicalAddress } from "../kernel/ip.ts";
import type { Endpoint } from "../kernel/mptcp_pm.ts";
import type { Addr } from "../kernel/sockaddr.ts";
import type { Subflow } from "./connection.ts";
import type { PathManager } from "./path_manager.ts";

/** Id 0 is the address of the initial subflow; commands give 1 to 255. */
const LAST_ID = 255;

const keyOf = (address: string, port: number): string => `${canonicalAddress(address)}|${port}`;

/** See the module's comment. It remembers what it learned, for kernels that do not tell (before Linux 6.10). */
export class AddressIds {
  readonly #ids = new Map<string, number>();

  /** @param initial Our end of the initial subflow. */
  constructor(initial: Addr) {
    this.#ids.set(keyOf(initial.hostname, 0), 0);
  }

  /** An address was seen with an id: in an event, or in a command of ours that succeeded. */
  learn(address: string, port: number, id: number): void {
    if (id === 0 && port !== 0) return;
    this.#ids.set(keyOf(address, port), id);
  }

  /**
   * Asks the kernel.
   *
   * @param live The connection's live subflows: joins of the peer gave ids to their local addresses.
   */
  refresh(paths: PathManager, token: number, live: readonly Subflow[]): void {
    for (const { address, port = 0, id } of knownTo(paths, token)) this.learn(address, port, id);
    const ids = new Set(this.#ids.values());
    for (const { local, localId } of live) {
      // An id that is known already may be that of the address with a port.
      if (localId !== undefined && !ids.has(localId)) this.learn(local.hostname, 0, localId);
    }
  }

  /** The id that an address has, `null` for none. */
  known(address: string, port: number): number | null {
    return this.#ids.get(keyOf(address, port)) ?? null;
  }

  /**
   * The id to use for an address.
   *
   * @param port The local port, if it is chosen; 0 for any.
   * @returns `null` when all ids are taken.
   */
  idFor(address: string, port: number): number | null {
    const known = this.known(address, port);
    if (known !== null) return known;
    const taken = new Set(this.#ids.values());
    for (let id = 1; id <= LAST_ID; id++) if (!taken.has(id)) return id;
    return null;
  }
}

/** The connection's own list; the kernel has none of kernel-managed connections, nor before Linux 6.10. */
function knownTo(paths: PathManager, token: number): Endpoint[] {
  try {
    return paths.endpoints({ token });
  } catch (error) {
    if (error instanceof MptcpError) return [];
    throw error;
  }
}
