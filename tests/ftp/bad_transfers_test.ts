/** Transfers that do not end as they should: nothing half is taken for whole, and nobody waits for ever. */
import { Buffer } from "node:buffer";
import { assert, assertEquals, assertMatch, assertRejects, fail } from "@std/assert";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable, Writable } from "node:stream";
import { after, describe, it } from "node:test";
import { FtpClient, type FtpClientOptions, FTPError } from "@mptcp/mptcp/ftp";
import { connect, listen, MptcpError } from "@mptcp/mptcp";
import { openAtLast, openDescriptors } from "../net/pair.ts";
import { type Script, ScriptedServer, type Session } from "./scripted_server.ts";

const TIMEOUT = 700;
const BYTES = new TextEncoder().encode("0123456789".repeat(1000));

const folder = mkdtempSync(join(tmpdir(), "mptcp-ftp-"));
after(() => rmSync(folder, { recursive: true }));

interface Both extends Disposable {
  server: ScriptedServer;
  client: FtpClient;
}

async function begin(script: Script, options: FtpClientOptions = {}): Promise<Both> {
  const server = await ScriptedServer.start(script);
  const client = new FtpClient({ timeout: TIMEOUT, ...options });
  await client.access({ host: "127.0.0.1", port: server.port });
  return { server, client, [Symbol.dispose]: () => (client.close(), server[Symbol.dispose]()) };
}

/** A destination that remembers. */
function sink(): { stream: Writable; bytes: () => number } {
  let count = 0;
  const stream = new Writable({ write: (chunk: Uint8Array, _encoding, done) => (count += chunk.length, done()) });
  return { stream, bytes: () => count };
}

const codeOf = (error: unknown) => (error as { code?: unknown }).code;

async function assertTimeout(work: () => Promise<unknown>): Promise<void> {
  const error = await assertRejects(work) as Error;
  assertEquals(error.name, "TimeoutError", `${error}`);
}

/** Asserts that a download rejects, that its stream is destroyed and not ended. */
async function assertNotWhole({ client }: Both, code: unknown): Promise<void> {
  const { stream } = sink();
  const error = await assertRejects(() => client.downloadTo(stream, "x"));
  assertEquals(codeOf(error), code, `${error}`);
  assert(stream.destroyed && !stream.writableFinished, "the stream has ended as if it were the whole");
}

describe("Where data connections go", () => {
  it("is the server's host only: a PASV answer that names another is refused", async () => {
    for (const host of ["203,0,113,7", "10,0,0,1", "0,0,0,0"]) {
      using both = await begin({ EPSV: "500 what?", PASV: `227 go to (${host},4,1)` });
      const error = await assertRejects(() => both.client.list(), MptcpError);
      assertEquals(error.code, "EPERM");
      assertMatch(error.message, /names another host, [\d.]+, which is refused/);
      assertEquals(error.hint, "allowSeparateTransferHost: true takes it");
      assert(!both.client.closed);
    }
  });

  it("is no nonsense: each way is tried, then it is an error", async () => {
    const bad = ["229 ok", "229 (|||99999|)", "229 (|||0|)", "229 (|||x|)", "229 (|1|2|3|)"];
    const worse = ["227 ok", "227 (1,2,3)", "227 (999,0,0,1,1,1)", "227 (127,0,0,1,0,0)", `227 ${"1".repeat(5000)}`];
    for (const [index, EPSV] of bad.entries()) {
      using both = await begin({ EPSV, PASV: worse[index]! });
      const error = await assertRejects(() => both.client.list(), MptcpError);
      assertEquals(error.code, "EPROTO");
      assertMatch(error.message, /the answer to PASV makes no sense/);
      assert(error.message.length < 400);
      assert(!both.client.closed);
    }
  });

  it("may be where nobody listens: ECONNREFUSED", async () => {
    using unused = listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = unused.addr;
    unused.close();
    using both = await begin({ EPSV: `229 (|||${port}|)`, PASV: `227 (127,0,0,1,${port >> 8},${port & 255})` });
    assertEquals(codeOf(await assertRejects(() => both.client.list(), MptcpError)), "ECONNREFUSED");
    assert(!both.client.closed);
  });

  it("is by PASV where EPSV is unknown, and EPSV is not asked again", async () => {
    const send = (session: Session) => session.send(BYTES);
    using both = await begin({
      EPSV: "500 what?",
      PASV: (session) => {
        const port = session.open();
        session.reply(`227 (127,0,0,1,${port >> 8},${port & 255})`);
      },
      RETR: send,
    });
    for (let i = 0; i < 2; i++) await both.client.downloadTo(sink().stream, "x");
    assertEquals([both.server.count("EPSV"), both.server.count("PASV")], [1, 2]);
  });

  it("is not decided by strangers: active mode takes the server's connection only", async () => {
    const here = (argument: string) => {
      const [, , address, port] = argument.split("|");
      return { hostname: address!, port: Number(port) };
    };
    let place = { hostname: "", port: 0 };
    using both = await begin({
      EPRT: (session, argument) => (place = here(argument), session.reply("200 yes")),
      RETR: async (session) => {
        using stranger = await connect({ ...place, localAddress: "127.0.0.2" });
        session.reply("150 here it comes");
        // The stranger is turned away before the server is heard.
        await stranger.write(BYTES.subarray(0, 3)).catch(() => {});
        await stranger.read(new Uint8Array(1)).catch(() => null);
        using conn = await connect(place);
        await conn.write(BYTES);
        await conn.closeWrite();
        session.reply("226 done");
      },
    }, { active: true });
    const { stream, bytes } = sink();
    await both.client.downloadTo(stream, "x");
    assertEquals(bytes(), BYTES.length);
    assert(both.client.dataConnections[0]!.isMultipath);
  });

  it("may be nowhere: in active mode a server that does not connect is a timeout", async () => {
    using both = await begin({ EPRT: "200 yes", RETR: "150 here it comes" }, { active: true });
    await assertTimeout(() => both.client.downloadTo(sink().stream, "x"));
  });
});

