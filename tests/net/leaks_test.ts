import { assert, assertEquals, assertRejects } from "@std/assert";
import { describe, it } from "node:test";
import { type Conn, connect, listen, MptcpError } from "@mptcp/mptcp";
import { openDescriptors, pair, pattern, readAll, readExactly, utf8 } from "./pair.ts";

/** What each runtime opens for itself on first use (epoll, event descriptors, resolver) is no leak. */
async function warmUp(): Promise<void> {
  await using ends = await pair();
  const reading = ends.server.read(new Uint8Array(1));
  await ends.client.write(utf8("x"));
  await reading;
  await connect({ hostname: "localhost", port: 1 }).catch(() => {});
}

/** Waits until the kernel has closed what the peers closed; counts are compared only then. */
async function settled(expected: number): Promise<number> {
  for (let turn = 0; turn < 200 && openDescriptors() > expected; turn++) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return openDescriptors();
}

describe("no descriptor is left", () => {
  it("by 1000 connections, 100 at a time, that speak and are closed", async () => {
    await warmUp();
    const before = openDescriptors();
    {
      using listener = listen({ hostname: "127.0.0.1", port: 0 });
      const serving = (async () => {
        for await (const conn of listener) conn.readable.pipeTo(conn.writable).catch(() => conn.close());
      })();
      for (let round = 0; round < 10; round++) {
        const conns = await Promise.all(Array.from({ length: 100 }, () => connect({ port: listener.addr.port })));
        await Promise.all(conns.map(async (conn, index) => {
          assert(conn.isMultipath());
          await conn.write(utf8(`connection ${index}`));
          await conn.closeWrite();
          assertEquals(await readAll(conn), utf8(`connection ${index}`));
          conn.close();
        }));
      }
      listener.close();
      await serving;
    }
    assertEquals(await settled(before), before);
  });

  it("by connections that fail, time out or are aborted", async () => {
    await warmUp();
    const before = openDescriptors();
    // A listener whose queue is full drops SYNs: connects stay pending.
    using full = listen({ hostname: "127.0.0.1", port: 0, backlog: 0 });
    const { port } = full.addr;
    const base = openDescriptors();
    const outcomes = await Promise.allSettled(Array.from({ length: 50 }, (_, index) => {
      if (index % 3 === 0) return connect({ port: 1 });
      if (index % 3 === 1) return connect({ port, timeout: 100 });
      return connect({ port, signal: AbortSignal.timeout(100) });
    }));
    for (const outcome of outcomes) if (outcome.status === "fulfilled") outcome.value.close();
    full.close();
    assert(base >= before);
    assertEquals(await settled(before), before);
  });

  it("by connections closed with work pending", async () => {
    await warmUp();
    const before = openDescriptors();
    for (let round = 0; round < 20; round++) {
      await using ends = await pair();
      const reading = ends.client.read(new Uint8Array(1));
      const writing = ends.client.write(pattern(32 << 20));
      ends.client.close();
      await assertRejects(() => reading, MptcpError);
      await writing.catch(() => {});
    }
    assertEquals(await settled(before), before);
  });

  it("by connections that the peer resets", async () => {
    await warmUp();
    const before = openDescriptors();
    for (let round = 0; round < 20; round++) {
      await using ends = await pair();
      const reading = ends.client.read(new Uint8Array(1));
      ends.server.reset();
      await assertRejects(() => reading, MptcpError);
      ends.client.close();
    }
    assertEquals(await settled(before), before);
  });

  it("by listeners opened and closed 200 times, some with an accept pending", async () => {
    await warmUp();
    const before = openDescriptors();
    for (let round = 0; round < 200; round++) {
      const listener = listen({ hostname: "127.0.0.1", port: 0 });
      const pending = round % 2 === 0 ? listener.accept().catch((error: MptcpError) => error.code) : null;
      listener.close();
      if (pending) assertEquals(await pending, "EBADF");
    }
    assertEquals(await settled(before), before);
  });

  it("by sockets given to Node", async () => {
    await warmUp();
    const before = openDescriptors();
    for (let round = 0; round < 20; round++) {
      await using ends = await pair();
      if (round % 2 === 0) {
        const reading = ends.client.read(new Uint8Array(1)); // that waits
        await ends.server.write(utf8("x"));
        await reading;
      }
      const socket = ends.client.toNode();
      const closed = new Promise((resolve) => socket.once("close", resolve));
      socket.end("bye");
      assertEquals(await readExactly(ends.server, 3), utf8("bye"));
      await ends.server.closeWrite();
      socket.resume();
      await closed;
      assertEquals(ends.client.fd, -1);
    }
    assertEquals(await settled(before), before);
  });
});

describe("many connections at once", () => {
  it("300 open together, each with its own bytes", async () => {
    using listener = listen({ hostname: "127.0.0.1", port: 0 });
    const servers: Conn[] = [];
    const accepting = (async () => {
      for await (const conn of listener) if (servers.push(conn) === 300) return;
    })();
    const clients = await Promise.all(Array.from({ length: 300 }, () => connect({ port: listener.addr.port })));
    await accepting;
    const byPort = new Map(clients.map((conn) => [conn.localAddr.port, conn]));
    await Promise.all(servers.map((conn) => conn.write(utf8(`for ${conn.remoteAddr.port}`))));
    for (const [port, conn] of byPort) {
      const expected = utf8(`for ${port}`);
      assertEquals(await readExactly(conn, expected.length), expected);
    }
    for (const conn of [...clients, ...servers]) conn.close();
  });
});
