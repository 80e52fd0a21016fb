/**
 * This library, as a contestant.
 *
 * @module
 */
import { type Conn, connect, listen } from "../mod.ts";
import type { Meter } from "./meter.ts";
import { CHUNK, PING, type Subject, type Target } from "./subject.ts";

async function open(target: Target, meter: Meter): Promise<Conn> {
  const conn = await connect({ ...target, mptcp: "require" });
  meter.begin();
  return conn;
}

async function opened(target: Target, meter: Meter, subflows: number): Promise<Conn> {
  const conn = await open(target, meter);
  const ping = new Uint8Array(PING);
  // A further subflow joins once the first data was acknowledged.
  for (let attempt = 0; conn.subflows().length < subflows; attempt++) {
    if (attempt === 100) throw new Error(`The connection has ${conn.subflows().length} subflows instead of ${subflows}`);
    await conn.write(ping);
    await conn.read(ping);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  meter.begin();
  return conn;
}

export const subject: Subject = {
  async send(target, meter) {
    using conn = await open(target, meter);
    const chunk = new Uint8Array(CHUNK);
    while (meter.sent(await conn.write(chunk)));
    await conn.closeWrite();
    await conn.read(chunk);
  },

  async receive(target, meter) {
    using conn = await open(target, meter);
    const buffer = new Uint8Array(CHUNK);
    while (meter.received(await conn.read(buffer) ?? 0));
  },

  async byob(target, meter) {
    using conn = await open(target, meter);
    const reader = conn.readable.getReader({ mode: "byob" });
    let buffer = new Uint8Array(CHUNK);
    for (;;) {
      const { value } = await reader.read(buffer);
      if (!value || !meter.received(value.length)) break;
      buffer = new Uint8Array(value.buffer);
    }
  },

  async stream(target, meter) {
    using conn = await open(target, meter);
    for await (const chunk of conn.readable) if (!meter.received(chunk.length)) break;
  },

  async ping(target, meter) {
    using conn = await open(target, meter);
    const message = new Uint8Array(PING);
    const answer = new Uint8Array(CHUNK);
    do {
      await conn.write(message);
      for (let count = 0; count < PING;) count += await conn.read(answer) ?? PING;
    } while (meter.done());
  },

  connect: (target) => connect({ ...target, mptcp: "require" }),

  listen() {
    const listener = listen({ hostname: "0.0.0.0", port: 0, mptcp: "require", backlog: 4096 });
    (async () => {
      for await (const conn of listener) conn.close();
    })();
    return Promise.resolve({ port: listener.addr.port, close: () => listener.close() });
  },

  async subflows(target, meter, count) {
    using conn = await opened(target, meter, count);
    do for (let i = 0; i < 100; i++) conn.subflows(); while (meter.done(100));
  },

  async info(target, meter, count) {
    using conn = await opened(target, meter, count);
    do for (let i = 0; i < 100; i++) conn.info(); while (meter.done(100));
  },
};
