/**
 * Local files as the ends of transfers.
 *
 * Like basic-ftp's own, but with large pieces; a file is touched only when its first byte has come; and errors are kept, not
 * emitted, as basic-ftp would close the client.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { close, fstat, ftruncate, open, read, type Stats, write } from "node:fs";
import { Readable, Writable } from "node:stream";

const CHUNK = 1 << 18;
const HIGH_WATER = 1 << 20;

type Done = (error?: Error | null) => void;

const opened = (path: string, flags: string): Promise<number> =>
  new Promise((resolve, reject) => open(path, flags, (error, fd) => error ? reject(error) : resolve(fd)));
const truncated = (fd: number, length: number): Promise<void> =>
  new Promise((resolve, reject) => ftruncate(fd, length, (error) => error ? reject(error) : resolve()));
const closed = (fd: number): Promise<void> => new Promise((resolve) => close(fd, () => resolve()));
const statsOf = (fd: number): Promise<Stats> =>
  new Promise((resolve, reject) => fstat(fd, (error, stats) => error ? reject(error) : resolve(stats)));

/** What a download is written to. */
export class FileSink extends Writable {
  readonly #path: string;
  readonly #start: number;
  #position: number;
  #fd = -1;
  #touched = false;
  #failure: unknown = null;

  /** @param start The byte to begin with; what a resumed file had after the end of the download is cut off. */
  constructor(path: string, start: number) {
    super({ highWaterMark: HIGH_WATER });
    this.#path = path;
    this.#start = this.#position = start;
  }

  /**
   * Checks that a download can be resumed there.
   *
   * @throws {RangeError} When the file is shorter: a gap would be left.
   */
  static async check(path: string, start: number): Promise<void> {
    if (start === 0) return;
    const fd = await opened(path, "r+");
    const stats = await statsOf(fd).finally(() => closed(fd));
    if (stats.isFile() && stats.size < start) {
      throw new RangeError(`Cannot resume "${path}" at ${start}: it has only ${stats.size} bytes`);
    }
  }

  /** Makes the file of a download that was empty. To be called when that has succeeded. */
  async commit(): Promise<void> {
    if (this.#touched) return;
    const fd = await this.#open();
    if (this.#start > 0) await truncated(fd, this.#start);
    await closed(fd);
  }

  /** Why the file could not be written, `null` when it could. */
  get failure(): unknown {
    return this.#failure;
  }

  #failed(error: Error, done: Done): void {
    this.#failure = error;
    done(error);
  }

  async #open(): Promise<number> {
    const fd = await opened(this.#path, this.#start > 0 ? "r+" : "w");
    this.#touched = true;
    return fd;
  }

  /** `Writable` */
  override _write(chunk: Uint8Array, _encoding: string, done: Done): void {
    if (this.#fd >= 0) return this.#put(chunk, done);
    this.#open().then((fd) => {
      this.#fd = fd;
      if (this.destroyed) this.#close();
      else this.#put(chunk, done);
    }, (error) => this.#failed(error, done));
  }

  #put(chunk: Uint8Array, done: Done): void {
    // Without a position for what is no regular file, such as a pipe.
    const position = this.#start > 0 ? this.#position : null;
    write(this.#fd, chunk, 0, chunk.length, position, (error, count) => {
      if (error) return this.#failed(error, done);
      this.#position += count;
      if (count < chunk.length) this.#put(chunk.subarray(count), done);
      else done();
    });
  }

  /** `Writable` */
  override _final(done: Done): void {
    if (this.#start === 0 || this.#fd < 0) return done();
    truncated(this.#fd, this.#position).then(() => done(), (error) => this.#failed(error, done));
  }

  /** `Writable` */
  override _destroy(_error: Error | null, done: Done): void {
    this.#close().then(() => done());
  }

  async #close(): Promise<void> {
    const fd = this.#fd;
    this.#fd = -1;
    if (fd >= 0) await closed(fd);
  }
}

/** What an upload is read from. */
export class FileSource extends Readable {
  readonly #fd: number;
  #position: number | null;
  #left: number;
  /** How many bytes there are to be sent; `null` for what is no regular file. */
  readonly expected: number | null;
  /** How many were read. */
  bytesRead = 0;
  /** Why the file could not be read, `null` when it could. */
  failure: unknown = null;

  private constructor(fd: number, start: number, length: number, expected: number | null) {
    super({ highWaterMark: HIGH_WATER });
    this.#fd = fd;
    this.#position = expected === null && start === 0 ? null : start;
    this.#left = length;
    this.expected = expected;
  }

  /** Opens a file. @param last The last byte to be sent. */
  static async open(path: string, start: number, last = Infinity): Promise<FileSource> {
    const fd = await opened(path, "r");
    try {
      const stats = await statsOf(fd);
      const length = Math.max(0, last + 1 - start);
      const expected = stats.isFile() ? Math.max(0, Math.min(length, stats.size - start)) : null;
      return new FileSource(fd, start, length, expected);
    } catch (error) {
      await closed(fd);
      throw error;
    }
  }

  /** `Readable` */
  override _read(): void {
    const size = Math.min(CHUNK, this.#left);
    if (size === 0) return void this.push(null);
    read(this.#fd, Buffer.allocUnsafeSlow(size), 0, size, this.#position, (error, count, buffer) => {
      if (error) {
        this.failure = error;
        return void this.destroy(error);
      }
      this.bytesRead += count;
      this.#left -= count;
      if (this.#position !== null) this.#position += count;
      this.push(count === 0 ? null : buffer.subarray(0, count));
    });
  }

  /** `Readable` */
  override _destroy(_error: Error | null, done: Done): void {
    closed(this.#fd).then(() => done());
  }
}
