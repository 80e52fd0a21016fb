/**
 * One transfer: what it is, and how it is ended early.
 *
 * @module
 */
import type { DataKind } from "./data_connection.ts";
import type { DataStream } from "./data_stream.ts";

/** See the module's comment. */
export class Transfer {
  readonly kind: DataKind;
  readonly #controller = new AbortController();
  readonly #theirs: AbortSignal | undefined;
  #stream: DataStream | null = null;

  /** @param signal The user's. */
  constructor(kind: DataKind, signal?: AbortSignal) {
    this.kind = kind;
    this.#theirs = signal;
    if (signal?.aborted) this.#follow();
    else signal?.addEventListener("abort", this.#follow, { once: true });
  }

  /** Aborted when the transfer is to end. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Its data connection: the last one, as a listing may be tried in several ways. */
  get stream(): DataStream | null {
    return this.#stream;
  }

  set stream(stream: DataStream) {
    this.#stream = stream;
    if (this.signal.aborted) stream.destroy();
  }

  /** Ends the transfer: the server sees a reset of the data connection. */
  abort(reason: unknown): void {
    this.#controller.abort(reason);
    this.#stream?.destroy();
  }

  /** It is over. */
  close(): void {
    this.#theirs?.removeEventListener("abort", this.#follow);
  }

  readonly #follow = (): void => this.abort(this.#theirs!.reason);
}
