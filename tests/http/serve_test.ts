import {
  assert,
  assertEquals,
  assertGreater,
  assertLess,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { connect as connectTls } from "node:tls";
import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { describe, it } from "node:test";
import { Conn, connect, connections, connectTls as connectOurs, listen, MptcpError } from "@mptcp/mptcp";
import { type HttpServer, serve, type ServeHandler, type ServeInfo, type ServeOptions } from "../../http/serve.ts";
import { runtime, system } from "../../ffi/mod.ts";
import {
  AF_INET,
  IPPROTO_MPTCP,
  IPPROTO_TCP,
  SO_REUSEADDR,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  SOL_SOCKET,
} from "../../kernel/constants.ts";
import { check } from "../../kernel/error.ts";
import { encodeSockaddr } from "../../kernel/sockaddr.ts";
import { originOf } from "../../net/path_control.ts";
import { CERT, KEY } from "../net/certificate.ts";
import { RawClient } from "./raw_client.ts";

const hello = () => new Response("hello");

/** Connects from 127.0.0.1 and a port that others may use too. */
async function connectFrom(localPort: number, protocol: number, address: string, port: number): Promise<Conn> {
  const { libc, loop } = system()!;
  const fd = check(libc.socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol), "socket");
  check(libc.setInt(fd, SOL_SOCKET, SO_REUSEADDR, 1), "setsockopt");
  check(libc.bind(fd, encodeSockaddr("127.0.0.1", localPort)), "bind");
  const target = { address, port, sockaddr: encodeSockaddr(address, port) };
  return new Conn(await loop.connect(fd, target, new AbortController().signal), originOf("client", {}, null));
}

/** On loopback, as nearly all tests here want it. */
function start(handler: ServeHandler, options: Partial<ServeOptions> = {}): Promise<HttpServer> {
  return serve(handler, { hostname: "127.0.0.1", port: 0, ...options });
}

const url = ({ addr: { hostname, port } }: HttpServer, path = "/") =>
  `http://${hostname.includes(":") ? `[${hostname}]` : hostname}:${port}${path}`;

