/**
 * Node's own TCP API, as a contestant: `onread` is its fastest way to receive, `for await` its stream.
 *
 * @module
 */
import type { Buffer } from "node:buffer";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { CHUNK, PING, type Subject, type Target } from "./subject.ts";

async function open({ hostname, port }: Target): Promise<Socket> {
  const socket = connect({ host: hostname, port });
  await once(socket, "connect");
  return socket;
}

export const subject: Subject = {
  async send(target, meter) {
    const socket = await open(target);
    meter.begin();
    const chunk = new Uint8Array(CHUNK);
    do if (!socket.write(chunk)) await once(socket, "drain"); while (meter.sent(CHUNK));
    socket.end();
    socket.resume();
    await once(socket, "close");
  },

  receive({ hostname, port }, meter) {
    return new Promise((resolve, reject) => {
      const socket = connect({
        host: hostname,
        port,
        onread: {
          buffer: new Uint8Array(CHUNK),
          callback(count) {
            if (meter.received(count)) return true;
            socket.destroy();
            return false;
          },
        },
      });
      socket.once("connect", () => meter.begin());
      socket.once("error", reject);
      socket.once("close", () => resolve());
    });
  },

  async stream(target, meter) {
    const socket = await open(target);
    meter.begin();
    for await (const chunk of socket) if (!meter.received((chunk as Buffer).length)) break;
  },

  async ping(target, meter) {
    const socket = await open(target);
    const message = new Uint8Array(PING);
    let missing = PING;
    meter.begin();
    socket.on("data", (chunk) => {
      missing -= chunk.length;
      if (missing > 0) return;
      missing = PING;
      if (meter.done()) socket.write(message);
      else socket.destroy();
    });
    socket.write(message);
    await once(socket, "close");
  },

  async connect(target) {
    const socket = await open(target);
    return { close: () => socket.destroy() };
  },

  async listen() {
    const server = createServer((socket) => socket.on("error", () => {}).destroy());
    server.listen({ host: "0.0.0.0", port: 0, backlog: 4096 });
    await once(server, "listening");
    return { port: (server.address() as AddressInfo).port, close: () => server.close() };
  },
};
