/**
 * What the main thread and the relaying threads tell each other.
 *
 * A relaying thread sits in `epoll_wait`, where no message of the runtime reaches it: what it is told comes by a pipe, as
 * lines of JSON. What it tells goes by the runtime's messages, and its counters lie in shared memory.
 *
 * @module
 */

/** A user of the proxy. */
export interface Credentials {
  user: string;
  password: string;
}

/** What a relaying thread begins with. */
export interface ThreadConfig {
  /** The descriptor that connections are accepted from, the thread's own. */
  listener: number;
  /** The end of the pipe that commands are read from, the thread's own. */
  commands: number;
  /** Where it counts: `COUNTERS.length` numbers. */
  counters: SharedArrayBuffer;
  /** Whether the connections to the targets are MPTCP. */
  mptcp: boolean;
  /** Connections on which nothing has moved for so many ms are closed; 0 for never. */
  idle: number;
  /** How long connecting to a target may take, ms, and a client's telling which. */
  timeout: number;
  /** Where all connections go; `null` where each client says where to (a proxy). */
  target: ResolvedTarget | null;
  /** The addresses and prefixes that clients are served from; `null` for all. */
  allow: string[] | null;
  /** Whom a proxy serves; `null` for everybody. */
  credentials: Credentials | null;
}

/** Where to connect to: addresses to be tried in turn. */
export interface ResolvedTarget {
  addresses: string[];
  port: number;
}

/** Why a client of the proxy gets no connection: the target is not allowed, or its name is not known. */
export type Refusal = "forbidden" | "unknown";

/** Told to a thread. */
export type ThreadCommand =
  | { type: "target"; target: ResolvedTarget }
  /** The answer to `resolve`. Without addresses the client is refused, for that reason. */
  | { type: "resolved"; id: number; addresses: string[]; refusal?: Refusal }
  /** Accept no more, and end with the last connection. */
  | { type: "stop" }
  /** End now. */
  | { type: "end" };

/** Told by a thread. */
export type ThreadMessage =
  /** A client of the proxy wants to go there. */
  | { type: "resolve"; id: number; hostname: string; port: number }
  /** Something that a person should know; told once in a while only. */
  | { type: "trouble"; message: string }
  | { type: "ended" };

/** What is counted. */
export const COUNTERS = [
  /** Connections that were accepted. */
  "accepted",
  /** Of those, over MPTCP. */
  "acceptedMptcp",
  /** Connections that are open now. */
  "open",
  /** Connections to targets that were made. */
  "connected",
  /** Of those, over MPTCP. */
  "connectedMptcp",
  /** Clients whose target could not be reached. */
  "failed",
  /** Clients of the proxy that were refused: for their address, their password, their target, or what they sent. */
  "refused",
  /** Bytes from clients to targets. */
  "bytesOut",
  /** Bytes from targets to clients. */
  "bytesIn",
  /** Connections that one end aborted. */
  "resets",
  /** Connections that were closed as nothing moved. */
  "idle",
] as const;

/** The name of a counter. */
export type CounterName = typeof COUNTERS[number];

/** Where each counter lies. */
export const AT: Readonly<Record<CounterName, number>> = Object.fromEntries(
  COUNTERS.map((name, index) => [name, index]),
) as Record<CounterName, number>;
