import { assert, assertEquals, assertMatch } from "@std/assert";
import { afterEach, describe, it } from "node:test";
import { type Conn, listen } from "@mptcp/mptcp";
import { closeIdle, fetch, type FetchInit } from "../../http/mod.ts";
import { until } from "../lab/until.ts";
import { CERT } from "../net/certificate.ts";
import { openDescriptors, utf8 } from "../net/pair.ts";
import { answer, failure, RawServer } from "./fetch_kit.ts";

afterEach(() => closeIdle());

/** Resolves when the peer has gone, one way or the other. */
async function gone(conn: Conn): Promise<void> {
  const block = new Uint8Array(1 << 16);
  const reading = async () => {
    while (await conn.read(block) !== null);
  };
  await reading().catch(() => {}); // a reset will do
}

/** Has the answer begin, and no more. */
const begun = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nfirst";

/** What a call waits for, by what the server does: each a handler and what the call is then stopped in. */
const STAGES: Readonly<Record<string, (stop: FetchInit, seen: () => void) => Promise<unknown>>> = {
  async "in the TLS handshake"(stop, seen) {
    using silent = listen({ hostname: "127.0.0.1", port: 0 });
    const failed = failure(fetch(`https://127.0.0.1:${silent.addr.port}/`, stop));
    using conn = await silent.accept();
    seen();
    const error = await failed;
    await gone(conn);
    return error;
  },

  async "before the headers"(stop, seen) {
    let left = Promise.resolve();
    using server = new RawServer(({ conn }) => {
      left = gone(conn);
      seen();
    });
    const error = await failure(fetch(server.url, stop));
    await left;
    return error;
  },

  async "before the headers, below TLS"(stop, seen) {
    let left = Promise.resolve();
    using server = new RawServer(({ conn }) => {
      left = gone(conn);
      seen();
    }, { tls: true });
    const error = await failure(fetch(server.url, { ...stop, caCerts: [CERT] }));
    await left;
    return error;
  },

  async "after a redirect"(stop, seen) {
    using server = new RawServer(({ target }) => {
      if (target === "/") return answer("", { Location: "/next" }, "302 Found");
      return seen();
    });
    return await failure(fetch(server.url, stop));
  },

  async "within the body"(stop, seen) {
    using server = new RawServer(({ conn }) => conn.write(utf8(begun)).then(() => {}));
    const response = await fetch(server.url, stop);
    const reader = response.body!.getReader();
    assertEquals((await reader.read()).value, utf8("first"));
    const next = failure(reader.read());
    seen();
    const error = await next;
    assertEquals(await failure(reader.read()), error);
    await gone(server.conns[0]!);
    return error;
  },

  async "while text() waits"(stop, seen) {
    using server = new RawServer(({ conn }) => conn.write(utf8(begun)).then(() => {}));
    const reading = failure((await fetch(server.url, stop)).text());
    seen();
    return await reading;
  },
};

describe("an abort", () => {
  for (const [stage, go] of Object.entries(STAGES)) {
    it(`ends it ${stage}, with the signal's reason`, async () => {
      const reason = new Error("enough");
      const stop = new AbortController();
      assertEquals(await go({ signal: stop.signal }, () => void setTimeout(() => stop.abort(reason))), reason);
    });
  }

  it("before the call: nothing is opened", async () => {
    using server = new RawServer(() => answer("never"));
    assertEquals(await failure(fetch(server.url, { signal: AbortSignal.abort("a text") })), "a text" as never);
    const byDefault = await failure(fetch(server.url, { signal: AbortSignal.abort() }));
    assertEquals([byDefault instanceof DOMException, byDefault.name], [true, "AbortError"]);
    assertEquals(server.conns.length, 0);
  });

  it("may come by the Request's signal", async () => {
    const stop = new AbortController();
    using server = new RawServer(() => void setTimeout(() => stop.abort()));
    const request = new Request(server.url, { signal: stop.signal });
    assertEquals((await failure(fetch(request))).name, "AbortError");
  });

  it("does nothing when all is over; the connection is kept", async () => {
    using server = new RawServer(() => answer("hello"));
    for (let round = 0; round < 3; round++) {
      const stop = new AbortController();
      const response = await fetch(server.url, { signal: stop.signal });
      assertEquals(await response.text(), "hello");
      stop.abort();
    }
    assertEquals(server.conns.length, 1);
  });

  it("of one request leaves the others alone", async () => {
    using server = new RawServer(async ({ target }) => {
      if (target === "/never") return;
      await new Promise((resolve) => setTimeout(resolve, 20));
      return answer(target);
    });
    const stop = new AbortController();
    const calls = Array.from({ length: 20 }, (_, index) => {
      if (index % 2 === 0) return fetch(`${server.url}/${index}`).then((response) => response.text());
      return failure(fetch(`${server.url}/never`, { signal: stop.signal })).then(({ name }) => name);
    });
    await until(() => server.requests.length === 20);
    stop.abort();
    const expected = Array.from({ length: 20 }, (_, index) => index % 2 === 0 ? `/${index}` : "AbortError");
    assertEquals(await Promise.all(calls), expected);
  });

  it("leaves no listener of ours on a signal that lives long", async () => {
    using server = new RawServer(() => answer("hello"));
    const { signal } = new AbortController();
    let listeners = 0;
    const { addEventListener, removeEventListener } = signal;
    signal.addEventListener = (...args: Parameters<typeof addEventListener>) => {
      listeners++;
      addEventListener.apply(signal, args);
    };
    signal.removeEventListener = (...args: Parameters<typeof removeEventListener>) => {
      listeners--;
      removeEventListener.apply(signal, args);
    };
    for (let round = 0; round < 50; round++) await (await fetch(server.url, { signal })).text();
    assert(listeners <= 50, `${listeners} listeners after 50 requests`); // undici's own go with its garbage
  });
});

