/** How servers and their clients end: gracefully, at once, badly; and that nothing is left. */
import { assert, assertEquals, assertLess, assertRejects, assertStringIncludes } from "@std/assert";
import { describe, it } from "node:test";
import { connect, connectTls, MptcpError } from "@mptcp/mptcp";
import type { HttpServer, ServeOptions } from "../../http/serve.ts";
import { CERT, KEY } from "../net/certificate.ts";
import { openAtLast, openDescriptors, utf8 } from "../net/pair.ts";
import { RawClient } from "./raw_client.ts";
import { native, type Start, WAYS } from "./ways.ts";

/** Resolves when it is called. */
function event(): { promise: Promise<void>; happened(): void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { promise, happened: resolve };
}

async function refused(server: HttpServer): Promise<string | undefined> {
  const error = await assertRejects(() => RawClient.open(server), MptcpError);
  return error.code;
}

/** A server whose requests to `/slow` are answered when `go` happens. */
async function slowServer(start: Start, options: Partial<ServeOptions> = {}) {
  const begun = event();
  const go = event();
  const server = await start(async (request) => {
    if (!request.url.endsWith("/slow")) return new Response("quick");
    begun.happened();
    await go.promise;
    return new Response("slow");
  }, options);
  return { server, begun, go };
}

