/**
 * Checks of what the ready-made policies are given.
 *
 * @module
 */
import { checkObject, show } from "../kernel/argument_checks.ts";
import { ipVersion } from "../kernel/ip.ts";

/** What policies that open paths have in common. */
export interface RemoteOptions {
  /**
   * Further addresses of the peer, for peers that announce none.
   *
   * @default {[]}
   */
  remotes?: readonly string[];
}

/** Checks addresses of the peer, and gives them. */
export function checkRemotes(options: RemoteOptions): readonly string[] {
  checkObject("options", options);
  const { remotes = [] } = options;
  if (!Array.isArray(remotes)) {
    throw new TypeError(`Cannot use remotes ${show(remotes)}: it must be an array of IP addresses`);
  }
  for (const remote of remotes) {
    if (typeof remote !== "string" || ipVersion(remote) === 0) {
      throw new TypeError(`Cannot use remotes with ${show(remote)}: it is not an IP address`);
    }
  }
  return remotes;
}

/** Checks a number of milliseconds, or another that is 0 or more. */
export function checkAmount(what: string, value: unknown): void {
  if (value === undefined) return;
  if (typeof value !== "number") throw new TypeError(`Cannot use ${what} ${show(value)}: it must be a number`);
  if (!(value >= 0)) throw new RangeError(`Cannot use ${what} ${value}: it must be 0 or more`);
}

/** Checks a list of names, and gives it. */
export function checkNames(what: string, value: string | readonly string[]): readonly string[] {
  const list = typeof value === "string" ? [value] : value;
  if (Array.isArray(list) && list.length > 0 && list.every((each) => typeof each === "string" && each !== "")) return list;
  throw new TypeError(`Cannot use ${what} ${show(value)}: it must be a name or an array of names`);
}
