/**
 * What both children of the demonstration have in common.
 *
 * @module
 */
import process from "node:process";
import type { Conn } from "../../mod.ts";
import type { Confirmation, Task } from "./messages.ts";

/** How often both ends report, ms. */
export const REPORT_EVERY = 50;

/** An address and a port as people write them; all addresses of the demonstration are IPv4. */
export function name({ hostname, port }: { hostname: string; port: number }): string {
  return `${hostname}:${port}`;
}

/** Asks the kernel what the connection is. */
export function confirm(conn: Conn): Confirmation {
  return {
    multipath: conn.isMultipath(),
    token: conn.token,
    subflows: conn.subflows().length,
    local: name(conn.localAddr),
    remote: name(conn.remoteAddr),
  };
}

/**
 * Runs one side: the task comes as the argument, messages go to standard output. The child ends with its parent, whichever
 * way that ends, as standard input is a pipe that only the parent holds.
 */
export async function runChild<Message>(
  side: (task: Task, tell: (message: Message | { type: "error"; message: string }) => void) => Promise<void>,
): Promise<void> {
  process.stdin.on("end", () => process.exit(1)).on("error", () => process.exit(1)).resume();
  const tell = (message: unknown) => void process.stdout.write(`${JSON.stringify(message)}\n`);
  let code = 0;
  try {
    await side(JSON.parse(process.argv[2] ?? "{}") as Task, tell);
  } catch (error) {
    tell({ type: "error", message: error instanceof Error ? error.message : String(error) });
    code = 1;
  }
  process.stdout.write("", () => process.exit(code));
}
