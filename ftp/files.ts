/**
 * Local files as the ends of transfers.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { close, fstat, open, read, type Stats, write, writev } from "node:fs";
import { stat, truncate } from "node:fs/promises";
import { Readable, Writable } from "node:stream";
import { promisify } from "node:util";
import { runtime } from "../ffi/mod.ts";
import { fromFiles, giveChunk } from "./chunks.ts";

const HIGH_WATER = 1 << 20;

const opened = promisify<string, string, number>(open);
const statsOf = promisify<number, Stats>(fstat);
const closed = promisify(close);

/** What an upload is read from. */
export interface FileSource {
  stream: Readable;
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
    const place = start === 0 && last === Infinity ? null : start;
    return { stream: new FileReader(fd, place, last + 1 - start), expected };
  } catch (error) {
    await closed(fd);
    throw error;
  }
}

/** A descriptor that is closed, but never under a call that is on its way: the number may be another file's by then. */
class File {
  readonly fd: number;
  position: number | null;
  #busy = false;
  #closing: (() => void) | null = null;

  constructor(fd: number, position: number | null) {
    this.fd = fd;
    this.position = position;
  }

  /** @returns The callback of a call that reads or writes; what it is given is called unless the file is closing. */
  call(then: (error: Error | null, count: number) => void): (error: Error | null, count: number) => void {
    this.#busy = true;
    return (error, count) => {
      this.#busy = false;
      if (!error && this.position !== null) this.position += count;
      if (this.#closing) this.#closing();
      else then(error, count);
    };
  }

  close(done: (error?: Error | null) => void): void {
    const close = () => void closed(this.fd).then(() => done(), done);
    if (this.#busy) this.#closing = close;
    else close();
  }
}

/** A file's bytes, in chunks that can be given back. */
class FileReader extends Readable {
  readonly #file: File;
  #left: number;

  constructor(fd: number, position: number | null, length: number) {
    super({ highWaterMark: HIGH_WATER });
    this.#file = new File(fd, position);
    this.#left = length;
  }

  override _read(): void {
    const file = this.#file;
    if (this.#left === 0) return void this.push(null);
    const chunk = fromFiles.take();
    const then = file.call((error, count) => {
      if (error) return void this.destroy(error);
      if (count === 0) {
        giveChunk(chunk);
        return void this.push(null);
      }
      this.#left -= count;
      this.push(chunk.subarray(0, count));
    });
    read(file.fd, chunk, 0, Math.min(chunk.length, this.#left), file.position, then);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#file.close((failure) => done(error ?? failure ?? null));
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
  readonly #file: File;

  constructor(fd: number, position: number | null) {
    super({ highWaterMark: HIGH_WATER });
    this.#file = new File(fd, position);
    // On Node it is the way to another thread and back that costs, on the others `writev` itself.
    if (runtime === "node") this._writev = (waiting, done) => this.#writeAll(waiting.map(({ chunk }) => chunk), done);
  }

  override _write(chunk: Uint8Array, _encoding: string, done: (error?: Error | null) => void, from = 0): void {
    const file = this.#file;
    const then = file.call((error, count) => {
      if (error) return done(error);
      if (from + count < chunk.length) return this._write(chunk, "", done, from + count);
      giveChunk(chunk);
      done();
    });
    write(file.fd, chunk, from, chunk.length - from, file.position, then);
  }

  override _destroy(_error: Error | null, done: (error?: Error | null) => void): void {
    this.#file.close(done);
  }

  /** All that came during the write before. */
  #writeAll(chunks: Uint8Array[], done: (error?: Error | null) => void): void {
    const file = this.#file;
    const then = file.call((error, count) => {
      if (error) return done(error);
      const rest = count < chunks.reduce((sum, { length }) => sum + length, 0)
        ? Buffer.concat(chunks).subarray(count)
        : null;
      for (const chunk of chunks) giveChunk(chunk);
      if (rest !== null) this._write(rest, "", done);
      else done();
    });
    writev(file.fd, chunks, file.position, then);
  }
}

/** Cuts off what a resumed file had after the end of the download. */
export async function endSink(path: string, start: number, received: number): Promise<void> {
  if (start > 0 && (await stat(path)).size > start + received) await truncate(path, start + received);
}
