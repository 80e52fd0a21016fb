/**
 * Deno's own TCP API, as a contestant.
 *
 * @module
 */
import { CHUNK, PING, type Subject } from "./subject.ts";

export const subject: Subject = {
  async send(target, meter) {
    using conn = await Deno.connect(target);
    meter.begin();
    const chunk = new Uint8Array(CHUNK);
    while (meter.sent(await conn.write(chunk)));
    await conn.closeWrite();
    await conn.read(chunk);
  },

  async receive(target, meter) {
    using conn = await Deno.connect(target);
    meter.begin();
    const buffer = new Uint8Array(CHUNK);
    while (meter.received(await conn.read(buffer) ?? 0));
  },

  async byob(target, meter) {
    using conn = await Deno.connect(target);
    meter.begin();
    const reader = conn.readable.getReader({ mode: "byob" });
    let buffer = new Uint8Array(CHUNK);
    for (;;) {
      const { value } = await reader.read(buffer);
      if (!value || !meter.received(value.length)) break;
      buffer = new Uint8Array(value.buffer);
    }
    reader.releaseLock();
  },

  async stream(target, meter) {
    // Leaving the loop cancels the stream, and that closes the connection.
    const conn = await Deno.connect(target);
    meter.begin();
    for await (const chunk of conn.readable) if (!meter.received(chunk.length)) break;
  },

  async ping(target, meter) {
    using conn = await Deno.connect(target);
    meter.begin();
    const message = new Uint8Array(PING);
    const answer = new Uint8Array(CHUNK);
    do {
      await conn.write(message);
      for (let count = 0; count < PING;) count += await conn.read(answer) ?? PING;
    } while (meter.done());
  },

  connect: (target) => Deno.connect(target),

  listen() {
    const listener = Deno.listen({ hostname: "0.0.0.0", port: 0 });
    (async () => {
      for await (const conn of listener) conn.close();
    })();
    return Promise.resolve({ port: listener.addr.port, close: () => listener.close() });
  },
};
