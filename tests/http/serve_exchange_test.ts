/** Requests and responses: that each comes to the other side as it was meant. */
import { assert, assertEquals, assertGreater, assertLess, assertRejects, assertStringIncludes } from "@std/assert";
import { describe, it } from "node:test";
import { inspect } from "node:util";
import { runtime } from "../../ffi/mod.ts";
import { FastResponse, serve } from "../../http/serve.ts";
import { pattern, utf8 } from "../net/pair.ts";
import { RawClient } from "./raw_client.ts";
import { WAYS } from "./ways.ts";

const path = (request: Request) => new URL(request.url).pathname;

/** Resolves when it is called. */
function event<T = void>(): { promise: Promise<T>; happened(value: T): void } {
  const { promise, resolve } = Promise.withResolvers<T>();
  return { promise, happened: resolve };
}

/** Bodies that lack something. */
const HALF_BODIES: readonly (readonly [kind: string, headers: readonly string[], half: string])[] = [
  ["with a length", ["Content-Length: 100"], "half"],
  ["in chunks, in the middle of one", ["Transfer-Encoding: chunked"], "8\r\nhalf"],
  ["in chunks, before the last", ["Transfer-Encoding: chunked"], "4\r\nhalf\r\n"],
];

async function allOf(stream: AsyncIterable<Uint8Array>): Promise<string> {
  let text = "";
  for await (const chunk of stream) text += new TextDecoder().decode(chunk);
  return text;
}

