/**
 * A part of a file as a response's body.
 *
 * @module
 */
import { openAsBlob } from "node:fs";
import { open } from "node:fs/promises";
import { runtime } from "../../ffi/mod.ts";
import type { Range } from "./range.ts";

/** How much is read at once, bytes; what is not larger is sent in one piece. */
const CHUNK = 256 << 10;

/**
 * Opens a file.
 *
 * @returns Its bytes, or a stream of them; the file is closed with its end, or when nobody wants more.
 * @throws What opening throws.
 */
export async function bodyOf(
  file: string,
  { first, last }: Range,
): Promise<Uint8Array<ArrayBuffer> | ReadableStream | Blob> {
  // Bun sends a file by the kernel, but chunks a stream whose length it is told. (Deno would read the whole file for a Blob.)
  if (runtime === "bun") return (await openAsBlob(file)).slice(first, last + 1);
  const handle = await open(file);
  const length = last - first + 1;
  if (length <= CHUNK) {
    try {
      const bytes = new Uint8Array(length);
      const { bytesRead } = await handle.read(bytes, 0, length, first);
      return bytes.subarray(0, bytesRead);
    } finally {
      await handle.close();
    }
  }
  let position = first;
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const bytes = new Uint8Array(Math.min(CHUNK, last + 1 - position));
        const { bytesRead } = await handle.read(bytes, 0, bytes.length, position);
        position += bytesRead;
        if (bytesRead > 0) controller.enqueue(bytes.subarray(0, bytesRead));
        // It may have become shorter meanwhile: the client sees a body that breaks off, and not a wrong one.
        if (bytesRead === 0) throw new Error(`${file} has become shorter`);
        if (position <= last) return;
        controller.close();
        await handle.close();
      } catch (error) {
        controller.error(error);
        await handle.close();
      }
    },
    async cancel() {
      await handle.close();
    },
  }, { highWaterMark: 1 });
}
