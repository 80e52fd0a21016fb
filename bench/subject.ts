/**
 * What is measured: this library, or a runtime's own TCP API, each behind the same few functions.
 *
 * @module
 */
import type { Meter } from "./meter.ts";

/** Where to connect, and with what. */
export interface Target {
  hostname: string;
  port: number;
  /** For sockets that can be told; the namespace of the benchmark sets the same for all. */
  congestion?: string;
  receiveBuffer?: number;
}

/** Something to close. */
export interface Closable {
  close(): void;
}

/** See the module's comment. Every function ends when the meter says so, and closes what it opened. */
export interface Subject {
  /** Sends chunks as fast as they go, then ends the stream and waits until the peer has it all. */
  send(target: Target, meter: Meter): Promise<void>;
  /** Receives the fastest way. */
  receive(target: Target, meter: Meter): Promise<void>;
  /** Receives by a web stream's BYOB reader. */
  byob?(target: Target, meter: Meter): Promise<void>;
  /** Receives by `for await` over the stream. */
  stream?(target: Target, meter: Meter): Promise<void>;
  /** Sends 64 bytes, waits for them to come back, and again. */
  ping(target: Target, meter: Meter): Promise<void>;
  connect(target: Target): Promise<Closable>;
  /** Accepts connections and closes each at once. */
  listen(): Promise<Closable & { port: number }>;
  /** Asks a connection with that many subflows for them, again and again. */
  subflows?(target: Target, meter: Meter, count: number): Promise<void>;
  /** Asks for `info()`. */
  info?(target: Target, meter: Meter, count: number): Promise<void>;
}

/** What an HTTP client does. */
export interface HttpSubject {
  /** Fetches 16 bytes again and again, so many at a time. */
  fetch(target: Target, meter: Meter, parallel: number): Promise<void>;
  /** Fetches a file without end, chunk by chunk. */
  download(target: Target, meter: Meter): Promise<void>;
}

/** What is sent and received at once, by every contestant that can choose. */
export const CHUNK: number = 256 * 1024;
/** The size of a message of the round-trip test. */
export const PING = 64;
