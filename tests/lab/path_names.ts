/**
 * Which paths a connection has, by name, on both of its ends.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import type { Agent } from "./remote.ts";
import { until } from "./until.ts";

/** The first path of a lab. */
export const FIRST = "10.0.1.1 → 10.0.1.2";
/** The second path. */
export const SECOND = "10.0.2.1 → 10.0.2.2";

/** The established subflows of an agent's connection, as the client names them. */
export async function paths(agent: Agent, mirrored = false): Promise<string[]> {
  const all = await agent.run(({ look, here }) => look(here.conn).subflows);
  return all.filter(({ state }) => state === "ESTABLISHED")
    .map(({ local, remote }) => mirrored ? `${remote} → ${local}` : `${local} → ${remote}`).sort();
}

/** Waits until both ends have just these subflows. */
export async function bothHave(client: Agent, server: Agent, expected: string[]): Promise<void> {
  const wanted = [...expected].sort();
  let seen: string[][] = [];
  const same = async () => {
    seen = [await paths(client), await paths(server, true)];
    return seen.every((each) => `${each}` === `${wanted}`);
  };
  await until(same, 8000).catch(() => assertEquals(seen, [wanted, wanted]));
}