describe("a timeout", () => {
  for (const [stage, go] of Object.entries(STAGES)) {
    it(`ends it ${stage}`, async () => {
      const begin = performance.now();
      const error = await go({ timeout: 150 }, () => {}) as DOMException;
      const time = performance.now() - begin;
      assertEquals([error instanceof DOMException, error.name], [true, "TimeoutError"]);
      assertMatch(error.message, /^Cannot fetch: no (response|further bytes of the response) in 150 ms$/);
      assert(time > 140 && time < 5000, `after ${time} ms`);
    });
    it(`of the signal ends it ${stage}`, async () => {
      const error = await go({ signal: AbortSignal.timeout(150) }, () => {}) as DOMException;
      assertEquals([error instanceof DOMException, error.name], [true, "TimeoutError"]);
    });
  }

  it("leaves alone what goes on, however long that takes", async () => {
    const pause = () => new Promise((resolve) => setTimeout(resolve, 60));
    using server = new RawServer(async ({ conn, body }) => {
      await conn.write(utf8(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n`));
      for (const byte of body) {
        await pause();
        await conn.write(new Uint8Array([byte]));
      }
    });
    async function* slowly() {
      for (const letter of "abcdefghij") {
        await pause();
        yield utf8(letter);
      }
    }
    const response = await fetch(server.url, { method: "POST", body: slowly() as never, timeout: 500 });
    assertEquals(await response.text(), "abcdefghij");
  });

  it("does not count the time in which nobody reads", async () => {
    using server = new RawServer(() => `HTTP/1.1 200 OK\r\nContent-Length: ${4 << 20}\r\n\r\n${"x".repeat(4 << 20)}`);
    const response = await fetch(server.url, { timeout: 100 });
    const reader = response.body!.getReader();
    let { length } = (await reader.read()).value!;
    await new Promise((resolve) => setTimeout(resolve, 300));
    for (let next = await reader.read(); !next.done; next = await reader.read()) length += next.value.length;
    assertEquals(length, 4 << 20);
  });
});

describe("what is stopped or fails", () => {
  it("leaves no descriptor", async () => {
    using server = new RawServer(({ conn, target }): string | Promise<void> | void => {
      if (target === "/never") return;
      if (target === "/half") return conn.write(utf8(begun)).then(() => {});
      if (target === "/broken") return conn.write(utf8(begun)).then(() => conn.close());
      return answer("hello");
    });
    using secure = new RawServer(() => answer("hello"), { tls: true });
    const round = async () => {
      await (await fetch(server.url)).text();
      await (await fetch(secure.url, { caCerts: [CERT] })).text();
      await failure(fetch(secure.url));
      await failure(fetch(`${server.url}/never`, { signal: AbortSignal.timeout(10) }));
      await failure(fetch(`${server.url}/broken`).then((response) => response.text()));
      await (await fetch(`${server.url}/half`)).body!.cancel();
      await failure(fetch(server.url, { mptcp: "require", congestion: "nonesuch" }));
      await failure(fetch("http://127.0.0.1:9/"));
      closeIdle();
    };
    const settled = (most: number) => until(() => openDescriptors() <= most, 2000).catch(() => {});
    await round();
    for (const conn of [...server.conns, ...secure.conns]) await gone(conn);
    const before = openDescriptors();
    for (let turn = 0; turn < 10; turn++) await round();
    await settled(before);
    assert(openDescriptors() <= before, `${openDescriptors()} descriptors, ${before} before`);
  });
});