describe("A download", () => {
  it("is whole when the server says so, before its last byte or after", async () => {
    for (const after of ["", "226 done"]) {
      using both = await begin({
        RETR: async (session) => {
          await session.send(BYTES, after === "" ? "150 here\r\n226 done" : "150 here", after);
        },
      });
      const { stream, bytes } = sink();
      await both.client.downloadTo(stream, "x");
      assertEquals(bytes(), BYTES.length);
      assert(stream.writableFinished);
    }
  });

  it("is not whole when the server says that it failed", async () => {
    using both = await begin({ RETR: (session) => session.send(BYTES, "150 here", "426 broken") });
    await assertNotWhole(both, 426);
    assert(!both.client.closed);
  });

  it("is not whole when fewer bytes came than the server said, though it says that all is well", async () => {
    using both = await begin({ RETR: (session) => session.send(BYTES, "150 here (20000 bytes)") });
    await assertNotWhole(both, "ENODATA");
    writeFileSync(join(folder, "half"), "old");
    const error = await assertRejects(() => both.client.downloadTo(join(folder, "half"), "x"), MptcpError);
    assertEquals(error.message, "The download is incomplete: of 20000 bytes 10000 came");
    const { length } = readFileSync(join(folder, "half"));
    assertEquals(readFileSync(join(folder, "half")), Buffer.from(BYTES).subarray(0, length));
    assert(!both.client.closed);
  });

  it("is not whole when the data connection is reset", async () => {
    using both = await begin({
      RETR: async (session) => {
        session.reply("150 here");
        const conn = await session.data();
        await conn.write(BYTES);
        conn.reset();
        session.reply("226 done");
      },
    });
    await assertNotWhole(both, "ECONNRESET");
    assert(!both.client.closed);
  });

  it("is not whole when the control connection ends instead of confirming it", async () => {
    using both = await begin({
      RETR: async (session) => {
        await session.send(BYTES, "150 here", "");
        session.control.end();
      },
    });
    await assertNotWhole(both, "ECONNRESET");
  });

  it("is not whole when no confirmation comes: a timeout", async () => {
    using both = await begin({ RETR: (session) => session.send(BYTES, "150 here", "") });
    const { stream } = sink();
    await assertTimeout(() => both.client.downloadTo(stream, "x"));
    assert(!stream.writableFinished);
  });

  it("that stalls is a timeout, and access opens the client again", async () => {
    let stall = true;
    using both = await begin({
      RETR: async (session) => {
        if (!stall) return await session.send(BYTES);
        session.reply("150 here");
        await (await session.data()).write(BYTES);
      },
    });
    const { client, server } = both;
    await assertTimeout(() => client.downloadTo(sink().stream, "x"));
    assert(client.closed);
    stall = false;
    await client.access({ host: "127.0.0.1", port: server.port });
    await client.downloadTo(sink().stream, "x");
  });

  it("that is refused leaves the local file as it was", async () => {
    using both = await begin({ RETR: "550 no" });
    const file = join(folder, "kept");
    writeFileSync(file, "kept");
    assertEquals(codeOf(await assertRejects(() => both.client.downloadTo(file, "x"), FTPError)), 550);
    assertEquals(readFileSync(file, "utf8"), "kept");
    await assertRejects(() => both.client.downloadTo(join(folder, "never"), "x"), FTPError);
    assert(!existsSync(join(folder, "never")));
    assertEquals(both.client.dataConnections.length, 0);
  });

  it("is resumed only where nothing is missing before", async () => {
    using both = await begin({ REST: "350 yes", RETR: (session) => session.send(BYTES.subarray(4000)) });
    const file = join(folder, "resumed");
    writeFileSync(file, BYTES.subarray(0, 3999));
    await assertRejects(() => both.client.downloadTo(file, "x", 4000), RangeError);
    assertEquals(both.server.count("RETR"), 0);
    // What a longer file had behind is gone.
    writeFileSync(file, Buffer.concat([BYTES.subarray(0, 4000), new Uint8Array(50_000)]));
    await both.client.downloadTo(file, "x", 4000);
    assertEquals(readFileSync(file), Buffer.from(BYTES));
  });

  it("into what cannot be written tells why, and the client goes on", async () => {
    using both = await begin({ RETR: (session) => session.send(BYTES) });
    const { client } = both;
    assertEquals(codeOf(await assertRejects(() => client.downloadTo(folder, "x"))), "EISDIR");
    const reason = new Error("full");
    const full = new Writable({ write: (_chunk, _encoding, done) => done(reason) });
    full.on("error", () => {});
    assert(await client.downloadTo(full, "x").catch((error) => error) === reason);
    await client.downloadTo(sink().stream, "x");
    assert(!client.closed);
  });

  it("onto a full disk tells why, however much is waiting, and the client goes on", async () => {
    let size = 8 << 20;
    using both = await begin({
      RETR: (session) => session.send(new Uint8Array(size)).catch(() => session.reply("426 broken off")),
    });
    const { client } = both;
    assertEquals(codeOf(await assertRejects(() => client.downloadTo("/dev/full", "x"))), "ENOSPC");
    size = 1000;
    await client.downloadTo(sink().stream, "x");
    assert(!client.closed);
  });
});

