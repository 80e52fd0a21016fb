/**
 * A connection as a Node stream, where `toNode()` will not do.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { Duplex } from "node:stream";
import type { Conn } from "../../net/conn.ts";

/** How much is read at once. */
const CHUNK = 1 << 16;

/** See the module's comment. */
export class ConnStream extends Duplex {
  readonly #conn: Conn;

  /** @param conn The stream's from now on. */
  constructor(conn: Conn) {
    super({ allowHalfOpen: true, readableHighWaterMark: CHUNK, writableHighWaterMark: CHUNK });
    this.#conn = conn;
  }

  /** As of `net.Socket`. */
  ref(): this {
    this.#conn.ref();
    return this;
  }

  /** As of `net.Socket`. */
  unref(): this {
    this.#conn.unref();
    return this;
  }

  /** `Readable` */
  override _read(): void {
    const chunk = Buffer.allocUnsafeSlow(CHUNK);
    this.#conn.read(chunk).then(
      (count) => this.push(count === null ? null : chunk.subarray(0, count)),
      (error) => this.destroy(error),
    );
  }

  /** `Writable` */
  override _write(chunk: Uint8Array, _encoding: string, done: (error?: Error | null) => void): void {
    this.#conn.write(chunk).then(() => done(), done);
  }

  /** `Writable` */
  override _final(done: (error?: Error | null) => void): void {
    this.#conn.closeWrite().then(() => done(), done);
  }

  /** `Readable`, `Writable` */
  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#conn.close();
    done(error);
  }
}
