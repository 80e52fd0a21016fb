/**
 * Memory for what is received, and for what is read from files. Who is done with a chunk may give it back: on Node most of a
 * transfer's time went into making and collecting them.
 *
 * @module
 */
import { Buffer } from "node:buffer";

const SIZE = 1 << 18;
/** How many are kept: what may wait within one transfer. */
const KEPT = 16;

const free: Buffer[] = [];
/** The memory of chunks: what a program hands over may look the same, and is not ours to use again. */
const ours = new WeakSet<ArrayBufferLike>();

/** A chunk with whatever in it. */
export function takeChunk(): Buffer {
  const kept = free.pop();
  if (kept !== undefined) return kept;
  const chunk = Buffer.allocUnsafeSlow(SIZE);
  ours.add(chunk.buffer);
  return chunk;
}

/** @param bytes The beginning of a chunk, which nobody looks at any more; what is none is left alone. */
export function giveChunk({ buffer, byteOffset }: Uint8Array): void {
  if (byteOffset !== 0 || !ours.has(buffer) || free.length >= KEPT) return;
  free.push(Buffer.from(buffer as ArrayBuffer));
}