for (const [way, start] of WAYS) {
  describe(`a server, ${way}`, () => {
    it("that shuts down answers what is under way, and takes nothing more", async () => {
      const { server, begun, go } = await slowServer(start);
      using idle = await RawClient.open(server, { mptcp: "require" });
      assertEquals((await idle.ask("GET /")).body, "quick");
      using busy = await RawClient.open(server, { mptcp: "require" });
      await busy.request("GET /slow");
      await begun.promise;
      let finished = false;
      server.finished.then(() => finished = true);
      const down = server.shutdown();
      assertEquals(await idle.rest(), ""); // closed, as it was idle
      assertEquals(await refused(server), "ECONNREFUSED");
      assertEquals(finished, false);
      go.happened();
      const { status, body } = await busy.response();
      assertEquals([status, body], [200, "slow"]);
      await down;
      await server.finished;
      assertEquals(await busy.rest(), "");
      await server.shutdown(); // once more: the same end
    });

    it("that shuts down sends the stream that it has begun to its end", async () => {
      const go = event();
      const server = await start(() => {
        let count = 0;
        return new Response(
          new ReadableStream({
            async pull(controller) {
              if (count === 1) await go.promise;
              if (count === 4) controller.close();
              else controller.enqueue(utf8(`part${count++};`));
            },
          }),
        );
      });
      using client = await RawClient.open(server, { mptcp: "require" });
      await client.request("GET /");
      await client.head();
      assertEquals(await client.chunk(), "part0;");
      const down = server.shutdown();
      go.happened();
      let text = "";
      for (let chunk; (chunk = await client.chunk()) !== null;) text += chunk;
      assertEquals(text, "part1;part2;part3;");
      await down;
    });

    it("that shuts down waits neither for half requests nor for silent clients", async () => {
      const server = await start(() => new Response("x"));
      using silent = await RawClient.open(server);
      using half = await RawClient.open(server);
      await half.send("GET / HTTP/1.1\r\nHo");
      using other = await RawClient.open(server);
      assertEquals((await other.ask("GET /")).body, "x"); // by now the others are accepted
      const begun = performance.now();
      await server.shutdown();
      assertLess(performance.now() - begun, 10_000);
      assertEquals([await silent.rest(), await half.rest()], ["", ""]);
    });

    it("that shuts down does not wait for handshakes of TLS", async () => {
      const server = await start(() => new Response("x"), { cert: CERT, key: KEY });
      using silent = await RawClient.open(server);
      using half = await RawClient.open(server);
      await half.send("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03half a greeting");
      const { port } = server.addr;
      // A client that does not trust the certificate goes away in the middle.
      await assertRejects(() => connectTls({ hostname: "127.0.0.1", port, serverName: "localhost" }), MptcpError, "TLS");
      using conn = await connectTls({ hostname: "127.0.0.1", port, serverName: "localhost", caCerts: [CERT] });
      assertEquals((await new RawClient(conn).ask("GET /")).body, "x");
      const begun = performance.now();
      await server.shutdown();
      assertLess(performance.now() - begun, 10_000);
      assertEquals([await silent.rest(), await half.rest()], ["", ""]);
    });

    it("that is closed cuts off what is under way", async () => {
      const { server, begun, go } = await slowServer(start);
      using busy = await RawClient.open(server, { mptcp: "require" });
      await busy.request("GET /slow");
      await begun.promise;
      const closed = server.close();
      assertEquals(await busy.rest(), "");
      assertEquals(await refused(server), "ECONNREFUSED");
      go.happened();
      await closed;
      await server.finished;
    });

    for (const [kind, tls] of [["HTTP", {}], ["HTTPS", { cert: CERT, key: KEY }]] as const) {
      it(`that is closed while it shuts down cuts off what it waits for, ${kind}`, async () => {
        const { server, begun, go } = await slowServer(start, tls);
        const { port } = server.addr;
        const conn = kind === "HTTP"
          ? await connect({ port, mptcp: "require" })
          : await connectTls({ port, serverName: "localhost", caCerts: [CERT], mptcp: "require" });
        using busy = new RawClient(conn);
        await busy.request("GET /slow");
        await begun.promise;
        const down = server.shutdown();
        const closed = server.close();
        assertEquals(await busy.rest(), "");
        go.happened();
        await closed;
        await down;
      });
    }

    it("ends by its signal", async () => {
      const stop = new AbortController();
      const server = await start(() => new Response("x"), { signal: stop.signal });
      using client = await RawClient.open(server);
      assertEquals((await client.ask("GET /")).body, "x");
      stop.abort();
      await server.finished;
      assertEquals(await refused(server), "ECONNREFUSED");
    });

    it("can be followed at once by another on its port", async () => {
      let port = 0;
      for (let round = 0; round < 5; round++) {
        await using server = await start(() => new Response(`${round}`), { port });
        port = server.addr.port;
        using client = await RawClient.open(server, { mptcp: "require" });
        assertEquals((await client.ask("GET /")).body, `${round}`);
        using idle = await RawClient.open(server);
        assertEquals((await idle.ask("GET /")).body, `${round}`); // left to the server to close
      }
    });

    it("leaves no descriptor", async () => {
      const round = async (tls: boolean) => {
        const server = await start(() => new Response("x"), tls ? { cert: CERT, key: KEY } : {});
        for (let index = 0; index < 10 && !tls; index++) {
          using client = await RawClient.open(server, { mptcp: index % 2 === 0 ? "require" : "off" });
          assertEquals((await client.ask("GET /")).body, "x");
          if (index % 3 === 0) client.conn.reset();
        }
        if (tls) await connect({ port: server.addr.port }).then((conn) => conn.reset());
        await server.shutdown();
      };
      for (const tls of [false, true]) await round(tls); // what runtimes open for themselves, they open now
      const before = openDescriptors();
      for (let index = 0; index < 5; index++) for (const tls of [false, true]) await round(tls);
      // Whoever is the server, the kernel may tell of a client's end a little later.
      assertEquals(await openAtLast(openDescriptors, before), before);
    });
  });

  describe(`bad clients, ${way}`, () => {
    /** Whatever they send, it ends, and the others are served. */
    const bad: readonly (readonly [title: string, text: string])[] = [
      ["nothing but noise", "\x00\x01\x02\xff\xfe".repeat(1000)],
      ["TLS to a server without", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".padEnd(600, "\x00")],
      ["a line that is no request", "HELLO\r\n\r\n"],
      ["an unknown method", "FROB / HTTP/1.1\r\nHost: test\r\n\r\n"],
      ["an unknown version", "GET / HTTP/9.9\r\nHost: test\r\n\r\n"],
      ["HTTP/2 without having agreed on it", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
      ["no host", "GET / HTTP/1.1\r\n\r\n"],
      ["two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"],
      ["a host that is none", "GET / HTTP/1.1\r\nHost: a b/?#@\r\n\r\n"],
      ["a target that is none", "GET nowhere HTTP/1.1\r\nHost: test\r\n\r\n"],
      ["a target for a proxy that is none", "GET http://[ HTTP/1.1\r\nHost: test\r\n\r\n"],
      ["the target *", "OPTIONS * HTTP/1.1\r\nHost: test\r\n\r\n"],
      ["a tunnel", "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n"],
      ["a header without a colon", "GET / HTTP/1.1\r\nHost: test\r\nnonsense\r\n\r\n"],
      ["a header name with a space", "GET / HTTP/1.1\r\nHost: test\r\na b: c\r\n\r\n"],
      ["a header of 1 MB", `GET / HTTP/1.1\r\nHost: test\r\na: ${"b".repeat(1 << 20)}\r\n\r\n`],
      ["10000 headers", `GET / HTTP/1.1\r\nHost: test\r\n${"a: b\r\n".repeat(10_000)}\r\n`],
      ["a length below zero", "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: -1\r\n\r\n"],
      ["two lengths", "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"],
      ["a length beyond numbers", "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 99999999999999999999999\r\n\r\n"],
      [
        "a length and chunks",
        "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      ],
      ["chunks that are none", "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n"],
      ["an unknown encoding", "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: frob\r\n\r\n"],
      ["a WebSocket that is none", "GET / HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"],
      ["an unknown upgrade", "GET / HTTP/1.1\r\nHost: test\r\nUpgrade: frob\r\nConnection: Upgrade\r\n\r\n"],
      ["an unknown expectation", "POST / HTTP/1.1\r\nHost: test\r\nExpect: frob\r\nContent-Length: 1\r\n\r\na"],
    ];

    it("with bad requests do no harm to others, and none hangs", async () => {
      const errors: unknown[] = [];
      await using server = await start(async (request) => {
        await request.text();
        return new Response("fine");
      }, {
        onError(error) {
          errors.push(error);
          return new Response("bad", { status: 400 });
        },
      });
      for (const [title, text] of bad) {
        using client = await RawClient.open(server, { mptcp: "require" });
        await client.send(text).catch(() => {}); // the server may have hung up in the middle
        await client.conn.closeWrite().catch(() => {});
        const answer = await client.rest();
        assert(
          answer === "" || answer.startsWith("HTTP/1.") || title === "HTTP/2 without having agreed on it",
          `${title}: ${answer}`,
        );
        using good = await RawClient.open(server, { mptcp: "require" });
        assertEquals([title, (await good.ask("GET /")).body], [title, "fine"]);
      }
    });

    it("that reset in the middle of anything do no harm to others", async () => {
      await using server = await start(async (request) => {
        const { pathname } = new URL(request.url);
        if (pathname === "/up") return new Response(`${(await request.text()).length}`);
        if (pathname === "/down") return new Response(new Uint8Array(8 << 20));
        if (pathname === "/stream") return new Response(new Blob([new Uint8Array(8 << 20)]).stream());
        await new Promise((resolve) => setTimeout(resolve, 1));
        return new Response("fine");
      }, { onError: () => new Response("bad", { status: 500 }) });
      const cut: ((client: RawClient) => Promise<unknown>)[] = [
        () => Promise.resolve(),
        (client) => client.send("GET / HTT"),
        (client) => client.request("GET /"),
        (client) => client.request("POST /up", ["Content-Length: 1000"], undefined),
        (client) => client.request("POST /up", ["Content-Length: 1000"]).then(() => client.send("some")),
        (client) => client.request("GET /down"),
        (client) => client.request("GET /down").then(() => client.head()),
        (client) => client.request("GET /stream").then(() => client.head()),
      ];
      for (let round = 0; round < 5; round++) {
        await Promise.all(cut.map(async (work, number) => {
          const client = await RawClient.open(server, { mptcp: (round + number) % 2 === 0 ? "require" : "off" });
          await work(client);
          client.conn.reset();
        }));
      }
      using good = await RawClient.open(server, { mptcp: "require" });
      assertEquals((await good.ask("GET /")).body, "fine");
    });

    it("that send byte by byte are served", async () => {
      await using server = await start(async (request) => new Response(await request.text()));
      using client = await RawClient.open(server, { mptcp: "require", noDelay: true });
      for (const char of "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\n\r\nabc") await client.send(char);
      assertEquals((await client.response()).body, "abc");
    });

    it("that end their side are answered, or cut off, and do not hang", async () => {
      await using server = await start(() => new Response("fine"));
      using client = await RawClient.open(server, { mptcp: "require" });
      await client.request("GET /", ["Connection: close"]);
      await client.conn.closeWrite();
      const text = await client.rest();
      if (text !== "") assertStringIncludes(text, "fine");
    });
  });
}

describe("a server that is to begin", () => {
  it("does not, with a signal that is aborted", async () => {
    const reason = new Error("not today");
    const error = await assertRejects(() => native(() => new Response(), { signal: AbortSignal.abort(reason) }));
    assertEquals(error, reason);
  });

  it("does not, when it is aborted meanwhile, and leaves its port", async () => {
    await using other = await native(() => new Response());
    const { port } = other.addr;
    await other.shutdown();
    const stop = new AbortController();
    const starting = native(() => new Response(), { signal: stop.signal, port });
    stop.abort(new Error("changed my mind"));
    await assertRejects(() => starting, Error, "changed my mind");
    await using server = await native(() => new Response("x"), { port });
    assertEquals(server.addr.port, port);
  });

  it("fails when its onListen throws, and leaves its port", async () => {
    let port = 0;
    await assertRejects(
      () =>
        native(() => new Response(), {
          onListen(addr) {
            port = addr.port;
            throw new Error("no, thanks");
          },
        }),
      Error,
      "no, thanks",
    );
    await using server = await native(() => new Response("x"), { port });
    assertEquals(server.addr.port, port);
  });
});
