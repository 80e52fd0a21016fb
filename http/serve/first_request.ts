/**
 * The request that a new server gets from its own process, before anybody else can reach it: what answers it can be relied
 * upon.
 *
 * @module
 */
import { once } from "node:events";
import type { Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import type { Addr } from "../../kernel/sockaddr.ts";
import { connect } from "../../net/connect.ts";
import { Unsuitable } from "../../net/takeover.ts";

/** A server on this host answers at once, or never. */
const PATIENCE = 2000;

/**
 * Asks a server for a path.
 *
 * @param addr Its address on loopback.
 * @param word The path, and the body that must come back.
 * @param tls Whether it speaks TLS. Its certificate is not looked at: it is our own server.
 * @throws {Unsuitable} When the answer is missing or another one.
 */
export async function askFirst({ hostname, port }: Addr, word: string, tls: boolean): Promise<void> {
  const signal = AbortSignal.timeout(PATIENCE);
  try {
    using conn = await connect({ hostname, port, signal });
    const below = conn.toNode();
    const socket = tls ? connectTls({ socket: below, rejectUnauthorized: false }) : below;
    const answer = await exchange(socket, word, signal);
    below.destroy();
    if (!answer.startsWith("HTTP/1.1 200 ") || !answer.endsWith(word)) {
      throw new Error(`it answered "${answer.split("\r\n", 1)[0]!.slice(0, 60)}"`);
    }
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Unsuitable(`the runtime's server did not answer its first request: ${why}`, { cause: error });
  }
}

async function exchange(socket: Socket, word: string, signal: AbortSignal): Promise<string> {
  let answer = "";
  const stop = () => socket.destroy(new Error("it took too long"));
  signal.addEventListener("abort", stop, { once: true });
  try {
    socket.setEncoding("latin1");
    socket.on("data", (text) => answer += text);
    socket.write(`GET /${word} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
    await once(socket, "end");
    return answer;
  } finally {
    signal.removeEventListener("abort", stop);
    socket.destroy();
  }
}
