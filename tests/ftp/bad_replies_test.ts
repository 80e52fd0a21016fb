/** Servers that answer nonsense, or not at all: clear errors, no hang. */
import { assert, assertEquals, assertInstanceOf, assertMatch, assertRejects } from "@std/assert";
import { describe, it } from "node:test";
import { FtpClient, FTPError } from "@mptcp/mptcp/ftp";
import { MptcpError } from "@mptcp/mptcp";
import { type Script, ScriptedServer } from "./scripted_server.ts";

/** Long enough for a busy machine, where nobody answers. */
const TIMEOUT = 700;

/** Logs in to a server that follows a script. */
async function begin(script: Script): Promise<{ server: ScriptedServer; client: FtpClient } & Disposable> {
  const server = await ScriptedServer.start(script);
  const client = new FtpClient(TIMEOUT);
  const both = { server, client, [Symbol.dispose]: () => (client.close(), server[Symbol.dispose]()) };
  try {
    await client.access({ host: "127.0.0.1", port: server.port });
    return both;
  } catch (error) {
    both[Symbol.dispose]();
    throw error;
  }
}

/** What the login ends with. */
async function refusal(script: Script): Promise<Error & { code?: unknown }> {
  return await assertRejects(() => begin(script)) as Error & { code?: unknown };
}

