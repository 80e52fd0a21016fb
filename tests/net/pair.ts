/** Two ends of one connection over loopback, and what the tests of this folder need besides. */
import { readdirSync, readlinkSync } from "node:fs";
import { type Conn, connect, type ConnectOptions, listen, type ListenOptions } from "@mptcp/mptcp";

export interface Pair extends AsyncDisposable {
  client: Conn;
  server: Conn;
}

/** Connects a client to a server of this process; both are closed at the end. */
export async function pair(
  options: Partial<ConnectOptions> = {},
  listening: Partial<ListenOptions> = {},
): Promise<Pair> {
  using listener = listen({ hostname: "127.0.0.1", port: 0, ...listening });
  const accepted = listener.accept();
  const client = await connect({ hostname: listener.addr.hostname, port: listener.addr.port, ...options });
  const server = await accepted;
  return {
    client,
    server,
    [Symbol.asyncDispose]() {
      client.close();
      server.close();
      return Promise.resolve();
    },
  };
}

/** How many descriptors the process has open. */
export function openDescriptors(): number {
  return readdirSync("/proc/self/fd").length;
}

/** How many sockets the process has open: unlike other descriptors, no runtime opens them for itself at a time of its own. */
export function openSockets(): number {
  return readdirSync("/proc/self/fd").filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith("socket:");
    } catch {
      return false; // the folder itself
    }
  }).length;
}

/**
 * Waits until no more are open than before: runtimes and the kernel let go of some a moment later.
 *
 * @param count `openDescriptors` or `openSockets`.
 * @param patience How long to wait, ms.
 * @returns How many are open in the end.
 */
export async function openAtLast(count: () => number, before: number, patience = 2000): Promise<number> {
  for (const deadline = performance.now() + patience; count() > before && performance.now() < deadline;) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return count();
}

/** Bytes that differ from place to place, so that a lost or doubled piece shows. */
export function pattern(length: number, offset = 0): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = ((offset + i) * 2654435761) >>> 24;
  return bytes;
}

/** Reads to the end of the stream. */
export async function readAll(conn: Conn, size = 1 << 16): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  const buffer = new Uint8Array(size);
  for (;;) {
    const count = await conn.read(buffer);
    if (count === null) break;
    chunks.push(buffer.slice(0, count));
  }
  const all = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let offset = 0;
  for (const chunk of chunks) {
    all.set(chunk, offset);
    offset += chunk.length;
  }
  return all;
}

/** Reads exactly as many bytes. */
export async function readExactly(conn: Conn, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  for (let offset = 0; offset < length;) {
    const count = await conn.read(bytes.subarray(offset));
    if (count === null) throw new Error(`the stream ended after ${offset} of ${length} bytes`);
    offset += count;
  }
  return bytes;
}

export const utf8 = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text);
export const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
