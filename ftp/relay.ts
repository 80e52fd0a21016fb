/**
 * What stands between basic-ftp and the stream that a transfer comes from or goes to.
 *
 * @module
 */
import { type Readable, Transform, type TransformCallback, type Writable } from "node:stream";
import { pipeline } from "node:stream/promises";

const HIGH_WATER = 1 << 20;

/**
 * Passes bytes on. When one side fails, the other one is destroyed, as in `pipeline`; the error is kept and not emitted, as
 * basic-ftp would close the client.
 */
export class Relay extends Transform {
  readonly #verdict: () => Promise<unknown>;
  #open: (() => Promise<Writable>) | null;
  #over: Promise<void> = Promise.resolve();
  #failure: unknown = null;
  /** How many bytes have passed. */
  bytes = 0;

  private constructor(open: (() => Promise<Writable>) | null, verdict: () => Promise<unknown>) {
    super({ readableHighWaterMark: HIGH_WATER, writableHighWaterMark: HIGH_WATER });
    this.#open = open;
    this.#verdict = verdict;
  }

  /**
   * What is written here goes to another stream.
   *
   * @param destination A function is called with the first byte, or at the end: so a file stays as it is until then.
   * @param verdict Settles when it is known whether these bytes are the whole: only then the stream ends, else it is destroyed.
   */
  static to(destination: Writable | (() => Promise<Writable>), verdict: () => Promise<unknown>): Relay {
    if (typeof destination === "function") return new Relay(destination, verdict);
    const relay = new Relay(null, verdict);
    relay.#join(destination, () => pipeline(relay, destination));
    return relay;
  }

  /** What another stream gives can be read here. */
  static reading(source: Readable): Relay {
    const relay = new Relay(null, () => Promise.resolve());
    relay.#join(source, () => pipeline(source, relay));
    return relay;
  }

  async #begin(): Promise<void> {
    const open = this.#open;
    if (open === null) return;
    this.#open = null;
    try {
      const destination = await open();
      this.#join(destination, () => pipeline(this, destination));
    } catch (error) {
      this.#failure = error;
      throw error;
    }
  }

  #join(theirs: Readable | Writable, pipe: () => Promise<void>): void {
    // Whoever goes first is the cause.
    let first = theirs.destroyed;
    const gone = () => first ||= !this.destroyed;
    theirs.once("error", gone).once("close", gone);
    this.#over = pipe().catch((error) => {
      if (first) this.#failure = error;
      this.destroy();
    });
  }

  /** Why the other stream failed, `null` when it did not. */
  get failure(): unknown {
    return this.#failure;
  }

  /** Settles when the other stream has ended. It never rejects. */
  get over(): Promise<void> {
    return this.#over;
  }

  /** `Transform` */
  override _transform(chunk: Uint8Array, _encoding: string, done: TransformCallback): void {
    this.bytes += chunk.length;
    if (this.#open === null) done(null, chunk);
    else this.#begin().then(() => done(null, chunk), done);
  }

  /** `Transform` */
  override _flush(done: TransformCallback): void {
    this.#verdict().then(() => this.#begin()).then(() => done(), done);
  }

  /** `Readable`, `Writable` */
  override _destroy(_error: Error | null, done: (error?: Error | null) => void): void {
    done();
  }
}
