/**
 * What tests and agents say to each other.
 *
 * @module
 */
import type { Hash } from "node:crypto";
import type * as mptcp from "../../mod.ts";
import type { Conn, Listener } from "../../mod.ts";
import type * as policy from "../../policy/mod.ts";

/** Bytes that went through a connection. */
export interface Flow {
  bytes: number;
  sha256: string;
}

/** What the library says of a connection. */
export interface Seen {
  multipath: boolean;
  fallback: ReturnType<Conn["fallback"]>;
  local: string;
  remote: string;
  /** `sent` counts what was acknowledged. */
  subflows: { id: number; local: string; remote: string; state: string; sent: number; received: number }[];
}

/** What a function that runs in an agent has: the library, and some means of testing. */
export type Kit = typeof mptcp & {
  /** Lives as long as the agent, so that a later function finds what an earlier one made. */
  here: { conn: Conn; listener: Listener; later: Promise<unknown> };
  /** The ready-made policies. */
  policy: typeof policy;
  /** Writes that many bytes. */
  send(conn: Conn, bytes: number): Promise<Flow>;
  /** Reads to the end of the stream. */
  drain(conn: Conn): Promise<Flow>;
  /** A new SHA-256. */
  hash(): Hash;
  /** What the library says of a connection now. */
  look(conn: Conn): Seen;
  /** Polls until there is something, for what the kernel has no event for. */
  until<T>(ask: () => T | null | undefined | false, patience?: number): Promise<T>;
};

/** A function to be run in the agent, as text. */
export interface Request {
  id: number;
  source: string;
  argument: unknown;
}

/** What became of it. */
export interface Answer {
  id: number;
  value?: unknown;
  error?: {
    name: string;
    message: string;
    code?: string;
    errno?: number;
    syscall?: string;
    address?: string;
    port?: number;
  };
}