describe("An upload", () => {
  const stor = (after: string, end: "close" | "reset") => async (session: Session) => {
    session.reply("150 send it");
    const conn = await session.data();
    await conn.read(new Uint8Array(1000));
    conn[end]();
    session.reply(after);
  };
  /** More than fits into any buffer. */
  const endless = () =>
    Readable.from(async function* () {
      for (let i = 0; i < 200; i++) yield new Uint8Array(1 << 18);
    }());

  it("arrives as it was sent", async () => {
    let got = new Uint8Array(0);
    using both = await begin({ STOR: async (session) => got = await session.receive() as typeof got });
    await both.client.uploadFrom(Readable.from([BYTES]), "x");
    assertEquals(got, BYTES);
    assertEquals(both.client.dataConnections.map(({ bytes }) => bytes), [BYTES.length]);
  });

  it("that the server breaks off has the server's reason", async () => {
    for (const end of ["close", "reset"] as const) {
      using both = await begin({ STOR: stor("552 full", end) });
      assertEquals(codeOf(await assertRejects(() => both.client.uploadFrom(endless(), "x"), FTPError)), 552);
      assert(!both.client.closed);
    }
  });

  it("that the server breaks off is not taken for whole, though the server says so", async () => {
    for (const end of ["close", "reset"] as const) {
      using both = await begin({ STOR: stor("226 done", end) });
      const error = await assertRejects(() => both.client.uploadFrom(endless(), "x"), MptcpError);
      assert(["EPIPE", "ECONNRESET"].includes(error.code), error.message);
      assert(!both.client.closed);
    }
  });

  it("that the server does not read is a timeout", async () => {
    using both = await begin({
      STOR: async (session) => {
        session.reply("150 send it");
        await session.data();
      },
    });
    await assertTimeout(() => both.client.uploadFrom(endless(), "x"));
  });

  it("of a file that is not there sends no command", async () => {
    using both = await begin({});
    assertEquals(codeOf(await assertRejects(() => both.client.uploadFrom(join(folder, "nothing"), "x"))), "ENOENT");
    assertEquals(both.server.count("STOR"), 0);
  });

  it("of a stream that fails tells why, resets the connection, and the client goes on", async () => {
    let ended: unknown = null;
    using both = await begin({
      STOR: async (session) => {
        session.reply("150 send it");
        const conn = await session.data();
        ended = await new Response(conn.readable).arrayBuffer().catch((error) => error.code);
        session.reply("426 broken");
      },
    });
    const reason = new Error("no more");
    const source = Readable.from(async function* () {
      yield BYTES;
      await new Promise((resolve) => setImmediate(resolve));
      throw reason;
    }());
    assert(await both.client.uploadFrom(source, "x").catch((error) => error) === reason);
    // ENOTCONN where it was reset before it was accepted.
    assert(ended === "ECONNRESET" || ended === "ENOTCONN", `${ended}`);
    assertEquals(await both.client.pwd(), "/");
  });
});

