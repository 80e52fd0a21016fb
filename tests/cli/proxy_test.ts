/** `mptcp proxy`: its protocols byte by byte, whom it serves, where it goes. */
import { assertEquals, assertMatch, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { Buffer } from "node:buffer";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { type Conn, connect, listen } from "@mptcp/mptcp";
import { AddressList } from "../../cli/relay/address_list.ts";
import type { ProxyProtocol, Step } from "../../cli/relay/greeting.ts";
import { HttpConnect } from "../../cli/relay/http_connect.ts";
import { Socks5 } from "../../cli/relay/socks5.ts";
import { TargetRules } from "../../cli/relay/target_rules.ts";
import type { Child } from "../child.ts";
import { addressOf, Lab, labNeeds } from "../lab.ts";
import { pattern, readAll } from "../net/pair.ts";
import { describe, it } from "../suite.ts";
import { interrupt, listening, mptcp, start } from "./command.ts";

const CREDENTIALS = { user: "me", password: "se:cret" };
const bytesOf = (text: string) => new Uint8Array(Buffer.from(text));
const textOf = (bytes: Uint8Array) => Buffer.from(bytes).toString();

/** Feeds bytes in pieces, as the network would, and gives what came of it. */
function feed(
  protocol: ProxyProtocol,
  bytes: Uint8Array,
  sizes: readonly number[],
): { replies: string; end: Step; rest: string } {
  let have = new Uint8Array(0);
  let replies = "";
  let at = 0;
  for (let piece = 0; at < bytes.length; piece++) {
    const size = sizes[piece % sizes.length]!;
    have = new Uint8Array([...have, ...bytes.subarray(at, at + size)]);
    at += size;
    for (let step = protocol.step(have); step.then !== "more"; step = protocol.step(have)) {
      if (step.then === "refuse") return { replies: replies + Buffer.from(step.reply).toString("hex"), end: step, rest: "" };
      have = have.subarray(step.used);
      if (step.then === "connect") {
        return { replies, end: step, rest: textOf(have) + textOf(bytes.subarray(at)) };
      }
      replies += Buffer.from(step.reply).toString("hex");
      if (have.length === 0) break;
    }
  }
  return { replies, end: { then: "more" }, rest: textOf(have) };
}

const socksRequest = (target: number[]) => Uint8Array.of(5, 1, 0, 5, 1, 0, ...target);
const PASSWORD = Uint8Array.of(
  5,
  2,
  0,
  2,
  1,
  2,
  ...bytesOf("me"),
  7,
  ...bytesOf("se:cret"),
  5,
  1,
  0,
  1,
  192,
  0,
  2,
  7,
  0,
  80,
);

describe("SOCKS 5", () => {
  const targets: [string, number[], string, number][] = [
    ["IPv4", [1, 192, 0, 2, 7, 0, 80], "192.0.2.7", 80],
    ["a name", [3, 11, ...bytesOf("example.com"), 1, 187], "example.com", 443],
    ["IPv6", [4, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 31, 144], "2001:db8::7", 8080],
  ];
  for (const [what, target, hostname, port] of targets) {
    it(`${what}, in whatever pieces it comes`, () => {
      fc.assert(fc.property(fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1 }), (sizes) => {
        const { replies, end, rest } = feed(
          new Socks5(null),
          new Uint8Array([...socksRequest(target), ...bytesOf("early")]),
          sizes,
        );
        assertEquals([replies, rest], ["0500", "early"]);
        if (end.then !== "connect") throw new Error(end.then);
        assertEquals([end.hostname, end.port], [hostname, port]);
      }));
    });
  }

  it("asks for a name and a password where they are wanted", () => {
    assertEquals(feed(new Socks5(CREDENTIALS), PASSWORD, [1]).replies, "05020100");
    assertEquals(feed(new Socks5(CREDENTIALS), PASSWORD, [1]).end.then, "connect");
    const wrong = PASSWORD.slice();
    wrong[9]! ^= 1;
    assertEquals(feed(new Socks5(CREDENTIALS), wrong, [3]).replies, "05020101");
    assertEquals(feed(new Socks5(CREDENTIALS), Uint8Array.of(5, 1, 0), [3]).replies, "05ff");
  });

  it("refuses what it does not know", () => {
    const refused = (...request: number[]) => feed(new Socks5(null), Uint8Array.of(5, 1, 0, ...request), [99]);
    assertMatch(refused(5, 2, 0, 1, 1, 2, 3, 4, 0, 80).replies, /^05000507/); // BIND
    assertMatch(refused(5, 1, 0, 9, 1, 2, 3, 4, 0, 80).replies, /^05000508/); // an address of type 9
    assertMatch(refused(5, 1, 0, 1, 1, 2, 3, 4, 0, 0).replies, /^05000501/); // port 0
  });

  it("answers with what became of it", () => {
    const code = (outcome: Parameters<Socks5["answer"]>[0]) => new Socks5(null).answer(outcome)[1];
    assertEquals(
      (["connected", "forbidden", "unknown", "ECONNREFUSED", "ENETUNREACH", "ETIMEDOUT", "EIO"] as const).map(code),
      [0, 2, 4, 5, 3, 6, 1],
    );
  });

  it("comes to an end with anything", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 600 }), fc.integer({ min: 1, max: 100 }), (bytes, size) => {
      for (const credentials of [null, CREDENTIALS]) {
        feed(new Socks5(credentials), bytes, [size]);
        feed(new HttpConnect(credentials), bytes, [size]);
      }
    }));
  });
});

