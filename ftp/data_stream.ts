/**
 * A data connection as the stream that basic-ftp moves files by.
 *
 * It reads and writes the connection itself and not a `net.Socket`: that is several times as fast, and what TLS needs is done
 * by `TlsConn` on every runtime. It can be used before the connection is there, as servers open theirs, and begin TLS, only
 * when they have got the command.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { Duplex } from "node:stream";
import type { Conn } from "../net/conn.ts";
import type { DataConnectionOwner } from "./data_connection.ts";
import { delivered } from "./delivered.ts";

/** How much is read at once at the most. */
const CHUNK = 1 << 18;
/** What is allocated at once, to be filled by several reads. */
const SLAB = 1 << 20;
/** What may wait on either side. */
const HIGH_WATER = 1 << 20;

/** What a stream is made of. */
export interface DataSource {
  /** The connection, the stream's from then on. */
  opening: Promise<Conn>;
  /** Ends the opening. */
  cancel: () => void;
  /** Told what becomes of the connection. */
  owner: DataConnectionOwner;
  /** Milliseconds without progress after which the peer counts as gone, 0 for never. */
  timeout: number;
}

/** See the module's comment. */
export class DataStream extends Duplex {
  readonly #source: DataSource;
  #conn: Conn | null = null;
  #slab: Buffer = Buffer.alloc(0);
  #offset = 0;
  #failure: unknown = null;
  /** Received so far. As of `net.Socket`. */
  bytesRead = 0;
  /** Handed to the kernel so far. As of `net.Socket`. */
  bytesWritten = 0;

  constructor(source: DataSource) {
    super({ allowHalfOpen: true, readableHighWaterMark: HIGH_WATER, writableHighWaterMark: HIGH_WATER });
    this.#source = source;
    source.opening.then((conn) => this.#opened(conn), (error) => this.#failed(error));
  }

  /** Why the connection failed, `null` when it did not: for other ends of this stream somebody else is the cause. */
  get failure(): unknown {
    return this.#failure;
  }

  /** The peer's address, as of `net.Socket`. */
  get remoteAddress(): string | undefined {
    return this.#conn?.remoteAddr.hostname;
  }

  /** The peer's port, as of `net.Socket`. */
  get remotePort(): number | undefined {
    return this.#conn?.remoteAddr.port;
  }

  /** As of `net.Socket`. */
  get remoteFamily(): string | undefined {
    const address = this.remoteAddress;
    return address && (address.includes(":") ? "IPv6" : "IPv4");
  }

  /** As of `net.Socket`; a transfer's own watch is better. */
  setTimeout(): this {
    return this;
  }

  #opened(conn: Conn): void {
    if (this.destroyed) return conn.reset();
    this.#conn = conn;
    this.#source.owner.opened(conn);
  }

  #failed(error: unknown): void {
    if (this.destroyed) return;
    this.#failure = error;
    this.destroy(error instanceof Error ? error : new Error(String(error)));
  }

  /** `Readable` */
  override _read(): void {
    if (this.#conn) this.#receive(this.#conn);
    else this.#source.opening.then((conn) => this.#receive(conn), () => {});
  }

  #receive(conn: Conn): void {
    if (this.destroyed) return;
    // The consumer keeps what it gets: so new room each time, but not a whole chunk's for a few bytes.
    if (this.#slab.length - this.#offset < CHUNK) {
      this.#slab = Buffer.allocUnsafeSlow(SLAB);
      this.#offset = 0;
    }
    const slab = this.#slab;
    const start = this.#offset;
    conn.read(slab.subarray(start, start + CHUNK)).then((count) => {
      if (count === null) {
        this.#source.owner.look();
        this.push(null);
        // By TLS some servers confirm nothing before they have seen our end too.
        conn.closeWrite().catch(() => {});
        return;
      }
      this.#offset = start + count;
      this.bytesRead += count;
      this.push(slab.subarray(start, start + count));
    }, (error) => this.#failed(error));
  }

  /** `Writable` */
  override _write(chunk: Uint8Array, _encoding: string, done: (error?: Error | null) => void): void {
    this.#onConn((conn) => conn.write(chunk), done, () => this.bytesWritten += chunk.length);
  }

  /** `Writable` */
  override _final(done: (error?: Error | null) => void): void {
    this.#onConn(async (conn) => {
      const look = () => this.#source.owner.look();
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
      await work(this.#conn ?? await this.#source.opening);
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
    this.#source.cancel();
    if (conn !== null) {
      this.#source.owner.ending();
      // An orderly end in the middle would let the server take half of a file for the whole.
      if (this.readableEnded || this.writableFinished) conn.close();
      else conn.reset();
    }
    done();
  }
}