describe("An abort", () => {
  const endless = async (session: Session) => {
    session.reply("150 here");
    const conn = await session.data();
    while (await conn.write(new Uint8Array(1 << 16)).then(() => true, () => false));
    session.reply("426 broken");
  };

  it("ends a transfer with its reason, and the client goes on", async () => {
    using both = await begin({ RETR: endless });
    const { client } = both;
    const abort = new AbortController();
    const reason = new Error("enough");
    const stream = new Writable({ write: (_chunk, _encoding, done) => (abort.abort(reason), done()) });
    assert(await client.downloadTo(stream, "x", { signal: abort.signal }).catch((error) => error) === reason);
    assert(stream.destroyed);
    assertEquals(await client.pwd(), "/");
    // One that was aborted before sends nothing.
    const { length } = both.server.commands;
    assert(await client.downloadTo(sink().stream, "x", { signal: abort.signal }).catch((error) => error) === reason);
    assert(await client.list("", { signal: abort.signal }).catch((error) => error) === reason);
    assertEquals(both.server.commands.length, length);
    client.abort(); // nothing is under way
    assertEquals(await client.pwd(), "/");
  });

  it("ends a transfer that has not begun", async () => {
    using both = await begin({ RETR: ({ reply }) => void reply, ABOR: "226 ok" });
    const { client, server } = both;
    const work = client.downloadTo(sink().stream, "x");
    work.catch(() => {});
    for (let turn = 0; server.count("RETR") === 0; turn++) {
      if (turn > 1000) fail("no command came");
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    client.abort();
    assertEquals((await assertRejects(() => work) as Error).name, "AbortError");
  });

  it("by close ends what is under way", async () => {
    using both = await begin({ RETR: endless });
    const stream = new Writable({ write: (_chunk, _encoding, done) => (both.client.close(), done()) });
    assertEquals(codeOf(await assertRejects(() => both.client.downloadTo(stream, "x"), MptcpError)), "EBADF");
    assert(stream.destroyed);
  });
});

describe("A listing", () => {
  const LINE = "-rw-r--r-- 1 u u 5 Jan 01 2024 name\r\n";

  it("without end is given up, and the client goes on", async () => {
    using both = await begin({
      LIST: async (session) => {
        session.reply("150 here");
        const conn = await session.data();
        const lines = new TextEncoder().encode(LINE.repeat(1000));
        while (await conn.write(lines).then(() => true, () => false));
        session.reply("426 broken");
      },
    }, { maxListingBytes: 100_000 });
    const error = await assertRejects(() => both.client.list(), MptcpError);
    assertEquals(error.code, "EMSGSIZE");
    assertEquals(error.hint, "maxListingBytes sets how long it may be");
    assertEquals(await both.client.pwd(), "/");
  });

  it("in no known format is an error", async () => {
    using both = await begin({
      LIST: (session) => session.send(new TextEncoder().encode("<html>hello</html>\r\n".repeat(3))),
    });
    assertEquals(codeOf(await assertRejects(() => both.client.list(), MptcpError)), "EPROTO");
    assert(!both.client.closed);
  });

  it("with names that lead elsewhere lets no mirror write there", async () => {
    const evil = LINE + LINE.replace("name", "../evil") + LINE.replace("name", "..");
    using both = await begin({
      LIST: (session) => session.send(new TextEncoder().encode(evil)),
      RETR: (session) => session.send(BYTES),
    });
    await both.client.downloadToDir(join(folder, "mirror"));
    assertEquals(readFileSync(join(folder, "mirror/name")).length, BYTES.length);
    assert(!existsSync(join(folder, "evil")));
    assertEquals(both.server.count("RETR"), 1);
  });
});

describe("Nothing is left", () => {
  it("by transfers that succeed, fail, are aborted or time out, passive and active", async () => {
    const script: Script = {
      RETR: (session, name) => {
        if (name === "good") return session.send(BYTES);
        if (name === "half") return session.send(BYTES, "150 here (20000 bytes)");
        if (name === "refused") return session.reply("550 no");
        return session.reply("150 never");
      },
      EPRT: "200 yes",
      LIST: "450 no",
    };
    const round = async () => {
      for (const active of [false, true]) {
        using both = await begin(script, { active, timeout: 100 });
        const { client } = both;
        for (const name of active ? ["refused"] : ["good", "half", "refused"]) {
          await client.downloadTo(sink().stream, name).catch(() => {});
          await client.downloadTo(join(folder, name), name).catch(() => {});
        }
        await client.list().catch(() => {});
        const work = client.downloadTo(sink().stream, "never");
        setTimeout(() => client.abort(), 20);
        await work.catch(() => {});
      }
    };
    await round();
    const before = openDescriptors();
    for (let i = 0; i < 3; i++) await round();
    assertEquals(Math.max(await openAtLast(openDescriptors, before, 3000), before), before);
  });
});
