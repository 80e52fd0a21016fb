/**
 * Attempts raced against each other (RFC 8305, section 5): a new one starts when the last has failed, or 250 ms after it
 * started; the first that succeeds wins, and the others are aborted.
 *
 * @module
 */

/** The Connection Attempt Delay that the RFC recommends, in milliseconds. */
export const ATTEMPT_DELAY = 250;

/**
 * Runs the race.
 *
 * @param candidates What to try, in this order; at least one.
 * @param attempt Starts one attempt; it must end soon after its signal aborts.
 * @param discard Gets rid of a success that came too late.
 * @param signal Ends the whole race; it then rejects with `signal.reason`.
 * @returns The winner's result.
 * @throws The error of a lone attempt, else an `AggregateError` of all.
 */
export async function race<C, R>(
  candidates: readonly C[],
  attempt: (candidate: C, signal: AbortSignal) => Promise<R>,
  discard: (result: R) => void,
  signal: AbortSignal,
  delay: number = ATTEMPT_DELAY,
): Promise<R> {
  signal.throwIfAborted();
  if (candidates.length === 1) return await attempt(candidates[0]!, signal);
  const losers = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let stop = () => {};
  try {
    return await new Promise<R>((resolve, reject) => {
      stop = () => reject(signal.reason);
      signal.addEventListener("abort", stop, { once: true });
      const errors: unknown[] = [];
      let next = 0;
      let over = false;
      const start = () => {
        clearTimeout(timer);
        if (over || signal.aborted || next >= candidates.length) return;
        const candidate = candidates[next++]!;
        if (next < candidates.length) timer = setTimeout(start, delay);
        attempt(candidate, losers.signal).then(
          (result) => {
            // An abort wins over a success in the same moment: the caller has turned away already.
            if (over || signal.aborted) discard(result);
            else {
              over = true;
              resolve(result);
            }
          },
          (error) => {
            if (over) return;
            errors.push(error);
            if (next < candidates.length) {
              start();
            } else if (errors.length === candidates.length) {
              over = true;
              reject(new AggregateError(errors, "all attempts failed"));
            }
          },
        );
      };
      start();
    });
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", stop);
    losers.abort(signal.reason);
  }
}
