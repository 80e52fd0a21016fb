import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { describe, it } from "node:test";
import { type Conn, connect, listen, type Listener, MptcpError } from "@mptcp/mptcp";
import { pair, readExactly, text, utf8 } from "./pair.ts";

async function acceptOne(listener: Listener, hostname: string): Promise<[client: Conn, server: Conn]> {
  const accepted = listener.accept();
  return [await connect({ hostname, port: listener.addr.port }), await accepted];
}

describe("a listener", () => {
  it("is there at once, on a port of the kernel's choice", () => {
    using listener = listen({ port: 0 });
    assertEquals(listener.addr.transport, "tcp");
    assertEquals(listener.addr.hostname, "0.0.0.0");
    assert(listener.addr.port > 0);
    assert(listener.mptcp);
    assertEquals(listener.fallback(), null);
  });

  it("takes connections that wait, in order", async () => {
    using listener = listen({ hostname: "127.0.0.1", port: 0 });
    const clients = [await connect({ port: listener.addr.port }), await connect({ port: listener.addr.port })];
    const servers = [await listener.accept(), await listener.accept()];
    assertEquals(servers.map((conn) => conn.remoteAddr.port), clients.map((conn) => conn.localAddr.port));
    for (const conn of [...clients, ...servers]) conn.close();
  });

  it("serves several accept calls in order", async () => {
    using listener = listen({ hostname: "127.0.0.1", port: 0 });
    const accepting = [listener.accept(), listener.accept(), listener.accept()];
    const clients: Conn[] = [];
    for (let i = 0; i < 3; i++) clients.push(await connect({ port: listener.addr.port }));
    const servers = await Promise.all(accepting);
    assertEquals(servers.map((conn) => conn.remoteAddr.port), clients.map((conn) => conn.localAddr.port));
    for (const conn of [...clients, ...servers]) conn.close();
  });

  it("is iterated until it is closed", async () => {
    const listener = listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = listener.addr;
    let served = 0;
    const serving = (async () => {
      for await (const conn of listener) {
        served++;
        conn.close();
      }
    })();
    for (let i = 0; i < 3; i++) {
      using conn = await connect({ port });
      assertEquals(await conn.read(new Uint8Array(1)), null);
    }
    listener.close();
    await serving;
    assertEquals(served, 3);
    const error = await assertRejects(() => connect({ port }), MptcpError);
    assertEquals(error.code, "ECONNREFUSED");
  });

  it("ends a pending accept when it is closed, and leaves accepted connections alone", async () => {
    const listener = listen({ hostname: "127.0.0.1", port: 0 });
    const [client, server] = await acceptOne(listener, "127.0.0.1");
    const pending = listener.accept();
    listener.close();
    listener.close();
    assertEquals((await assertRejects(() => pending, MptcpError)).code, "EBADF");
    assertEquals((await assertRejects(() => listener.accept(), MptcpError)).code, "EBADF");
    await client.write(utf8("alive"));
    assertEquals(text(await readExactly(server, 5)), "alive");
    client.close();
    server.close();
  });

  it("closes what nobody accepted", async () => {
    const listener = listen({ hostname: "127.0.0.1", port: 0 });
    using conn = await connect({ port: listener.addr.port });
    listener.close();
    // The kernel resets what waits in its queue; what the runtime had taken already is closed.
    const end = await conn.read(new Uint8Array(1)).catch((error) => error.code);
    assert(end === null || end === "ECONNRESET", String(end));
  });

  it("on :: takes both families, and tells IPv4 addresses as such", async () => {
    using listener = listen({ hostname: "::", port: 0 });
    for (const [hostname, seen] of [["127.0.0.1", "127.0.0.1"], ["::1", "::1"]] as const) {
      const [client, server] = await acceptOne(listener, hostname);
      assert(client.isMultipath() && server.isMultipath());
      assertEquals([client.remoteAddr.hostname, server.remoteAddr.hostname], [seen, seen]);
      assertEquals(server.subflows()[0]!.remote.hostname, seen);
      client.close();
      server.close();
    }
  });

  it("on :: with ipv6Only takes IPv6 alone", async () => {
    using listener = listen({ hostname: "::", port: 0, ipv6Only: true });
    const error = await assertRejects(() => connect({ port: listener.addr.port }), MptcpError);
    assertEquals(error.code, "ECONNREFUSED");
    const [client, server] = await acceptOne(listener, "::1");
    client.close();
    server.close();
  });

  it("shares its port with others when asked to", () => {
    using first = listen({ hostname: "127.0.0.1", port: 0, reusePort: true });
    using second = listen({ hostname: "127.0.0.1", port: first.addr.port, reusePort: true });
    assertEquals(first.addr, second.addr);
    const error = assertThrows(() => listen({ hostname: "127.0.0.1", port: first.addr.port }), MptcpError);
    assertEquals([error.code, error.errno, error.port], ["EADDRINUSE", -98, first.addr.port]);
  });

  it("has clients that fell back, which see no subflow when all has ended", async () => {
    using listener = listen({ hostname: "127.0.0.1", port: 0, mptcp: "off" });
    using client = await connect({ port: listener.addr.port });
    assertEquals(client.subflows().length, 1);
    (await listener.accept()).close();
    assertEquals(await client.read(new Uint8Array(1)), null);
    await client.closeWrite();
    assertEquals(client.subflows(), []);
  });

  it("is plain TCP when that is asked for, and says nothing of a fallback", async () => {
    using listener = listen({ hostname: "127.0.0.1", port: 0, mptcp: "off" });
    assertEquals(listener.mptcp, false);
    const accepted = listener.accept();
    using client = await connect({ port: listener.addr.port });
    using server = await accepted;
    assertEquals([server.isMultipath(), server.fallback(), server.info(), server.token], [false, null, null, null]);
    assertEquals(client.isMultipath(), false);
    assertEquals(client.fallback()?.phase, "handshake");
    assertEquals(client.fallback()?.code, "MPCapableFallbackSYNACK");
    assertEquals(client.subflows().map(({ id, state }) => [id, state]), [[0, "ESTABLISHED"]]);
  });

  it("takes a TCP client too, whose connection says so", async () => {
    await using ends = await pair({ mptcp: "off" });
    assertEquals(ends.server.isMultipath(), false);
    assertEquals(ends.server.fallback()?.phase, "handshake");
    assertEquals([ends.client.isMultipath(), ends.client.fallback()], [false, null]);
    assertEquals(ends.server.subflows()[0]!.id, 0);
    await ends.client.write(utf8("plain"));
    assertEquals(text(await readExactly(ends.server, 5)), "plain");
  });
});

