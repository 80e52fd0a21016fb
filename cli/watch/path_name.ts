/**
 * What a path is called.
 *
 * @module
 */
import type { Subflow } from "../../paths/connection.ts";

/** Both addresses of a subflow, without ports. */
export function pathName({ local, remote }: Pick<Subflow, "local" | "remote">): string {
  return `${local.hostname} to ${remote.hostname}`;
}
