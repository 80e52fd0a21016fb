import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { once } from "node:events";
import { Socket } from "node:net";
import { describe, it } from "node:test";
import { type Conn, listen } from "@mptcp/mptcp";
import { createConnection, MptcpSocket } from "../../node/mod.ts";
import { readExactly, text } from "../net/pair.ts";

/** A connected socket, and the server's end of it. */
async function connected(hostname = "127.0.0.1"): Promise<{ socket: MptcpSocket; server: Conn }> {
  using listener = listen({ hostname, port: 0 });
  const accepted = listener.accept();
  const socket = new MptcpSocket().connect(listener.addr.port, hostname);
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
    using listener = listen({ hostname: "127.0.0.1", port: 0 });
    const accepted = listener.accept();
    const socket = new MptcpSocket({ mptcp: "off" }).connect(listener.addr.port, "127.0.0.1");
    await once(socket, "connect");
    using server = await accepted;
    assert(!socket.mptcp.isMultipath() && !server.isMultipath());
    assertStrictEquals(socket.mptcp.fallback(), null);
    socket.destroy();
  });
});