describe("HTTP CONNECT", () => {
  const request = (line: string, ...headers: string[]) => bytesOf([line, ...headers, "", "early"].join("\r\n"));
  const status = (protocol: ProxyProtocol, bytes: Uint8Array) => {
    const { end } = feed(protocol, bytes, [bytes.length]);
    return end.then === "refuse" ? textOf(end.reply).split("\r\n")[0] : end.then;
  };

  it("is read in whatever pieces it comes", () => {
    const bytes = request("CONNECT [2001:db8::7]:443 HTTP/1.1", "Host: x", "User-Agent: y");
    fc.assert(fc.property(fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1 }), (sizes) => {
      const { end, rest } = feed(new HttpConnect(null), bytes, sizes);
      assertEquals([end, rest], [{ then: "connect", hostname: "2001:db8::7", port: 443, used: bytes.length - 5 }, "early"]);
    }));
  });

  it("needs the password, where one is wanted", () => {
    const authorized = (text: string) => `Proxy-Authorization: Basic ${Buffer.from(text).toString("base64")}`;
    const ask = (...headers: string[]) => status(new HttpConnect(CREDENTIALS), request("CONNECT a:1 HTTP/1.1", ...headers));
    assertEquals(ask(), "HTTP/1.1 407 Proxy Authentication Required");
    assertEquals(ask(authorized("me:wrong")), "HTTP/1.1 407 Proxy Authentication Required");
    assertEquals(ask(authorized("me:se:cret")), "connect");
    assertEquals(
      ask(authorized("me:se:cret").toLowerCase().replace(/\S+$/, authorized("me:se:cret").split(" ")[2]!)),
      "connect",
    );
  });

  it("refuses what is none", () => {
    const of = (line: string) => status(new HttpConnect(null), request(line));
    assertEquals(of("GET http://example.com/ HTTP/1.1"), "HTTP/1.1 405 Method Not Allowed");
    assertEquals(of("CONNECT example.com HTTP/1.1"), "HTTP/1.1 400 Bad Request");
    assertEquals(of("CONNECT a:0 HTTP/1.1"), "HTTP/1.1 400 Bad Request");
    assertEquals(of("\x16\x03\x01 TLS"), "HTTP/1.1 400 Bad Request");
  });
});

