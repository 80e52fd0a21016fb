import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import { afterEach, describe, it } from "node:test";
import { listen } from "@mptcp/mptcp";
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync, zstdCompressSync } from "node:zlib";
import { closeIdle, fetch, serve } from "../../http/mod.ts";
import { pattern, text, utf8 } from "../net/pair.ts";
import { answer, failure, RawServer } from "./fetch_kit.ts";

/** Answers with what came. */
const mirror = () =>
  new RawServer(({ method, target, headers, body }) =>
    answer(JSON.stringify({ method, target, headers: Object.fromEntries(headers), body: text(body) }), {
      "Content-Type": "application/json",
    })
  );

interface Mirrored {
  method: string;
  target: string;
  headers: Record<string, string>;
  body: string;
}

const mirrored = async (response: Promise<Response>) => await (await response).json() as Mirrored;

const chunks = (...parts: string[]) =>
  new ReadableStream<Uint8Array>({
    pull(controller) {
      const part = parts.shift();
      if (part === undefined) controller.close();
      else controller.enqueue(utf8(part));
    },
  });

afterEach(() => closeIdle());

describe("a request", () => {
  it("has its method, path, query and headers", async () => {
    using server = mirror();
    const url = new URL(`${server.url}/a%20b?x=1&y=ü#fragment`);
    const { method, target, headers } = await mirrored(fetch(url, {
      method: "put",
      headers: new Headers([["X-One", "1"], ["x-two", "a"], ["X-Two", "b"]]),
    }));
    assertEquals([method, target], ["PUT", "/a%20b?x=1&y=%C3%BC"]);
    assertEquals([headers["x-one"], headers["x-two"], headers["host"]], ["1", "a, b", `127.0.0.1:${server.port}`]);
    assertEquals(headers["accept"], "*/*");
    assertMatch(headers["accept-encoding"]!, /gzip/);
    assertEquals((await mirrored(fetch(server.url, { headers: { a: "1" } }))).headers["a"], "1");
    assertEquals((await mirrored(fetch(server.url, { headers: [["a", "2"]] }))).headers["a"], "2");
  });

  it("may be the runtime's Request", async () => {
    using server = mirror();
    const request = new Request(`${server.url}/path`, { method: "POST", body: "from Request", headers: { "X-A": "1" } });
    const { method, target, headers, body } = await mirrored(fetch(request));
    assertEquals([method, target, headers["x-a"], body], ["POST", "/path", "1", "from Request"]);
    assertEquals([headers["content-length"], headers["transfer-encoding"]], ["12", undefined]);
    assertEquals(headers["content-type"] ?? null, request.headers.get("content-type")); // Bun's Request sets none
    assert(request.bodyUsed);
    const used = await failure(fetch(request));
    assert(used instanceof TypeError);
    const changed = await mirrored(
      fetch(new Request(server.url, { headers: { a: "1" } }), { method: "DELETE", headers: { b: "2" } }),
    );
    assertEquals([changed.method, changed.headers["a"], changed.headers["b"]], ["DELETE", undefined, "2"]);
    const other = await mirrored(fetch(new Request(server.url, { method: "POST", body: "old" }), { body: "new" }));
    assertEquals([other.method, other.body], ["POST", "new"]);
    const streamed = new Request(server.url, { method: "POST", body: chunks("a", "b"), duplex: "half" } as RequestInit);
    assertEquals((await mirrored(fetch(streamed))).body, "ab");
  });

  it("may be a Request whose body takes its time", async () => {
    using server = mirror();
    let first = true;
    const slow = new ReadableStream<Uint8Array>({
      async pull(controller) {
        if (!first) await new Promise((resolve) => setTimeout(resolve, 30));
        controller.enqueue(utf8(first ? "first " : "second"));
        if (!first) controller.close();
        first = false;
      },
    });
    const request = new Request(server.url, { method: "POST", body: slow, duplex: "half" } as RequestInit);
    const { body, headers } = await mirrored(fetch(request));
    assertEquals([body, headers["transfer-encoding"]], ["first second", "chunked"]);
    const big = new Request(server.url, { method: "POST", body: pattern(300_000) });
    await (await fetch(big)).text();
    assertEquals(server.requests.at(-1)!.body, pattern(300_000));
  });

  for (
    const [name, body, expected, type] of [
      ["a text", "täxt", "täxt", /^text\/plain/],
      ["a Uint8Array", utf8("bytes"), "bytes", null],
      ["an ArrayBuffer", utf8("buffer").buffer, "buffer", null],
      ["a Blob", new Blob(["blob"], { type: "text/x-blob" }), "blob", /^text\/x-blob$/],
      ["URLSearchParams", new URLSearchParams({ a: "1 2" }), "a=1+2", /^application\/x-www-form-urlencoded/],
    ] as const
  ) {
    it(`may have ${name} as its body`, async () => {
      using server = mirror();
      const { body: got, headers } = await mirrored(fetch(server.url, { method: "POST", body: body as BodyInit }));
      assertEquals([got, headers["content-length"]], [expected, `${utf8(expected).length}`]);
      if (type === null) assertEquals(headers["content-type"], undefined);
      else assertMatch(headers["content-type"]!, type);
    });
  }

  it("may have the runtime's FormData as its body, with files", async () => {
    using server = mirror();
    const form = new FormData();
    form.append("field", "value ü");
    form.append("file", new File(["contents"], "näme.txt", { type: "text/x-file" }));
    form.append("blob", new Blob(["more"]), "given.bin");
    const { body, headers } = await mirrored(fetch(server.url, { method: "POST", body: form }));
    assertMatch(headers["content-type"]!, /^multipart\/form-data; ?boundary=/);
    const back = await new Response(body, { headers: { "Content-Type": headers["content-type"]! } }).formData();
    const [file, blob] = [back.get("file") as File, back.get("blob") as File];
    assertEquals([back.get("field"), await file.text(), await blob.text()], ["value ü", "contents", "more"]);
    assertEquals([file.name, blob.name], ["näme.txt", "given.bin"]);
    assertMatch(body, /Content-Type: text\/x-file\r\n\r\ncontents\r\n/);
  });

  it("may have a stream as its body, with or without duplex", async () => {
    using server = mirror();
    for (const init of [{}, { duplex: "half" }] as const) {
      const { body, headers } = await mirrored(fetch(server.url, { method: "POST", body: chunks("one ", "two"), ...init }));
      assertEquals([body, headers["transfer-encoding"], headers["content-length"]], ["one two", "chunked", undefined]);
    }
    const nodes = await mirrored(
      fetch(server.url, { method: "POST", body: Readable.from([utf8("no"), utf8("de")]) as never }),
    );
    assertEquals(nodes.body, "node");
  });

  it("sends a large stream whole", async () => {
    using server = new RawServer(({ body }) => answer(`${body.length}`));
    let pulled = 0;
    const upload = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (pulled++ < 200) controller.enqueue(new Uint8Array(1 << 16));
        else controller.close();
      },
    });
    assertEquals(await (await fetch(server.url, { method: "POST", body: upload })).text(), `${200 << 16}`);
  });

  it("keeps the backpressure of a stream that it sends, and cancels it when it is aborted", async () => {
    using listener = listen({ hostname: "127.0.0.1", port: 0, receiveBuffer: 1 << 16 });
    let pulled = 0;
    let cancelled: unknown = null;
    const endless = new ReadableStream<Uint8Array>({
      pull(controller) {
        pulled++;
        controller.enqueue(new Uint8Array(1 << 18));
      },
      cancel: (reason) => void (cancelled = reason),
    });
    const stop = new AbortController();
    const url = `http://127.0.0.1:${listener.addr.port}/`;
    const sending = failure(fetch(url, { method: "POST", body: endless, signal: stop.signal, sendBuffer: 1 << 18 }));
    using _unread = await listener.accept();
    for (let before = -1; before !== pulled;) {
      before = pulled;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    assert(pulled > 0 && pulled < 64, `${pulled} pieces were taken`);
    stop.abort();
    assertEquals((await sending).name, "AbortError");
    await new Promise((resolve) => setTimeout(resolve, 20));
    assertEquals((cancelled as Error | null)?.name, "AbortError");
  });

  it("is refused when it makes no sense", async () => {
    for (
      const [url, init] of [
        ["/relative", {}],
        ["http://user:secret@127.0.0.1/", {}],
        ["http://127.0.0.1/", { body: "x" }],
        ["http://127.0.0.1/", { method: "B AD" }],
        ["http://127.0.0.1/", { method: "CONNECT" }],
        ["http://127.0.0.1/", { headers: { "a b": "c" } }],
        ["http://127.0.0.1/", { redirect: "sometimes" }],
        ["ftp://127.0.0.1/", {}],
        ["http://127.0.0.1:1/", {}], // a blocked port
      ] as const
    ) {
      const error = await failure(fetch(url, init as RequestInit));
      assert(error instanceof TypeError, `${url} ${JSON.stringify(init)}: ${error}`);
    }
  });
});

