import { assert, assertEquals, assertNotStrictEquals, assertStrictEquals } from "@std/assert";
import http from "node:http";
import https from "node:https";
import { describe, it } from "node:test";
import type { TLSSocket } from "node:tls";
import { type Conn, listen, listenTls } from "@mptcp/mptcp";
import { HttpAgent, HttpsAgent, mptcpOf } from "../../node/mod.ts";
import { CERT, KEY } from "../net/certificate.ts";
import { text, utf8 } from "../net/pair.ts";

/** An HTTP server, in so far as these tests need one: that of Bun takes no sockets for TLS, that of Deno keeps none alive. */
interface Site extends AsyncDisposable {
  port: number;
  /** Of each connection whether it is MPTCP, the first first. */
  multipath: boolean[];
}

/** Answers each request with what it was. */
async function serve(conn: Conn): Promise<void> {
  const chunk = new Uint8Array(4096);
  for (let got = "";;) {
    const end = got.indexOf("\r\n\r\n") + 4;
    const size = Number(/^content-length: *(\d+)/im.exec(got.slice(0, end))?.[1] ?? 0);
    if (end < 4 || got.length < end + size) {
      const count = await conn.read(chunk);
      if (count === null) return;
      got += text(chunk.subarray(0, count));
      continue;
    }
    const body = JSON.stringify({ url: got.split(" ")[1], size });
    got = got.slice(end + size);
    await conn.write(utf8(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`));
  }
}

function site(kind: "http" | "https"): Site {
  const options = { hostname: "127.0.0.1", port: 0 };
  const listener = kind === "http" ? listen(options) : listenTls({ ...options, cert: CERT, key: KEY });
  const conns: Conn[] = [];
  const multipath: boolean[] = [];
  const serving = (async () => {
    for await (const conn of listener) {
      conns.push(conn);
      multipath.push(conn.isMultipath());
      serve(conn).catch(() => {}).then(() => conn.close());
    }
  })();
  return {
    port: listener.addr.port,
    multipath,
    async [Symbol.asyncDispose]() {
      listener.close();
      for (const conn of conns) conn.close();
      await serving;
    },
  };
}

interface Answer {
  text: string;
  socket: http.IncomingMessage["socket"];
  /** As the client saw it, while the connection was there. */
  multipath: boolean | undefined;
}

function ask(options: https.RequestOptions, body = ""): Promise<Answer> {
  const { request } = options.protocol === "https:" ? https : http;
  return new Promise((resolve, reject) => {
    const asked = request({ host: "127.0.0.1", method: body ? "POST" : "GET", ...options }, (response) => {
      const { socket } = response;
      const multipath = mptcpOf(socket)?.isMultipath();
      let got = "";
      response.setEncoding("utf8");
      response.on("data", (chunk) => got += chunk);
      response.on("end", () => resolve({ text: got, socket, multipath }));
      response.on("error", reject);
    });
    asked.on("error", reject);
    asked.end(body);
  });
}

const tls = { protocol: "https:", ca: CERT, servername: "localhost" };

describe("HttpAgent", () => {
  it("asks by MPTCP, as both ends see it", async () => {
    await using server = site("http");
    const agent = new HttpAgent();
    const { text, multipath } = await ask({ port: server.port, path: "/a", agent }, "body");
    assertEquals(JSON.parse(text), { url: "/a", size: 4 });
    assert(multipath && server.multipath[0]);
    agent.destroy();
  });

  it("is an http.Agent that keeps connections for the next request", async () => {
    await using server = site("http");
    const agent = new HttpAgent({ keepAlive: true, maxSockets: 1 });
    assert(agent instanceof http.Agent);
    const first = await ask({ port: server.port, path: "/1", agent });
    const second = await ask({ port: server.port, path: "/2", agent });
    assertStrictEquals(second.socket, first.socket);
    assertEquals(server.multipath.length, 1);
    assert(second.multipath && server.multipath[0]);
    agent.destroy();
  });

  it("takes options for each request, and keeps their connections apart", async () => {
    await using server = site("http");
    const agent = new HttpAgent({ keepAlive: true });
    const first = await ask({ port: server.port, agent });
    const second = await ask({ port: server.port, agent, mptcp: "off" } as https.RequestOptions);
    assertNotStrictEquals(second.socket, first.socket);
    assertEquals([first.multipath, second.multipath], [true, false]);
    assertEquals(server.multipath, [true, false]);
    agent.destroy();
  });

  it('with mptcp: "require", refuses a server of plain TCP', async () => {
    using plain = listen({ hostname: "127.0.0.1", port: 0, mptcp: "off" });
    const agent = new HttpAgent({ mptcp: "require" });
    const error = await ask({ port: plain.addr.port, agent }).catch((error) => error);
    assertEquals([error.name, error.code, error.port], ["MptcpError", "EOPNOTSUPP", plain.addr.port]);
    agent.destroy();
  });

  it("tells of a refused connection", async () => {
    const agent = new HttpAgent();
    const error = await ask({ port: 1, agent }).catch((error) => error);
    assertEquals(error.code, "ECONNREFUSED");
    agent.destroy();
  });

  it("20 requests at once", async () => {
    await using server = site("http");
    const agent = new HttpAgent({ keepAlive: true });
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, index) => ask({ port: server.port, path: `/${index}`, agent })),
    );
    assertEquals(answers.map(({ text }) => JSON.parse(text).url), Array.from({ length: 20 }, (_, index) => `/${index}`));
    assert(server.multipath.every(Boolean));
    agent.destroy();
  });
});

describe("HttpsAgent", () => {
  it("asks by TLS over MPTCP", async () => {
    await using server = site("https");
    const agent = new HttpsAgent();
    const { text, socket, multipath } = await ask({ ...tls, port: server.port, path: "/s", agent }, "body");
    assertEquals(JSON.parse(text), { url: "/s", size: 4 });
    assert(multipath && server.multipath[0] && (socket as TLSSocket).authorized);
    agent.destroy();
  });

  it("keeps connections, and sessions for new ones as the runtime's own agent does", async () => {
    await using server = site("https");
    const reused = async (agent: https.Agent) => {
      const first = await ask({ ...tls, port: server.port, agent });
      const second = await ask({ ...tls, port: server.port, agent });
      assertStrictEquals(second.socket, first.socket);
      const closed = new Promise((resolve) => second.socket.once("close", resolve));
      second.socket.destroy();
      await closed;
      const third = await ask({ ...tls, port: server.port, agent });
      assertNotStrictEquals(third.socket, first.socket);
      agent.destroy();
      return (third.socket as TLSSocket).isSessionReused();
    };
    const ours = await reused(new HttpsAgent({ keepAlive: true, maxSockets: 1 }));
    assertEquals(server.multipath, [true, true]);
    assertEquals(ours, await reused(new https.Agent({ keepAlive: true, maxSockets: 1 })));
  });

  it("refuses a certificate that nobody vouches for", async () => {
    await using server = site("https");
    const agent = new HttpsAgent();
    const error = await ask({ protocol: "https:", servername: "localhost", port: server.port, agent }).catch((error) =>
      error
    );
    assert(/CERT|SELF_SIGNED|UNKNOWN/i.test(`${error.code} ${error.message}`), `${error.code} ${error.message}`);
    agent.destroy();
  });

  it("tells of a refused connection", async () => {
    const agent = new HttpsAgent();
    const error = await ask({ ...tls, port: 1, agent }).catch((error) => error);
    assertEquals(error.code, "ECONNREFUSED");
    agent.destroy();
  });
});