describe("serve", () => {
  it("answers over MPTCP, as both ends and the kernel's list say", async () => {
    const seen: unknown[] = [];
    await using server = await start((request, info) => {
      seen.push(request.method, new URL(request.url).pathname, info.remoteAddr, info.isMultipath);
      return new Response("hello");
    });
    assertEquals([server.mode, server.reason, server.mptcp, server.fallback()], ["native", null, true, null]);
    using client = await RawClient.open(server, { mptcp: "require" });
    const { status, body } = await client.ask("GET /path");
    assertEquals([status, body], [200, "hello"]);
    assertEquals(seen, ["GET", "/path", client.conn.localAddr, true]);
    assert(client.conn.isMultipath());
    const { local, remote, fallback } = connections().find(({ local }) => local.port === server.addr.port)!;
    assertEquals([local, remote, fallback], [server.addr, client.conn.localAddr, false]);
  });

  it("lets a handler keep its info, and look at it when the client is gone", async () => {
    const kept: ServeInfo[] = [];
    await using server = await start((_, info) => {
      kept.push(info);
      return new Response("hello");
    });
    for (const mptcp of ["require", "off"] as const) {
      const client = await RawClient.open(server, { mptcp });
      const { localAddr } = client.conn;
      assertEquals((await client.ask("GET /")).status, 200);
      client[Symbol.dispose]();
      const info = kept.pop()!;
      const late = performance.now() + 5000;
      while (info.subflows().length > 0 && performance.now() < late) await new Promise((resolve) => setTimeout(resolve, 5));
      assertEquals([info.remoteAddr, info.isMultipath], [localAddr, mptcp === "require"]);
    }
  });

  it("answers plain TCP clients, and knows them from others", async () => {
    await using server = await start((_, info) => Response.json([info.isMultipath, info.subflows().map(({ id }) => id)]));
    using plain = await RawClient.open(server, { mptcp: "off" });
    using multi = await RawClient.open(server, { mptcp: "require" });
    assertEquals((await plain.ask("GET /")).body, "[false,[0]]");
    assertEquals((await multi.ask("GET /")).body, "[true,[1]]");
    assertEquals((await plain.ask("GET /")).body, "[false,[0]]");
    assert(!plain.conn.isMultipath());
  });

  it("knows a client by its address when a port is used again, by TCP then MPTCP", async () => {
    await using server = await start((_, info) => Response.json([info.isMultipath, info.remoteAddr.port]));
    let localPort = 0;
    for (const mptcp of ["off", "require", "off"] as const) {
      const client = await RawClient.open(server, { mptcp, localAddress: "127.0.0.3", ...(localPort ? { localPort } : {}) });
      localPort = client.conn.localAddr.port;
      assertEquals((await client.ask("GET /")).body, `[${mptcp === "require"},${localPort}]`);
      client.conn.reset(); // no TIME_WAIT: the port is free
    }
  });

  it("says multipath of no client that may be another one", async () => {
    const answer = (_: Request, info: ServeInfo) => Response.json(info.isMultipath);
    await using server = await start(answer, { hostname: "0.0.0.0" });
    const { port } = server.addr;
    // One client address and port, for two addresses of this host: the kernel allows it.
    const first = await connectFrom(0, IPPROTO_MPTCP, "127.0.0.1", port);
    using multi = new RawClient(first);
    assertEquals((await multi.ask("GET /")).body, "true");
    using plain = new RawClient(await connectFrom(first.localAddr.port, IPPROTO_TCP, "127.0.0.2", port));
    assertEquals(plain.conn.localAddr, first.localAddr);
    // That there are two is noticed within a second.
    const deadline = performance.now() + 5000;
    while ((await plain.ask("GET /")).body !== "false") assertLess(performance.now(), deadline);
  });

  it("serves the runtime's own fetch, which is plain TCP", async () => {
    await using server = await start((_, info) => new Response(`${info.isMultipath}`));
    const response = await fetch(url(server), { headers: { connection: "close" } });
    assertEquals([response.status, await response.text()], [200, "false"]);
  });

  for (const [hostname, target] of [["0.0.0.0", "127.0.0.1"], ["::", "127.0.0.1"], ["::", "::1"], ["::1", "::1"]] as const) {
    it(`serves ${target} on ${hostname}`, async () => {
      await using server = await start((_, info) => Response.json([info.remoteAddr.hostname, info.isMultipath]), {
        hostname,
      });
      assertEquals(server.addr.hostname, hostname);
      assertGreater(server.addr.port, 0);
      const { port } = server.addr;
      using client = new RawClient(await connect({ hostname: target, port, mptcp: "require" }));
      assertEquals(JSON.parse((await client.ask("GET /")).body), [target, true]);
    });
  }

  it("listens by plain TCP where MPTCP is not wanted", async () => {
    await using server = await start((_, info) => new Response(`${info.isMultipath}`), { mptcp: "off" });
    assertEquals([server.mptcp, server.fallback(), server.mode], [false, null, "native"]);
    using client = await RawClient.open(server);
    assertEquals((await client.ask("GET /")).body, "false");
    assertEquals(client.conn.fallback()?.phase, "handshake");
  });

  it("tells its address before anybody asks", async () => {
    const told: unknown[] = [];
    await using server = await start(hello, { onListen: (addr) => told.push(addr) });
    assertEquals(told, [server.addr]);
    assertEquals(server.addr.transport, "tcp");
    assertEquals(server.addr.hostname, "127.0.0.1");
  });

  it("carries 1000 requests over one connection", async () => {
    let count = 0;
    await using server = await start((request) => new Response(`${new URL(request.url).pathname} ${count++}`));
    using client = await RawClient.open(server, { mptcp: "require" });
    for (let index = 0; index < 1000; index++) assertEquals((await client.ask(`GET /${index}`)).body, `/${index} ${index}`);
    assertEquals(count, 1000);
  });

  it("carries 500 connections that stay", async () => {
    await using server = await start((request) => new Response(new URL(request.url).pathname));
    const clients = await Promise.all(Array.from({ length: 500 }, () => RawClient.open(server, { mptcp: "require" })));
    for (const round of [1, 2]) {
      const bodies = await Promise.all(
        clients.map(async (client, index) => (await client.ask(`GET /${round}/${index}`)).body),
      );
      assertEquals(bodies, clients.map((_, index) => `/${round}/${index}`));
    }
    for (const client of clients) client.conn.close();
  });

  it("carries 50 connections at once, each with its own answers", async () => {
    await using server = await start((request, info) =>
      new Response(`${new URL(request.url).pathname} ${info.remoteAddr.port} ${info.isMultipath}`)
    );
    await Promise.all(Array.from({ length: 50 }, async (_, number) => {
      using client = await RawClient.open(server, { mptcp: number % 2 === 0 ? "require" : "off" });
      const { port } = client.conn.localAddr;
      for (let index = 0; index < 10; index++) {
        assertEquals((await client.ask(`GET /${number}/${index}`)).body, `/${number}/${index} ${port} ${number % 2 === 0}`);
      }
    }));
  });

  // Bun ends the connection when a request comes while the answer to the one before is awaited.
  for (const kind of runtime === "bun" ? ["sync"] as const : ["sync", "async"] as const) {
    it(`answers requests that came before their answers (pipelining), in order, by a handler that is ${kind}`, async () => {
      const later = async (path: string) => {
        if (path === "/0") await new Promise((resolve) => setTimeout(resolve, 20));
        return new Response(path);
      };
      await using server = await start((request) => {
        const { pathname } = new URL(request.url);
        return kind === "sync" ? new Response(pathname) : later(pathname);
      });
      using client = await RawClient.open(server);
      await client.send(Array.from({ length: 5 }, (_, index) => `GET /${index} HTTP/1.1\r\nHost: test\r\n\r\n`).join(""));
      for (let index = 0; index < 5; index++) assertEquals((await client.response()).body, `/${index}`);
    });
  }

  it("lets several servers share a process, each with its own handler", async () => {
    await using one = await start(() => new Response("one"));
    await using two = await start(() => new Response("two"));
    for (const [server, body] of [[one, "one"], [two, "two"]] as const) {
      using client = await RawClient.open(server, { mptcp: "require" });
      assertEquals((await client.ask("GET /")).body, body);
    }
  });
});

