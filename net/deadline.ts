/**
 * The caller's abort and the timeout as one signal.
 *
 * @module
 */
/** What may end some work early. */
export interface Deadline {
  signal?: AbortSignal;
  /** Milliseconds. */
  timeout?: number;
}

/**
 * Runs `work` with a signal that follows `options.signal` and aborts after `options.timeout`. When the work has ended,
 * neither a timer nor a listener is left.
 *
 * @param what The work's name, for the error.
 */
export async function withDeadline<T>(
  options: Deadline,
  what: string,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const { signal, timeout } = options;
  const forward = () => controller.abort(signal!.reason);
  if (signal?.aborted) forward();
  else signal?.addEventListener("abort", forward, { once: true });
  const timer = timeout === undefined ? undefined : setTimeout(() => {
    controller.abort(new DOMException(`Cannot ${what}: no answer in ${timeout} ms`, "TimeoutError"));
  }, Math.min(timeout, 2 ** 31 - 1));
  try {
    controller.signal.throwIfAborted();
    return await work(controller.signal);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", forward);
  }
}

/** Waits for work that cannot be aborted, but no longer than until the abort. */
export function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
