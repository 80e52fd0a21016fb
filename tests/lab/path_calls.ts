/**
 * The path manager of a host of a lab, call by call.
 *
 * @module
 */
import type { PathManager } from "../../mod.ts";
import type { Agent } from "./remote.ts";

/** A method of the path manager that takes arguments and may be called anywhere. */
export type Method = Exclude<keyof PathManager, "mode" | "close" | typeof Symbol.dispose>;

/** Calls one method of a path manager, which is opened for that and closed after it. */
export async function call<M extends Method>(
  agent: Agent,
  method: M,
  ...args: Parameters<PathManager[M]>
): Promise<ReturnType<PathManager[M]>> {
  return await agent.run(({ PathManager }, { method, args }) => {
    using paths = PathManager.open();
    return Reflect.apply(paths[method], paths, args) as unknown ?? null;
  }, { method: method as Method, args }) as ReturnType<PathManager[M]>;
}
