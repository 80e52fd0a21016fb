import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { afterEach, describe, it } from "node:test";
import { randomBytes } from "node:crypto";
import { gzipSync } from "node:zlib";
import { listen, listenTls, MptcpError } from "@mptcp/mptcp";
import { closeIdle, fetch } from "../../http/mod.ts";
import { CERT, KEY } from "../net/certificate.ts";
import { pattern, utf8 } from "../net/pair.ts";
import { answer, failure, type Handler, RawServer } from "./fetch_kit.ts";

afterEach(() => closeIdle());

/** The `MptcpError` below a TypeError. */
async function reason(promise: Promise<unknown>, message: "fetch failed" | "terminated"): Promise<MptcpError> {
  const error = await failure(promise);
  assert(error instanceof TypeError, `${error}`);
  assertEquals(error.message, message);
  assert(error.cause instanceof MptcpError, `${error.cause}`);
  return error.cause;
}

/** Sends something and then ends the connection. */
const then = (end: "close" | "reset", sent: string): Handler => async ({ conn }) => {
  await conn.write(utf8(sent));
  // The client shall have read it: a reset may overtake what it follows.
  await new Promise((resolve) => setTimeout(resolve, 50));
  conn[end]();
};

describe("no connection", () => {
  it("because nobody listens", async () => {
    const { port } = (() => {
      using listener = listen({ hostname: "127.0.0.1", port: 0 });
      return listener.addr;
    })();
    const { code, address, port: to, syscall } = await reason(fetch(`http://127.0.0.1:${port}`), "fetch failed");
    assertEquals([code, address, to, syscall], ["ECONNREFUSED", "127.0.0.1", port, "connect"]);
  });

  it("because the name does not exist", async () => {
    const { code, message } = await reason(fetch("http://does-not-exist.invalid/"), "fetch failed");
    assertMatch(code, /^(ENOTFOUND|EAI_AGAIN)$/);
    assertMatch(message, /does-not-exist\.invalid/);
  });

  it("because the local address is not one", async () => {
    using server = new RawServer(() => answer(""));
    assertEquals((await reason(fetch(server.url, { localAddress: "192.0.2.1" }), "fetch failed")).code, "EADDRNOTAVAIL");
    assertEquals((await reason(fetch(server.url, { localAddress: "::1" }), "fetch failed")).code, "EADDRNOTAVAIL");
  });

  it("but the next request makes one", async () => {
    using server = new RawServer(() => answer("hello"));
    await reason(fetch(server.url, { congestion: "nonesuch" }), "fetch failed");
    for (let round = 0; round < 3; round++) assertEquals(await (await fetch(server.url)).text(), "hello");
  });
});

describe("no response", () => {
  for (
    const [name, handler, code, message] of [
      ["the server closes at once", then("close", ""), "UND_ERR_SOCKET", /No response.*the server closed the connection/],
      [
        "the server closes within the headers",
        then("close", "HTTP/1.1 200 OK\r\nContent-"),
        "UND_ERR_SOCKET",
        /No response.*closed/,
      ],
      ["the server resets at once", then("reset", ""), "ECONNRESET", /No response.*reset/],
      [
        "the server resets within the headers",
        then("reset", "HTTP/1.1 200 OK\r\nConte"),
        "ECONNRESET",
        /No response.*reset/,
      ],
      [
        "it is no HTTP",
        () => "220 ftp.example.com ready\r\n",
        "EPROTO",
        /No response.*not HTTP\/1\.1/,
      ],
      ["it is HTTP/2", () => "\0\0\x12\x04\0\0\0\0\0", "EPROTO", /not HTTP\/1\.1/],
      [
        "a header is broken",
        () => "HTTP/1.1 200 OK\r\nbad header: 1\r\n\r\n",
        "EPROTO",
        /not HTTP\/1\.1.*header/i,
      ],
      [
        "two lengths contradict each other",
        () => "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "UND_ERR_RES_CONTENT_LENGTH_MISMATCH",
        /Content-Length/,
      ],
      [
        "a length and chunks contradict each other",
        () => "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "UND_ERR_RES_CONTENT_LENGTH_MISMATCH",
        /No response.*Content-Length/,
      ],
      [
        "the length is no number",
        () => "HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        "EPROTO",
        /Content-Length/,
      ],
      [
        "the headers are huge",
        () => `HTTP/1.1 200 OK\r\nX: ${"x".repeat(1 << 20)}\r\n\r\n`,
        "UND_ERR_HEADERS_OVERFLOW",
        /headers are larger/,
      ],
      [
        "the headers are too many",
        () => `HTTP/1.1 200 OK\r\n${"X: y\r\n".repeat(1 << 16)}\r\n`,
        "UND_ERR_HEADERS_OVERFLOW",
        /headers are larger/,
      ],
      [
        "the protocol is changed unasked",
        () => "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        "UND_ERR_SOCKET",
        /changed the protocol/,
      ],
    ] as const
  ) {
    it(`because ${name}`, async () => {
      using server = new RawServer(handler);
      const error = await reason(fetch(server.url), "fetch failed");
      assertEquals(error.code, code);
      assertMatch(error.message, message);
      assert(error.cause instanceof Error);
    });
  }
});

