import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { afterEach, describe, it } from "node:test";
import { MptcpError } from "@mptcp/mptcp";
import { closeIdle, createClient, fetch } from "../../http/mod.ts";
import { until } from "../lab/until.ts";
import { CERT, KEY } from "../net/certificate.ts";
import { answer, failure, RawServer } from "./fetch_kit.ts";

const hello = () => answer("hello");

/** Node's own HTTP server, over plain TCP. */
async function plainServer(
  handler: Parameters<typeof createServer>[1],
): Promise<{ url: string; server: Server } & Disposable> {
  const server = createServer(handler!);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    server,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.dispose]() {
      server.close();
      server.closeAllConnections();
    },
  };
}

describe("a connection of fetch", () => {
  afterEach(() => closeIdle());

  it("is MPTCP, as both kernel ends say", async () => {
    using server = new RawServer(hello);
    const response = await fetch(server.url);
    const [conn] = server.conns;
    assert(conn!.isMultipath());
    const { isMultipath, subflows } = response.mptcp!;
    assertEquals(isMultipath, true);
    assertEquals(subflows.map(({ id, state }) => [id, state]), [[1, "ESTABLISHED"]]);
    assertEquals([subflows[0]!.local, subflows[0]!.remote], [conn!.remoteAddr, conn!.localAddr]);
    assertEquals(await response.text(), "hello");
  });

  it("is MPTCP below TLS", async () => {
    using server = new RawServer(hello, { tls: true });
    for (const host of ["127.0.0.1", "localhost"]) {
      const response = await fetch(`https://${host}:${server.port}/`, { caCerts: [CERT], mptcp: "require" });
      assertEquals(await response.text(), "hello");
      assertEquals(response.mptcp!.isMultipath, true);
    }
    assertEquals(server.conns.map((conn) => conn.isMultipath()), [true, true]);
    assertEquals(
      server.requests.map(({ headers }) => headers.get("host")),
      ["127.0.0.1", "localhost"].map((host) => `${host}:${server.port}`),
    );
  });

  it("is plain TCP where the server has no MPTCP, and says so", async () => {
    using server = await plainServer((_, response) => response.end("plain"));
    const response = await fetch(server.url);
    assertEquals(await response.text(), "plain");
    const { isMultipath, subflows } = response.mptcp!;
    assertEquals([isMultipath, subflows.length, subflows[0]!.id], [false, 1, 0]);
  });

  it('is plain TCP with mptcp: "off"', async () => {
    using server = new RawServer(hello);
    const response = await fetch(server.url, { mptcp: "off" });
    assertEquals(response.mptcp!.isMultipath, false);
    assertEquals(server.conns[0]!.isMultipath(), false);
    await response.text();
  });

  it('is refused with mptcp: "require" where the server has no MPTCP', async () => {
    using server = await plainServer((_, response) => response.end("plain"));
    assertEquals(await (await fetch(server.url)).text(), "plain"); // leaves a TCP connection that must not be used
    const error = await failure(fetch(server.url, { mptcp: "require" }));
    assert(error instanceof TypeError);
    assert(error.cause instanceof MptcpError);
    assertEquals(error.cause.code, "EOPNOTSUPP");
    assertMatch(error.cause.message, /by MPTCP/);
    assertMatch(error.cause.hint!, /prefer/);
  });

  it("serves requests that follow each other, whatever their bodies were", async () => {
    using server = new RawServer(({ target, body }) => answer(target === "/empty" ? "" : `${target} ${body.length}`));
    for (let round = 0; round < 10; round++) {
      assertEquals(await (await fetch(`${server.url}/a`)).text(), "/a 0");
      assertEquals(await (await fetch(`${server.url}/empty`)).text(), "");
      assertEquals(await (await fetch(`${server.url}/b`, { method: "POST", body: "12345" })).text(), "/b 5");
    }
    assertEquals([server.requests.length, server.conns.length], [30, 1]);
  });

  it("serves no request that wants other options", async () => {
    using server = new RawServer(hello);
    const options = [
      {},
      { mptcp: "require" },
      { mptcp: "off" },
      { localAddress: "127.0.0.5" },
      { caCerts: [CERT] },
      {},
    ] as const;
    for (const each of options) await (await fetch(server.url, each as RequestInit)).text();
    assertEquals(server.conns.length, 5);
    assertEquals(server.conns.map((conn) => conn.isMultipath()), [true, true, false, true, true]);
    assertEquals(server.conns[3]!.remoteAddr.hostname, "127.0.0.5");
  });

  it("is opened for each of the requests at once, and kept for later ones", async () => {
    using server = new RawServer(({ target }) => answer(target));
    const all = async () => {
      const targets = Array.from({ length: 20 }, (_, index) => `/${index}`);
      const responses = await Promise.all(targets.map((target) => fetch(server.url + target)));
      assertEquals(await Promise.all(responses.map((response) => response.text())), targets);
      for (const response of responses) assertEquals(response.mptcp!.isMultipath, true);
    };
    await all();
    assertEquals(server.conns.length, 20);
    await all();
    assertEquals(server.conns.length, 20);
  });

  it("tells truly which of many carried a response: MPTCP and TCP, all at once", async () => {
    using multipath = new RawServer(({ conn }) => answer(`${conn.remoteAddr.port}`));
    using plain = await plainServer((request, response) => response.end(`${request.socket.remotePort}`));
    await Promise.all(Array.from({ length: 30 }, async (_, worker) => {
      for (let round = 0; round < 10; round++) {
        const expected = (worker + round) % 3 > 0;
        const response = await fetch(expected ? multipath.url : plain.url);
        const { isMultipath, subflows } = response.mptcp!;
        const port = await response.text();
        assertEquals([isMultipath, `${subflows[0]!.local.port}`], [expected, port]);
        assertEquals(`${response.mptcp!.subflows[0]!.local.port}`, port);
      }
    }));
    assert(multipath.conns.every((conn) => conn.isMultipath()));
  });

  it("of a redirected response is the last one", async () => {
    using plain = await plainServer((_, response) => response.end("at last"));
    using multipath = new RawServer(() => answer("", { Location: plain.url }, "302 Found"));
    const there = await fetch(multipath.url);
    assertEquals([await there.text(), there.mptcp!.isMultipath], ["at last", false]);
    using back = await plainServer((_, response) => response.writeHead(302, { location: `${end.url}/` }).end());
    using end = new RawServer(hello);
    const here = await fetch(back.url);
    assertEquals([await here.text(), here.mptcp!.isMultipath], ["hello", true]);
  });

  it("is told of after it has closed, as it was", async () => {
    using server = new RawServer(({ conn, target }) => {
      const reply = answer("bye", { Connection: "close" });
      if (target === "/reset") setTimeout(() => conn.reset(), 20);
      return target === "/reset" ? answer("kept") : reply;
    });
    const closed = await fetch(server.url);
    await closed.text();
    const reset = await fetch(`${server.url}/reset`);
    await reset.text();
    closeIdle();
    await new Promise((resolve) => setTimeout(resolve, 50));
    for (const { mptcp } of [closed, reset]) {
      assertEquals([mptcp!.isMultipath, mptcp!.subflows.length], [true, 1]);
    }
    assertEquals(reset.mptcp!.subflows[0]!.local.port, server.conns[1]!.remoteAddr.port);
  });

  it("is the same for a clone", async () => {
    using server = new RawServer(hello);
    const response = await fetch(server.url);
    const clone = response.clone();
    assertEquals([await clone.text(), await response.text()], ["hello", "hello"]);
    assertEquals([clone.mptcp!.isMultipath, clone.url, clone.status], [true, response.url, 200]);
    assertEquals(clone.mptcp!.subflows[0]!.local, response.mptcp!.subflows[0]!.local);
  });

  it("is not used again when the server's Keep-Alive says that its time is up", async () => {
    using server = new RawServer(({ target }) => answer("hello", { "Keep-Alive": `timeout=${target.slice(1)}` }));
    for (let round = 0; round < 2; round++) await (await fetch(`${server.url}/1`)).text();
    assertEquals(server.conns.length, 2);
    await (await fetch(`${server.url}/3`)).text();
    const begin = performance.now();
    await until(() => server.ended === 3, 4000); // undici closes it two seconds before the server would
    assert(performance.now() - begin < 2900);
  });

  it("is asked for by the server's name in TLS (SNI), by none for an address", async () => {
    const names: unknown[] = [];
    const server = createTlsServer({ cert: CERT, key: KEY }, (socket) => {
      names.push(socket.servername || null);
      socket.once("data", () => socket.end(answer("hello", { Connection: "close" })));
      socket.on("error", () => {});
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    try {
      for (const host of ["localhost", "127.0.0.1"]) {
        const response = await fetch(`https://${host}:${(server.address() as AddressInfo).port}/`, { caCerts: [CERT] });
        assertEquals(await response.text(), "hello");
      }
      assertEquals(names, ["localhost", null]);
    } finally {
      server.close();
    }
  });

  it("does not exist for data:", async () => {
    const response = await fetch("data:text/plain,abc");
    assertEquals([await response.text(), response.mptcp, response.headers.get("content-type")], ["abc", null, "text/plain"]);
  });

  it("is chosen by Happy Eyeballs, and by localAddress's family", async () => {
    using server = new RawServer(hello);
    const response = await fetch(`http://localhost:${server.port}`, { localAddress: "127.0.0.3" });
    assertEquals([await response.text(), server.conns[0]!.remoteAddr.hostname], ["hello", "127.0.0.3"]);
    using six = new RawServer(hello, { hostname: "::1" });
    assertEquals(await (await fetch(`http://[::1]:${six.port}/`)).text(), "hello");
    assertEquals(six.conns[0]!.isMultipath(), true);
  });

  it("does not go to a proxy of the environment", async () => {
    using server = new RawServer(hello);
    const names = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"];
    const { env } = await import("node:process");
    const before = names.map((name) => env[name]);
    for (const name of names) env[name] = "http://127.0.0.1:9";
    try {
      assertEquals(await (await createClient().fetch(server.url)).text(), "hello");
    } finally {
      names.forEach((name, index) => before[index] === undefined ? delete env[name] : env[name] = before[index]);
    }
  });
});

describe("createClient", () => {
  it("has defaults, which a call overrides", async () => {
    using server = new RawServer(hello);
    await using client = createClient({ mptcp: "off" });
    const { fetch } = client;
    const [off, on] = [await fetch(server.url), await fetch(server.url, { mptcp: "require" })];
    assertEquals([off.mptcp!.isMultipath, on.mptcp!.isMultipath], [false, true]);
    await Promise.all([off.text(), on.text()]);
  });

  it("shares no connection with others", async () => {
    using server = new RawServer(hello);
    await using one = createClient();
    await using other = createClient();
    for (const client of [one, other, one, other]) await (await client.fetch(server.url)).text();
    assertEquals(server.conns.length, 2);
  });

  it("closes idle connections and goes on", async () => {
    using server = new RawServer(({ target }) => target === "/slow" ? undefined : answer("hello"));
    await using client = createClient();
    await (await client.fetch(server.url)).text();
    client.closeIdle();
    await (await client.fetch(server.url)).text();
    assertEquals(server.conns.length, 2);
    const stop = new AbortController();
    const busy = client.fetch(`${server.url}/slow`, { signal: stop.signal });
    while (server.requests.length < 3) await new Promise((resolve) => setTimeout(resolve, 5));
    client.closeIdle(); // the busy one stays
    await server.conns[1]!.write(new TextEncoder().encode(hello()));
    assertEquals(await (await busy).text(), "hello");
  });

  it("lets requests end when it closes, and takes no more", async () => {
    using server = new RawServer(async ({ conn }) => {
      await conn.write(new TextEncoder().encode("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345"));
      await new Promise((resolve) => setTimeout(resolve, 50));
      await conn.write(new TextEncoder().encode("67890"));
    });
    const client = createClient();
    const response = await client.fetch(server.url);
    const closing = client.close();
    assertEquals(await response.text(), "1234567890");
    await closing;
    const error = await assertRejects(() => client.fetch(server.url), MptcpError);
    assertEquals(error.code, "EBADF");
    await client.close();
    await createClient().close(); // one that was never used
  });

  it("refuses wrong options before anything happens", async () => {
    assertThrows(() => createClient({ mptcp: "always" as never }), TypeError, "mptcp");
    assertThrows(() => createClient({ caCerts: "x" as never }), TypeError, "caCerts");
    assertThrows(() => createClient({ receiveBuffer: 0 }), RangeError, "receiveBuffer");
    for (
      const [init, type] of [
        [{ mptcp: "no" }, TypeError],
        [{ localAddress: "somewhere" }, TypeError],
        [{ caCerts: [1] }, TypeError],
        [{ timeout: -1 }, RangeError],
        [{ timeout: "1" }, TypeError],
        [{ congestion: "x".repeat(16) }, RangeError],
      ] as const
    ) {
      const error = await failure(fetch("http://127.0.0.1:9/", init as unknown as RequestInit));
      assert(error instanceof type, `${error}`);
      assertEquals(error.cause, undefined);
    }
  });
});
