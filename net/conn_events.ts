/**
 * What happens to one connection's paths, as one stream of events.
 *
 * The kernel's events tell most of it, to who may join them. To others the differences between two looks at the subflows do.
 * Of some things no event ever tells (a late fallback, the peer's abort): these are looked for now and then, both ways.
 *
 * @module
 */
import { clearTimeout, setTimeout } from "node:timers";
import type { PathEvent, ResetReason, SubflowError } from "../kernel/mptcp_event_types.ts";
import type { Addr } from "../kernel/sockaddr.ts";
import type { Subflow } from "../paths/connection.ts";
import { drainEvents, subscribe, type Subscription } from "../paths/event_hub.ts";
import { Queue } from "../paths/queue.ts";
import { findConnection } from "../paths/sockets.ts";
import type { Fallback } from "./fallback.ts";

/** What events about one subflow have. */
export interface ConnSubflowEvent {
  /** `Subflow.id`; `undefined` when the subflow was gone before it could be looked up. */
  id: number | undefined;
  /** Our end. */
  local: Addr;
  /** The peer's end. */
  remote: Addr;
  /** The id of our address in this connection, where it is known. */
  localId: number | undefined;
  /** The id of the peer's address in this connection, where it is known. */
  remoteId: number | undefined;
}

/** A subflow is established, opened by either side. If the peer refuses it after all, `"subflowClosed"` follows. */
export interface SubflowOpened extends ConnSubflowEvent {
  /** Tells the kinds of events apart. */
  type: "subflowOpened";
  /** Whether either side wants it for a backup only. */
  backup: boolean | undefined;
}

/** A subflow has ended, or one that was tried could not be opened. */
export interface SubflowClosed extends ConnSubflowEvent {
  /** Tells the kinds of events apart. */
  type: "subflowClosed";
  /** The error of its socket, if it had one; never told when `source` is `"polling"`. */
  error?: SubflowError;
  /** Why the peer reset it, if it did; never told when `source` is `"polling"`. */
  resetReason?: ResetReason;
}

/** The priority of a subflow was changed, by either side. */
export interface SubflowPriorityChanged extends ConnSubflowEvent {
  /** Tells the kinds of events apart. */
  type: "subflowPriority";
  /** Whether either side now wants it for a backup only. */
  backup: boolean;
}

/** The peer announced an address (ADD_ADDR); never told when `source` is `"polling"`. */
export interface AddressAnnounced {
  /** Tells the kinds of events apart. */
  type: "addressAnnounced";
  /** The id of the address in this connection. */
  remoteId: number;
  /** The address, and the port that it came with; if it came without, the connection's. */
  remote: Addr;
}

/** The peer withdrew an address (REMOVE_ADDR); never told when `source` is `"polling"`. */
export interface AddressWithdrawn {
  /** Tells the kinds of events apart. */
  type: "addressWithdrawn";
  /** The id of the address in this connection. */
  remoteId: number;
}

/** The connection goes on as plain TCP. Seen within a second. */
export interface FellBack {
  /** Tells the kinds of events apart. */
  type: "fallback";
  /** When and why. */
  fallback: Fallback;
}

/** The connection has ended; the last event. */
export interface ConnectionClosed {
  /** Tells the kinds of events apart. */
  type: "closed";
  /** What ended it, if that was no orderly close. */
  error?: unknown;
}

/** What happens to one connection's paths. */
export type ConnEvent =
  | SubflowOpened
  | SubflowClosed
  | SubflowPriorityChanged
  | AddressAnnounced
  | AddressWithdrawn
  | FellBack
  | ConnectionClosed;

/** The events of one connection; iterate it, once. */
export interface ConnEvents extends AsyncIterableIterator<ConnEvent> {
  /**
   * `"netlink"`: the kernel tells, at once. `"polling"`: the process may not join its events (CAP_NET_ADMIN), or the
   * connection is plain TCP: the subflows are looked at every 20 ms to 1 s, the more seldom the less happens.
   */
  readonly source: "netlink" | "polling";
}

/** What the feed asks of a connection. */
export interface Watched {
  /** The local token, `null` when it is plain TCP. */
  readonly token: number | null;
  /** The live subflows. */
  subflows(): Subflow[];
  /** Why it is plain TCP; `null` while it is not. */
  fallback(): Fallback | null;
}

const SHORTEST = 20;
const LONGEST = 1000;

const keyOf = ({ local, remote }: { local: Addr; remote: Addr }): string =>
  `${local.hostname}|${local.port}|${remote.hostname}|${remote.port}`;

interface Known {
  id: number | undefined;
  local: Addr;
  remote: Addr;
  localId: number | undefined;
  remoteId: number | undefined;
  backup: boolean | undefined;
}

const known = ({ id, local, remote, localId, remoteId, backup }: Subflow): Known => ({
  id,
  local,
  remote,
  localId,
  remoteId,
  backup,
});

/** Whether a subflow is there for use: not one that is only tried. */
const isUsable = ({ id, state }: Subflow): boolean => id !== 0 && state !== "SYN_SENT" && state !== "SYN_RECV";

/** One reader's events. */
class Feed extends Queue<ConnEvent> implements ConnEvents {
  readonly source: "netlink" | "polling";
  readonly #watched: Watched;
  readonly #token: number | null;
  readonly #subscription: Subscription | null;
  readonly #known = new Map<string, Known>();
  #fellBack: boolean;
  #timer: ReturnType<typeof setTimeout>;
  #pause = SHORTEST;
  #ref = false;

