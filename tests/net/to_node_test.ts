import { assert, assertEquals, assertThrows } from "@std/assert";
import { Buffer } from "node:buffer";
import { once } from "node:events";
import { Socket } from "node:net";
import { describe, it } from "node:test";
import { MptcpError } from "@mptcp/mptcp";
import { pair, pattern, readAll, readExactly, text, utf8 } from "./pair.ts";

async function collect(socket: Socket): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  socket.on("data", (chunk: Uint8Array) => chunks.push(chunk));
  await once(socket, "end");
  return new Uint8Array(Buffer.concat(chunks));
}

describe("toNode", () => {
  it("gives a net.Socket over the same MPTCP connection", async () => {
    await using ends = await pair();
    const socket = ends.client.toNode();
    assert(socket instanceof Socket);
    socket.write("hello");
    assertEquals(text(await readExactly(ends.server, 5)), "hello");
    const got = collect(socket);
    await ends.server.write(utf8("good bye"));
    await ends.server.closeWrite();
    assertEquals(text(await got), "good bye");
    assert(ends.client.isMultipath(), "the connection can still be asked");
    assertEquals(ends.client.subflows().length, 1);
    socket.destroy();
    assertEquals(ends.client.fd, -1);
    assertThrows(() => ends.client.info(), MptcpError);
  });

  it("on the accepting side", async () => {
    await using ends = await pair();
    const socket = ends.server.toNode();
    const data = pattern(2_000_000);
    const got = collect(socket);
    await ends.client.write(data);
    await ends.client.closeWrite();
    assertEquals(await got, data);
    socket.end("done");
    assertEquals(text(await readAll(ends.client)), "done");
  });

  it("after reading and writing, loses nothing", async () => {
    await using ends = await pair();
    const first = new Uint8Array(3);
    const reading = ends.client.read(first);
    await ends.server.write(utf8("one two three"));
    assertEquals(await reading, 3);
    await ends.client.write(utf8("abc"));
    const socket = ends.client.toNode();
    const got = collect(socket);
    socket.write("def");
    assertEquals(text(await readExactly(ends.server, 6)), "abcdef"); // before the end: Deno's sockets fail a write that meets it
    await ends.server.closeWrite();
    assertEquals(text(first) + text(await got), "one two three");
    socket.destroy();
  });

  it("after a read that waited, still asks and ends the same connection", async () => {
    await using ends = await pair();
    const reading = ends.client.read(new Uint8Array(9));
    await ends.server.write(utf8("x"));
    await reading;
    const { token } = ends.client.info()!;
    const socket = ends.client.toNode();
    assertEquals(ends.client.info()!.token, token);
    assertEquals(ends.client.subflows().length, 1);
    const failed = once(socket.resume(), "error") as Promise<[Error & { code: string }]>;
    ends.server.reset();
    assertEquals((await failed)[0].code, "ECONNRESET");
    assertEquals(ends.client.fd, -1);
  });

  it("after closeWrite, gives a socket whose writing has ended", async () => {
    await using ends = await pair();
    await ends.client.closeWrite();
    const socket = ends.client.toNode();
    const got = collect(socket);
    await ends.server.write(utf8("still readable"));
    await ends.server.closeWrite();
    assertEquals(text(await got), "still readable");
    socket.destroy();
  });

  it("locks the connection", async () => {
    await using ends = await pair();
    ends.client.toNode();
    assertThrows(() => ends.client.toNode(), TypeError, "locked");
    const read = await ends.client.read(new Uint8Array(1)).catch((error) => error);
    assert(read instanceof TypeError);
  });

  it("is refused while a read waits or a stream is locked", async () => {
    await using ends = await pair();
    const reading = ends.client.read(new Uint8Array(1));
    assertThrows(() => ends.client.toNode(), TypeError, "pending");
    await ends.server.write(utf8("x"));
    await reading;
    ends.client.readable.getReader();
    assertThrows(() => ends.client.toNode(), TypeError, "locked");
  });

  it("passes a reset on as an error event", async () => {
    await using ends = await pair();
    const socket = ends.client.toNode();
    socket.resume();
    const failed = once(socket, "error") as Promise<[Error & { code: string }]>;
    ends.server.reset();
    assertEquals((await failed)[0].code, "ECONNRESET");
  });
});
