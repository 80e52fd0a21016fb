/**
 * Policies of the whole process.
 *
 * @module
 */
import { checkPolicy, type Policy, type PolicyHandle } from "./policy.ts";
import { PolicyUse } from "./policy_use.ts";

const uses = new Set<PolicyUse>();

/** Whether there are any. */
export function hasProcessPolicies(): boolean {
  return uses.size > 0;
}

/** What every connection that begins now gets. */
export function processPolicies(): Iterable<PolicyUse> {
  return uses;
}

/**
 * Attaches a policy to every connection that this process makes or accepts from now on by this package, until it is stopped.
 * Connections to which it cannot be attached (plain TCP, or under the kernel's path manager) go on without it: a decision
 * with action `"attach"` tells of each.
 *
 * @throws {TypeError} When it is no policy.
 *
 * @example
 * ```ts
 * import { selfHealing, usePolicy } from "@mptcp/mptcp/policy";
 *
 * const handle = usePolicy(selfHealing());
 * // … connect, listen …
 * handle.stop();
 * ```
 */
export function usePolicy(policy: Policy): PolicyHandle {
  checkPolicy(policy);
  const use = new PolicyUse(policy, () => uses.delete(use));
  uses.add(use);
  return use;
}
