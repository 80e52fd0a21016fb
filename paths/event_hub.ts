/**
 * One source of events for all connections of this process, which asks for them by token. It is open while somebody needs
 * it, if only that somebody listens: the kernel takes no subflow from the peer of a userspace-managed connection while
 * nobody in the namespace listens to events.
 *
 * @module
 */
import type { PathEvent } from "../kernel/mptcp_event.ts";
import { EventSource } from "./event_source.ts";

/** Told what concerns one connection, from the event loop. */
export interface ConnectionOwner {
  event(event: PathEvent): void;
  /** Events were lost, perhaps this connection's: what is known by them is to be asked for anew. */
  lost(): void;
  /** There will be no more events. */
  failed(error: unknown): void;
}

/** Tells what has happened already, without waiting for the event loop. */
export function drainEvents(): void {
  source?.drain();
}

/** A part in the hub. */
export interface Subscription extends Disposable {
  /** Whether it keeps the process alive. @default {false} */
  setRef(ref: boolean): void;
  /** Ends it; a second call does nothing. */
  close(): void;
}

const owners = new Map<number, Set<ConnectionOwner>>();
let source: EventSource | null = null;
let subscriptions = 0;
let refs = 0;

function open(): EventSource {
  return new EventSource({
    event(event) {
      if (!("token" in event) || event.token === undefined) return;
      for (const owner of [...owners.get(event.token) ?? []]) owner.event(event);
    },
    lost() {
      for (const owner of everybody()) owner.lost();
    },
    failed(error) {
      // The next subscription opens it anew.
      source = null;
      for (const owner of everybody()) owner.failed(error);
    },
  });
}

const everybody = (): ConnectionOwner[] => [...owners.values()].flatMap((each) => [...each]);

/**
 * Takes part, until closed.
 *
 * @param token The connection's local token; `null` for who only needs that somebody listens.
 * @throws {MptcpError} `EPERM` without CAP_NET_ADMIN over the network namespace.
 */
export function subscribe(token: number | null, owner: ConnectionOwner | null): Subscription {
  if (source === null) {
    source = open();
    source.setRef(refs > 0);
  }
  subscriptions++;
  if (token !== null && owner !== null) {
    const set = owners.get(token) ?? new Set();
    owners.set(token, set.add(owner));
  }
  let ref = false;
  let closed = false;
  const setRef = (wanted: boolean) => {
    if (closed || ref === wanted) return;
    ref = wanted;
    refs += wanted ? 1 : -1;
    source?.setRef(refs > 0);
  };
  const close = () => {
    setRef(false);
    if (closed) return;
    closed = true;
    const set = token === null ? undefined : owners.get(token);
    if (set && owner && set.delete(owner) && set.size === 0) owners.delete(token!);
    if (--subscriptions > 0) return;
    source?.close();
    source = null;
  };
  return { setRef, close, [Symbol.dispose]: close };
}

/**
 * Takes part so that somebody listens, where the process may; elsewhere somebody with the privilege has to.
 *
 * @returns `null` where it may not.
 */
export function listenToEvents(token: number | null = null, owner: ConnectionOwner | null = null): Subscription | null {
  try {
    return subscribe(token, owner);
  } catch {
    return null;
  }
}
