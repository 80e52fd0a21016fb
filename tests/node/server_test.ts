import { assert, assertEquals, assertThrows } from "@std/assert";
import { once } from "node:events";
import { type AddressInfo, createServer as createTcpServer, Server, Socket } from "node:net";
import { describe, it } from "node:test";
import { connect, type MptcpError } from "@mptcp/mptcp";
import { type AcceptedSocket, createServer, mptcpOf, MptcpServer } from "../../node/mod.ts";
import { readAll, text, utf8 } from "../net/pair.ts";

const addressOf = (server: Server): AddressInfo => server.address() as AddressInfo;

const stopped = (server: Server) => new Promise<void>((resolve) => server.close(() => resolve()));

describe("createServer", () => {
  for (const host of ["127.0.0.1", "::1"]) {
    it(`listens by MPTCP on ${host}, and knows what its sockets are`, async () => {
      const server = createServer({ allowHalfOpen: true });
      assert(server instanceof Server && server instanceof MptcpServer);
      server.listen(0, host);
      await once(server, "listening");
      assert(server.mptcp && server.listening);
      assertEquals([addressOf(server).address, addressOf(server).family], [host, host === "::1" ? "IPv6" : "IPv4"]);
      const accepted = once(server, "connection");
      using client = await connect({ hostname: host, port: addressOf(server).port });
      const [socket] = await accepted as [AcceptedSocket];
      assert(socket instanceof Socket);
      assert(client.isMultipath() && socket.mptcp.isMultipath());
      assertEquals(socket.mptcp.token !== null, true);
      assertEquals(socket.mptcp.subflows()[0]!.remote.port, client.localAddr.port);
      assertEquals(socket.remotePort, client.localAddr.port);
      assert(socket.mptcp.fd >= 0);
      assertEquals(mptcpOf(socket), socket.mptcp);
      socket.end("hello");
      assertEquals(text(await readAll(client)), "hello");
      await client.closeWrite();
      socket.resume();
      await new Promise((resolve) => socket.once("close", resolve));
      assertEquals(socket.mptcp.fd, -1);
      await stopped(server);
      assert(!server.mptcp && !server.listening);
    });
  }

  it("tells of clients that came by TCP", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    const accepted = once(server, "connection");
    await once(server, "listening");
    using client = await connect({ port: addressOf(server).port, mptcp: "off" });
    const [socket] = await accepted as [AcceptedSocket];
    assert(!client.isMultipath() && !socket.mptcp.isMultipath());
    assertEquals(socket.mptcp.fallback()?.phase, "handshake");
    socket.destroy();
    await stopped(server);
  });

  it('with mptcp: "off", listens by TCP', async () => {
    const server = createServer({ mptcp: "off" }).listen({ port: 0, host: "127.0.0.1" });
    await once(server, "listening");
    assert(!server.mptcp);
    assertEquals(server.fallback(), null);
    using client = await connect({ port: addressOf(server).port });
    assertEquals(client.fallback()?.phase, "handshake");
    server.close();
  });

  it("on all addresses, at once, without a host", async () => {
    const server = createServer().listen();
    assertEquals([addressOf(server).address, addressOf(server).family], ["::", "IPv6"]);
    for (const hostname of ["127.0.0.1", "::1"]) {
      const accepted = once(server, "connection");
      using client = await connect({ hostname, port: addressOf(server).port });
      const [socket] = await accepted as [AcceptedSocket];
      assert(client.isMultipath() && socket.mptcp.isMultipath());
      socket.destroy();
    }
    await stopped(server);
  });

  it("by name, with options, and calls back", async () => {
    const server = createServer({ receiveBuffer: 1 << 18 });
    await new Promise<void>((resolve) => server.listen({ port: 0, host: "localhost", backlog: 5 }, resolve));
    assertEquals(addressOf(server).address, "127.0.0.1");
    const accepted = once(server, "connection");
    using _client = await connect({ port: addressOf(server).port });
    const [socket] = await accepted as [AcceptedSocket];
    assertEquals(socket.mptcp.getOption(1, 8), 1 << 19);
    socket.destroy();
    await stopped(server);
  });

  it("with ipv6Only takes no IPv4", async () => {
    const server = createServer().listen({ port: 0, host: "::", ipv6Only: true });
    await once(server, "listening");
    const { port } = addressOf(server);
    assertEquals((await connect({ port }).catch((error: MptcpError) => error) as MptcpError).code, "ECONNREFUSED");
    await stopped(server);
  });

  it("shares a port, where both say so", async () => {
    const first = createServer().listen({ port: 0, host: "127.0.0.1", reusePort: true });
    await once(first, "listening");
    const second = createServer().listen({ port: addressOf(first).port, host: "127.0.0.1", reusePort: true });
    await once(second, "listening");
    assert(first.mptcp && second.mptcp);
    await Promise.all([stopped(first), stopped(second)]);
  });

  it("tells that a port is taken, and can listen then", async () => {
    const first = createServer().listen(0, "127.0.0.1");
    await once(first, "listening");
    const { port } = addressOf(first);
    const second = createServer().listen(port, "127.0.0.1");
    assert(!second.listening);
    const [error] = await once(second, "error");
    assertEquals(
      [error.message, error.code, error.errno, error.syscall, error.address, error.port],
      [`listen EADDRINUSE: address already in use 127.0.0.1:${port}`, "EADDRINUSE", -98, "listen", "127.0.0.1", port],
    );
    await stopped(first);
    second.listen(port, "127.0.0.1");
    await once(second, "listening");
    assert(second.mptcp);
    await stopped(second);
  });

  it("tells of an address that is not ours, of a name that does not exist", async () => {
    const [address] = await once(createServer().listen(0, "192.0.2.1"), "error");
    assertEquals(address.code, "EADDRNOTAVAIL");
    const [name] = await once(createServer().listen(0, "no-such-host.invalid"), "error");
    assert(["ENOTFOUND", "EAI_AGAIN"].includes(name.code), name.code);
  });

  it("refuses what net.Server refuses, in its words", async () => {
    const wrong: unknown[][] = [[70000], [{ port: "http" }], [{}]];
    for (const args of wrong) {
      const code = (server: Server) => {
        try {
          (server.listen as (...args: unknown[]) => unknown)(...args);
          return "nothing thrown";
        } catch (error) {
          return (error as { code?: string }).code;
        }
      };
      const expected = code(createTcpServer());
      assert(expected?.startsWith("ERR_"), expected);
      assertEquals(code(createServer()), expected);
    }
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    assertThrows(() => server.listen(0), Error, "more than once");
    await stopped(server);
    assertThrows(() => createServer({ mptcp: "always" as never }), TypeError, "mptcp");
  });

  it("listens to Unix sockets as ever", async () => {
    const path = `\0mptcp-test-${Math.random()}`;
    const server = createServer((socket) => socket.end("unix")).listen({ path });
    await once(server, "listening");
    assert(!server.mptcp);
    assertEquals(server.fallback(), null);
    const client = new Socket().connect({ path });
    const [chunk] = await once(client, "data");
    assertEquals(String(chunk), "unix");
    await stopped(server);
  });

  it("stops at an aborted signal", async () => {
    const controller = new AbortController();
    const server = createServer().listen({ port: 0, host: "127.0.0.1", signal: controller.signal });
    await once(server, "listening");
    const { port } = addressOf(server);
    const closed = once(server, "close");
    controller.abort();
    await closed;
    assertEquals((await connect({ port }).catch((error: MptcpError) => error) as MptcpError).code, "ECONNREFUSED");
  });

  it("counts connections, and refuses more than it may have", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    server.maxConnections = 1;
    await once(server, "listening");
    const { port } = addressOf(server);
    const accepted = once(server, "connection");
    using _first = await connect({ port });
    const [socket] = await accepted as [AcceptedSocket];
    using second = await connect({ port });
    assertEquals(await second.read(new Uint8Array(1)).catch(() => null), null);
    assertEquals(await new Promise((resolve) => server.getConnections((_error, count) => resolve(count))), 1);
    socket.destroy();
    await stopped(server);
  });

  it("closes while the resolver works", async () => {
    const server = createServer().listen(0, "localhost");
    const closed = new Promise((resolve) => server.close(resolve));
    await closed;
    assert(!server.listening);
  });

  it("gives each socket the listening socket's options, and its bytes", async () => {
    const server = createServer({ noDelay: true, pauseOnConnect: true }, (socket) => {
      assertEquals(socket.mptcp.getOption(6, 1), 1);
      socket.resume();
      socket.pipe(socket);
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    using client = await connect({ port: addressOf(server).port });
    await client.write(utf8("echo"));
    await client.closeWrite();
    assertEquals(text(await readAll(client)), "echo");
    await stopped(server);
  });
});
