/**
 * Whether there is anything to watch.
 *
 * @module
 */
import { support } from "../../paths/support.ts";
import { EXIT, Failure } from "../frame/failure.ts";
import type { Output } from "../frame/output.ts";

/**
 * Says it when MPTCP is switched off.
 *
 * @throws {Failure} When there is no MPTCP here.
 */
export function readable(output: Output): void {
  const { available, enabled, reason } = support();
  if (!available) throw new Failure(`MPTCP is not available: ${reason}`, EXIT.unavailable);
  if (!enabled) output.say(`MPTCP is off here: ${reason}`);
}
