/**
 * Bun's own TCP API, as a contestant. It has neither promises nor streams.
 *
 * @module
 */
import { CHUNK, PING, type Subject, type Target } from "./subject.ts";

interface BunSocket {
  write(bytes: Uint8Array): number;
  end(): void;
  terminate(): void;
}

interface BunHandlers {
  open?(socket: BunSocket): void;
  data(socket: BunSocket, bytes: Uint8Array): void;
  drain?(socket: BunSocket): void;
  close?(socket: BunSocket): void;
}

/** The parts of the `Bun` namespace in use here. */
interface BunApi {
  connect(options: { hostname: string; port: number; socket: BunHandlers }): Promise<BunSocket>;
  listen(options: { hostname: string; port: number; socket: BunHandlers }): { port: number; stop(): void };
}

const bun = (globalThis as unknown as { Bun: BunApi }).Bun;

/** A connection from its opening to its closing. */
function session({ hostname, port }: Target, handlers: BunHandlers): Promise<void> {
  return new Promise((resolve, reject) => {
    bun.connect({ hostname, port, socket: { ...handlers, close: () => resolve() } }).catch(reject);
  });
}

export const subject: Subject = {
  send(target, meter) {
    const chunk = new Uint8Array(CHUNK);
    const pump = (socket: BunSocket) => {
      for (;;) {
        const count = socket.write(chunk);
        if (!meter.sent(Math.max(count, 0))) return socket.end();
        if (count < chunk.length) return;
      }
    };
    const open = (socket: BunSocket) => {
      meter.begin();
      pump(socket);
    };
    return session(target, { open, drain: pump, data() {} });
  },

  receive(target, meter) {
    return session(target, {
      open: () => meter.begin(),
      data(socket, bytes) {
        if (!meter.received(bytes.length)) socket.terminate();
      },
    });
  },

  ping(target, meter) {
    const message = new Uint8Array(PING);
    let missing = PING;
    return session(target, {
      open(socket) {
        meter.begin();
        socket.write(message);
      },
      data(socket, bytes) {
        missing -= bytes.length;
        if (missing > 0) return;
        missing = PING;
        if (meter.done()) socket.write(message);
        else socket.end();
      },
    });
  },

  async connect({ hostname, port }) {
    const socket = await bun.connect({ hostname, port, socket: { data() {} } });
    return { close: () => socket.end() };
  },

  listen() {
    const listener = bun.listen({ hostname: "0.0.0.0", port: 0, socket: { open: (socket) => socket.end(), data() {} } });
    return Promise.resolve({ port: listener.port, close: () => listener.stop() });
  },
};
