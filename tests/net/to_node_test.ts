import { assert, assertEquals, assertThrows } from "@std/assert";
import { Buffer } from "node:buffer";
import { once } from "node:events";
import { spawnSync } from "node:child_process";
import { Socket } from "node:net";
import process from "node:process";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { runtime } from "../../ffi/mod.ts";
import { Program } from "../host/program.ts";
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

  // Bun needs no other descriptor.
  if (runtime !== "bun") {
    it(
      "closes the connection where no descriptor is left, and tells so",
      () => {
        using program = new Program(`
      import { closeSync, openSync } from "node:fs";
      import { connect, listen } from "MPTCP";
      const listener = listen({ port: 0 });
      const [client, server] = await Promise.all([connect({ port: listener.addr.port }), listener.accept()]);
      const reading = client.read(new Uint8Array(1)); // that waits
      await server.write(new Uint8Array(1));
      await reading;
      const opened = [];
      try { for (;;) opened.push(openSync("/dev/null", "r")); } catch {}
      let error;
      try { client.toNode(); } catch (thrown) { error = thrown; }
      for (const fd of opened) closeSync(fd);
      console.log(JSON.stringify([error?.name, error?.code, error?.hint?.includes("ulimit"), client.fd]));
      process.exit(0);`);
        const command = [
          process.execPath,
          ...(runtime === "deno" ? ["run", "--quiet", "--no-check", "-A"] : []),
          program.file,
        ];
        const { stdout, stderr } = spawnSync("sh", ["-c", 'ulimit -n 256; exec "$@"', "sh", ...command], {
          cwd: fileURLToPath(new URL("../..", import.meta.url)),
          encoding: "utf8",
          timeout: 20_000,
        });
        assertEquals([stdout, stderr], ['["MptcpError","EMFILE",true,-1]\n', ""]);
      },
    );
  }

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
