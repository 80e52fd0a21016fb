/**
 * The events of a while, to be looked up by connection afterwards: a client's token is known only when it has connected, and
 * by then its first events are over.
 *
 * @module
 */
import { system } from "../ffi/mod.ts";
import type { PathEvent } from "../kernel/mptcp_event_types.ts";
import { MptcpError } from "../kernel/error.ts";
import { EventSource } from "./event_source.ts";

/** More would be another's than the one connection's that is looked for. */
const MOST_EVENTS = 50_000;

/** See the module's comment. */
export class EventJournal implements Disposable {
  readonly #events: PathEvent[] = [];
  #source: EventSource | null = null;

  private constructor() {}

  /** Begins it; `null` where the process may not watch events, and where the kernel has none. */
  static open(): EventJournal | null {
    if (system() === null) return null;
    const journal = new EventJournal();
    try {
      journal.#source = new EventSource({
        event: (event) => {
          if (journal.#events.length < MOST_EVENTS) journal.#events.push(event);
        },
        lost: () => {},
        failed: () => {},
      });
      return journal;
    } catch (error) {
      if (error instanceof MptcpError) return null;
      throw error;
    }
  }

  /** What a connection's events were so far; none without a token. */
  of(token: number | null): PathEvent[] {
    return token === null ? [] : this.#events.filter((event) => "token" in event && event.token === token);
  }

  /** Ends it; a second call does nothing. */
  close(): void {
    this.#source?.close();
    this.#source = null;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
