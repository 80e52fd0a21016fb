/**
 * Policies of one's own.
 *
 * @module
 */
import { checkPolicy, type Policy } from "../net/policy.ts";

/**
 * Checks a policy and gives it back: with this around it, an editor knows the hooks and their parameters, and a mistake is
 * told where the policy is written.
 *
 * @throws {TypeError} When it has no name, or a hook is no function.
 * @throws {RangeError} When `interval` is out of range.
 *
 * @example At most so many bytes over an expensive path
 * ```ts
 * import { definePolicy } from "@mptcp/mptcp/policy";
 *
 * const budget = definePolicy({
 *   name: "budget",
 *   interval: 1000,
 *   tick(context) {
 *     for (const { id, local, tcpInfo } of context.subflows()) {
 *       const bytes = (tcpInfo.bytesSent ?? 0) + (tcpInfo.bytesReceived ?? 0);
 *       if (local.hostname.startsWith("192.0.2.") && bytes > 50e6) context.close(id, "its budget is spent");
 *     }
 *   },
 *   mayOpen: ({ localAddress }) => localAddress.startsWith("192.0.2.") ? "its budget may be spent" : true,
 * });
 * console.log(budget.name);
 * ```
 */
export function definePolicy<P extends Policy>(policy: P): P {
  checkPolicy(policy);
  return policy;
}
