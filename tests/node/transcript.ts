/**
 * What a socket says, written down, so that a socket of ours can be compared with one of `node:net`.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import type { Socket } from "node:net";
import { type Conn, listen, type MptcpMode } from "@mptcp/mptcp";

/** One run of a scenario. */
export interface Run {
  socket: Socket;
  /** Where the server listens. */
  port: number;
  /** The server's end, when it has accepted. */
  accepted: Promise<Conn>;
  /** Writes something down. */
  note(...words: unknown[]): void;
}

/** What a scenario does with a socket; it ends when the socket is closed. */
export type Scenario = (run: Run) => unknown;

const EVENTS = [
  "lookup",
  "connectionAttempt",
  "connectionAttemptFailed",
  "connectionAttemptTimeout",
  "connect",
  "ready",
  "timeout",
  "end",
  "finish",
  "error",
  "close",
];

function shown(value: unknown): unknown {
  if (!(value instanceof Error)) return value;
  // What an error's class defines and what is set on it differ by runtime: the code is shown in any case.
  const { code } = value as { code?: string };
  const members = Object.entries({ ...value, code }).filter(([, member]) => member !== undefined).sort();
  const errors = value instanceof AggregateError ? value.errors.map(shown) : [];
  return [value.constructor.name, value.name, value.message, ...members, ...errors];
}

/** What a socket tells of itself. */
export function stateOf(socket: Socket): Record<string, unknown> {
  const { connecting, pending, readyState, destroyed, readable, writable, bytesRead, bytesWritten } = socket;
  const { remoteAddress, remoteFamily, remotePort, localAddress, localFamily, timeout } = socket;
  const { writableEnded, readableEnded, readableFlowing, allowHalfOpen } = socket;
  const streams = { readable, writable, writableEnded, readableEnded, readableFlowing, allowHalfOpen };
  const counts = { bytesRead, bytesWritten, timeout };
  const names = { remoteAddress, remoteFamily, remotePort, localAddress, localFamily };
  return { connecting, pending, readyState, destroyed, ...streams, ...counts, ...names };
}

/**
 * Runs a scenario.
 *
 * @param mptcp Whether the server is MPTCP.
 * @returns What happened, in order, with the server's port as `PORT`.
 */
export async function transcript(
  make: () => Socket,
  mptcp: MptcpMode,
  scenario: Scenario,
  hostname = "127.0.0.1",
): Promise<string[]> {
  using listener = listen({ hostname, port: 0, mptcp });
  const { port } = listener.addr;
  const lines: string[] = [];
  const note = (...words: unknown[]) => {
    const line = words.map((word) => typeof word === "string" ? word : JSON.stringify(shown(word)) ?? `${word}`).join(" ");
    lines.push(line.replaceAll(`${port}`, "PORT"));
  };
  const socket = make();
  for (const name of EVENTS) socket.on(name, (...values: unknown[]) => note(`<${name}>`, ...values.map(shown)));
  let closed = false;
  socket.on("close", () => closed = true);
  const accepted = listener.accept();
  accepted.catch(() => {});
  await scenario({ socket, port, accepted, note });
  if (!closed) await closing(socket);
  listener.close();
  accepted.then((conn) => conn.close(), () => {});
  return lines;
}

/** The next `close`, whatever comes before it. */
export function closing(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.once("close", () => resolve()));
}

/** All that comes, as text, noted when it has ended. */
export function noteData({ socket, note }: Run): void {
  const chunks: Uint8Array[] = [];
  socket.on("data", (chunk: Uint8Array) => chunks.push(chunk));
  socket.on("end", () => note("data", Buffer.concat(chunks).toString()));
}
