/**
 * Paths named by interfaces and addresses.
 *
 * @module
 */
import { canonicalAddress, ipVersion } from "../kernel/ip.ts";
import type { PolicyContext } from "../net/policy.ts";
import type { Subflow } from "../paths/connection.ts";

/** Where a path begins. */
export interface Where {
  localAddress: string;
  /** The interface's name, where it is known. */
  interface: string | undefined;
}

/** Whether a place is named: by its address, or its interface's name, in which `*` stands for anything. */
export function isNamed(names: readonly string[], { localAddress, interface: device }: Where): boolean {
  return names.some((name) => {
    if (ipVersion(name) !== 0) return canonicalAddress(name) === canonicalAddress(localAddress);
    if (device === undefined) return false;
    if (!name.includes("*")) return name === device;
    const pattern = name.split("*").map((part) => part.replace(/[.+?^${}()|[\]\\]/g, "\\$&")).join(".*");
    return new RegExp(`^${pattern}$`).test(device);
  });
}

/** Where a live subflow begins. */
export function whereIs({ local }: Pick<Subflow, "local">, context: Pick<PolicyContext, "interfaces">): Where {
  const localAddress = canonicalAddress(local.hostname.replace(/%.*/, ""));
  const device = context.interfaces().find(({ addresses }) =>
    addresses.some(({ address }) => canonicalAddress(address) === localAddress)
  );
  return { localAddress, interface: device?.name };
}
