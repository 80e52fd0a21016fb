/**
 * The events of MPTCP, of all connections of the network namespace.
 *
 * @module
 */
import { checkObject } from "../kernel/argument_checks.ts";
import type { PathEvent } from "../kernel/mptcp_event.ts";
import { EventSource } from "./event_source.ts";
import { Queue } from "./queue.ts";

/** Events were lost, as they came faster than they were read: what is known by them is to be asked for anew. */
export interface OverflowEvent {
  /** Tells the kinds of events apart. */
  type: "overflow";
  /** How many datagrams the kernel dropped. */
  lost: number;
}

/** Options of `watch`. */
export interface WatchOptions {
  /** Ends the watching: the iteration then ends too. */
  signal?: AbortSignal;
}

/**
 * Watches all MPTCP events of this network namespace: connections, subflows, addresses, priorities, listeners. Watching has
 * begun when it returns. Needs CAP_NET_ADMIN over the namespace.
 *
 * Events that nobody has asked for yet wait; a process that only waits for events goes on. When more come than fit, an event
 * of type `"overflow"` tells how many were lost.
 *
 * @throws {MptcpError} `EPERM` without the privilege, with a hint.
 *
 * @example Print them, as `ip mptcp monitor` does
 * ```ts ignore
 * import { watch } from "@mptcp/mptcp";
 *
 * for await (const event of watch()) console.log(event.type, "token" in event ? event.token : "");
 * ```
 */
export function watch(options: WatchOptions = {}): AsyncIterableIterator<PathEvent | OverflowEvent> {
  checkObject("options", options);
  const { signal } = options;
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw new TypeError("Cannot watch: signal must be an AbortSignal");
  }
  const stop = () => queue.close();
  const queue = new Queue<PathEvent | OverflowEvent>(
    () => {
      signal?.removeEventListener("abort", stop);
      source.close();
    },
    (waiting) => source.setRef(waiting),
  );
  const source = new EventSource({
    event: (event) => queue.push(event),
    lost: (lost) => queue.push({ type: "overflow", lost }),
    failed: (error) => queue.close(error),
  });
  if (signal?.aborted) stop();
  else signal?.addEventListener("abort", stop, { once: true });
  return queue;
}
