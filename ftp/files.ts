/**
 * Local files as the ends of transfers.
 *
 * @module
 */
import { close, createReadStream, fstat, open, type ReadStream, type Stats, write } from "node:fs";
import { stat, truncate } from "node:fs/promises";
import { Writable } from "node:stream";
import { promisify } from "node:util";
import { giveChunk } from "./chunks.ts";

/** Read at once: several times as fast as the 64 KiB that streams of files have by themselves. */
const CHUNK = 1 << 18;

const opened = promisify<string, string, number>(open);
const statsOf = promisify<number, Stats>(fstat);
const closed = promisify(close);

/** What an upload is read from. */
export interface FileSource {
  stream: ReadStream;
  /** How many bytes there are to be sent; `null` for what is no regular file. */
  expected: number | null;
}

/**
 * Opens a file for an upload: before the server is told of it, which would make a file too.
 *
 * @param last The last byte to be sent.
 */
export async function openSource(path: string, start: number, last = Infinity): Promise<FileSource> {
  const fd = await opened(path, "r");
  try {
    const stats = await statsOf(fd);
    const expected = stats.isFile() ? Math.max(0, Math.min(last + 1, stats.size) - start) : null;
    // Without a position what is no regular file, such as a pipe, can be read too.
    const place = start === 0 && last === Infinity ? {} : { start, end: last };
    return { stream: createReadStream("", { fd, highWaterMark: CHUNK, ...place }), expected };
  } catch (error) {
    await closed(fd);
    throw error;
  }
}

/**
 * Checks that a download can be resumed.
 *
 * @throws {RangeError} When the file is shorter: a gap would be left.
 */
export async function checkSink(path: string, start: number): Promise<void> {
  if (start === 0) return;
  const stats = await stat(path);
  if (stats.isFile() && stats.size < start) {
    throw new RangeError(`Cannot resume "${path}" at ${start}: it has only ${stats.size} bytes`);
  }
}

/** Opens a file for a download, of which the chunks are given back. */
export async function openSink(path: string, start: number): Promise<Writable> {
  const fd = await opened(path, start === 0 ? "w" : "r+");
  // Without a position for what is no regular file, such as a pipe.
  return new FileSink(fd, start === 0 ? null : start);
}

class FileSink extends Writable {
  readonly #fd: number;
  #position: number | null;
  #closing: (() => void) | null = null;
  #writing = false;

  constructor(fd: number, position: number | null) {
    super({ highWaterMark: 1 << 20 });
    this.#fd = fd;
    this.#position = position;
  }

  override _write(chunk: Uint8Array, _encoding: string, done: (error?: Error | null) => void, from = 0): void {
    this.#writing = true;
    write(this.#fd, chunk, from, chunk.length - from, this.#position, (error, count) => {
      this.#writing = false;
      if (this.#closing) return this.#closing();
      if (error) return done(error);
      if (this.#position !== null) this.#position += count;
      if (from + count < chunk.length) return this._write(chunk, "", done, from + count);
      giveChunk(chunk);
      done();
    });
  }

  override _destroy(_error: Error | null, done: (error?: Error | null) => void): void {
    const close = () => void closed(this.#fd).then(() => done(), done);
    // Never under a write that is on its way: the number may be another file's by then.
    if (this.#writing) this.#closing = close;
    else close();
  }
}

/** Cuts off what a resumed file had after the end of the download. */
export async function endSink(path: string, start: number, received: number): Promise<void> {
  if (start > 0 && (await stat(path)).size > start + received) await truncate(path, start + received);
}
