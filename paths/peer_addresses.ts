/**
 * The addresses that the peer of one connection has announced: the kernel tells them once, by an event, and keeps no list.
 *
 * @module
 */
import type { PathEvent } from "../kernel/mptcp_event.ts";
import type { Addr } from "../kernel/sockaddr.ts";
import type { ConnectionOwner } from "./event_hub.ts";

/** An address of the peer. */
export interface PeerAddress {
  /** Its id in this connection. */
  remoteId: number;
  /** The address, and the port at which subflows may be opened. */
  remote: Addr;
}

/** See the module's comment. */
export class PeerAddresses implements ConnectionOwner {
  readonly #known = new Map<number, Addr>();

  /** A new event. */
  event(event: PathEvent): void {
    if (event.type === "announced") this.#known.set(event.remoteId, event.remote);
    else if (event.type === "removed") this.#known.delete(event.remoteId);
  }

  /** What was missed cannot be asked for. */
  lost(): void {}

  /** As `lost`. */
  failed(): void {}

  /** Those that were announced and not withdrawn. */
  list(): PeerAddress[] {
    return [...this.#known].map(([remoteId, remote]) => ({ remoteId, remote }));
  }
}