describe("a response", () => {
  it("is the runtime's own Response, through and through", async () => {
    using server = new RawServer(() => answer("body", { "X-A": "1", "Set-Cookie": "a=1" }, "201 Very Created"));
    const response = await fetch(`${server.url}/path?q`);
    assert(response instanceof Response);
    assert(response.headers instanceof Headers);
    assert(response.body instanceof ReadableStream);
    assertEquals([response.status, response.statusText, response.ok], [201, "Very Created", true]);
    assertEquals([response.url, response.redirected, response.type], [`${server.url}/path?q`, false, "basic"]);
    assertEquals([response.headers.get("x-a"), response.headers.getSetCookie()], ["1", ["a=1"]]);
    assertEquals(response.bodyUsed, false);
    const copy = new Response(response.body, response);
    assertEquals([copy.status, copy.statusText, copy.headers.get("x-a"), await copy.text()], [
      201,
      "Very Created",
      "1",
      "body",
    ]);
    assert(response.bodyUsed);
    await assertRejects(() => response.text(), TypeError);
  });

  it("has headers that cannot be changed", async () => {
    using server = new RawServer(() => answer(""));
    const { headers } = await fetch(server.url);
    assertThrows(() => headers.append("a", "b"), TypeError);
    assertThrows(() => headers.set("a", "b"), TypeError);
    assertThrows(() => headers.delete("content-length"), TypeError);
    const own = new Headers(headers);
    own.set("a", "b");
    assertEquals([own.get("a"), own.get("content-length"), headers.has("a")], ["b", "0", false]);
  });

  it("can be read in every way", async () => {
    using server = new RawServer(({ target }) => {
      if (target === "/form") return answer("a=1&b=2", { "Content-Type": "application/x-www-form-urlencoded" });
      return answer('{"a":"ü"}', { "Content-Type": "application/json" });
    });
    const bytes = utf8('{"a":"ü"}');
    assertEquals(await (await fetch(server.url)).text(), '{"a":"ü"}');
    assertEquals(await (await fetch(server.url)).json(), { a: "ü" });
    assertEquals(new Uint8Array(await (await fetch(server.url)).arrayBuffer()), bytes);
    assertEquals(new Uint8Array(await (await fetch(server.url)).bytes()), bytes);
    const blob = await (await fetch(server.url)).blob();
    assertEquals(blob.size, bytes.length);
    assertMatch(blob.type, /^application\/json/);
    const form = await (await fetch(`${server.url}/form`)).formData();
    assert(form instanceof FormData);
    assertEquals([form.get("a"), form.get("b")], ["1", "2"]);
    let streamed = "";
    for await (const chunk of (await fetch(server.url)).body!) streamed += text(chunk);
    assertEquals(streamed, '{"a":"ü"}');
    const reader = (await fetch(server.url)).body!.getReader({ mode: "byob" });
    const { value } = await reader.read(new Uint8Array(5));
    assertEquals(value, bytes.slice(0, 5));
    await reader.cancel();
  });

  it("may be without a body, or strange", async () => {
    using server = new RawServer(({ method, target }) => {
      if (method === "HEAD") return "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n";
      if (target === "/204") return "HTTP/1.1 204 No Content\r\n\r\n";
      if (target === "/999") return answer("odd", {}, "999 Request Denied");
      if (target === "/latin1") {
        return new Uint8Array([...utf8("HTTP/1.1 200 Z\xfcrich\r\nContent-Length: 0\r\nX-B: "), 0xe4, 13, 10, 13, 10]);
      }
      return "HTTP/1.1 304 Not Modified\r\n\r\n";
    });
    for (const [path, init, status] of [["/204", {}, 204], ["/304", {}, 304], ["/", { method: "HEAD" }, 200]] as const) {
      const response = await fetch(server.url + path, init);
      assertEquals([response.status, response.body, await response.text()], [status, null, ""]);
    }
    const odd = await fetch(`${server.url}/999`);
    assertEquals([odd.status, odd.ok, odd.statusText, await odd.text()], [999, false, "Request Denied", "odd"]);
    assertEquals((await fetch(`${server.url}/latin1`)).headers.get("x-b"), "ä");
  });

  it("is passed over when it is only preliminary", async () => {
    using server = new RawServer(() => `HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n${answer("final")}`);
    const response = await fetch(server.url);
    assertEquals([response.status, response.headers.get("link"), await response.text()], [200, null, "final"]);
  });

  it("comes in chunks, with trailers", async () => {
    using server = new RawServer(() =>
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nX-Trailer: 1\r\n\r\n"
    );
    for (let round = 0; round < 3; round++) assertEquals(await (await fetch(server.url)).text(), "abcdefg");
    assertEquals(server.conns.length, 1);
  });

  it("ends with its connection where nothing else tells its length", async () => {
    using server = new RawServer(async ({ conn }) => {
      await conn.write(utf8("HTTP/1.0 200 OK\r\n\r\nuntil "));
      await conn.write(utf8("the end"));
      conn.close();
    });
    assertEquals(await (await fetch(server.url)).text(), "until the end");
  });

  const encoders = { gzip: gzipSync, br: brotliCompressSync, deflate: deflateSync, zstd: zstdCompressSync } as const;
  for (const [encoding, encode] of Object.entries(encoders)) {
    it(
      `is decoded: ${encoding}`,
      async () => {
        const data = pattern(500_000);
        using server = new RawServer(({ conn }) => {
          const body = encode(data);
          conn.write(utf8(`HTTP/1.1 200 OK\r\nContent-Encoding: ${encoding}\r\nContent-Length: ${body.length}\r\n\r\n`));
          return new Uint8Array(body);
        });
        assertEquals(await (await fetch(server.url)).bytes(), data);
        const small = await fetch(server.url);
        await small.body!.cancel();
      },
    );
  }

  it("is decoded: raw deflate, and one encoding over another", async () => {
    using server = new RawServer(({ conn, target }) => {
      const raw = target === "/raw";
      const body = raw ? deflateRawSync("raw") : gzipSync(deflateSync("twice"));
      conn.write(
        utf8(
          `HTTP/1.1 200 OK\r\nContent-Encoding: ${
            raw ? "deflate" : "deflate, gzip"
          }\r\nContent-Length: ${body.length}\r\n\r\n`,
        ),
      );
      return new Uint8Array(body);
    });
    assertEquals(await (await fetch(`${server.url}/raw`)).text(), "raw");
    assertEquals(await (await fetch(`${server.url}/twice`)).text(), "twice");
  });

  it("is decoded only where there is something to decode", async () => {
    const gzip = "Content-Encoding: gzip\r\n";
    using server = new RawServer(({ method, target, conn }) => {
      if (method === "HEAD") return `HTTP/1.1 200 OK\r\n${gzip}Content-Length: 100\r\n\r\n`;
      if (target === "/204") return `HTTP/1.1 204 No Content\r\n${gzip}\r\n`;
      if (target === "/unknown") return answer("as it is", { "Content-Encoding": "rot13" });
      const body = gzipSync("by its old name");
      conn.write(utf8(`HTTP/1.1 200 OK\r\nContent-Encoding: X-GZip\r\nContent-Length: ${body.length}\r\n\r\n`));
      return new Uint8Array(body);
    });
    assertEquals(await (await fetch(server.url, { method: "HEAD" })).text(), "");
    assertEquals(await (await fetch(`${server.url}/204`)).text(), "");
    assertEquals(await (await fetch(`${server.url}/unknown`)).text(), "as it is");
    assertEquals(await (await fetch(server.url)).text(), "by its old name");
  });

  it("may be handed on by a server as it is", async () => {
    const data = pattern(200_000);
    using upstream = new RawServer(({ conn }) => {
      conn.write(utf8(`HTTP/1.1 201 Made\r\nX-Up: 1\r\nContent-Type: text/x-up\r\nContent-Length: ${data.length}\r\n\r\n`));
      return data;
    });
    await using between = await serve(() => fetch(upstream.url), { hostname: "127.0.0.1", port: 0 });
    const response = await fetch(`http://127.0.0.1:${between.addr.port}/`);
    assertEquals([response.status, response.headers.get("x-up"), response.headers.get("content-type")], [
      201,
      "1",
      "text/x-up",
    ]);
    assertEquals(await response.bytes(), data);
  });

  it("keeps backpressure: a server sends no more than is read", async () => {
    let sent = 0;
    using server = new RawServer(async ({ conn }) => {
      await conn.write(utf8(`HTTP/1.1 200 OK\r\nContent-Length: ${64 << 20}\r\n\r\n`));
      for (const block = pattern(1 << 20); sent < 64 << 20;) sent += await conn.write(block);
    });
    const response = await fetch(server.url);
    const reader = response.body!.getReader();
    await reader.read();
    for (let before = -1; before !== sent;) {
      before = sent;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    assert(sent < 32 << 20, `${sent} bytes were taken though nobody read`);
    let received = 0;
    reader.releaseLock();
    for await (const chunk of response.body!) received += chunk.length;
    assertEquals(sent, 64 << 20);
    assert(received > 60 << 20);
  });

  it("comes whole and right: 32 MB, in chunks of all sizes, several at once", async () => {
    const data = pattern(8 << 20);
    using server = new RawServer(async ({ conn }) => {
      await conn.write(utf8("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"));
      for (let at = 0, size = 1; at < data.length; at += size, size = size * 3 % 200_003 + 1) {
        const piece = data.subarray(at, at + size);
        await conn.write(utf8(`${piece.length.toString(16)}\r\n`));
        await conn.write(piece);
        await conn.write(utf8("\r\n"));
      }
      await conn.write(utf8("0\r\n\r\n"));
    });
    await Promise.all(Array.from({ length: 4 }, async () => assertEquals(await (await fetch(server.url)).bytes(), data)));
  });

  it("of a data: address is what that says, or an error", async () => {
    const bytes = await fetch("data:application/x-y;base64,AAEC/w==");
    assertEquals([bytes.headers.get("content-type"), await bytes.bytes()], [
      "application/x-y",
      new Uint8Array([0, 1, 2, 255]),
    ]);
    assertEquals(await (await fetch("data:,a%20b")).text(), "a b");
    assert(await failure(fetch("data:;base64,!")) instanceof TypeError);
    assert(await failure(fetch("blob:null/nothing")) instanceof TypeError);
  });

  it("must be what integrity says", async () => {
    using server = new RawServer(() => answer("hello"));
    const integrity = `sha256-${createHash("sha256").update("hello").digest("base64")}`;
    assertEquals(await (await fetch(server.url, { integrity })).text(), "hello");
    const other = `sha256-${createHash("sha256").update("other").digest("base64")}`;
    assert(await failure(fetch(server.url, { integrity: other })) instanceof TypeError);
  });

  it("of a blob: address is the blob", async () => {
    const url = URL.createObjectURL(new Blob(["in memory"], { type: "text/x-blob" }));
    try {
      const response = await fetch(url);
      assertEquals([await response.text(), response.headers.get("content-type"), response.mptcp], [
        "in memory",
        "text/x-blob",
        null,
      ]);
    } finally {
      URL.revokeObjectURL(url);
    }
  });
});

describe("a redirect", () => {
  for (const status of [301, 302, 303, 307, 308]) {
    it(`${status} is followed, with the method and body that the standard says`, async () => {
      using server = new RawServer(({ method, target, headers, body }) => {
        if (target === "/") return answer("", { Location: "/next" }, `${status} Elsewhere`);
        return answer(`${method} ${text(body)} ${headers.has("content-type")}`);
      });
      const response = await fetch(server.url, { method: "POST", body: "data" });
      assertEquals(await response.text(), status < 307 ? "GET  false" : "POST data true");
      assertEquals([response.url, response.redirected], [`${server.url}/next`, true]);
      const type = { "Content-Type": "text/plain" };
      const request = new Request(server.url, { method: "POST", body: "data", headers: type });
      assertEquals(await (await fetch(request)).text(), status < 307 ? "GET  false" : "POST data true");
      assertEquals(
        await (await fetch(server.url, { method: "PUT", body: "data" })).text(),
        status === 303 ? "GET  false" : "PUT data true",
      );
    });
  }

  it("to another origin takes no credentials along", async () => {
    using end = mirror();
    using begin = new RawServer(({ target }) =>
      answer("", { Location: target === "/own" ? "/x" : `${end.url}/x` }, "302 Found")
    );
    const { headers } = await mirrored(
      fetch(begin.url, { headers: { Authorization: "Basic eDp5", Cookie: "a=1", "X-Keep": "1" } }),
    );
    assertEquals([headers["authorization"], headers["cookie"], headers["x-keep"]], [undefined, undefined, "1"]);
    assertEquals(begin.requests[0]!.headers.get("authorization"), "Basic eDp5");
    await (await fetch(`${begin.url}/own`, { headers: { Authorization: "Basic eDp5" } })).text();
    assertEquals(begin.requests.slice(1).map(({ headers }) => headers.get("authorization")), ["Basic eDp5", "Basic eDp5"]);
  });

  it("is left alone, or refused, when asked for", async () => {
    using server = new RawServer(() => answer("here", { Location: "/there" }, "302 Found"));
    const response = await fetch(server.url, { redirect: "manual" });
    assertEquals([response.status, response.headers.get("location"), await response.text()], [302, "/there", "here"]);
    const error = await failure(fetch(server.url, { redirect: "error" }));
    assertEquals([error instanceof TypeError, (error.cause as Error).message], [true, "unexpected redirect"]);
  });

  it("has an end: loops, and addresses that lead nowhere", async () => {
    using server = new RawServer(({ target }) =>
      answer("", { Location: target === "/" ? "/" : "gopher://x/" }, "302 Found")
    );
    assertEquals(((await failure(fetch(server.url))).cause as Error).message, "redirect count exceeded");
    assertEquals(server.requests.length, 21);
    assert(await failure(fetch(`${server.url}/x`)) instanceof TypeError);
  });

  it("cannot send a stream again", async () => {
    using server = new RawServer(({ target }) =>
      answer("", target === "/" ? { Location: "/next" } : {}, target === "/" ? "307 X" : "200 OK")
    );
    assert(await failure(fetch(server.url, { method: "POST", body: chunks("a") })) instanceof TypeError);
  });
});
