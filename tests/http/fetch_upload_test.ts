import { assert, assertEquals, assertMatch } from "@std/assert";
import { afterEach, describe, it } from "node:test";
import { type Conn, listen, MptcpError } from "@mptcp/mptcp";
import { closeIdle, fetch } from "../../http/mod.ts";
import { until } from "../lab/until.ts";
import { CERT } from "../net/certificate.ts";
import { pattern, text, utf8 } from "../net/pair.ts";
import { answer, failure, RawServer } from "./fetch_kit.ts";

afterEach(() => closeIdle());

/** A stream that goes on for ever, and tells how it ended. */
function endless(): { stream: ReadableStream<Uint8Array>; cancelled(): boolean } {
  let cancelled = false;
  const stream = new ReadableStream<Uint8Array>({
    async pull(controller) {
      await new Promise((resolve) => setTimeout(resolve)); // a stream of promises alone would let nothing else happen
      controller.enqueue(new Uint8Array(1 << 16));
    },
    cancel: () => void (cancelled = true),
  }, { highWaterMark: 0 });
  return { stream, cancelled: () => cancelled };
}

/** Reads from a connection until the end of a request's headers. */
async function headersOf(conn: Conn): Promise<void> {
  const block = new Uint8Array(1 << 10);
  for (let seen = ""; !seen.includes("\r\n\r\n");) seen += text(block.subarray(0, (await conn.read(block))!));
}

describe("an upload", () => {
  for (const tls of [false, true]) {
    it(`of 8 MB arrives whole as a stream, below ${tls ? "TLS" : "nothing"}, while the response streams back`, async () => {
      const data = pattern(8 << 20);
      using server = new RawServer(async ({ conn, body }) => {
        await conn.write(utf8(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n`));
        return body;
      }, { tls });
      let at = 0;
      const stream = new ReadableStream<Uint8Array>({
        pull(controller) {
          if (at < data.length) controller.enqueue(data.slice(at, at += 100_000));
          else controller.close();
        },
      });
      const response = await fetch(server.url, { method: "POST", body: stream, ...(tls ? { caCerts: [CERT] } : {}) });
      assertEquals(await response.bytes(), data);
      assertEquals(response.mptcp!.isMultipath, true);
      assertEquals(server.requests[0]!.body, data);
    });
  }

  it("may be an async generator", async () => {
    using server = new RawServer(({ body }) => answer(text(body)));
    async function* parts() {
      yield utf8("one ");
      await new Promise((resolve) => setTimeout(resolve, 5));
      yield utf8("two");
    }
    assertEquals(await (await fetch(server.url, { method: "POST", body: parts() as never })).text(), "one two");
  });

  it("whose stream fails fails, and the server takes nothing half for whole", async () => {
    using server = new RawServer(() => answer("never"));
    for (const pieces of [0, 3]) {
      let left = pieces;
      const broken = new ReadableStream<Uint8Array>({
        pull(controller) {
          if (left-- > 0) controller.enqueue(utf8("piece"));
          else controller.error(new Error("the source has failed"));
        },
      });
      const error = await failure(fetch(server.url, { method: "POST", body: broken }));
      assertMatch(`${error} ${error.cause}`, /the source has failed/);
    }
    assertEquals(server.requests.length, 0);
  });

  it("of what is no bytes is refused", async () => {
    using server = new RawServer(() => answer("never"));
    const wrong = new ReadableStream({
      start(controller) {
        controller.enqueue({ not: "bytes" });
        controller.close();
      },
    });
    const error = await failure(fetch(server.url, { method: "POST", body: wrong }));
    assert(error instanceof TypeError, `${error}`);
    assertEquals(server.requests.length, 0);
  });

  it("of a stream that is locked or used is refused", async () => {
    using server = new RawServer(({ body }) => answer(text(body)));
    const stream = new Blob(["once"]).stream();
    assertEquals(await (await fetch(server.url, { method: "POST", body: stream })).text(), "once");
    assert(await failure(fetch(server.url, { method: "POST", body: stream })) instanceof TypeError);
    assertEquals(server.requests.length, 1);
  });

  it("is not as long as its Content-Length says: refused", async () => {
    using server = new RawServer(({ body }) => answer(text(body)));
    for (const length of ["3", "20"]) {
      const init = { method: "POST", body: new Blob(["12345"]).stream(), headers: { "Content-Length": length } };
      const { cause } = await failure(fetch(server.url, init));
      assert(cause instanceof MptcpError, `${cause}`);
      assertEquals(cause.code, "UND_ERR_REQ_CONTENT_LENGTH_MISMATCH");
      assertMatch(cause.message, /^No response from .*: the request's body is not as long as its Content-Length says$/);
    }
    assertEquals(server.requests.length, 0);
  });

  it("ends when the server answers before it has all, and the source is told", async () => {
    using listener = listen({ hostname: "127.0.0.1", port: 0 });
    const accepting = listener.accept();
    const { stream, cancelled } = endless();
    const url = `http://127.0.0.1:${listener.addr.port}/`;
    const fetching = fetch(url, { method: "POST", body: stream, timeout: 5000 });
    using conn = await accepting;
    await headersOf(conn);
    await conn.write(utf8(answer("too large", { Connection: "close" }, "413 Content Too Large")));
    const response = await fetching;
    assertEquals([response.status, await response.text()], [413, "too large"]);
    await until(cancelled);
  });

  for (const end of ["close", "reset"] as const) {
    it(`fails when the server leaves in the middle (${end}), and the source is told`, async () => {
      using listener = listen({ hostname: "127.0.0.1", port: 0 });
      const accepting = listener.accept();
      const { stream, cancelled } = endless();
      const url = `http://127.0.0.1:${listener.addr.port}/`;
      const fetching = failure(fetch(url, { method: "POST", body: stream, timeout: 5000 }));
      using conn = await accepting;
      await headersOf(conn);
      conn[end]();
      const error = await fetching;
      assertEquals(error.message, "fetch failed");
      assert(error.cause instanceof MptcpError, `${error.cause}`);
      assertMatch(error.cause.code, /^(ECONNRESET|EPIPE|UND_ERR_SOCKET)$/); // whichever end is seen first
      assertMatch(error.cause.message, /^No response from http:/);
      await until(cancelled);
    });
  }

  it("of bytes at hand goes a second time by a new connection only if the server cannot have seen it", async () => {
    let first = true;
    using server = new RawServer(({ conn, body }) => {
      if (!first) return answer(text(body));
      first = false;
      conn.close();
      return;
    });
    const error = await failure(fetch(server.url, { method: "POST", body: "once" }));
    assertEquals((error.cause as MptcpError).code, "UND_ERR_SOCKET");
    assertEquals(server.requests.length, 1);
    assertEquals(await (await fetch(server.url, { method: "POST", body: "again" })).text(), "again");
  });
});
