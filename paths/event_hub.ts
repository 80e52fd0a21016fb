/**
 * One source of events for all connections of this process, which asks for them by token. It is open while somebody needs
 * it, if only that somebody listens: the kernel takes no subflow from the peer of a userspace-managed connection while
 * nobody in the namespace listens to events.
 *
 * @module
 */
import type { PathEvent } from "../kernel/mptcp_event.ts";
import type { Addr } from "../kernel/sockaddr.ts";
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

/** An address that a peer has announced. */
export interface PeerAddress {
  /** Its id in this connection. */
  remoteId: number;
  /** The address, and the port at which subflows may be opened. */
  remote: Addr;
}

/**
 * What peers have announced, by connection and id. The kernel tells it once and keeps no list; it may come before the program
 * knows its new connection.
 */
const announced = new Map<number, Map<number, Addr>>();
/** Ends of connections can be missed: then the oldest are forgotten. */
const MOST_ANNOUNCED = 10_000;

function remember(event: PathEvent): void {
  if (event.type === "announced") {
    const addresses = announced.get(event.token) ?? new Map<number, Addr>();
    announced.set(event.token, addresses.set(event.remoteId, event.remote));
    if (announced.size > MOST_ANNOUNCED) announced.delete(announced.keys().next().value!);
  } else if (event.type === "removed") {
    announced.get(event.token)?.delete(event.remoteId);
  } else if (event.type === "closed") {
    announced.delete(event.token);
  }
}

/** The addresses that the peer of a connection has announced and not withdrawn, since somebody listens. */
export function announcedBy(token: number): PeerAddress[] {
  return [...announced.get(token) ?? []].map(([remoteId, remote]) => ({ remoteId, remote }));
}

function open(): EventSource {
  return new EventSource({
    event(event) {
      if (!("token" in event) || event.token === undefined) return;
      remember(event);
      for (const owner of [...owners.get(event.token) ?? []]) owner.event(event);
    },
    lost() {
      for (const owner of everybody()) owner.lost();
    },
    failed(error) {
      // The next subscription opens it anew.
      source = null;
      announced.clear();
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
    announced.clear();
  };
  return { setRef, close, [Symbol.dispose]: close };
}

/**
 * Takes part as one who only listens, where the process may; elsewhere somebody with the privilege has to.
 *
 * @returns `null` where it may not.
 */
export function listenToEvents(): Subscription | null {
  try {
    return subscribe(null, null);
  } catch {
    return null;
  }
}
