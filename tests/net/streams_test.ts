import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { describe, it } from "node:test";
import { MptcpError } from "@mptcp/mptcp";
import { pair, pattern, readAll, readExactly, text, utf8 } from "./pair.ts";

describe("the streams of a connection", () => {
  it("carry bytes to a default reader", async () => {
    await using ends = await pair();
    const data = pattern(5_000_001);
    const writer = ends.client.writable.getWriter();
    const writing = writer.write(data).then(() => writer.close());
    const got = new Uint8Array(await new Response(ends.server.readable).arrayBuffer());
    await writing;
    assertEquals(got, data);
  });

  it("carry bytes into a BYOB reader's own array", async () => {
    await using ends = await pair();
    await ends.client.write(utf8("hello world"));
    const reader = ends.server.readable.getReader({ mode: "byob" });
    const first = await reader.read(new Uint8Array(5));
    assertEquals(text(first.value!), "hello");
    const second = await reader.read(new Uint8Array(64));
    assertEquals(text(second.value!), " world");
    await ends.client.closeWrite();
    const end = await reader.read(new Uint8Array(64));
    assert(end.done);
  });

  it("echo by pipeTo, and leave no descriptor when both have ended", async () => {
    await using ends = await pair();
    const echoing = ends.server.readable.pipeTo(ends.server.writable);
    const data = pattern(3_000_000);
    const writing = ends.client.write(data).then(() => ends.client.closeWrite());
    assertEquals(await readAll(ends.client), data);
    await Promise.all([echoing, writing]);
    assertEquals(ends.server.fd, -1);
    assert(ends.server.isMultipath(), "the last answers stay");
    assertEquals(ends.server.info()?.bytesReceived, data.length);
  });

  it("give the same object each time", async () => {
    await using ends = await pair();
    assertStrictEquals(ends.client.readable, ends.client.readable);
    assertStrictEquals(ends.client.writable, ends.client.writable);
  });

  it("read nothing that nobody asked for", async () => {
    await using ends = await pair();
    void ends.server.readable;
    await ends.client.write(utf8("untouched"));
    assertEquals(text(await readExactly(ends.server, 9)), "untouched");
  });

  it("cancelling the reader leaves the writer at work", async () => {
    await using ends = await pair();
    await ends.server.readable.cancel();
    const writer = ends.server.writable.getWriter();
    await writer.write(utf8("still here"));
    assertEquals(text(await readExactly(ends.client, 10)), "still here");
    await writer.close();
    assertEquals(ends.server.fd, -1, "both have ended");
  });

  it("aborting the writer resets the connection: half is not taken for whole", async () => {
    await using ends = await pair();
    const reading = readAll(ends.server);
    await ends.client.writable.abort(new Error("changed my mind"));
    const error = await assertRejects(() => reading, MptcpError);
    assertEquals(error.code, "ECONNRESET");
  });

  it("fail when the connection is closed below them", async () => {
    await using ends = await pair();
    const reader = ends.client.readable.getReader();
    const reading = reader.read();
    ends.client.close();
    await assertRejects(() => reading, MptcpError, "closed");
  });

  it("pass a peer's reset on", async () => {
    await using ends = await pair();
    const reader = ends.client.readable.getReader();
    const reading = reader.read();
    ends.server.reset();
    const error = await assertRejects(() => reading, MptcpError);
    assertEquals(error.code, "ECONNRESET");
  });

  it("keep backpressure: a write waits for the peer", async () => {
    await using ends = await pair();
    const writer = ends.client.writable.getWriter();
    const chunk = new Uint8Array(1 << 20);
    let taken = 0;
    for (;;) {
      const writing = writer.write(chunk);
      const outcome = await Promise.race([
        writing.then(() => "written"),
        new Promise((resolve) => setTimeout(resolve, 50, "waits")),
      ]);
      if (outcome === "waits") {
        const sink = readAll(ends.server, 1 << 20);
        await writing;
        await writer.close();
        assertEquals((await sink).length, taken + chunk.length);
        break;
      }
      taken += chunk.length;
      assert(taken < 64 << 20, "the writer was never stopped");
    }
  });
});
