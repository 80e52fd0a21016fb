/**
 * Asks again and again, for what the kernel has no event for.
 *
 * @module
 */

/** What a question may have for an answer as long as it has none. */
type NotYet = null | undefined | false;

/** Polls until there is an answer. */
export async function until<T>(ask: () => T | NotYet | Promise<T | NotYet>, patience = 5000): Promise<T> {
  const deadline = performance.now() + patience;
  for (;;) {
    const answer = await ask();
    if (answer !== null && answer !== undefined && answer !== false) return answer;
    if (performance.now() > deadline) throw new Error(`Still not true after ${patience} ms: ${ask}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