for (const [way, start] of WAYS) {
  describe(`requests, ${way}`, () => {
    it("have method, URL, headers and body", async () => {
      await using server = await start(async (request) => {
        assert(request instanceof Request);
        const { method, url, headers } = request;
        return Response.json([
          method,
          url,
          headers.get("x-one"),
          headers.get("X-TWO"),
          headers.get("cookie"),
          await request.text(),
        ]);
      });
      using client = await RawClient.open(server, { mptcp: "require" });
      const { body } = await client.ask(
        "PUT /a/b?c=d%20e&f",
        ["X-One: 1", "x-two: a", "x-two: b", "Cookie: a=1; b=2"],
        "grüße",
      );
      assertEquals(JSON.parse(body), ["PUT", "http://test/a/b?c=d%20e&f", "1", "a, b", "a=1; b=2", "grüße"]);
    });

    it("have long headers, and so have their answers", async () => {
      await using server = await start(({ headers }) => {
        const answer = new Headers({ "x-long": headers.get("x-long")!.toUpperCase() });
        for (let index = 0; index < 50; index++) answer.set(`x-${index}`, headers.get(`x-${index}`)!);
        return new Response("x", { headers: answer });
      });
      using client = await RawClient.open(server);
      const many = Array.from({ length: 50 }, (_, index) => `X-${index}: value ${index}`);
      const { header } = await client.ask("GET /", [`X-Long: ${"a".repeat(8000)}`, ...many]);
      assertEquals(header("x-long"), "A".repeat(8000));
      assertEquals(header("x-49"), "value 49");
    });

    it("give their body in every form", async () => {
      await using server = await start(async (request) => {
        switch (path(request)) {
          case "/text":
            return new Response(await request.text());
          case "/json":
            return Response.json(await request.json());
          case "/bytes":
            return new Response(await request.bytes());
          case "/arrayBuffer":
            return new Response(await request.arrayBuffer());
          case "/blob": {
            const blob = await request.blob();
            return new Response(`${runtime === "bun" ? "text/x" : blob.type} ${await blob.text()}`); // Bun makes up its own
          }
          case "/formData": {
            const data = await request.formData();
            return new Response(`${data.get("a")} ${data.get("b")}`);
          }
          default:
            return new Response(request.body);
        }
      });
      const json = '{"a":[1,null]}';
      for (const form of ["text", "json", "bytes", "arrayBuffer", "stream"]) {
        using client = await RawClient.open(server); // a new one: Deno ends the connection after an echo
        assertEquals((await client.ask(`POST /${form}`, [], json)).body, json, form);
      }
      using client = await RawClient.open(server);
      assertEquals((await client.ask("POST /blob", ["Content-Type: text/x"], "abc")).body, "text/x abc");
      const form = ["Content-Type: application/x-www-form-urlencoded"];
      assertEquals((await client.ask("POST /formData", form, "a=1&b=%20x")).body, "1  x");
      await client.send(
        "POST /text HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n",
      );
      assertEquals((await client.response()).body, "abcdefg");
    });

    it("without a body have an empty one", async () => {
      await using server = await start(async (request) =>
        Response.json([await request.text(), request.bodyUsed || request.body === null])
      );
      using client = await RawClient.open(server);
      assertEquals((await client.ask("GET /")).body, '["",true]');
      assertEquals((await client.ask("POST /", [], "")).body.slice(0, 4), '["",');
    });

    it("give their body only once", async () => {
      await using server = await start(async (request) => {
        const before = request.bodyUsed;
        await request.text();
        const again = await request.text().then(() => "", (error: Error) => error.name);
        return Response.json([before, request.bodyUsed, again]);
      });
      using client = await RawClient.open(server);
      assertEquals((await client.ask("POST /", [], "x")).body, '[false,true,"TypeError"]');
    });

    it("can be cloned, and the clone handed to the runtime", async () => {
      await using server = await start(async (request) => {
        const copy = new Request(request.clone(), { headers: { "x-more": "2" } });
        return Response.json([copy.method, copy.url, copy.headers.get("x-more"), await copy.text(), await request.text()]);
      });
      using client = await RawClient.open(server);
      const { body } = await client.ask("POST /x", ["X-One: 1"], "body");
      assertEquals(JSON.parse(body), ["POST", "http://test/x", "2", "body", "body"]);
    });

    it("in absolute form are for the authority in their target", async () => {
      await using server = await start((request) => new Response(path(request)));
      using client = await RawClient.open(server);
      assertEquals((await client.ask("GET http://test/a?b")).body, "/a");
    });

    it("of HTTP/1.0 are answered, and the connection ends", async () => {
      await using server = await start(() => new Response("hello"));
      using client = await RawClient.open(server);
      await client.send("GET / HTTP/1.0\r\n\r\n");
      const text = await client.rest();
      assert(text.startsWith("HTTP/1."), text);
      assertStringIncludes(text, " 200 OK\r\n");
      assert(text.endsWith("\r\n\r\nhello"), text);
    });

    it("that wait for leave to send their body get it (Expect)", async () => {
      await using server = await start(async (request) => new Response(await request.text()));
      using client = await RawClient.open(server);
      await client.request("POST /", ["Expect: 100-continue", "Content-Length: 4"]);
      assertEquals((await client.response()).status, 100);
      await client.send("body");
      const { status, body } = await client.response();
      assertEquals([status, body], [200, "body"]);
    });

    it("of 64 MB come whole, and are read no faster than the handler reads", async () => {
      const total = 64 << 20;
      const go = event();
      await using server = await start(async (request) => {
        await go.promise;
        let offset = 0;
        for await (const chunk of request.body!) {
          const expected = pattern(chunk.length, offset);
          for (let i = 0; i < chunk.length; i++) if (chunk[i] !== expected[i]) return new Response(`wrong at ${offset + i}`);
          offset += chunk.length;
        }
        return new Response(`${offset}`);
      });
      using client = await RawClient.open(server, { mptcp: "require", sendBuffer: 1 << 18 });
      await client.request("POST /", [`Content-Length: ${total}`]);
      let sent = 0;
      const sending = (async () => {
        for (; sent < total; sent += 1 << 16) await client.conn.write(pattern(1 << 16, sent));
      })();
      // Nobody reads: the sender must come to a stop, long before the end.
      for (let last = -1; last !== sent;) {
        last = sent;
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      const stopped = sent;
      go.happened();
      assertLess(stopped, total);
      await sending;
      assertEquals((await client.response()).body, `${total}`);
    });

    it("that nobody read do not spoil the next one", async () => {
      await using server = await start((request) => new Response(path(request)));
      using client = await RawClient.open(server);
      assertEquals((await client.ask("POST /1", [], "x".repeat(100_000))).body, "/1");
      // Whether the connection goes on is the runtime's to say.
      const next = await client.ask("GET /2").catch(() => null);
      if (runtime !== "deno" || next !== null) assertEquals(next?.body, "/2");
      using other = await RawClient.open(server);
      assertEquals((await other.ask("GET /3")).body, "/3");
    });

    it("say when their client is gone", async () => {
      const begun = event();
      const aborted = event<boolean>();
      await using server = await start(async ({ signal }) => {
        begun.happened();
        await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
        aborted.happened(signal.aborted);
        return new Response("nobody");
      });
      const client = await RawClient.open(server, { mptcp: "require" });
      await client.request("GET /");
      await begun.promise;
      client.conn.reset();
      assertEquals(await aborted.promise, true);
    });

    for (const [kind, headers, half] of HALF_BODIES) {
      for (const end of ["reset", "closeWrite"] as const) {
        for (const form of ["text", "body"] as const) {
          it(`fail to give a body, as ${form}, that its client cut off by ${end}, ${kind}`, async () => {
            const outcome = event<string>();
            const begun = event();
            await using server = await start(async (request) => {
              begun.happened();
              const reading = form === "text" ? request.text() : allOf(request.body!);
              outcome.happened(await reading.then((text) => text, (error) => error instanceof Error ? "error" : "?"));
              return new Response();
            });
            using client = await RawClient.open(server, { mptcp: "require" });
            await client.request("POST /", headers);
            await client.send(half);
            await begun.promise;
            client.conn[end]();
            assertEquals(await outcome.promise, "error");
          });
        }
      }
    }
  });

  for (const [kind, Response] of [["Response", globalThis.Response], ["FastResponse", FastResponse]] as const) {
    if (kind === "FastResponse" && Response === globalThis.Response) continue;
    describe(`${kind}, ${way}`, () => {
      const answers: Record<string, () => Response | Promise<Response>> = {
        "/text": () => new Response("grüße"),
        "/bytes": () => new Response(utf8("grüße")),
        "/null": () => new Response(),
        "/empty": () => new Response(""),
        "/json": () => Response.json({ a: 1 }),
        "/status": () => new Response("gone", { status: 410, headers: { "x-one": "1" } }),
        "/statusText": () => new Response("fine", { status: 299, statusText: "Quite Fine" }),
        "/204": () => new Response(null, { status: 204 }),
        "/304": () => new Response(null, { status: 304, headers: { etag: '"x"' } }),
        "/redirect": () => Response.redirect("http://test/elsewhere", 307),
        "/cookies": () =>
          new Response("x", { headers: [["set-cookie", "a=1; Path=/"], ["Set-Cookie", "b=2"], ["x", "1"], ["x", "2"]] }),
        "/headers": () => new Response("x", { headers: new Headers({ "content-type": "text/x", vary: "a, b" }) }),
        "/changed": () => {
          const response = new Response("x", { headers: { a: "1" } });
          response.headers.set("b", "2");
          return response;
        },
        "/copy": () => {
          const first = new Response("copy", { status: 201, headers: { a: "1" } });
          return new Response(first.body, first);
        },
        "/clone": () => new Response("clone", { status: 202 }).clone(),
        "/stream": () => new Response(new Blob(["a", "b", "c"]).stream()),
        "/slow": () => {
          let count = 0;
          return new Response(
            new ReadableStream({
              async pull(controller) {
                await new Promise((resolve) => setTimeout(resolve, 5));
                if (count++ === 3) controller.close();
                else controller.enqueue(utf8(`part${count};`));
              },
            }),
          );
        },
        "/large": () => new Response("x".repeat(3 << 20)),
        "/later": async () => {
          await new Promise((resolve) => setTimeout(resolve, 5));
          return new Response("later");
        },
      };

      it("of each kind comes as it was given", async () => {
        await using server = await start((request) => answers[path(request)]!());
        using client = await RawClient.open(server, { mptcp: "require" });
        const get = (path: string) => client.ask(`GET ${path}`);

        let response = await get("/text");
        assertEquals([response.status, response.body, response.header("content-length")], [200, "grüße", "7"]);
        assertEquals(response.header("content-type")!.toLowerCase(), "text/plain;charset=utf-8");
        assert(response.header("date"));
        response = await get("/bytes");
        assertEquals([response.body, response.header("content-type") ?? "application/octet-stream"], [
          "grüße",
          "application/octet-stream",
        ]);
        for (const path of ["/null", "/empty"]) {
          response = await get(path);
          assertEquals([response.status, response.body, response.header("content-length")], [200, "", "0"], path);
        }
        response = await get("/json");
        assertEquals(response.body, '{"a":1}');
        assertStringIncludes(response.header("content-type")!, "application/json");
        response = await get("/status");
        assertEquals([response.status, response.body, response.header("x-one")], [410, "gone", "1"]);
        response = await get("/statusText");
        assertEquals([response.status, response.body], [299, "fine"]);
        for (const status of [204, 304]) {
          response = await get(`/${status}`);
          assertEquals([response.status, response.body, response.header("transfer-encoding")], [status, "", undefined]);
        }
        assertEquals(response.header("etag"), '"x"');
        response = await get("/redirect");
        assertEquals([response.status, response.header("location")], [307, "http://test/elsewhere"]);
        response = await get("/cookies");
        assertEquals(response.headers.filter(([name]) => name === "set-cookie").map(([, value]) => value), [
          "a=1; Path=/",
          "b=2",
        ]);
        assertEquals(response.headers.filter(([name]) => name === "x").map(([, value]) => value).join(", "), "1, 2");
        response = await get("/headers");
        assertEquals([response.header("content-type"), response.header("vary")], ["text/x", "a, b"]);
        response = await get("/changed");
        assertEquals([response.header("a"), response.header("b")], ["1", "2"]);
        response = await get("/copy");
        assertEquals([response.status, response.body, response.header("a")], [201, "copy", "1"]);
        response = await get("/clone");
        assertEquals([response.status, response.body], [202, "clone"]);
        assertEquals((await get("/stream")).body, "abc");
        response = await get("/slow");
        assertEquals([response.body, response.header("transfer-encoding")], ["part1;part2;part3;", "chunked"]);
        response = await get("/large");
        assertEquals(response.body.length, 3 << 20);
        assertEquals((await get("/later")).body, "later");
      });

      it("has the same head for HEAD, and no body", async () => {
        await using server = await start((request) => answers[path(request)]!());
        using client = await RawClient.open(server);
        for (const each of ["/text", "/json", "/null", "/status", "/stream", "/slow"]) {
          const { status, header } = await client.ask(`HEAD ${each}`);
          assertEquals(status, each === "/status" ? 410 : 200);
          if (each === "/text") assertEquals(header("content-length"), "7");
        }
        assertEquals((await client.ask("GET /text")).status, 200); // nothing was left over
      });

      it("that is none becomes 500, and so does a handler that throws", async () => {
        const told: unknown[] = [];
        const onError = (error: unknown) => {
          told.push(error instanceof Error ? error.message : error);
          return new Response("told", { status: 503 });
        };
        const used = async () => {
          const response = new Response("x");
          await response.text();
          return response;
        };
        const locked = () => {
          const response = new Response("x");
          response.body!.getReader();
          return response;
        };
        const wrong: Record<string, () => unknown> = {
          "/throws": () => {
            throw new Error("thrown");
          },
          "/rejects": () => Promise.reject(new Error("rejected")),
          "/string": () => "text",
          "/undefined": () => undefined,
          "/later": () => Promise.resolve({ status: 200 }),
          "/used": used,
          ...(runtime === "node" ? { "/locked": locked } : {}), // the others send it all the same
          "/error": () => Response.error(),
        };
        await using server = await start((request) => wrong[path(request)]!() as Response, { onError });
        for (const each of Object.keys(wrong)) {
          using client = await RawClient.open(server);
          const { status, body } = await client.ask(`GET ${each}`);
          assertEquals([each, status, body], [each, 503, "told"]);
        }
        assertEquals(told.slice(0, 2), ["thrown", "rejected"]);
        assertEquals(told.length, Object.keys(wrong).length);
      });

      it("flows no faster than the client reads", async () => {
        let pulled = 0;
        const chunk = new Uint8Array(1 << 16);
        const cancelled = event();
        await using server = await start(() =>
          new Response(
            new ReadableStream({
              pull(controller) {
                controller.enqueue(chunk);
                pulled++;
              },
              cancel: () => cancelled.happened(),
            }, { highWaterMark: 0 }),
          )
        );
        const client = await RawClient.open(server, { mptcp: "require", receiveBuffer: 1 << 16 });
        await client.request("GET /");
        assertEquals((await client.head()).status, 200);
        for (let last = -1; last !== pulled;) {
          last = pulled;
          await new Promise((resolve) => setTimeout(resolve, 100));
        }
        assertGreater(pulled, 1);
        assertLess(pulled, 1000);
        // The client is gone: the stream is told.
        client.conn.reset();
        await cancelled.promise;
      });

      it("sends its head before the first byte of a stream is there", async () => {
        const go = event();
        await using server = await start(() =>
          new Response(
            new ReadableStream({
              async pull(controller) {
                await go.promise;
                controller.enqueue(utf8("data: 1\n\n"));
                controller.close();
              },
            }),
            { headers: { "content-type": "text/event-stream" } },
          )
        );
        using client = await RawClient.open(server);
        await client.request("GET /");
        if (runtime !== "bun") { // sends the head with the first byte
          const { status, header } = await client.head();
          assertEquals([status, header("content-type")], [200, "text/event-stream"]);
          go.happened();
          assertEquals(await client.chunk(), "data: 1\n\n");
          assertEquals(await client.chunk(), null);
        } else {
          go.happened();
          assertEquals((await client.response()).body, "data: 1\n\n");
        }
      });

      it("whose stream fails is cut off, and the client can tell", async () => {
        await using server = await start((request) => {
          if (path(request) === "/after") return new Response("after");
          let count = 0;
          return new Response(
            new ReadableStream({
              async pull(controller) {
                await new Promise((resolve) => setTimeout(resolve, 5));
                if (count++ === 2) throw new Error("broken");
                controller.enqueue(utf8("part"));
              },
            }),
          );
        }, { onError: () => new Response("failed", { status: 500 }) });
        using client = await RawClient.open(server);
        await client.request("GET /");
        const text = await client.rest();
        assertStringIncludes(text, "part");
        assert(!text.endsWith("0\r\n\r\n"), "it looks whole");
        using next = await RawClient.open(server);
        assertEquals((await next.ask("GET /after")).body, "after");
      });
    });
  }
}

describe("FastResponse", () => {
  it("is a Response", async () => {
    const response = new FastResponse("x", { status: 201, headers: { a: "1" } });
    assert(response instanceof Response);
    assert(response instanceof FastResponse);
    assertEquals([response.status, response.ok, response.statusText, response.bodyUsed], [201, true, "", false]);
    assertEquals([response.type, response.url, response.redirected], ["default", "", false]);
    assertEquals(response.headers.get("a"), "1");
    assertEquals(response.headers.get("content-type"), new Response("x").headers.get("content-type"));
    assertEquals(await response.clone().text(), "x");
    assertEquals(await response.text(), "x");
    assertEquals(response.bodyUsed, true);
    assertEquals(await FastResponse.json([1]).json(), [1]);
    assertEquals(FastResponse.redirect("http://a/", 301).headers.get("location"), "http://a/");
    assertEquals(FastResponse.error().type, "error");
    assertEquals(`${response}`, "[object Response]");
    assertEquals([response.constructor, FastResponse.name, FastResponse.length], [Response, Response.name, Response.length]);
    assertEquals(inspect(new FastResponse(null, { status: 201 })), inspect(new Response(null, { status: 201 })));
  });

  it("can be extended", async () => {
    class Teapot extends FastResponse {
      readonly pot = true;
      constructor() {
        super("short and stout", { status: 418 });
      }
      override get statusText(): string {
        return `${super.statusText}!`;
      }
    }
    const response = new Teapot();
    assert(response instanceof Teapot && response instanceof FastResponse && response instanceof Response);
    assertEquals([response.pot, response.status, response.statusText], [true, 418, "!"]);
    assertEquals(await response.text(), "short and stout");
  });

  it("is one to those who want a true one for WebAssembly", async () => {
    const bytes = new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]);
    const response = new FastResponse(bytes, { headers: { "Content-Type": "application/wasm" } });
    assert(await WebAssembly.compileStreaming(response) instanceof WebAssembly.Module);
  });

  it(`is${runtime === "node" ? "" : " not"} put in the place of the global Response while a server runs`, async () => {
    const native = globalThis.Response;
    const options = { hostname: "127.0.0.1", port: 0 };
    await using _ = await serve(() => new Response("x"), { ...options, overrideGlobalObjects: false });
    assert(globalThis.Response === native);
    await using first = await serve(() => new Response("x"), options);
    await using second = await serve(() => new Response("x"), options);
    assert(globalThis.Response === FastResponse);
    assert(Response.error() instanceof Response && new native() instanceof Response);
    const fetched = await fetch(`http://127.0.0.1:${first.addr.port}/`);
    assert(fetched instanceof Response);
    assertEquals(await fetched.text(), "x");
    await Promise.all([first.close(), first.finished]);
    assert(globalThis.Response === FastResponse);
    await Promise.all([second.close(), second.finished]);
    assert(globalThis.Response === native);
  });

  it("keeps what it was given, though that is changed later", async () => {
    const bytes = utf8("one");
    const headers = { a: "1" };
    const response = new FastResponse(bytes, { headers });
    bytes.fill(0);
    headers.a = "2";
    assertEquals(response.headers.get("a"), "1");
    assertEquals(await response.text(), "one");
  });

  it("refuses what Response refuses", async () => {
    for (
      const [body, init] of [
        ["x", { status: 99 }],
        ["x", { status: 600 }],
        ["x", { status: 204 }],
        ["x", { headers: { "a b": "c" } }],
        ["x", { headers: { a: "b\r\nc: d" } }],
        ["x", { headers: [["a"]] as unknown as [string, string][] }],
        ["x", { statusText: "a\nb" }],
      ] as const
    ) {
      const fails = (kind: typeof Response) => {
        try {
          new kind(body, init as ResponseInit);
          return "";
        } catch (error) {
          return (error as Error).name;
        }
      };
      assertEquals([init, fails(FastResponse)], [init, fails(Response)]);
    }
    await assertRejects(async () => {
      const response = new FastResponse("x");
      await response.text();
      await response.text();
    }, TypeError);
  });
});