describe("lists of addresses and targets", () => {
  it("prefixes of both families, to the bit", () => {
    const list = new AddressList(["192.0.2.128/25", "10.0.0.1", "2001:db8::/33", "::1"]);
    const inside = ["192.0.2.128", "192.0.2.255", "10.0.0.1", "::ffff:10.0.0.1", "2001:db8:7fff::1", "::1", "fe80::1%lo"];
    assertEquals(inside.map((each) => list.has(each)), [true, true, true, true, true, true, false]);
    const outside = ["192.0.2.127", "10.0.0.2", "2001:db8:8000::1", "::2", "", "x"];
    assertEquals(outside.map((each) => list.has(each)), outside.map(() => false));
    assertEquals(new AddressList(["0.0.0.0/0"]).has("203.0.113.9"), true);
    for (const wrong of ["x", "1.2.3.4/33", "1.2.3.4/", "1.2.3.4/8/8", "::/129", ""]) {
      assertThrows(() => new AddressList([wrong]), TypeError);
    }
  });

  it("names, names below, addresses behind names, ports", () => {
    const rules = new TargetRules(["example.com", "*.example.org:443", "10.0.0.0/8:80", "[::1]:22"]);
    const asked: [string, string, number, boolean][] = [
      ["example.com", "192.0.2.1", 7, true],
      ["EXAMPLE.com.", "192.0.2.1", 7, true],
      ["www.example.com", "192.0.2.1", 7, false],
      ["a.b.example.org", "192.0.2.1", 443, true],
      ["example.org", "192.0.2.1", 443, false],
      ["badexample.org", "192.0.2.1", 443, false],
      ["a.example.org", "192.0.2.1", 80, false],
      ["whatever", "10.1.2.3", 80, true],
      ["whatever", "10.1.2.3", 81, false],
      ["::1", "::1", 22, true],
    ];
    for (const [name, address, port, expected] of asked) {
      assertEquals([name, address, port, rules.allow(name, address, port)], [name, address, port, expected]);
    }
    for (const wrong of ["", "*", "a:0", "a b", "http://x", "10.0.0.0/99"]) {
      assertThrows(() => new TargetRules([wrong]), TypeError);
    }
  });
});

/** Asks a proxy by SOCKS 5, without a password. */
async function bySocks(port: number, name: string, target: number, early = ""): Promise<{ conn: Conn; code: number }> {
  const conn = await connect({ port, timeout: 5000 });
  const host = bytesOf(name);
  const request = [5, 1, 0, 5, 1, 0, 3, host.length, ...host, target >> 8, target & 255, ...bytesOf(early)];
  await conn.write(Uint8Array.from(request));
  const answer = new Uint8Array(12);
  for (let at = 0; at < 12;) {
    const count = await conn.read(answer.subarray(at));
    if (count === null) break;
    at += count;
  }
  return { conn, code: answer[3]! };
}

/** Asks a proxy by CONNECT; gives the status line. */
async function byConnect(port: number, target: string, ...headers: string[]): Promise<{ conn: Conn; status: string }> {
  const conn = await connect({ port, timeout: 5000 });
  await conn.write(bytesOf([`CONNECT ${target} HTTP/1.1`, ...headers, "", ""].join("\r\n")));
  let text = "";
  const buffer = new Uint8Array(4096);
  while (!text.includes("\r\n\r\n")) {
    const count = await conn.read(buffer);
    if (count === null) break;
    text += textOf(buffer.subarray(0, count));
  }
  return { conn, status: text.split("\r\n")[0]! };
}

async function ended(child: Child): Promise<Record<string, number>> {
  const { code, stdout, stderr } = await interrupt(child);
  assertEquals(code, 130, stderr);
  return JSON.parse(stdout.trim().split("\n").at(-1)!);
}

