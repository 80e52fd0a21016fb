/**
 * Waiting from one look to the next.
 *
 * @module
 */
import { setTimeout as sleep } from "node:timers/promises";

/** Waits; false when that was to end. */
export async function slept(ms: number, signal: AbortSignal): Promise<boolean> {
  try {
    await sleep(ms, undefined, { signal });
    return true;
  } catch {
    return false;
  }
}
