/**
 * A data connection as the stream that basic-ftp moves files by.
 *
 * It reads and writes the connection itself and not a `net.Socket`: that is faster, and what TLS needs is done
 * by `TlsConn` on every runtime. The connection comes with the first byte to be moved, so when the server has said that it
 * begins: some servers take a TLS handshake that comes earlier for an attack.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { Duplex } from "node:stream";
import type { Conn } from "../net/conn.ts";
import { TlsConn } from "../net/tls.ts";
import { giveChunk, received } from "./chunks.ts";
import type { DataConnectionOwner } from "./data_connection.ts";
import { delivered } from "./delivered.ts";

/** What may wait on either side. */
const HIGH_WATER = 1 << 20;

/** What a stream is made of. */
export interface DataSource {
  /** Gives the connection, the stream's from then on. Called once, when the first byte is to be moved. */
  open(): Promise<Conn>;
  /** Aborted when the stream is over: ends the opening, and what was prepared for it. */
  stop: AbortController;
  /** Called with it. @returns What is to be told of what becomes of it. */
  opened(conn: Conn): DataConnectionOwner;
  /** Milliseconds without progress after which the peer counts as gone, 0 for never. */
  timeout: number;
}

/** See the module's comment. */
export class DataStream extends Duplex {
  readonly #source: DataSource;
  #opening: Promise<Conn> | null = null;
  #conn: Conn | null = null;
  #owner: DataConnectionOwner | null = null;
  #room: Buffer | null = null;
  #failure: unknown = null;
  /** Received so far. As of `net.Socket`. */
  bytesRead = 0;
  /** Handed to the kernel so far. As of `net.Socket`. */
  bytesWritten = 0;

  constructor(source: DataSource) {
    super({ allowHalfOpen: true, readableHighWaterMark: HIGH_WATER, writableHighWaterMark: HIGH_WATER });
    this.#source = source;
  }

  /** Why the connection failed, `null` when it did not: for other ends of this stream somebody else is the cause. */
  get failure(): unknown {
    return this.#failure;
  }

  /** As of `net.Socket`; a transfer's own watch is better. */
  setTimeout(): this {
    return this;
  }

  #connected(): Promise<Conn> {
    return this.#opening ??= this.#source.open().then((conn) => {
      this.#conn = conn;
      if (this.destroyed) conn.reset();
      else this.#owner = this.#source.opened(conn);
      return conn;
    });
  }

  #failed(error: unknown): void {
    if (this.destroyed) return;
    this.#failure = error;
    this.destroy(error instanceof Error ? error : new Error(String(error)));
  }

  /** `Readable` */
  override _read(): void {
    if (this.#conn) this.#receive(this.#conn);
    else this.#connected().then((conn) => this.#receive(conn), (error) => this.#failed(error));
  }

  #receive(conn: Conn): void {
    if (this.destroyed) return;
    const room = this.#room ??= received.take();
    conn.read(room).then((count) => {
      if (count === null) {
        this.#owner?.look();
        this.push(null);
        // By TLS some servers confirm nothing before they have seen our end too.
        conn.closeWrite().catch(() => {});
        return;
      }
      this.bytesRead += count;
      const bytes = room.subarray(0, count);
      // The consumer keeps what it gets, but not a whole chunk for a few bytes.
      if (count < room.length / 4) return void this.push(Buffer.from(bytes));
      this.#room = null;
      this.push(bytes);
    }, (error) => this.#failed(error));
  }

  /** `Writable` */
  override _write(chunk: Uint8Array, _encoding: string, done: (error?: Error | null) => void): void {
    const write = async (conn: Conn) => {
      await conn.write(chunk);
      // TLS may look at it still.
      if (!(conn instanceof TlsConn)) giveChunk(chunk);
    };
    this.#onConn(write, done, () => this.bytesWritten += chunk.length);
  }

  /** `Writable` */
  override _final(done: (error?: Error | null) => void): void {
    this.#onConn(async (conn) => {
      const look = () => this.#owner?.look();
      look();
      await conn.closeWrite();
      await delivered(conn, this.#source.timeout, look);
    }, done);
  }

  async #onConn(
    work: (conn: Conn) => Promise<unknown>,
    done: (error?: Error | null) => void,
    well: () => void = () => {},
  ): Promise<void> {
    try {
      await work(this.#conn ?? await this.#connected());
    } catch (error) {
      this.#failed(error);
      return done(error as Error);
    }
    well();
    done();
  }

  /**
   * `Readable`, `Writable`. An error is kept, not emitted: the transfer deals with it, where basic-ftp would close the client.
   */
  override _destroy(_error: Error | null, done: (error?: Error | null) => void): void {
    const conn = this.#conn;
    this.#source.stop.abort();
    if (conn !== null) {
      this.#owner?.ending();
      // An orderly end in the middle would let the server take half of a file for the whole.
      if (this.readableEnded || this.writableFinished) conn.close();
      else conn.reset();
    }
    done();
  }
}
