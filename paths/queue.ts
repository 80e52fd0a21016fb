/**
 * A queue between those who tell and one who iterates.
 *
 * @module
 */

/** Items wait until they are asked for; the iterator ends when the queue is closed, after what waits in it. */
export class Queue<T> implements AsyncIterableIterator<T> {
  readonly #items: T[] = [];
  readonly #waiters: { resolve(result: IteratorResult<T>): void; reject(error: unknown): void }[] = [];
  readonly #onEnd: () => void;
  readonly #onWaiting: (waiting: boolean) => void;
  #closed = false;
  #error: unknown = undefined;

  /**
   * @param onEnd Called once, when nobody needs items any more.
   * @param onWaiting Told whether somebody waits, each time that it changes.
   */
  constructor(onEnd: () => void, onWaiting: (waiting: boolean) => void = () => {}) {
    this.#onEnd = onEnd;
    this.#onWaiting = onWaiting;
  }

  /** Adds an item. */
  push(item: T): void {
    if (this.#closed) return;
    const waiter = this.#waiters.shift();
    if (waiter === undefined) return void this.#items.push(item);
    if (this.#waiters.length === 0) this.#onWaiting(false);
    waiter.resolve({ done: false, value: item });
  }

  /** Ends the queue; with an error, the iteration fails after what waits in it. */
  close(error?: unknown): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#error = error;
    this.#onEnd();
    const waiters = this.#waiters.splice(0);
    for (const { resolve, reject } of waiters) {
      if (error === undefined) resolve({ done: true, value: undefined });
      else reject(error);
    }
    if (waiters.length > 0) this.#error = undefined; // told
  }

  /** `AsyncIterator` */
  next(): Promise<IteratorResult<T>> {
    if (this.#items.length > 0) return Promise.resolve({ done: false, value: this.#items.shift()! });
    if (!this.#closed) {
      return new Promise((resolve, reject) => {
        this.#waiters.push({ resolve, reject });
        if (this.#waiters.length === 1) this.#onWaiting(true);
      });
    }
    const error = this.#error;
    this.#error = undefined;
    return error === undefined ? Promise.resolve({ done: true, value: undefined }) : Promise.reject(error);
  }

  /** `AsyncIterator`: the reader has had enough. */
  return(): Promise<IteratorResult<T>> {
    this.#items.length = 0;
    this.close();
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
