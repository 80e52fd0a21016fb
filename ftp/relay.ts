/**
 * What stands between basic-ftp and a stream of the user.
 *
 * @module
 */
import { type Readable, Transform, type TransformCallback, type Writable } from "node:stream";
import { pipeline } from "node:stream/promises";

/**
 * Passes bytes on to or from a stream of the user. When one side fails, the other one is destroyed, as in `pipeline`; the
 * error is kept and not emitted, as basic-ftp would close the client.
 */
export class Relay extends Transform {
  readonly #verdict: () => Promise<unknown>;
  #over: Promise<void> = Promise.resolve();
  #failure: unknown = null;

  private constructor(verdict: () => Promise<unknown> = () => Promise.resolve()) {
    super();
    this.#verdict = verdict;
  }

  /**
   * What is written here goes to the user's stream.
   *
   * @param verdict Settles when it is known whether these bytes are the whole: only then the stream ends, else it is destroyed.
   */
  static to(destination: Writable, verdict: () => Promise<unknown>): Relay {
    const relay = new Relay(verdict);
    relay.#join(destination, () => pipeline(relay, destination));
    return relay;
  }

  /** What the user's stream gives can be read here. */
  static reading(source: Readable): Relay {
    const relay = new Relay();
    relay.#join(source, () => pipeline(source, relay));
    return relay;
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

  /** Why the user's stream failed, `null` when it did not. */
  get failure(): unknown {
    return this.#failure;
  }

  /** Settles when the user's stream has ended. It never rejects. */
  get over(): Promise<void> {
    return this.#over;
  }

  /** `Transform` */
  override _transform(chunk: unknown, _encoding: string, done: TransformCallback): void {
    done(null, chunk);
  }

  /** `Transform` */
  override _flush(done: TransformCallback): void {
    this.#verdict().then(() => done(), done);
  }

  /** `Readable`, `Writable` */
  override _destroy(_error: Error | null, done: (error?: Error | null) => void): void {
    done();
  }
}