  /** @param quiet Whether waiting for events lets the process end. */
  constructor(watched: Watched, quiet: boolean, ended: (feed: Feed) => void) {
    super(() => {
      clearTimeout(this.#timer);
      this.#subscription?.close();
      ended(this);
    }, (waiting) => {
      if (quiet) return;
      this.#ref = waiting;
      this.#subscription?.setRef(waiting);
      waiting ? this.#timer.ref() : this.#timer.unref();
    });
    this.#watched = watched;
    this.#token = watched.token;
    this.#fellBack = this.#token === null;
    // First the events, then the state: nothing can be missed in between.
    this.#subscription = this.#token === null ? null : this.#join(this.#token);
    this.source = this.#subscription === null ? "polling" : "netlink";
    for (const row of watched.subflows().filter(isUsable)) this.#known.set(keyOf(row), known(row));
    this.#timer = this.#schedule();
  }

  #join(token: number): Subscription | null {
    try {
      return subscribe(token, {
        event: (event) => this.#event(event),
        lost: () => this.#compare(),
        failed: (error) => this.close(error),
      });
    } catch {
      return null;
    }
  }

  #event(event: PathEvent): void {
    if (event.type === "announced") {
      this.push({ type: "addressAnnounced", remoteId: event.remoteId, remote: event.remote });
    } else if (event.type === "removed") {
      this.push({ type: "addressWithdrawn", remoteId: event.remoteId });
    } else if (event.type === "subflowEstablished") {
      const key = keyOf(event);
      if (this.#known.has(key)) return;
      const row = this.#watched.subflows().find((each) => keyOf(each) === key);
      const { local, remote, localId, remoteId } = event;
      const opened = { id: row?.id, local, remote, localId, remoteId, backup: row?.backup ?? event.backup };
      this.#known.set(key, opened);
      this.push({ type: "subflowOpened", ...opened });
    } else if (event.type === "subflowClosed") {
      const { local, remote, localId, remoteId, error, resetReason } = event;
      const id = this.#known.get(keyOf(event))?.id;
      this.#known.delete(keyOf(event));
      this.push({
        type: "subflowClosed",
        ...{ id, local, remote, localId, remoteId },
        ...(error === undefined ? {} : { error }),
        ...(resetReason === undefined ? {} : { resetReason }),
      });
    } else if (event.type === "subflowPriority") {
      this.priority(event, event.backup);
    }
  }

  /**
   * A subflow's priority may have changed.
   *
   * @param told What it is now, should the subflow be gone already.
   */
  priority(of: { local: Addr; remote: Addr }, told?: boolean): void {
    const key = keyOf(of);
    const before = this.#known.get(key);
    const row = this.#watched.subflows().find((each) => keyOf(each) === key);
    const backup = row?.backup ?? told;
    const now = row === undefined ? before : known(row);
    if (backup === undefined || now === undefined || before?.backup === backup) return;
    this.#known.set(key, { ...now, backup });
    this.push({ type: "subflowPriority", ...now, backup });
  }

  /** Tells what is not as it was; whether anything was. */
  #compare(): boolean {
    const all = this.#watched.subflows();
    if (all.some(({ id }) => id === 0)) return false; // it falls back just now
    const rows = new Map(all.filter(isUsable).map((row) => [keyOf(row), row]));
    let changed = false;
    for (const [key, { backup: _, ...gone }] of this.#known) {
      if (rows.has(key)) continue;
      this.#known.delete(key);
      this.push({ type: "subflowClosed", ...gone });
      changed = true;
    }
    for (const [key, row] of rows) {
      const before = this.#known.get(key);
      if (before === undefined) {
        const opened = known(row);
        this.#known.set(key, opened);
        this.push({ type: "subflowOpened", ...opened });
      } else if (row.backup !== undefined && row.backup !== before.backup) {
        this.priority(row);
      } else {
        continue;
      }
      changed = true;
    }
    return changed;
  }

  #schedule(): ReturnType<typeof setTimeout> {
    const timer = setTimeout(() => this.#look(), this.#pause);
    if (!this.#ref) timer.unref();
    return timer;
  }

  /** Looks for what no event tells. */
  #look(): void {
    try {
      let changed = false;
      if (this.#fellBack) {
        if (this.#watched.subflows().length === 0) return this.ended(); // both ways, or by the peer's reset
      } else {
        const fallback = this.#watched.fallback();
        if (fallback !== null) {
          this.#fellBack = true;
          this.push({ type: "fallback", fallback });
        } else if (findConnection(this.#token!) === null) {
          return this.ended();
        } else if (this.source === "polling") {
          changed = this.#compare();
        }
      }
      this.#pause = changed ? SHORTEST : Math.min(this.#pause * 1.5, LONGEST);
      this.#timer = this.#schedule();
    } catch (error) {
      this.close(error);
    }
  }

  /** The connection has ended. */
  ended(error?: unknown): void {
    this.push({ type: "closed", ...(error === undefined || error === null ? {} : { error }) });
    this.close();
  }
}

/** The feeds of one connection. */
export class EventFeeds {
  readonly #feeds = new Set<Feed>();

  /**
   * Begins one.
   *
   * @param quiet Whether waiting for its events lets the process end. @default {false}
   */
  open(watched: Watched, quiet = false): ConnEvents {
    const feed = new Feed(watched, quiet, (ended) => this.#feeds.delete(ended));
    this.#feeds.add(feed);
    return feed;
  }

  /** Tells what has happened already: before something changes of which the kernel has no event. */
  catchUp(): void {
    if (this.#feeds.size > 0) drainEvents();
  }

  /** We changed a subflow's priority, of which the kernel has no event. */
  priority(of: { local: Addr; remote: Addr }): void {
    for (const feed of this.#feeds) feed.priority(of);
  }

  /** The connection has ended. */
  ended(error?: unknown): void {
    this.catchUp();
    for (const feed of [...this.#feeds]) feed.ended(error);
  }
}
