/** `mptcp cat`, `get` and `serve`, with each other and with curl's way of asking. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, listen } from "@mptcp/mptcp";
import { main } from "@mptcp/mptcp/cli";
import { parseRange } from "../../cli/files/range.ts";
import type { Child } from "../child.ts";
import { addressOf, Host, Lab, labNeeds } from "../lab.ts";
import { until } from "../lab/until.ts";
import { namespacePrivilege } from "../needs.ts";
import { pattern, readAll } from "../net/pair.ts";
import { describe, it } from "../suite.ts";
import { commandLine, interrupt, listening, mptcp, start, startInShell } from "./command.ts";

const skip = labNeeds("tc", "python3");

/** A folder to serve, and one to download to; both go with it. */
class Folders implements Disposable {
  readonly #root = mkdtempSync(join(tmpdir(), "mptcp-test-"));
  readonly shown = join(this.#root, "shown");
  readonly got = join(this.#root, "got");

  constructor() {
    for (const folder of [this.shown, this.got, join(this.shown, "sub"), join(this.shown, "page")]) mkdirSync(folder);
    writeFileSync(join(this.shown, "big.bin"), pattern(3_000_000));
    writeFileSync(join(this.shown, "a <b>.txt"), "text\n");
    writeFileSync(join(this.shown, "empty"), "");
    writeFileSync(join(this.shown, ".hidden"), "secret\n");
    writeFileSync(join(this.#root, "outside"), "secret\n");
    writeFileSync(join(this.shown, "page", "index.html"), "<p>index\n");
    symlinkSync(join(this.#root, "outside"), join(this.shown, "link"));
  }

  [Symbol.dispose](): void {
    rmSync(this.#root, { recursive: true });
  }
}

/** Asks a server, as it is typed: `fetch` would tidy the path up. */
async function ask(port: number, path: string, headers: Record<string, string> = {}, method = "GET") {
  using conn = await connect({ port, timeout: 5000 });
  const lines = [`${method} ${path} HTTP/1.1`, "Host: x", "Connection: close"];
  for (const [name, value] of Object.entries(headers)) lines.push(`${name}: ${value}`);
  await conn.write(new TextEncoder().encode(`${lines.join("\r\n")}\r\n\r\n`));
  const text = new TextDecoder("latin1").decode(await readAll(conn));
  const end = text.indexOf("\r\n\r\n");
  const head = text.slice(0, end);
  const header = (name: string) => new RegExp(`^${name}: (.*)$`, "im").exec(head)?.[1];
  return { status: Number(head.split(" ")[1]), header, body: text.slice(end + 4) };
}

describe("parseRange()", () => {
  it("reads what RFC 9110 says", () => {
    const cases: [string | null, ReturnType<typeof parseRange>][] = [
      [null, null],
      ["bytes=0-9", { first: 0, last: 9 }],
      ["bytes=5-", { first: 5, last: 99 }],
      ["bytes=-10", { first: 90, last: 99 }],
      ["bytes=-1000", { first: 0, last: 99 }],
      ["bytes=90-1000", { first: 90, last: 99 }],
      ["bytes=100-", "none"],
      ["bytes=-0", "none"],
      ["bytes=9-5", null],
      ["bytes=0-1,5-6", null],
      ["lines=0-1", null],
      ["bytes=-", null],
    ];
    for (const [header, expected] of cases) assertEquals([header, parseRange(header, 100)], [header, expected]);
    assertEquals(parseRange("bytes=0-", 0), "none");
  });
});

describe("mptcp serve", { skip }, () => {
  it("serves files, parts of them, and folders; nothing hidden, nothing outside", async () => {
    using folders = new Folders();
    const { child, port } = await listening(["serve", "--listen", "0", folders.shown]);
    await using _gone = child;
    const whole = await ask(port, "/big.bin");
    assertEquals([whole.status, whole.header("content-length"), whole.body.length], [200, "3000000", 3_000_000]);
    const [etag, modified] = [whole.header("etag")!, whole.header("last-modified")!];
    const part = await ask(port, "/big.bin", { range: "bytes=1000000-2999999", "if-range": etag });
    assertEquals([part.status, part.header("content-range")], [206, "bytes 1000000-2999999/3000000"]);
    assert(part.body === whole.body.slice(1_000_000));
    assertEquals((await ask(port, "/big.bin", { range: "bytes=5-", "if-range": '"other"' })).status, 200);
    const beyond = await ask(port, "/big.bin", { range: "bytes=3000000-" });
    assertEquals([beyond.status, beyond.header("content-range")], [416, "bytes */3000000"]);
    assertEquals((await ask(port, "/big.bin", { "if-none-match": etag })).status, 304);
    assertEquals((await ask(port, "/big.bin", { "if-modified-since": modified })).status, 304);
    const head = await ask(port, "/big.bin", {}, "HEAD");
    assertEquals([head.status, head.header("content-length"), head.body], [200, "3000000", ""]);
    assertEquals((await ask(port, "/a%20%3Cb%3E.txt")).body, "text\n");
    assertEquals((await ask(port, "/empty")).status, 200);
    assertEquals((await ask(port, "/page/")).body, "<p>index\n");
    const moved = await ask(port, "/sub");
    assertEquals([moved.status, moved.header("location")], [301, "/sub/"]);
    const list = (await ask(port, "/")).body;
    assertStringIncludes(list, '<a href="./a%20%3Cb%3E.txt">a &lt;b&gt;.txt</a>');
    assertStringIncludes(list, '<a href="./sub/">sub/</a>');
    for (const secret of ["hidden", "link", "outside"]) assertEquals(list.includes(secret), false, secret);
    const paths = ["/.hidden", "/link", "/../outside", "/%2e%2e/outside", "/..%2foutside", "/sub/../../outside", "/nothing"];
    for (const path of paths) assertEquals([path, (await ask(port, path)).status], [path, 404]);
    for (const path of ["/%00", "/%zz", "/a%5cb"]) assertEquals([path, (await ask(port, path)).status], [path, 400]);
    assertEquals((await ask(port, "/big.bin", {}, "POST")).status, 405);

    const { code, stdout } = await interrupt(child);
    assertEquals(code, 130);
    const [, first] = stdout.trim().split("\n").map((line) => JSON.parse(line));
    assertEquals([first.path, first.status, first.bytes, first.isMultipath], ["/big.bin", 200, 3_000_000, true]);
  });

  it("says in one line what cannot be", async () => {
    using taken = listen({ hostname: "127.0.0.1", port: 0 });
    const cases: [string[], number, RegExp][] = [
      [["/nonexistent"], 2, /cannot be served: ENOENT/],
      [["/dev/null"], 2, /is no folder/],
      [["--cert", "x", "."], 2, /cannot be read: ENOENT/],
      [["--listen", `${taken.addr.port}`, "."], 1, /EADDRINUSE/],
    ];
    for (const [args, expected, words] of cases) {
      const { code, stdout, stderr } = await mptcp(["serve", ...args]);
      assertEquals([code, stdout], [expected, ""], stderr);
      assertMatch(stderr, words);
      assertMatch(stderr, /^mptcp serve: .+\n$/);
    }
  });
});

describe("mptcp get", { skip }, () => {
  it("downloads, goes on, and says what is wrong", async () => {
    using folders = new Folders();
    const { child, port } = await listening(["serve", "--listen", "0", folders.shown]);
    await using _gone = child;
    const file = join(folders.got, "copy");
    const address = `http://127.0.0.1:${port}/big.bin`;
    const { code, stdout, stderr } = await mptcp(["get", "--json", "-o", file, address]);
    assertEquals(code, 0, stderr);
    const { bytes, size, resumedAt, isMultipath, subflows } = JSON.parse(stdout);
    assertEquals([bytes, size, resumedAt, isMultipath, subflows.length], [3_000_000, 3_000_000, 0, true, 1]);
    assertEquals(new Uint8Array(readFileSync(file)), pattern(3_000_000));

    assertMatch((await mptcp(["get", "-o", file, address])).stderr, /is there already/);
    truncateSync(file, 1_234_567);
    const rest = await mptcp(["get", "-c", "--json", "-o", file, address]);
    assertEquals(JSON.parse(rest.stdout).resumedAt, 1_234_567);
    assertEquals(new Uint8Array(readFileSync(file)), pattern(3_000_000));
    assertStringIncludes((await mptcp(["get", "-c", "-o", file, address])).stderr, "is complete");

    assertEquals((await mptcp(["get", "-q", "-o", "-", `http://127.0.0.1:${port}/page/`])).stdout, "<p>index\n");
    const missing = await mptcp(["get", "-o", join(folders.got, "no"), `http://127.0.0.1:${port}/no`]);
    assertEquals([missing.code, missing.stderr], [1, "mptcp get: the server answered 404 Not Found\n"]);
    assertEquals(existsSync(join(folders.got, "no")), false);
    for (const args of [["ftp://x/"], ["x"], ["-c", "-f", address], ["-c", "-o", "-", address]]) {
      assertEquals(await main(["get", ...args]), 2, args.join(" "));
    }
    using closed = listen({ hostname: "127.0.0.1", port: 0 });
    closed.close();
    const refused = await mptcp(["get", "-o", join(folders.got, "no"), `http://127.0.0.1:${closed.addr.port}/`]);
    assertEquals(refused.code, 1);
    assertMatch(refused.stderr, /^mptcp get: .*ECONNREFUSED.*\n$/);
  });

  it("keeps what has come when the server vanishes, and on SIGINT", async () => {
    using folders = new Folders();
    using listener = listen({ hostname: "127.0.0.1", port: 0 });
    const file = join(folders.got, "part");
    const address = `http://127.0.0.1:${listener.addr.port}/x`;
    const answer = async () => {
      const conn = await listener.accept();
      await conn.read(new Uint8Array(4096));
      await conn.write(new TextEncoder().encode("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"));
      await conn.write(pattern(400));
      return conn;
    };
    const arrived = (child: Child) => until(() => existsSync(file) && readFileSync(file).length === 400 && child);
    for (const end of ["reset", "signal"] as const) {
      await using child = start(["get", "--force", "-o", file, address]);
      const conn = await answer();
      await arrived(child);
      if (end === "reset") conn.reset();
      const { code, stderr } = await (end === "reset" ? child.ended : interrupt(child));
      conn.close();
      assertEquals(code, end === "reset" ? 1 : 130);
      if (end === "reset") assertMatch(stderr, /^mptcp get: the download broke off after 400 B: .*--continue goes on with/);
      assertEquals(new Uint8Array(readFileSync(file)), pattern(400));
      rmSync(file);
    }
  });

  it("comes by two paths, and says so", async () => {
    await using lab = await Lab.open({ paths: [{ rateMbit: 20 }, { rateMbit: 20 }] });
    await lab.server.sysctl("net.mptcp.add_addr_timeout", 1);
    using folders = new Folders();
    writeFileSync(join(folders.shown, "big.bin"), pattern(6_000_000));
    const { child, port } = await listening(["serve", "--listen", ":0", folders.shown], lab.server);
    const file = join(folders.got, "copy");
    const address = `http://${addressOf("server", 1)}:${port}/big.bin`;
    const { code, stdout, stderr } = await mptcp(["get", "--require", "--json", "-o", file, address], lab.client);
    assertEquals(code, 0, stderr);
    const { subflows } = JSON.parse(stdout) as { subflows: { remote: { hostname: string }; bytesReceived: number }[] };
    assertEquals(subflows.map(({ remote }) => remote.hostname).sort(), [addressOf("server", 1), addressOf("server", 2)]);
    for (const { bytesReceived } of subflows) assert(bytesReceived > 100_000, stdout);
    assertMatch(stderr, /by 10\.0\.1\.1 \d+ %, 10\.0\.2\.1 \d+ %|by 10\.0\.1\.1 \d+ %, 10\.0\.1\.1 \d+ %/);
    assertEquals(new Uint8Array(readFileSync(file)), pattern(6_000_000));
    // At a terminal there is a line that is drawn again and again.
    const terminal = "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)";
    const line = commandLine("get", "--force", "-o", file, address);
    const shown = await lab.client.run("env", ["TERM=xterm", "python3", "-c", terminal, ...line]);
    const drawn = shown.split("\r\x1b[K").map((each) => each.replaceAll(/ +/g, " "));
    assert(
      drawn.some((each) => /^ ?\d+ % [\d.]+ MB [\d.]+ Mbit\/s.* by 10\.0\.1\.1 \d+ %, 10\.0\.[12]\.1 \d+ %/.test(each)),
      shown,
    );
    assertStringIncludes((await interrupt(child)).stdout, '"isMultipath":true');
  });
});

describe("mptcp cat", { skip }, () => {
  it("carries both ways, and keeps the ends apart", async () => {
    await using server = startInShell('exec "$@" 2>&1', ["cat", "--listen", "0"]);
    const port = Number(/:(\d+)$/.exec(await server.line())![1]);
    await using client = start(["cat", "-v", "--require", `127.0.0.1:${port}`]);
    client.send("question");
    client.endInput();
    assertEquals(await server.line(), "question");
    const other = async () => {
      using conn = await connect({ port });
      await readAll(conn);
    };
    assertEquals(await other().then(() => "ended", (error) => error.code), "ECONNRESET");
    server.send("answer, after the end of the question");
    server.endInput();
    const { code, stdout, stderr } = await client.ended;
    assertEquals([code, stdout], [0, "answer, after the end of the question\n"]);
    assertEquals(stderr, "MPTCP, 9 B sent, 38 B received\n");
    assertEquals((await server.ended).code, 0);
  });

  it("ends with 1 when nobody listens, when the peer aborts, and where MPTCP is required and missing", async () => {
    const refused = await mptcp(["cat", "127.0.0.1:9"]);
    assertEquals(refused.code, 1);
    assertMatch(refused.stderr, /^mptcp cat: .*ECONNREFUSED.*\n$/);
    using listener = listen({ hostname: "127.0.0.1", port: 0, mptcp: "off" });
    const { port } = listener.addr;
    const plain = await mptcp(["cat", "--require", `127.0.0.1:${port}`]);
    assertEquals(plain.code, 1);
    assertMatch(plain.stderr, /^mptcp cat: .*by MPTCP.*\n$/);
    (await listener.accept()).close();
    await using aborted = start(["cat", `127.0.0.1:${port}`]);
    (await listener.accept()).reset();
    const { code, stderr } = await aborted.ended;
    assertEquals(code, 1);
    assertMatch(stderr, /^mptcp cat: .*ECONNRESET.*\n$/);
  });

  it("ends with 3 where MPTCP is switched off and required, with 130 on SIGINT", async () => {
    await using host = await Host.open("host", namespacePrivilege() !== "root");
    await host.ip("link set lo up");
    await host.sysctl("net.mptcp.enabled", 0);
    assertEquals((await mptcp(["cat", "--require", "127.0.0.1:9"], host)).code, 3);
    await using waiting = startInShell('exec "$@" 2>&1', ["cat", "--listen", "0"]);
    await waiting.line();
    assertEquals((await interrupt(waiting)).code, 130);
    using listener = listen({ hostname: "127.0.0.1", port: 0 });
    await using talking = start(["cat", `127.0.0.1:${listener.addr.port}`]);
    using conn = await listener.accept();
    await conn.write(new TextEncoder().encode("x\n"));
    await talking.line();
    assertEquals((await interrupt(talking)).code, 130);
  });
});
