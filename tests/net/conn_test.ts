import { assert, assertEquals, assertInstanceOf, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { describe, it } from "node:test";
import { type Conn, connect, listen, MptcpError } from "@mptcp/mptcp";
import { pair, pattern, readAll, readExactly, text, utf8 } from "./pair.ts";

/** Writes until the kernel takes no more, so that a write is pending. */
async function fill(conn: Conn): Promise<{ pending: Promise<unknown>; written: number }> {
  const chunk = new Uint8Array(1 << 20);
  for (let written = 0;; written += chunk.length) {
    const pending = conn.write(chunk);
    pending.catch(() => {});
    const turn = new Promise((resolve) => setTimeout(resolve, 50, "full"));
    if (await Promise.race([pending, turn]) === "full") return { pending, written };
  }
}

describe("a connection", () => {
  it("speaks MPTCP, and both ends know it", async () => {
    await using ends = await pair();
    for (const conn of [ends.client, ends.server]) {
      assert(conn.isMultipath());
      assertStrictEquals(conn.fallback(), null);
      assert(Number.isInteger(conn.token) && conn.token! > 0);
      assertEquals(conn.info()!.flags! & 2, 2, "the peer's key was received");
      const [subflow, ...others] = conn.subflows();
      assertEquals(others, []);
      assertEquals([subflow!.id, subflow!.state], [1, "ESTABLISHED"]);
      assertEquals([subflow!.local, subflow!.remote], [conn.localAddr, conn.remoteAddr]);
    }
    assertEquals(ends.client.localAddr, ends.server.remoteAddr);
    assertEquals(ends.client.remoteAddr, ends.server.localAddr);
  });

  it("carries bytes both ways, and an end", async () => {
    await using ends = await pair();
    assertEquals(await ends.client.write(utf8("ping")), 4);
    assertEquals(text(await readExactly(ends.server, 4)), "ping");
    assertEquals(await ends.server.write(utf8("pong")), 4);
    assertEquals(text(await readExactly(ends.client, 4)), "pong");
    ends.client.close();
    assertStrictEquals(await ends.server.read(new Uint8Array(1)), null);
    assertStrictEquals(await ends.server.read(new Uint8Array(1)), null, "the end stays the end");
  });

  it("keeps 64 MB in order, whatever the sizes of writes and reads", async () => {
    await using ends = await pair();
    const data = pattern(1 << 20);
    const rounds = 64;
    const sent = (async () => {
      for (let round = 0; round < rounds; round++) {
        const middle = (round * 7919) % data.length;
        await ends.client.write(data.subarray(0, middle));
        await ends.client.write(data.subarray(middle));
      }
      await ends.client.closeWrite();
    })();
    const buffers = [new Uint8Array(1), new Uint8Array(1000), new Uint8Array(1 << 18), new Uint8Array(65537)];
    let total = 0;
    for (let turn = 0;; turn++) {
      const buffer = buffers[turn % buffers.length]!;
      const count = await ends.server.read(buffer);
      if (count === null) break;
      for (const at of [0, count >> 1, count - 1]) {
        assertEquals(buffer[at], data[(total + at) % data.length], `byte ${total + at}`);
      }
      total += count;
    }
    await sent;
    assertEquals(total, rounds * data.length);
    assert(ends.client.isMultipath() && ends.server.isMultipath());
  });

  it("half-closes both ways", async () => {
    await using ends = await pair();
    await ends.client.write(utf8("question"));
    await ends.client.closeWrite();
    await ends.client.closeWrite();
    assertEquals(text(await readAll(ends.server)), "question");
    await assertRejects(() => ends.client.write(utf8("more")), MptcpError, "closeWrite was called");
    await ends.server.write(utf8("answer"));
    await ends.server.closeWrite();
    assertEquals(text(await readAll(ends.client)), "answer");
  });

  it("goes on writing, however long it has to wait, when the other side has ended its own", async () => {
    await using ends = await pair();
    await ends.server.closeWrite();
    const { pending, written } = await fill(ends.client); // the end of the other side is here by now
    const reading = readAll(ends.server);
    await pending;
    await ends.client.closeWrite();
    assertEquals((await reading).length, written + (1 << 20));
    assertEquals(await ends.client.read(new Uint8Array(1)), null);
  });

  it("sends what was queued before closeWrite", async () => {
    await using ends = await pair();
    const data = pattern(24 << 20);
    const writing = [ends.client.write(data.subarray(0, 9)), ends.client.write(data.subarray(9)), ends.client.closeWrite()];
    assertEquals(await readAll(ends.server), data);
    await Promise.all(writing);
  });

  it("serves several reads at once in order", async () => {
    await using ends = await pair();
    const buffers = [new Uint8Array(2), new Uint8Array(3), new Uint8Array(4)];
    const reads = buffers.map((buffer) => ends.server.read(buffer));
    await ends.client.write(utf8("aabbbcccc"));
    assertEquals(await Promise.all(reads), [2, 3, 4]);
    assertEquals(buffers.map(text), ["aa", "bbb", "cccc"]);
  });

  it("serves reads that wait while others are served", async () => {
    await using ends = await pair();
    const buffers = Array.from({ length: 5 }, () => new Uint8Array(8));
    const reads = buffers.map((buffer) => ends.server.read(buffer));
    for (const [index, buffer] of buffers.entries()) {
      await ends.client.write(utf8(`part ${index}`));
      assertEquals(await reads[index], 6);
      assertEquals(text(buffer.subarray(0, 6)), `part ${index}`);
    }
  });

  it("keeps backpressure: a peer that does not read stops the writer", async () => {
    await using ends = await pair();
    const { pending, written } = await fill(ends.client);
    assert(written < 64 << 20, `${written} bytes were taken though nobody read`);
    let drained = 0;
    const buffer = new Uint8Array(1 << 18);
    let done = false;
    pending.then(() => done = true);
    while (!done) drained += (await ends.server.read(buffer))!;
    assert(drained > 0);
  });

  it("lets timers and others have their turn while bytes flow", async () => {
    await using ends = await pair();
    const chunk = new Uint8Array(1 << 20);
    let flowing = true;
    let total = 0;
    const writer = (async () => {
      while (flowing) await ends.client.write(chunk);
      await ends.client.closeWrite();
    })();
    const reader = (async () => {
      for (let count; (count = await ends.server.read(chunk)) !== null;) total += count;
    })();
    let ticks = 0;
    await new Promise<void>((resolve) => {
      const timer = setInterval(() => {
        if (++ticks < 10) return;
        clearInterval(timer);
        resolve();
      }, 5);
    });
    flowing = false;
    await Promise.all([writer, reader]);
    assert(total > 0);
  });

  it("aborts by reset: the peer sees it", async () => {
    await using ends = await pair();
    const reading = ends.server.read(new Uint8Array(1));
    ends.client.reset();
    const error = await assertRejects(() => reading, MptcpError);
    assertEquals([error.code, error.errno], ["ECONNRESET", -104]);
    const again = await assertRejects(() => ends.server.read(new Uint8Array(1)), MptcpError);
    assertEquals(again.code, "ECONNRESET");
    await assertRejects(() => ends.server.write(new Uint8Array(1)), MptcpError);
  });

  it("never takes a reset for an end, however the bytes before it come", async () => {
    for (let round = 0; round < 60; round++) {
      await using ends = await pair();
      await ends.server.closeWrite();
      assertStrictEquals(await ends.client.read(new Uint8Array(1)), null);
      const buffer = new Uint8Array(1 + (round * 7919) % 60_000);
      const reading = (async () => {
        while (await ends.server.read(buffer) !== null);
      })();
      await ends.client.write(pattern(1 + (round * 3719) % 90_000));
      ends.client.reset();
      assertEquals((await assertRejects(() => reading, MptcpError)).code, "ECONNRESET");
    }
  });

  it("tells a writer that the peer is gone", async () => {
    await using ends = await pair();
    const { pending } = await fill(ends.client);
    ends.server.reset();
    const error = await assertRejects(() => pending, MptcpError);
    assert(["ECONNRESET", "EPIPE"].includes(error.code), error.code);
  });
});

describe("bad input to a connection", () => {
  it("is refused before any system call", async () => {
    await using ends = await pair();
    for (const wrong of [undefined, null, "text", 5, [1, 2], new DataView(new ArrayBuffer(4)), new Uint16Array(2)]) {
      await assertRejects(() => ends.client.read(wrong as unknown as Uint8Array), TypeError);
      await assertRejects(() => ends.client.write(wrong as unknown as Uint8Array), TypeError);
    }
  });

  it("an empty array reads and writes nothing, at once", async () => {
    await using ends = await pair();
    assertEquals(await ends.client.read(new Uint8Array(0)), 0);
    assertEquals(await ends.client.write(new Uint8Array(0)), 0);
  });

  it("a detached array is refused", async () => {
    await using ends = await pair();
    const array = new Uint8Array(16);
    structuredClone(array.buffer, { transfer: [array.buffer] });
    await assertRejects(() => ends.client.read(array), TypeError, "detached");
    await assertRejects(() => ends.client.write(array), TypeError, "detached");
  });

  it("an array that is detached while a read waits gets nothing, and nothing is lost", async () => {
    await using ends = await pair();
    const array = new Uint8Array(16);
    const reading = ends.server.read(array);
    structuredClone(array.buffer, { transfer: [array.buffer] });
    await ends.client.write(utf8("hello"));
    await assertRejects(() => reading, TypeError, "detached");
    assertEquals(text(await readExactly(ends.server, 5)), "hello");
  });

  it("an array that shrinks while a read waits gets what fits", async () => {
    await using ends = await pair();
    const buffer = new ArrayBuffer(16, { maxByteLength: 16 });
    const array = new Uint8Array(buffer);
    const reading = ends.server.read(array);
    buffer.resize(2);
    await ends.client.write(utf8("hello"));
    assertEquals(await reading, 2);
    assertEquals(text(array), "he");
    assertEquals(text(await readExactly(ends.server, 3)), "llo");
  });
});

describe("events of plain TCP", () => {
  it("end when the peer has reset the connection, though nobody reads", async () => {
    await using ends = await pair({ mptcp: "off" });
    const events = ends.client.events();
    ends.server.reset();
    const seen = [];
    for await (const { type } of events) seen.push(type);
    assertEquals(seen, ["closed"]);
  });
});

describe("bad input about subflows", () => {
  const ids: [id: unknown, type: typeof TypeError | typeof RangeError][] = [
    ["1", TypeError],
    [undefined, TypeError],
    [NaN, RangeError],
    [1.5, RangeError],
    [-1, RangeError],
    [2 ** 32, RangeError],
  ];
  for (const [id, type] of ids) {
    it(`refuses the id ${id}`, async () => {
      await using ends = await pair();
      const wrong = id as number;
      await assertRejects(() => ends.client.closeSubflow(wrong), type);
      await assertRejects(() => ends.client.setSubflowBackup(wrong, true), type);
      assertThrows(() => ends.client.getSubflowOption(wrong, 6, 1), type);
      assertThrows(() => ends.client.setSubflowOption(wrong, 6, 1, 1), type);
    });
  }

  it("gives the reason of a signal that is aborted, also where no subflow could be opened", async () => {
    await using ends = await pair({ mptcp: "off" });
    const reason = new Error("not now");
    const opening = ends.client.openSubflow({ signal: AbortSignal.abort(reason) });
    assertStrictEquals(await opening.catch((error) => error), reason);
  });
});

describe("close", () => {
  it("ends pending reads and writes with an error, never with silence", async () => {
    await using ends = await pair();
    const reading = ends.client.read(new Uint8Array(1));
    const queued = ends.client.read(new Uint8Array(1));
    const { pending } = await fill(ends.client);
    ends.server.close();
    ends.client.close();
    for (const waiting of [reading, queued, pending]) {
      const error = await assertRejects(() => waiting, MptcpError);
      assertEquals(error.code, "EBADF");
    }
  });

  it("makes every later call fail, twice is once", async () => {
    await using ends = await pair();
    const { client } = ends;
    const { localAddr, remoteAddr } = client;
    client.close();
    client.close();
    assertEquals(client.fd, -1);
    const calls = [
      () => client.info(),
      () => client.subflows(),
      () => client.isMultipath(),
      () => client.fallback(),
      () => client.token,
      () => client.getOption(1, 8),
      () => client.setOption(1, 9, 1),
      () => client.setNoDelay(),
      () => client.setKeepAlive(),
      () => client.toNode(),
    ];
    for (const call of calls) assertEquals(assertThrows(call, MptcpError).code, "EBADF", String(call));
    for (
      const call of [() => client.read(new Uint8Array(1)), () => client.write(new Uint8Array(1)), () => client.closeWrite()]
    ) {
      assertEquals((await assertRejects<MptcpError>(call, MptcpError)).code, "EBADF");
    }
    client.ref();
    client.unref();
    client.reset();
    assertEquals([client.localAddr, client.remoteAddr], [localAddr, remoteAddr]);
  });

  it("never touches the connection that got the same descriptor", async () => {
    await using first = await pair();
    const { fd } = first.client;
    first.client.close();
    const others: Conn[] = [];
    using listener = listen({ hostname: "127.0.0.1", port: 0 });
    try {
      for (let i = 0; i < 20; i++) others.push(await connect({ port: listener.addr.port }));
      assert(others.some((conn) => conn.fd === fd), "the kernel gives the lowest free number again");
      first.client.close();
      first.client.reset();
      await assertRejects(() => first.client.write(utf8("stray")), MptcpError);
      await assertRejects(() => first.client.closeWrite(), MptcpError);
      for (const conn of others) assert(conn.isMultipath() && conn.subflows().length === 1);
    } finally {
      for (const conn of others) conn.close();
    }
  });

  it("comes by itself with using", async () => {
    let kept: Conn;
    {
      await using ends = await pair();
      kept = ends.client;
      using conn = ends.server;
      assert(conn.fd >= 0);
    }
    assertEquals(kept.fd, -1);
  });
});

describe("socket options of a connection", () => {
  it("are read and set", async () => {
    await using ends = await pair({ noDelay: true, keepAlive: true, congestion: "reno" });
    const { client } = ends;
    assertEquals(client.getOption(6, 1), 1, "TCP_NODELAY");
    assertEquals(client.getOption(1, 9), 1, "SO_KEEPALIVE");
    assertEquals(text(client.getOption(6, 13, 16)).replace(/\0.*/, ""), "reno");
    client.setNoDelay(false);
    client.setKeepAlive(false);
    assertEquals([client.getOption(6, 1), client.getOption(1, 9)], [0, 0]);
    client.setOption(6, 13, utf8("cubic"));
    assertEquals(text(client.getOption(6, 13, 16)).replace(/\0.*/, ""), "cubic");
    client.setOption(1, 8, 1 << 16);
    assertEquals(client.getOption(1, 8), 1 << 17, "the kernel doubles SO_RCVBUF");
  });

  it("are not changed by the runtime's adoption", async () => {
    await using ends = await pair();
    const reading = ends.client.read(new Uint8Array(1));
    await ends.server.write(utf8("x"));
    await reading;
    assertEquals([ends.client.getOption(6, 1), ends.server.getOption(6, 1)], [0, 0], "TCP_NODELAY is off as asked for");
  });

  it("that MPTCP refuses say so, and what to use instead", async () => {
    await using ends = await pair();
    const error = assertThrows(() => ends.client.setOption(6, 18, 1000), MptcpError);
    assertEquals(error.code, "ENOPROTOOPT");
    assert(error.message.includes("TCP_USER_TIMEOUT") && error.hint?.includes("setSubflowOption"), error.message);
    const ulp = assertThrows(() => ends.client.setOption(6, 31, utf8("tls")), MptcpError);
    assert(ulp.hint?.includes("connectTls"), ulp.message);
  });

  it("with wrong arguments are refused before any system call", async () => {
    await using ends = await pair();
    const { client } = ends;
    assertThrows(() => client.getOption("1" as unknown as number, 8), TypeError);
    assertThrows(() => client.getOption(-1, 8), RangeError);
    assertThrows(() => client.getOption(1, 1.5), RangeError);
    assertThrows(() => client.getOption(1, 8, 0), RangeError);
    assertThrows(() => client.getOption(1, 8, 1 << 20), RangeError);
    assertThrows(() => client.setOption(1, 8, 2 ** 40), RangeError);
    assertThrows(() => client.setOption(1, 8, "x" as unknown as number), TypeError);
    assertInstanceOf(assertThrows(() => client.getOption(9999, 1)), MptcpError);
  });
});
