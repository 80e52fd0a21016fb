/**
 * A channel on Node: libuv tells when there is something to read, and reads nothing itself.
 *
 * @module
 */
import { systemError } from "../kernel/error.ts";
import { NetChannel } from "./net_channel.ts";
import { type ReadHandle, Readiness } from "./readiness.ts";

const EMPTY = new Uint8Array(0);

/** See the module's comment. */
export class NodeChannel extends NetChannel {
  #readiness: Readiness | null = null;

  awaitReadable(): void {
    const socket = this.adopt();
    const { _handle: handle } = socket as unknown as { _handle: ReadHandle | null };
    if (handle === null) return; // the socket's `close` is under way
    this.#readiness ??= new Readiness(handle, () => this.owner?.readable(EMPTY));
    const result = this.#readiness.await();
    if (result < 0) socket.destroy(systemError(result, "read"));
  }

  protected override detach(): boolean {
    const spoilt = this.#readiness !== null;
    this.#readiness = null;
    return spoilt;
  }
}
