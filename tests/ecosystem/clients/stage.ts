/**
 * What the programs in this folder have in common. Each runs in the client's host, uses a library as its users do, tells what
 * came of it while its connections are open, closes them when it is told to, and then has to end by itself.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { once } from "node:events";
import process from "node:process";
import type { MptcpSocket, SocketControl } from "../../../node/mod.ts";

/** What a program says of a connection. */
export interface Told {
  localPort: number;
  multipath: boolean;
  /** Where the library tells it. */
  token?: number | null;
}

/** What a program tells. */
export interface Report<T> {
  connections: Told[];
  result: T;
}

/** What to do, and where the server is. */
export const [scenario = "", host = "", portText = ""] = process.argv.slice(2);
/** The server's port. */
export const port = Number(portText);

const sockets = new Set<MptcpSocket>();

/** Remembers a socket that a hook gives to a library, for the report. */
export function kept(socket: MptcpSocket): MptcpSocket {
  sockets.add(socket);
  socket.once("close", () => sockets.delete(socket));
  return socket;
}

/** What the library says of a connection. */
export function look(control: SocketControl): Told {
  return { localPort: control.localAddr.port, token: control.token, multipath: control.isMultipath() };
}

/** Tells the test what came of it. */
export function tell(result: unknown, connections: Told[] = [...sockets].map(({ mptcp }) => look(mptcp))): void {
  process.stdout.write(`${JSON.stringify({ connections, result })}\n`);
}

/** An emitter, also one that is none of node:events' by its types. */
interface Emitter {
  // deno-lint-ignore no-explicit-any -- the libraries' own types of events and listeners have nothing in common
  once(event: any, listener: any): unknown;
}

/** The next event of an emitter. Unlike `once` of node:events it does not mind an `"error"` in between. */
export function next<T extends unknown[]>(emitter: Emitter, event: string): Promise<T> {
  return new Promise((resolve) => emitter.once(event, (...values: T) => resolve(values)));
}

/** Waits until the test has seen enough. Nothing but what the library has left behind keeps the process alive then. */
export async function released(): Promise<void> {
  process.stdin.resume();
  await once(process.stdin, "end");
}

/** The hash by which tests compare what is large. */
export function sha256(...parts: readonly (Uint8Array | string)[]): string {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest("hex");
}
