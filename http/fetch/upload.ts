/**
 * A request's body that can be stopped: undici reads the rest of one to its end when the request has failed, which for a
 * stream without end is for ever.
 *
 * @module
 */

/** Where the pieces come from. */
interface Source {
  read(): Promise<{ done?: boolean | undefined; value?: unknown }>;
  cancel(reason: unknown): unknown;
}

const nothing = (): void => {};

/** A stream of the caller's, of which pieces may have been read already. */
export class Upload {
  readonly #source: Source;
  #controller: ReadableStreamDefaultController<unknown> | null = null;
  /** What undici gets. */
  readonly stream: ReadableStream;

  /**
   * @param source A reader of the stream.
   * @param chunks What was read of it.
   * @param pending A read that has begun.
   */
  constructor(source: Source, chunks: unknown[] = [], pending: ReturnType<Source["read"]> | null = null) {
    this.#source = source;
    this.stream = new ReadableStream({
      start: (controller) => {
        this.#controller = controller;
      },
      async pull(controller) {
        const chunk = chunks.shift();
        if (chunk !== undefined) return controller.enqueue(chunk);
        const next = pending ?? source.read();
        pending = null;
        const { done, value } = await next;
        if (done) controller.close();
        else controller.enqueue(value);
      },
      cancel: (reason) => source.cancel(reason) as Promise<void>,
    }, { highWaterMark: 0 });
  }

  /** The upload of a body that undici would read by itself, or `null` for one that is at hand as a whole. */
  static of(body: unknown): Upload | null {
    if (body instanceof ReadableStream) {
      if (body.locked) throw new TypeError("Cannot fetch: the body is a stream that is locked or used already");
      return new Upload(body.getReader());
    }
    const iterable = body as Partial<AsyncIterable<unknown>>;
    if (typeof body !== "object" || body instanceof Blob || typeof iterable[Symbol.asyncIterator] !== "function") {
      return null;
    }
    const iterator = (body as AsyncIterable<unknown>)[Symbol.asyncIterator]();
    return new Upload({ read: () => iterator.next(), cancel: (reason) => iterator.return?.(reason) });
  }

  /** Cancels the caller's stream; undici's reading fails. A second call does nothing. */
  stop(reason: unknown): void {
    const controller = this.#controller;
    if (controller === null) return;
    this.#controller = null;
    try {
      controller.error(reason);
    } catch {
      return; // it has come to its end
    }
    Promise.resolve(this.#source.cancel(reason)).catch(nothing);
  }
}

/** What undici reads a body by, made to end when it is stopped. */
export class StoppableBody implements AsyncIterableIterator<unknown> {
  readonly #iterator: AsyncIterator<unknown>;
  #stopped = false;

  /** @param body undici's iterator over any kind of body. */
  constructor(body: AsyncIterable<unknown>) {
    this.#iterator = body[Symbol.asyncIterator]();
  }

  /** No further piece is read. */
  stop(): void {
    this.#stopped = true;
  }

  /** `AsyncIterator` */
  next(): Promise<IteratorResult<unknown>> {
    return this.#stopped ? this.return() : this.#iterator.next();
  }

  /** `AsyncIterator` */
  async return(): Promise<IteratorResult<unknown>> {
    await this.#iterator.return?.();
    return { done: true, value: undefined };
  }

  /** `AsyncIterable` */
  [Symbol.asyncIterator](): this {
    return this;
  }
}
