/**
 * Which interfaces paths may use.
 *
 * @module
 */
import { checkObject } from "../kernel/argument_checks.ts";
import type { Policy, PolicyContext } from "../net/policy.ts";
import { isNamed, type Where, whereIs } from "./match.ts";
import { checkNames } from "./options.ts";

/** Options of `interfaces`. */
export interface InterfacesOptions {
  /**
   * Only these: names (`*` stands for anything) or addresses of the host.
   *
   * @default {undefined} all
   */
  allow?: string | readonly string[];
  /**
   * Not these, also where `allow` names them.
   *
   * @default {undefined} none
   */
  deny?: string | readonly string[];
}

/**
 * Opens nothing by itself: it keeps other policies from opening paths over interfaces that are not allowed. A subflow that is
 * there already, as the initial one, is closed when there is another.
 *
 * @throws {TypeError} When an option has the wrong type, or neither is given.
 *
 * @example
 * ```ts ignore
 * import { connect } from "@mptcp/mptcp";
 * import { fullMesh, interfaces } from "@mptcp/mptcp/policy";
 *
 * using conn = await connect({ hostname: "server.example", port: 8080, paths: "userspace" });
 * conn.use(interfaces({ deny: ["wwan*", "docker0"] }));
 * conn.use(fullMesh());
 * ```
 */
export function interfaces(options: InterfacesOptions): Policy {
  checkObject("options", options);
  const { allow, deny } = options;
  if (allow === undefined && deny === undefined) throw new TypeError("Cannot use interfaces: allow or deny is needed");
  const allowed = allow === undefined ? null : checkNames("allow", allow);
  const denied = deny === undefined ? [] : checkNames("deny", deny);
  const verdict = (where: Where): true | string => {
    const name = where.interface ?? where.localAddress;
    if (isNamed(denied, where)) return `${name} is denied`;
    return allowed === null || isNamed(allowed, where) || `${name} is not among the allowed`;
  };
  return {
    name: "interfaces",
    manages: true,
    mayOpen: verdict,
    attach(context) {
      const review = () => closeOthers(context, verdict);
      review();
      return { subflowOpened: review };
    },
  };
}

/** Closes what is not allowed, while something that is allowed is there. */
function closeOthers(context: PolicyContext, verdict: (where: Where) => true | string): void {
  const rows = context.subflows().map((row) => ({ row, answer: verdict(whereIs(row, context)) }));
  if (!rows.some(({ answer }) => answer === true)) return;
  for (const { row, answer } of rows) if (answer !== true) context.close(row.id, answer);
}
