/**
 * Readiness of a descriptor by one of libuv's handles, which only know how to read.
 *
 * A handle can be given one buffer to read into for ever (`net.Socket` does so for its `onread`). Given an empty one, it has no
 * room when something is there, and says so without having read. Nothing is allocated for a wait that way, while a read by the
 * stream takes 64 KiB each time, and makes the garbage collector run for them.
 *
 * @module
 */

/** The parts of a handle in use here. */
export interface ReadHandle {
  useUserBuffer(bytes: Uint8Array): void;
  onread: () => void;
  /** 0 or `-errno` */
  readStart(): number;
  readStop(): number;
}

/** A view of nothing: an array without bytes would have no address. */
const NO_ROOM = new Uint8Array(1).subarray(0, 0);

/** See the module's comment. The handle is of no other use from now on. */
export class Readiness {
  readonly #handle: ReadHandle;

  /** @param ready Called once after each `await`. */
  constructor(handle: ReadHandle, ready: () => void) {
    this.#handle = handle;
    handle.useUserBuffer(NO_ROOM);
    handle.onread = () => {
      handle.readStop();
      ready();
    };
  }

  /** Asks for one call of `ready`. @returns 0, or `-errno` when it will not come. */
  await(): number {
    return this.#handle.readStart();
  }
}