describe("half a response is an error, not a short one", () => {
  const head = "HTTP/1.1 200 OK\r\n";
  for (
    const [name, sent, ends] of [
      ["with a length", `${head}Content-Length: 10\r\n\r\n12345`, ["close", "reset"]],
      ["with a length, of which nothing comes", `${head}Content-Length: 10\r\n\r\n`, ["close", "reset"]],
      ["in chunks, cut within one", `${head}Transfer-Encoding: chunked\r\n\r\n5\r\n123`, ["close", "reset"]],
      ["in chunks, cut between two", `${head}Transfer-Encoding: chunked\r\n\r\n3\r\n123\r\n`, ["close", "reset"]],
      ["in chunks, cut before the last line", `${head}Transfer-Encoding: chunked\r\n\r\n3\r\n123\r\n0\r\n`, [
        "close",
        "reset",
      ]],
      ["that ends with the connection", `${head}Connection: close\r\n\r\n12345`, ["reset"]],
      ["of HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\n12345", ["reset"]],
    ] as const
  ) {
    for (const end of ends) {
      it(`${name}: ${end}`, async () => {
        using server = new RawServer(then(end, sent));
        const read = fetch(server.url).then(async (response) => {
          assertEquals(response.status, 200);
          return await response.text();
        });
        const { code, message } = await reason(read, "terminated");
        assertEquals(code, end === "close" ? "UND_ERR_SOCKET" : "ECONNRESET");
        assertMatch(
          message,
          /^Response of http:\/\/127\.0\.0\.1:\d+ is incomplete: the server (closed|reset) the connection/,
        );
        const response = await fetch(server.url);
        await reason(
          (async () => {
            for await (const _ of response.body!);
          })(),
          "terminated",
        );
      });
    }
  }

  it("though some of it was read before", async () => {
    const data = pattern(1 << 20);
    using server = new RawServer(async ({ conn }) => {
      await conn.write(utf8(`${head}Content-Length: ${2 * data.length}\r\n\r\n`));
      await conn.write(data);
      conn.close();
    });
    const response = await fetch(server.url);
    let received = 0;
    await reason(
      (async () => {
        for await (const chunk of response.body!) received += chunk.length;
      })(),
      "terminated",
    );
    assert(received <= data.length);
  });

  it("in chunks that are none", async () => {
    using server = new RawServer(() => `${head}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nxyz\r\n`);
    const response = await fetch(server.url).catch((error) => error);
    const error = response instanceof Response ? await reason(response.text(), "terminated") : response.cause;
    assertEquals(error.code, "EPROTO");
    assertMatch(error.message, /incomplete: it is not HTTP\/1\.1.*chunk/i);
  });

  it("compressed, broken or cut", async () => {
    const whole = gzipSync(randomBytes(100_000));
    const broken = new Uint8Array(whole).fill(0, 20, 60);
    using server = new RawServer(async ({ conn, target }) => {
      const body = target === "/broken" ? broken : new Uint8Array(whole).subarray(0, 5000);
      await conn.write(utf8(`${head}Content-Encoding: gzip\r\nContent-Length: ${whole.length}\r\n\r\n`));
      await conn.write(body);
      if (target === "/cut") conn.close();
    });
    const broke = await failure(fetch(`${server.url}/broken`).then((response) => response.bytes()));
    assertEquals([broke instanceof TypeError, broke.message], [true, "terminated"]);
    assert(broke.cause instanceof Error);
    await reason(fetch(`${server.url}/cut`).then((response) => response.bytes()), "terminated");
  });

  it("below TLS too", async () => {
    for (const end of ["close", "reset"] as const) {
      using server = new RawServer(then(end, `${head}Content-Length: 10\r\n\r\n12345`), { tls: true });
      await reason(fetch(server.url, { caCerts: [CERT] }).then((response) => response.text()), "terminated");
    }
  });
});

