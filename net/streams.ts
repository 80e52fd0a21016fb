/**
 * Web streams over a connection's reading and writing.
 *
 * @module
 */

/** What the streams need. */
export interface StreamSource {
  read(into: Uint8Array): Promise<number | null>;
  write(bytes: Uint8Array): Promise<number>;
  closeWrite(): Promise<void>;
  /** A stream has ended, in whatever way. */
  ended(side: "readable" | "writable"): void;
  /** The writable was aborted: the peer must not take half for whole. */
  aborted(): void;
}

/** What a default reader gets at once at the most. A BYOB reader brings its own size. */
const CHUNK = 1 << 16;

/** A byte stream: BYOB readers get the bytes straight into their own array. */
export function readableOf(source: StreamSource): ReadableStream<Uint8Array<ArrayBuffer>> {
  return new ReadableStream({
    type: "bytes",
    autoAllocateChunkSize: CHUNK,
    async pull(controller) {
      // There is always a request: a BYOB reader's, or one that autoAllocateChunkSize made.
      const request = controller.byobRequest!;
      const view = request.view as Uint8Array;
      const count = await source.read(new Uint8Array(view.buffer, view.byteOffset, view.byteLength));
      if (count !== null) return request.respond(count);
      controller.close();
      request.respond(0);
      source.ended("readable");
    },
    cancel() {
      source.ended("readable");
    },
  }) as ReadableStream<Uint8Array<ArrayBuffer>>;
}

/** Its `close` is the half-close; a `write` is done when the kernel or the queue took the bytes. */
export function writableOf(source: StreamSource): WritableStream<Uint8Array<ArrayBufferLike>> {
  return new WritableStream({
    async write(chunk) {
      await source.write(chunk);
    },
    async close() {
      await source.closeWrite();
      source.ended("writable");
    },
    abort() {
      source.aborted();
    },
  });
}