describe("mptcp proxy", { skip: labNeeds() }, () => {
  it("carries by both protocols, what was sent early too", async () => {
    using target = listen({ hostname: "127.0.0.1", port: 0 });
    const { child, port } = await listening(["proxy", "0"]);
    await using _gone = child;
    const bytes = pattern(1_000_000);
    const serve = async () => {
      using conn = await target.accept();
      const received = await readAll(conn);
      await conn.write(received);
      await conn.closeWrite();
    };
    const served = serve();
    const socks = await bySocks(port, "localhost", target.addr.port, "early ");
    assertEquals(socks.code, 0);
    await socks.conn.write(bytes);
    await socks.conn.closeWrite();
    assertEquals(await readAll(socks.conn), new Uint8Array([...bytesOf("early "), ...bytes]));
    await served;
    const again = serve();
    const tunnel = await byConnect(port, `127.0.0.1:${target.addr.port}`);
    assertEquals(tunnel.status, "HTTP/1.1 200 Connection established");
    await tunnel.conn.write(bytes);
    await tunnel.conn.closeWrite();
    assertEquals(await readAll(tunnel.conn), bytes);
    await again;
    socks.conn.close();
    tunnel.conn.close();
    const { connected, refused, failed, acceptedMptcp, connectedMptcp } = await ended(child);
    assertEquals([connected, refused, failed, acceptedMptcp, connectedMptcp], [2, 0, 0, 2, 2]);
  });

  it("says why there is no connection", async () => {
    using gone = listen({ hostname: "127.0.0.1", port: 0 });
    const { port: closed } = gone.addr;
    gone.close();
    const { child, port } = await listening(["proxy", "0", "--only", `127.0.0.1:${closed}`, "--only", "*.invalid"]);
    await using _gone = child;
    const conns: Conn[] = [];
    const socks = async (name: string, target: number) => {
      const { conn, code } = await bySocks(port, name, target);
      conns.push(conn);
      return code;
    };
    const tunnel = async (target: string) => {
      const { conn, status } = await byConnect(port, target);
      conns.push(conn);
      return status;
    };
    assertEquals([await socks("localhost", closed), await socks("x.invalid", 1), await socks("localhost", 22)], [5, 4, 2]);
    assertEquals(await tunnel(`localhost:${closed}`), "HTTP/1.1 502 Bad Gateway");
    assertEquals(await tunnel("127.0.0.1:22"), "HTTP/1.1 403 Forbidden");
    for (const conn of conns) conn.close();
    const { refused, failed, connected } = await ended(child);
    assertEquals([refused, failed, connected], [2, 3, 0]);
  });

  it("wants the password of a file, and drops who says nothing", async () => {
    const folder = mkdtempSync(join(tmpdir(), "mptcp-test-"));
    try {
      const file = join(folder, "password");
      writeFileSync(file, "me:secret\n");
      const { child, port } = await listening(["proxy", "0", "--auth-file", file, "--timeout", "0.5"]);
      await using _gone = child;
      const { conn, code } = await bySocks(port, "localhost", 1);
      assertEquals(code, 0); // no answer to the request: the method was refused
      conn.close();
      const basic = `Proxy-Authorization: Basic ${Buffer.from("me:secret").toString("base64")}`;
      const tunnel = await byConnect(port, "127.0.0.1:1", basic);
      assertEquals(tunnel.status, "HTTP/1.1 502 Bad Gateway");
      tunnel.conn.close();
      using silent = await connect({ port });
      assertEquals((await readAll(silent)).length, 0);
      assertEquals((await ended(child)).refused, 1);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("refuses arguments that cannot be meant", async () => {
    for (
      const [args, words] of [
        [["0", "--allow", "everybody"], /no address and no prefix/],
        [["0", "--only", "*"], /is no host/],
        [["0", "--auth", "nobody"], /USER:PASSWORD/],
        [["0", "--auth-file", "/nonexistent"], /cannot be read: ENOENT/],
      ] as const
    ) {
      const { code, stderr } = await mptcp(["proxy", ...args]);
      assertEquals(code, 2);
      assertMatch(stderr, words);
    }
  });

  it("is closed to other hosts, unless they are allowed", async () => {
    await using lab = await Lab.open();
    const { child: closed, port } = await listening(["proxy", ":0"], lab.server);
    const open = await listening(["proxy", ":0", "--allow", "10.0.1.0/24"], lab.server);
    const ask = async (port: number) => {
      const client = start(["cat", `${addressOf("server", 1)}:${port}`], lab.client);
      client.send("CONNECT 10.0.1.2:9 HTTP/1.1\r\n\r");
      return await client.line().then((line) => line.trim(), (error: Error) => error.message);
    };
    assertStringIncludes(await ask(port), "ECONNRESET");
    assertEquals(await ask(open.port), "HTTP/1.1 502 Bad Gateway");
    assertEquals((await ended(closed)).refused, 1);
  });

  it("cannot be reached any more after its end", async () => {
    const { child, port } = await listening(["proxy", "0"]);
    await ended(child);
    await assertRejects(() => connect({ port }), Error, "ECONNREFUSED");
  });
});
