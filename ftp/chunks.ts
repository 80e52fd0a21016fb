/**
 * Memory for what is received. Who is done with a chunk may give it back: on Node most of a download's time went into making
 * and collecting them.
 *
 * @module
 */
import { Buffer } from "node:buffer";

const SIZE = 1 << 18;
/** How many are kept: what may wait within one transfer. */
const KEPT = 16;

const free: Buffer[] = [];

/** A chunk with whatever in it. */
export function takeChunk(): Buffer {
  return free.pop() ?? Buffer.allocUnsafeSlow(SIZE);
}

/** @param bytes The beginning of a chunk, which nobody looks at any more; what is none is left alone. */
export function giveChunk({ buffer, byteOffset }: Uint8Array): void {
  if (byteOffset !== 0 || buffer.byteLength !== SIZE || free.length >= KEPT) return;
  free.push(Buffer.from(buffer as ArrayBuffer));
}