describe("serve over TLS", () => {
  it("answers over MPTCP", async () => {
    await using server = await start((request, info) => Response.json([request.url, info.isMultipath]), {
      cert: CERT,
      key: KEY,
    });
    const { port } = server.addr;
    using conn = await connectOurs({
      hostname: "127.0.0.1",
      port,
      serverName: "localhost",
      caCerts: [CERT],
      mptcp: "require",
    });
    using client = new RawClient(conn);
    const { body } = await client.ask("GET /path");
    assertEquals(JSON.parse(body), ["https://test/path", true]);
  });

  it("offers HTTP/2 where the runtime's server has it", async () => {
    await using server = await start(hello, { cert: CERT, key: KEY });
    const socket = connectTls({
      host: "127.0.0.1",
      port: server.addr.port,
      servername: "localhost",
      ca: CERT,
      ALPNProtocols: ["h2", "http/1.1"],
    });
    await once(socket, "secureConnect");
    const expected = { deno: ["h2"], node: ["h2"], bun: ["http/1.1", false] }[runtime];
    assert((expected as unknown[]).includes(socket.alpnProtocol), `${socket.alpnProtocol}`);
    socket.destroy();
  });

  it("lives through clients that speak no TLS", async () => {
    await using server = await start(hello, { cert: CERT, key: KEY });
    using wrong = await RawClient.open(server);
    await wrong.request("GET /");
    await wrong.rest();
    const { port } = server.addr;
    using conn = await connectOurs({ hostname: "127.0.0.1", port, serverName: "localhost", caCerts: [CERT] });
    assertEquals((await new RawClient(conn).ask("GET /")).status, 200);
  });

  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const wrong: readonly (readonly [title: string, cert: string, key: string, message: string])[] = [
    ["a certificate that is none", "no certificate", KEY, "cert is no certificate in PEM"],
    ["a certificate that is cut off", CERT.slice(0, 200), KEY, "cert is no certificate in PEM"],
    ["a key that is none", CERT, "no key", "key is no private key in PEM"],
    ["the two in each other's place", KEY, CERT, "cert is no certificate in PEM"],
    ["another's key", CERT, `${privateKey.export({ type: "pkcs8", format: "pem" })}`, "key is not the key of cert"],
  ];
  for (const [title, cert, key, message] of wrong) {
    it(`refuses ${title}, and leaves no listener`, async () => {
      let port = 0;
      {
        using probe = listen({ hostname: "127.0.0.1", port: 0 });
        port = probe.addr.port;
      }
      const error = await assertRejects(() => start(hello, { cert, key, port }), MptcpError, message);
      assertEquals(error.code, "EINVAL");
      await assertRejects(() => connect({ port }), MptcpError, "ECONNREFUSED");
    });
  }
});

describe("bad input to serve", () => {
  const wrong: [
    title: string,
    handler: unknown,
    options: unknown,
    error: typeof TypeError | typeof RangeError,
    message: RegExp,
  ][] = [
    ["no handler", undefined, { port: 0 }, TypeError, /handler/],
    ["the arguments of Deno.serve", { port: 0 }, hello, TypeError, /handler/],
    ["no options", hello, undefined, TypeError, /options/],
    ["no port", hello, {}, TypeError, /port/],
    ["a port out of range", hello, { port: 65536 }, RangeError, /port/],
    ["a name", hello, { port: 0, hostname: "example.com" }, TypeError, /example\.com/],
    ["a certificate without its key", hello, { port: 0, cert: CERT }, TypeError, /key/],
    ["a key of bytes", hello, { port: 0, cert: CERT, key: new Uint8Array(4) }, TypeError, /key/],
    ["a signal that is none", hello, { port: 0, signal: {} }, TypeError, /signal/],
    ["an onListen that is none", hello, { port: 0, onListen: true }, TypeError, /onListen/],
    ["an unknown mptcp", hello, { port: 0, mptcp: "maybe" }, TypeError, /maybe/],
    ["paths", hello, { port: 0, paths: "userspace" }, TypeError, /paths/],
  ];
  for (const [title, handler, options, kind, message] of wrong) {
    it(`refuses ${title}`, async () => {
      const error = await assertRejects(() => serve(handler as ServeHandler, options as ServeOptions), kind);
      assertMatch(error.message, message);
    });
  }

  it("says when the port is in use, and what the other one has it goes on", async () => {
    await using first = await start(hello);
    const error = await assertRejects(() => start(hello, { port: first.addr.port }), MptcpError);
    assertEquals([error.code, error.syscall, error.port], ["EADDRINUSE", "bind", first.addr.port]);
    using client = await RawClient.open(first);
    assertEquals((await client.ask("GET /")).status, 200);
  });

  it("says when an address is not this host's", async () => {
    const error = await assertRejects(() => start(hello, { hostname: "192.0.2.1" }), MptcpError);
    assertEquals(error.code, "EADDRNOTAVAIL");
    assertStringIncludes(error.message, "192.0.2.1");
  });
});
