/**
 * Memory for what is received, and for what is read from files. Who is done with a chunk may give it back: on Node most of a
 * transfer's time went into making and collecting them.
 *
 * @module
 */
import { Buffer } from "node:buffer";

/** The pools of chunks: what a program hands over may look the same, and is not ours to use again. */
const pools = new WeakMap<ArrayBufferLike, Chunks>();

/** Chunks of one size. */
class Chunks {
  readonly #size: number;
  /** How many are kept: what may wait within one transfer. */
  readonly #kept: number;
  readonly #free: Buffer[] = [];

  constructor(size: number, kept: number) {
    this.#size = size;
    this.#kept = kept;
  }

  /** A chunk with whatever in it. */
  take(): Buffer {
    const kept = this.#free.pop();
    if (kept !== undefined) return kept;
    const chunk = Buffer.allocUnsafeSlow(this.#size);
    pools.set(chunk.buffer, this);
    return chunk;
  }

  giveBack(buffer: ArrayBufferLike): void {
    if (this.#free.length < this.#kept) this.#free.push(Buffer.from(buffer as ArrayBuffer));
  }
}

/** For what is received: the kernel seldom has more at once. */
export const received: Chunks = new Chunks(1 << 18, 16);

/** For what is read from files: each goes to another thread and back, so they are large. */
export const fromFiles: Chunks = new Chunks(1 << 20, 4);

/** @param bytes The beginning of a chunk, which nobody looks at any more; what is none is left alone. */
export function giveChunk({ buffer, byteOffset }: Uint8Array): void {
  if (byteOffset === 0) pools.get(buffer)?.giveBack(buffer);
}
