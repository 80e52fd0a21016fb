/**
 * The demonstration's server: takes one connection, hashes what comes, answers with the hash over the same connection.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { type Conn, listen } from "../../mod.ts";
import { confirm, REPORT_EVERY, runChild } from "./child.ts";
import type { Pause, ReceiverMessage, Task } from "./messages.ts";

/** Shorter pauses are the ordinary rhythm of arriving segments. */
const SHORTEST_PAUSE = 20;

type Tell = (message: ReceiverMessage) => void;

async function receive(task: Task, tell: Tell): Promise<void> {
  const { hostname, port, mptcp, congestion } = task;
  using listener = listen({ hostname, port, mptcp, ...(congestion === undefined ? {} : { congestion }) });
  tell({ type: "listening", port: listener.addr.port });
  using conn = await listener.accept();
  tell({ type: "accepted", confirmation: confirm(conn) });
  const { bytes, sha256, pauses } = await readAll(conn, task.bytes, tell);
  // Asked while both directions are open: a closing connection takes its subflows down.
  const confirmation = confirm(conn);
  await conn.write(sha256);
  await conn.closeWrite();
  if (await conn.read(new Uint8Array(1)) !== null) throw new Error("more came than was to be sent");
  tell({ type: "done", bytes, sha256: sha256.toString("hex"), pauses, confirmation });
}

async function readAll(conn: Conn, expected: number, tell: Tell) {
  const hash = createHash("sha256");
  const buffer = new Uint8Array(256 * 1024);
  const pauses: Pause[] = [];
  let bytes = 0;
  let last = 0;
  let reported = 0;
  while (bytes < expected) {
    const count = await conn.read(buffer);
    if (count === null) throw new Error(`the connection ended after ${bytes} of ${expected} bytes`);
    const now = performance.now();
    if (bytes > 0 && now - last >= SHORTEST_PAUSE) pauses.push({ at: Date.now() - (now - last), ms: now - last });
    last = now;
    bytes += count;
    hash.update(buffer.subarray(0, count));
    if (now - reported >= REPORT_EVERY || bytes >= expected) {
      reported = now;
      tell({ type: "progress", at: Date.now(), bytes });
    }
  }
  return { bytes, sha256: hash.digest(), pauses };
}

await runChild<ReceiverMessage>(receive);
