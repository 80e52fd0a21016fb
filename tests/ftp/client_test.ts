/** What real servers do not show: IPv6, strangers' ways to prepare transfers, several calls at once. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { enterPassiveModeIPv4 } from "basic-ftp";
import { Buffer } from "node:buffer";
import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable, Writable } from "node:stream";
import { after, describe, it } from "node:test";
import { connect, MptcpError } from "@mptcp/mptcp";
import { FtpClient } from "@mptcp/mptcp/ftp";
import { openAtLast, openDescriptors } from "../net/pair.ts";
import { type Script, ScriptedServer, type Session } from "./scripted_server.ts";

const BYTES = new TextEncoder().encode("0123456789".repeat(1000));

const folder = mkdtempSync(join(tmpdir(), "mptcp-ftp-"));
after(() => rmSync(folder, { recursive: true }));

const nowhere = () => new Writable({ write: (_chunk, _encoding, done) => done() });

const RETR: Script = { RETR: (session) => session.send(BYTES) };

describe("FtpClient", () => {
  it("speaks IPv6, passive and active", async () => {
    for (const active of [false, true]) {
      let place = { hostname: "", port: 0 };
      using server = await ScriptedServer.start({
        EPRT: (session, argument) => {
          const [, version, hostname, port] = argument.split("|");
          place = { hostname: hostname!, port: Number(port) };
          session.reply(version === "2" ? "200 yes" : "522 what?");
        },
        RETR: async (session) => {
          if (!active) return await session.send(BYTES);
          session.reply("150 here");
          using conn = await connect(place);
          await conn.write(BYTES);
          await conn.closeWrite();
          session.reply("226 done");
        },
      }, "::1");
      using client = new FtpClient({ timeout: 2000, active });
      await client.access({ host: "::1", port: server.port });
      await client.downloadTo(nowhere(), "x");
      assertEquals(client.dataConnections.map(({ isMultipath, bytes }) => [isMultipath, bytes]), [[true, BYTES.length]]);
      assertEquals(client.dataConnections[0]!.subflows[0]?.local.hostname ?? "::1", "::1");
    }
  });

  it("takes a way of one's own to prepare transfers; its data connections are MPTCP and told too", async () => {
    using server = await ScriptedServer.start({
      ...RETR,
      PASV: (session: Session) => {
        const port = session.open();
        session.reply(`227 (127,0,0,1,${port >> 8},${port & 255})`);
      },
    });
    using client = new FtpClient(2000);
    await client.access({ host: "127.0.0.1", port: server.port });
    client.prepareTransfer = enterPassiveModeIPv4;
    await client.downloadTo(nowhere(), "x");
    assertEquals(server.count("EPSV"), 0);
    assertEquals(client.dataConnections.map(({ kind, isMultipath, bytes }) => [kind, isMultipath, bytes]), [
      ["download", true, BYTES.length],
    ]);
  });

  it("stays connected however long it is idle, also after a transfer that was refused", async () => {
    using server = await ScriptedServer.start({ RETR: "550 no" });
    using client = new FtpClient(200);
    await client.access({ host: "127.0.0.1", port: server.port });
    await assertRejects(() => client.downloadTo(nowhere(), "x"));
    await assertRejects(() => client.downloadTo(join(folder, "x"), "x"));
    // As long as it is longer than the timeout: there is nothing to wait for.
    await new Promise((resolve) => setTimeout(resolve, 500));
    assertEquals(await client.pwd(), "/");
  });

  it("does one transfer at a time: EBUSY for another, which leaves nothing open, and the first goes on", async () => {
    let got = 0;
    using server = await ScriptedServer.start({ STOR: async (session) => got = (await session.receive()).length });
    using client = new FtpClient(2000);
    await client.access({ host: "127.0.0.1", port: server.port });
    const file = join(folder, "file");
    writeFileSync(file, BYTES);
    let release!: () => void;
    const released = new Promise<void>((resolve) => release = resolve);
    const first = client.uploadFrom(
      Readable.from(async function* () {
        yield BYTES;
        await released;
        yield BYTES;
      }()),
      "x",
    );
    for (let turn = 0; client.dataConnections.length === 0 && turn < 2000; turn++) {
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    const refused = async () => {
      const error = await assertRejects(() => client.uploadFrom(file, "y"), MptcpError);
      assertEquals(error.code, "EBUSY");
    };
    for (let i = 0; i < 3; i++) await refused(); // what the runtime opens for itself is no leak
    const before = openDescriptors();
    for (let i = 0; i < 20; i++) await refused();
    assert(await openAtLast(openDescriptors, before) <= before);
    release();
    await first;
    assertEquals(got, 2 * BYTES.length);
  });

  it("moves large files as they are, several clients at once", async () => {
    const bytes = randomBytes(6_000_001);
    let stored: Uint8Array = new Uint8Array();
    using server = await ScriptedServer.start({
      RETR: (session) => session.send(bytes),
      STOR: async (session) => stored = await session.receive(),
    });
    await Promise.all(["a", "b", "c"].map(async (name) => {
      using client = new FtpClient(5000);
      await client.access({ host: "127.0.0.1", port: server.port });
      const kept: Uint8Array[] = [];
      const keeper = new Writable({ write: (chunk: Uint8Array, _encoding, done) => (kept.push(chunk), done()) });
      await client.downloadTo(keeper, "x");
      for (let i = 0; i < 3; i++) {
        await client.downloadTo(join(folder, name), "x");
        assert(readFileSync(join(folder, name)).equals(bytes), "a file is another");
      }
      // What a stream has got stays as it was, though files give their memory back.
      assert(Buffer.concat(kept).equals(bytes), "a stream is another");
    }));
    using client = new FtpClient(5000);
    await client.access({ host: "127.0.0.1", port: server.port });
    await client.uploadFrom(join(folder, "a"), "x");
    assert(bytes.equals(stored), "an upload is another");
  });

  it("can be used again after close, and forgets the data connections of before", async () => {
    using server = await ScriptedServer.start(RETR);
    using client = new FtpClient(2000);
    assert(client.closed);
    assertEquals(client.dataConnections, []);
    for (let i = 0; i < 3; i++) {
      await client.access({ host: "127.0.0.1", port: server.port });
      assert(!client.closed && client.control.isMultipath());
      await client.downloadTo(nowhere(), "x");
      assertEquals(client.dataConnections.length, 1);
      client.close();
      client.close();
      assert(client.closed);
    }
  });

  it("ends the mirroring of a folder by its signal", async () => {
    const names = ["one", "two", "three"].map((name) => `-rw-r--r-- 1 u u 5 Jan 01 2024 ${name}\r\n`).join("");
    const abort = new AbortController();
    const reason = new Error("enough");
    using server = await ScriptedServer.start({
      LIST: (session) => session.send(new TextEncoder().encode(names)),
      RETR: async (session) => {
        await session.send(BYTES);
        abort.abort(reason);
      },
    });
    using client = new FtpClient(2000);
    await client.access({ host: "127.0.0.1", port: server.port });
    const error = await client.downloadToDir(join(folder, "mirror"), "", { signal: abort.signal }).catch((error) => error);
    assert(error === reason, `${error}`);
    assert(server.count("RETR") < 3);
    assertEquals(await client.pwd(), "/");
  });
});