describe("a connection is not used again", () => {
  it("after bytes that nobody asked for", async () => {
    using server = new RawServer(() => answer("hello") + answer("unasked"));
    for (let round = 0; round < 3; round++) {
      assertEquals(await (await fetch(server.url)).text(), "hello");
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    assertEquals(server.conns.length, 3);
  });

  it("after the server has closed it", async () => {
    using server = new RawServer(() => answer("hello"));
    for (let round = 0; round < 5; round++) {
      assertEquals(await (await fetch(server.url)).text(), "hello");
      server.conns.at(-1)!.close();
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    assertEquals(server.conns.length, 5);
  });

  it("after a body that was not read to its end", async () => {
    using server = new RawServer(({ target, conn }): string | void => {
      if (target === "/small") return answer("hello");
      conn.write(utf8(`HTTP/1.1 200 OK\r\nContent-Length: ${64 << 20}\r\n\r\n`));
      conn.write(new Uint8Array(64 << 20)).catch(() => {});
      return;
    });
    for (let round = 0; round < 3; round++) {
      const response = await fetch(server.url);
      await response.body!.cancel();
      assertEquals(await (await fetch(`${server.url}/small`)).text(), "hello");
    }
  });
});

describe("a certificate", () => {
  it("that nobody vouches for is refused, and the hint says what to do", async () => {
    using server = new RawServer(() => answer("secret"), { tls: true });
    const { code, message, hint } = await reason(fetch(server.url), "fetch failed");
    assertMatch(code, /SELF_SIGNED|UNABLE_TO_VERIFY|UnknownIssuer|CERT/);
    assertMatch(message, /^TLS handshake with 127\.0\.0\.1:\d+ failed: /);
    assertMatch(hint!, /caCerts/);
    assertEquals(server.requests.length, 0);
  });

  it("for another name is refused", async () => {
    using server = new RawServer(() => answer("secret"), { tls: true, hostname: "127.0.0.9" });
    const { message, hint } = await reason(fetch(`https://127.0.0.9:${server.port}/`, { caCerts: [CERT] }), "fetch failed");
    assertStringIncludes(message, `TLS handshake with 127.0.0.9:${server.port} failed: `);
    assertMatch(hint!, /name/);
    assertEquals(server.requests.length, 0);
  });

  it("is not trusted for other requests because one has trusted it", async () => {
    using server = new RawServer(() => answer("hello"), { tls: true });
    assertEquals(await (await fetch(server.url, { caCerts: [CERT] })).text(), "hello");
    await reason(fetch(server.url), "fetch failed");
    await reason(fetch(server.url, { caCerts: [] }), "fetch failed");
  });

  it("is not to be had: plain HTTP where TLS was wanted, and the other way round", async () => {
    using plain = listen({ hostname: "127.0.0.1", port: 0 });
    plain.accept().then(async (conn) => {
      await conn.write(utf8("HTTP/1.1 400 Bad Request\r\n\r\n"));
      conn.close();
    });
    assertMatch((await reason(fetch(`https://127.0.0.1:${plain.addr.port}/`), "fetch failed")).message, /TLS/);
    using listener = listenTls({ hostname: "127.0.0.1", port: 0, cert: CERT, key: KEY });
    listener.accept().catch(() => {});
    await reason(fetch(`http://127.0.0.1:${listener.addr.port}/`), "fetch failed");
  });
});