describe("A greeting", () => {
  for (
    const [what, greeting, code, message] of [
      ["of HTTP", "HTTP/1.1 400 Bad Request\r\n", "EPROTO", /does not speak FTP, it says "HTTP/],
      ["of SSH", "SSH-2.0-OpenSSH_9.2", "EPROTO", /does not speak FTP/],
      ["of bytes", "\x16\x03\x01\0\xff", "EPROTO", /does not speak FTP/],
      ["without an end of a line", "x".repeat(100), "EPROTO", /does not speak FTP/],
      ["that refuses", "421 too many", 421, /421 too many/],
      ["that is late", "120 in ten minutes", 120, /120 in ten minutes/],
    ] as const
  ) {
    it(`${what} is an error at once`, async () => {
      const error = await refusal({ greeting });
      assertEquals(error.code, code);
      assertMatch(error.message, message);
    });
  }

  it("that never comes is a timeout", async () => {
    assertEquals((await refusal({ greeting: () => {} })).name, "TimeoutError");
  });

  it("that comes byte by byte is read", async () => {
    using both = await begin({
      greeting: async ({ control }) => {
        for (const byte of "220-hello\r\n220 ready\r\n") await new Promise((done) => control.write(byte, done));
      },
    });
    assert(both.client.control.isMultipath());
  });

  it("without end is an error", async () => {
    const { code, message } = await refusal({ greeting: ({ control }) => control.write("220-more\r\n".repeat(50_000)) });
    assertEquals(code, "EMSGSIZE", message);
  });
});

describe("An answer", () => {
  it("without end is an error, in one line or in many", async () => {
    for (
      const text of [`211-${"x".repeat(300_000)}`, "211-more\r\n".repeat(50_000), "200 ok\r\n200 ok\r\n".repeat(20_000)]
    ) {
      using both = await begin({ STAT: ({ control }) => control.write(text) });
      const error = await both.client.send("STAT").then(() => both.client.send("NOOP")).catch((error) => error);
      // Those that are complete answer what was asked, and what comes next.
      if (!(error instanceof Error)) continue;
      assertEquals((error as MptcpError).code, "EMSGSIZE", error.message);
    }
  });

  it("that never comes is a timeout, and the client is closed", async () => {
    using both = await begin({ NOOP: () => {} });
    const { client } = both;
    assertEquals((await assertRejects(() => client.send("NOOP")) as Error).name, "TimeoutError");
    assert(client.closed);
    const after = await assertRejects(() => client.send("NOOP"), MptcpError);
    assertEquals(after.code, "EBADF");
    assertEquals(after.hint, "access() opens it again");
    assertMatch(after.message, /^The FTP client is closed: The FTP server was silent for 700 ms; access/);
  });

  it("instead of which the server closes is ECONNRESET", async () => {
    using both = await begin({ NOOP: ({ control }) => control.end(), STAT: ({ control }) => control.resetAndDestroy() });
    assertEquals((await assertRejects(() => both.client.send("NOOP"), MptcpError)).code, "ECONNRESET");
    await both.client.access({ host: "127.0.0.1", port: both.server.port });
    assertEquals((await assertRejects(() => both.client.send("STAT"), MptcpError)).code, "ECONNRESET");
  });

  it("that refuses is an FTPError, and the client goes on", async () => {
    using both = await begin({ DELE: "550 no" });
    const error = await assertRejects(() => both.client.remove("x"), FTPError);
    assertEquals(error.code, 550);
    assert(!both.client.closed);
    assertEquals(await both.client.pwd(), "/");
  });

  it("without sense to SIZE, MDTM or PWD is an error", async () => {
    using both = await begin({ SIZE: "213 many", MDTM: "213 today", PWD: "257 here" });
    const { client } = both;
    for (const ask of [() => client.size("x"), () => client.lastMod("x"), () => client.pwd()]) {
      const error = await assertRejects(ask, MptcpError);
      assertEquals(error.code, "EPROTO", error.message);
    }
    assert(!client.closed);
  });

  it("is awaited by one call at a time: EBUSY, and the first goes on; access ends it", async () => {
    using both = await begin({ NOOP: () => {}, STAT: "211 well" });
    const { client, server } = both;
    const first = client.send("STAT");
    assertEquals((await assertRejects(() => client.send("NOOP"), MptcpError)).code, "EBUSY");
    assertEquals((await first).code, 211);
    const second = client.send("NOOP");
    second.catch(() => {});
    await client.access({ host: "127.0.0.1", port: server.port });
    assertEquals((await assertRejects(() => second, MptcpError)).code, "EBADF");
    assertEquals(await client.pwd(), "/");
  });
});

describe("What becomes part of a command", () => {
  it("has no control characters, and nothing is sent", async () => {
    using both = await begin({});
    const { client, server } = both;
    const before = server.commands.length;
    for (const bad of ["a\r\nDELE b", "a\nb", "a\rb", "a\0b", "a\x7fb", "a\x1bb", "\ud800", 7 as unknown as string]) {
      for (
        const call of [
          () => client.cd(bad),
          () => client.list(bad),
          () => client.size(bad),
          () => client.lastMod(bad),
          () => client.remove(bad),
          () => client.rename("a", bad),
          () => client.rename(bad, "a"),
          () => client.ensureDir(bad),
          () => client.removeDir(bad),
          () => client.removeEmptyDir(bad),
          () => client.send(bad),
          () => client.sendIgnoringError(bad),
          () => client.login(bad),
          () => client.login("u", bad),
          () => client.uploadFrom("/dev/null", bad),
          () => client.appendFrom("/dev/null", bad),
          () => client.downloadTo("/dev/null", bad),
          () => client.downloadToDir("/nowhere", bad),
          () => client.uploadFromDir("/nowhere", bad),
        ]
      ) await assertRejects(call, TypeError);
    }
    assertEquals(server.commands.length, before);
    assert(!client.closed);
  });

  it("shows no password", async () => {
    using both = await begin({});
    const error = await assertRejects(() => both.client.login("u", "secret\n"), TypeError);
    assert(!error.message.includes("secret"), error.message);
  });

  it("of options is checked before anything is sent", async () => {
    for (
      const options of [
        { timeout: -1 },
        { timeout: 1.5 },
        { maxListingBytes: 0 },
        { active: { port: 70_000 } },
      ]
    ) assertInstanceOf(thrown(() => new FtpClient(options)), RangeError);
    for (const options of [{ active: 1 }, { active: { address: "here" } }, { mptcp: "maybe" }, null, "x"]) {
      assertInstanceOf(thrown(() => new FtpClient(options as never)), TypeError);
    }
    using client = new FtpClient();
    await assertRejects(() => client.downloadTo("/dev/null", "x", -1), RangeError);
    await assertRejects(() => client.uploadFrom("/dev/null", "x", { localStart: 1.5 }), RangeError);
    await assertRejects(() => client.list("", { signal: {} as AbortSignal }), TypeError);
  });
});

function thrown(work: () => unknown): unknown {
  try {
    return work();
  } catch (error) {
    return error;
  }
}