describe("bad input to listen", () => {
  const cases: [options: unknown, type: typeof TypeError | typeof RangeError][] = [
    [undefined, TypeError],
    [null, TypeError],
    [{}, TypeError],
    [{ port: "80" }, TypeError],
    [{ port: -1 }, RangeError],
    [{ port: 65536 }, RangeError],
    [{ port: 1.5 }, RangeError],
    [{ port: NaN }, RangeError],
    [{ port: 0, hostname: 5 }, TypeError],
    [{ port: 0, hostname: "" }, TypeError],
    [{ port: 0, hostname: "example.org" }, TypeError],
    [{ port: 0, hostname: "300.1.1.1" }, TypeError],
    [{ port: 0, mptcp: "yes" }, TypeError],
    [{ port: 0, backlog: -1 }, RangeError],
    [{ port: 0, receiveBuffer: 0 }, RangeError],
    [{ port: 0, congestion: "x".repeat(40) }, RangeError],
    [{ port: 0, reusePort: 1 }, TypeError],
  ];
  for (const [options, type] of cases) {
    it(`${JSON.stringify(options)} is a ${type.name}`, () => {
      assertThrows(() => listen(options as { port: number }), type);
    });
  }

  it("an address of another host, and an unknown congestion control, are the kernel's to refuse", () => {
    const error = assertThrows(() => listen({ hostname: "192.0.2.1", port: 0 }), MptcpError);
    assertEquals([error.code, error.syscall, error.address], ["EADDRNOTAVAIL", "bind", "192.0.2.1"]);
    const congestion = assertThrows(() => listen({ port: 0, congestion: "nosuch" }), MptcpError);
    assert(congestion.message.includes("nosuch") && congestion.hint !== undefined, congestion.message);
  });
});
