import {
  assert,
  assertEquals,
  assertNotStrictEquals,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { once } from "node:events";
import { createServer, Socket } from "node:net";
import process from "node:process";
import { describe, it } from "node:test";
import { setImmediate, setTimeout } from "node:timers";
import { connect as connectTls } from "node:tls";
import { inspect } from "node:util";
import { type Conn, listen, type ListenOptions, listenTls, MptcpError } from "@mptcp/mptcp";
import {
  createConnection,
  mptcpOf,
  MptcpSocket,
  type MptcpSocketConnectOptions,
  type MptcpSocketOptions,
} from "../../node/mod.ts";
import { CERT, KEY } from "../net/certificate.ts";
import { openDescriptors, pair, readExactly, text } from "../net/pair.ts";
import { closing } from "./transcript.ts";

/** A connected socket, and the server's end of it. */
async function connected(
  hostname = "127.0.0.1",
  options: MptcpSocketOptions = {},
  listening: Partial<ListenOptions> = {},
): Promise<{ socket: MptcpSocket; server: Conn }> {
  using listener = listen({ hostname, port: 0, ...listening });
  const accepted = listener.accept();
  const socket = new MptcpSocket(options).connect(listener.addr.port, hostname);
  await once(socket, "connect");
  return { socket, server: await accepted };
}

describe("MptcpSocket", () => {
  for (const hostname of ["127.0.0.1", "::1"]) {
    it(`is a net.Socket that speaks MPTCP to ${hostname}`, async () => {
      const { socket, server } = await connected(hostname);
      assert(socket instanceof Socket);
      assert(socket.mptcp.isMultipath() && server.isMultipath());
      assertEquals(socket.mptcp.fallback(), null);
      assertEquals(socket.remoteAddress, hostname);
      assertEquals(socket.localPort, server.remoteAddr.port);
      assertEquals(socket.mptcp.subflows().length, 1);
      socket.write("hello");
      assertEquals(text(await readExactly(server, 5)), "hello");
      socket.destroy();
      assertEquals(socket.mptcp.fd, -1);
      server.close();
    });
  }

  it("by createConnection, with what was written before queued", async () => {
    using listener = listen({ hostname: "127.0.0.1", port: 0 });
    const accepted = listener.accept();
    let told = 0;
    const socket = createConnection({ port: listener.addr.port, host: "127.0.0.1" }, () => told++);
    socket.end("early");
    using server = await accepted;
    assertEquals(text(await readExactly(server, 5)), "early");
    assertEquals(await server.read(new Uint8Array(1)), null);
    await server.closeWrite();
    socket.resume();
    await once(socket, "close");
    assertEquals(told, 1);
    assertEquals(socket.bytesWritten, 5);
  });

  it('with mptcp: "off", is plain TCP by its own wish', async () => {
    const { socket, server } = await connected("127.0.0.1", { mptcp: "off" });
    assert(!socket.mptcp.isMultipath() && !server.isMultipath());
    assertEquals([socket.mptcp.fallback(), socket.mptcp.token, socket.mptcp.subflows().map(({ id }) => id)], [null, null, [
      0,
    ]]);
    socket.destroy();
    server.close();
  });

  it("tells that the server speaks TCP only", async () => {
    const { socket, server } = await connected("127.0.0.1", {}, { mptcp: "off" });
    assert(!socket.mptcp.isMultipath());
    assertEquals(socket.mptcp.fallback()?.phase, "handshake");
    socket.destroy();
    server.close();
  });

  it('with mptcp: "require", fails then, and leaves nothing open', async () => {
    using listener = listen({ hostname: "127.0.0.1", port: 0, mptcp: "off" });
    const { port } = listener.addr;
    const accepted = listener.accept();
    const socket = new MptcpSocket().connect({ port, host: "127.0.0.1", mptcp: "require" });
    const [error] = await once(socket, "error");
    assert(error instanceof MptcpError);
    assertEquals([error.code, error.errno, error.syscall, error.address, error.port], [
      "EOPNOTSUPP",
      -95,
      "connect",
      "127.0.0.1",
      port,
    ]);
    using server = await accepted;
    assertEquals(await server.read(new Uint8Array(1)).catch(() => null), null);
  });

  it("with buffers and congestion control, set before connecting", async () => {
    const { socket, server } = await connected("127.0.0.1", { receiveBuffer: 1 << 16, congestion: "reno" });
    assertEquals(socket.mptcp.getOption(1, 8), 1 << 17);
    assertEquals(text(socket.mptcp.getOption(6, 13, 16)).replaceAll("\0", ""), "reno");
    socket.destroy();
    server.close();
  });

  it("says why an option was refused", async () => {
    const socket = new MptcpSocket({ congestion: "nosuchthing" }).connect(1, "127.0.0.1");
    const [error] = await once(socket, "error");
    assertEquals([error.code, error.syscall], ["ENOENT", "connect"]);
    assert(error.cause instanceof MptcpError);
    assertStringIncludes(error.cause.message, 'congestion control "nosuchthing" is not available');
  });

  it("refuses wrong options before anything else", () => {
    assertThrows(() => new MptcpSocket({ mptcp: "always" as never }), TypeError, "mptcp");
    assertThrows(() => new MptcpSocket({ receiveBuffer: 0 }), RangeError, "receiveBuffer");
    const socket = new MptcpSocket();
    assertThrows(() => socket.connect({ port: 1, congestion: "" }), TypeError, "congestion");
    assert(!socket.connecting);
  });

  it("connects to a Unix socket as ever", async () => {
    const path = `\0mptcp-test-${Math.random()}`;
    const server = createServer((socket) => socket.end("unix")).listen(path);
    await once(server, "listening");
    const socket = createConnection(path);
    const [chunk] = await once(socket, "data");
    assertEquals(String(chunk), "unix");
    socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });

  for (const [what, code] of [["while it connects", "EALREADY"], ["when it is connected", "EISCONN"]] as const) {
    it(`does not connect again ${what}`, async () => {
      using listener = listen({ hostname: "127.0.0.1", port: 0 });
      const socket = new MptcpSocket().connect(listener.addr.port, "127.0.0.1");
      if (code === "EISCONN") await once(socket, "connect");
      socket.connect(listener.addr.port, "127.0.0.1");
      const [error] = await once(socket, "error");
      assertEquals([error.code, error.syscall], [code, "connect"]);
      await closing(socket);
    });
  }

  it("emits timeout when nothing happens", async () => {
    using listener = listen({ hostname: "127.0.0.1", port: 0 });
    const socket = new MptcpSocket().connect({ port: listener.addr.port, host: "127.0.0.1", timeout: 20 });
    await once(socket, "timeout");
    assert(!socket.destroyed);
    socket.destroy();
  });

  it("can be inspected, and extended", async () => {
    class Mine extends MptcpSocket {
      seen = 0;
      override emit(...args: Parameters<MptcpSocket["emit"]>): boolean {
        this.seen++;
        return super.emit(...args);
      }
    }
    using listener = listen({ hostname: "127.0.0.1", port: 0 });
    const socket = new Mine().connect(listener.addr.port, "127.0.0.1");
    await once(socket, "connect");
    assert(socket.seen > 0 && inspect(socket).length > 0);
    assert(socket.mptcp.isMultipath());
    socket.destroy();
  });
});

describe("MptcpSocket's signal", () => {
  /** A resolver that never answers. */
  const lookup = (() => {}) as unknown as NonNullable<MptcpSocketConnectOptions["lookup"]>;

  for (
    const [what, make] of [["createConnection", createConnection], ["connect", (options: MptcpSocketConnectOptions) => {
      return new MptcpSocket().connect(options);
    }]] as const
  ) {
    it(`of ${what}, aborted before`, async () => {
      const before = openDescriptors();
      using listener = listen({ hostname: "127.0.0.1", port: 0 });
      const socket = make({ port: listener.addr.port, host: "127.0.0.1", signal: AbortSignal.abort(new Error("no")) });
      const [error] = await once(socket, "error");
      assertEquals([error.name, error.code, error.cause?.message], ["AbortError", "ABORT_ERR", "no"]);
      await closing(socket);
      assert(socket.destroyed);
      listener.close();
      assertEquals(openDescriptors(), before);
    });

    it(`of ${what}, aborted while connecting`, async () => {
      const controller = new AbortController();
      const socket = make({ port: 1, host: "a.test", lookup, signal: controller.signal });
      setTimeout(() => controller.abort(), 1);
      const [error] = await once(socket, "error");
      assertEquals(error.name, "AbortError");
      assert(socket.destroyed);
    });

    it(`of ${what}, aborted when it is connected`, async () => {
      using listener = listen({ hostname: "127.0.0.1", port: 0 });
      const controller = new AbortController();
      const accepted = listener.accept();
      const socket = make({ port: listener.addr.port, host: "127.0.0.1", signal: controller.signal });
      await once(socket, "connect");
      controller.abort();
      const [error] = await once(socket, "error");
      assertEquals(error.name, "AbortError");
      using server = await accepted;
      assertEquals(await server.read(new Uint8Array(1)).catch(() => null), null);
    });
  }
});

describe("SocketControl", () => {
  it("says before a connection that there is none, after it what it said last", async () => {
    const socket = new MptcpSocket();
    assertEquals(socket.mptcp.fd, -1);
    assertThrows(() => socket.mptcp.info(), MptcpError, "Cannot info");
    using listener = listen({ hostname: "127.0.0.1", port: 0 });
    const accepted = listener.accept();
    socket.connect(listener.addr.port, "127.0.0.1");
    assertEquals(socket.mptcp.fd, -1);
    await once(socket, "connect");
    using server = await accepted;
    const { token, pathManager } = socket.mptcp;
    assertEquals(token, socket.mptcp.info()?.token);
    assertEquals(pathManager, "kernel");
    socket.write("12345");
    await server.read(new Uint8Array(5));
    socket.destroy();
    await closing(socket);
    assertEquals([socket.mptcp.fd, socket.mptcp.isMultipath(), socket.mptcp.token], [-1, true, token]);
    assertEquals(socket.mptcp.info()?.bytesSent, 5);
    assertThrows(() => socket.mptcp.getOption(1, 8), MptcpError, "Cannot getsockopt");
  });

  it("is a new one for a new connection", async () => {
    using listener = listen({ hostname: "127.0.0.1", port: 0 });
    const socket = new MptcpSocket().connect(listener.addr.port, "127.0.0.1");
    await once(socket, "connect");
    const { mptcp: first } = socket;
    const { token } = first;
    socket.destroy();
    await closing(socket);
    socket.connect(listener.addr.port, "127.0.0.1");
    await once(socket, "connect");
    assertNotStrictEquals(socket.mptcp, first);
    assert(socket.mptcp.token !== token && first.token === token);
    socket.destroy();
  });

  it("sets options of the whole connection", async () => {
    const { socket, server } = await connected();
    socket.mptcp.setOption(6, 1, 1);
    assertEquals(socket.mptcp.getOption(6, 1), 1);
    assertThrows(() => socket.mptcp.setOption(1, 10, 1), MptcpError, "SO_OOBINLINE");
    socket.destroy();
    server.close();
  });

  it("tells events until the end", async () => {
    const { socket, server } = await connected();
    const events = socket.mptcp.events();
    socket.destroy();
    const types: string[] = [];
    for await (const event of events) types.push(event.type);
    assertEquals(types.at(-1), "closed");
    server.close();
  });
});

describe("mptcpOf", () => {
  it("knows a socket of conn.toNode()", async () => {
    await using ends = await pair();
    const { token } = ends.client;
    const socket = ends.client.toNode();
    assertEquals(mptcpOf(socket)?.token, token);
    assertEquals(mptcpOf(socket)?.fd, ends.client.fd);
    socket.destroy();
  });

  it("knows what TLS stands on", async () => {
    using listener = listenTls({ hostname: "127.0.0.1", port: 0, cert: CERT, key: KEY });
    const accepted = listener.accept();
    const below = new MptcpSocket().connect(listener.addr.port, "127.0.0.1");
    const socket = connectTls({ socket: below, ca: CERT, servername: "localhost" });
    await once(socket, "secureConnect");
    using server = await accepted;
    assert(mptcpOf(socket)?.isMultipath() && server.isMultipath());
    assertStrictEquals(mptcpOf(socket), below.mptcp);
    socket.destroy();
  });

  it("tells plain sockets, connected or not, for what they are", async () => {
    using listener = listen({ hostname: "127.0.0.1", port: 0 });
    const socket = new Socket();
    assertEquals(mptcpOf(socket), null);
    const accepted = listener.accept();
    socket.connect(listener.addr.port, "127.0.0.1");
    assertEquals(mptcpOf(socket), null);
    await once(socket, "connect");
    assertEquals(mptcpOf(socket)?.isMultipath(), false);
    assertEquals(mptcpOf(socket)?.subflows()[0]?.local.port, socket.localPort);
    (await accepted).close();
    socket.destroy();
    await closing(socket);
  });
});

describe("MptcpSocket leaves no descriptor open", () => {
  const rounds = 30;

  async function nothingLeft(once: (port: number) => Promise<unknown>): Promise<void> {
    using listener = listen({ hostname: "127.0.0.1", port: 0 });
    const serving = (async () => {
      for await (const conn of listener) conn.readable.pipeTo(conn.writable).catch(() => conn.close());
    })();
    const { port } = listener.addr;
    await once(port); // what is opened once and kept
    const before = openDescriptors();
    for (let round = 0; round < rounds; round++) await once(port);
    await fewerThan(before + 1);
    await Promise.all(Array.from({ length: 100 }, () => once(port)));
    await fewerThan(before + 1);
    listener.close();
    await serving;
  }

  /** The server's ends are closed a little later. */
  async function fewerThan(limit: number): Promise<void> {
    for (let turn = 0; turn < 1000 && openDescriptors() >= limit; turn++) {
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    assert(openDescriptors() < limit, `${openDescriptors()} of at most ${limit - 1}`);
  }

  const run = (port: number, work: (socket: MptcpSocket) => void, host = "127.0.0.1") => {
    const socket = new MptcpSocket();
    socket.on("error", () => {});
    socket.connect(port, host);
    work(socket);
    return closing(socket);
  };

  it("when it was used and closed", () => nothingLeft((port) => run(port, (socket) => socket.end("bye").resume())));
  it("when it was refused", () => nothingLeft(() => run(1, () => {})));
  it("when it was refused by several addresses", () => nothingLeft(() => run(1, () => {}, "localhost")));
  it("when it was destroyed at once", () => nothingLeft((port) => run(port, (socket) => socket.destroy())));
  it("when it was destroyed in the next tick", () =>
    nothingLeft((port) => run(port, (socket) => process.nextTick(() => socket.destroy()))));
  it("when it was destroyed in the next turn", () =>
    nothingLeft((port) => run(port, (socket) => setImmediate(() => socket.destroy()))));
  it("when it was destroyed by its listener", () =>
    nothingLeft((port) => run(port, (socket) => socket.on("connect", () => socket.destroy()))));
  it("when it was reset", () =>
    nothingLeft((port) => run(port, (socket) => socket.on("connect", () => socket.resetAndDestroy()))));
  it("when its address could not be bound", () =>
    nothingLeft(() => {
      const socket = new MptcpSocket();
      socket.on("error", () => {});
      socket.connect({ port: 1, host: "127.0.0.1", localAddress: "192.0.2.1" });
      return closing(socket);
    }));
});
