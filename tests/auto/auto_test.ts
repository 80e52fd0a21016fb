/** `./auto`: the runtime's own clients and servers, in a process of their own; the kernel tells on both ends what they speak. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { type Conn, connect, connections, connectTls, listen, listenTls } from "@mptcp/mptcp";
import { run as runToEnd } from "../child.ts";
import { runtimeCommand } from "../host.ts";
import { run, runtime } from "../host/program.ts";
import { CERT, KEY } from "../net/certificate.ts";
import { readAll, text, utf8 } from "../net/pair.ts";
import { Application } from "./application_control.ts";

const AUTO = JSON.stringify(new URL("../../node/auto.ts", import.meta.url).href);
const NODE = JSON.stringify(new URL("../../node/mod.ts", import.meta.url).href);

type Kind = "net" | "tls" | "http" | "https";
const KINDS: readonly Kind[] = ["net", "tls", "http", "https"];
const HOSTS = ["127.0.0.1", "::1"] as const;

const isTls = (kind: Kind | "fetch") => kind === "tls" || kind === "https";

/** A server of ours, that says to one client what it is, in the client's language. */
async function answerOne(
  kind: Kind | "fetch",
  work: (port: number) => Promise<unknown>,
  hostname = "127.0.0.1",
): Promise<boolean> {
  const options = { hostname, port: 0 };
  using listener = isTls(kind) ? listenTls({ ...options, cert: CERT, key: KEY }) : listen(options);
  const accepted = listener.accept();
  const working = work(listener.addr.port);
  working.catch(() => listener.close());
  const conn = await accepted;
  const multipath = conn.isMultipath();
  if (kind === "net" || kind === "tls") {
    await conn.write(utf8("hello"));
  } else {
    const chunk = new Uint8Array(4096);
    for (let got = ""; !got.includes("\r\n\r\n");) got += text(chunk.subarray(0, (await conn.read(chunk))!));
    await conn.write(utf8("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"));
  }
  await conn.closeWrite();
  await working;
  conn.close();
  return multipath;
}

/** What a client of the application sees, and what the server. */
async function client(app: Application, kind: Kind | "fetch", host = "127.0.0.1"): Promise<unknown[]> {
  let answer;
  const server = await answerOne(kind, async (port) => answer = await app.tell({ do: "ask", kind, host, port }), host);
  const { text, multipath } = answer!;
  return [text, multipath, server];
}

/** Whether the kernel lists the server's end of a connection as MPTCP. */
function servedAsMptcp({ localAddr, remoteAddr }: Conn): boolean {
  return connections().some(({ local, remote, fallback }) => {
    return local.port === remoteAddr.port && remote.port === localAddr.port && !fallback;
  });
}

/** What the client of a server of the application sees, what the kernel says of the server's end, and what the server. */
async function server(app: Application, kind: Kind, host = "127.0.0.1"): Promise<unknown[]> {
  const { port } = await app.tell({ do: "serve", kind, host });
  const target = { hostname: host, port: port!, timeout: 5000 };
  using conn = isTls(kind)
    ? await connectTls({ ...target, caCerts: [CERT], serverName: "localhost" })
    : await connect(target);
  const seen = [conn.isMultipath(), servedAsMptcp(conn)];
  if (kind.startsWith("http")) await conn.write(utf8("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"));
  return [...seen, text(await readAll(conn)).match(/true|false|null/)?.[0]];
}

/** The sockets of requests are no `net.Socket`s in Bun: nobody can tell of them within the process. */
const own = (kind: Kind) => runtime === "bun" && kind.startsWith("http") ? "null" : "true";

describe("auto", () => {
  let app: Application;
  before(() => void (app = Application.start()));
  after(() => app[Symbol.asyncDispose]());

  it("makes clients use MPTCP: net, tls, http, https", async () => {
    for (const kind of KINDS) {
      for (const host of HOSTS) {
        assertEquals([kind, host, ...await client(app, kind, host)], [kind, host, "hello", true, true]);
      }
      // Of two addresses, ::1 and 127.0.0.1, the second answers.
      const byName = await answerOne(kind, (port) => app.tell({ do: "ask", kind, host: "localhost", port }));
      assert(byName, `${kind} to localhost`);
    }
  });

  it("makes servers use MPTCP: net, tls, http, https", async () => {
    for (const kind of KINDS) {
      for (const host of HOSTS) {
        assertEquals([kind, host, ...await server(app, kind, host)], [kind, host, true, true, own(kind)]);
      }
    }
  });

  it("makes HTTP/2 use MPTCP on both sides", async () => {
    const { port } = await app.tell({ do: "serve", kind: "http2", host: "127.0.0.1" });
    const { text } = await app.tell({ do: "ask", kind: "http2", port: port! });
    assertEquals(text, "true");
    const ends = connections().filter(({ local, remote }) => local.port === port || remote.port === port);
    assertEquals(ends.filter(({ fallback, state }) => !fallback && state === "ESTABLISHED").length, 2);
  });

  it("says what of the runtime it does not reach", async () => {
    const { uncovered } = await app.tell({ do: "state" });
    const reached = await answerOne("fetch", (port) => app.tell({ do: "ask", kind: "fetch", port }));
    assertEquals(uncovered!.includes("fetch"), !reached);
    assertEquals(reached, runtime === "node");
  });

  it("leaves Unix sockets alone", async () => {
    for (const kind of ["net", "http"] as const) {
      const path = join(tmpdir(), `mptcp-auto-${crypto.randomUUID()}`);
      try {
        await app.tell({ do: "serve", kind, path }).catch(() => {}); // has no port
        const { text, multipath } = await app.tell({ do: "ask", kind, path });
        assertEquals([text, multipath], ["null", null]);
      } finally {
        rmSync(path, { force: true });
      }
    }
  });

  it("takes one side only, where MPTCP_AUTO says so", async () => {
    for (const side of ["clients", "servers"]) {
      await using app = Application.start({ MPTCP_AUTO: side });
      const { clients, servers } = await app.tell({ do: "state" });
      assertEquals([clients, servers], [side === "clients", side === "servers"]);
      for (const kind of ["tls", "http"] as const) {
        assertEquals(await client(app, kind), ["hello", clients, clients]);
        const [multipath] = await server(app, kind);
        assertEquals([side, kind, multipath], [side, kind, servers]);
      }
    }
  });

  it("leaves TLS clients as they are, event by event", async () => {
    const file = fileURLToPath(new URL("tls_events.ts", import.meta.url));
    const [without, under] = await Promise.all([[], ["auto"]].map((args) => runToEnd(runtimeCommand(file, args))));
    assertEquals(under!.split("\n"), without!.split("\n"));
    for (const name of ["used", "refused", "of another host"]) assert(without!.includes(`${name}:\n`));
  });

  it("leaves errors as they are", async () => {
    for (const kind of KINDS) assertEquals((await app.attempt({ do: "ask", kind, port: 1 })).code, "ECONNREFUSED");
    using listener = listen({ hostname: "127.0.0.1", port: 0 });
    const { stdout, stderr } = run(`
      import ${AUTO};
      import { once } from "node:events";
      import { createServer as http } from "node:http";
      import { connect, createServer as net } from "node:net";
      for (const create of [net, http]) {
        const [error] = await once(create().listen(${listener.addr.port}, "127.0.0.1"), "error");
        console.log(error.code, error.syscall);
      }
      try { connect(70000, "127.0.0.1"); } catch (error) { console.log(error.code); }
    `);
    assertEquals([stdout.trim().split("\n"), stderr], [
      ["EADDRINUSE listen", "EADDRINUSE listen", "ERR_SOCKET_BAD_PORT"],
      "",
    ]);
  });

  it("can be undone, more than once; what listens goes on", async () => {
    const { port } = await app.tell({ do: "serve", kind: "net", host: "127.0.0.1" });
    for (let time = 0; time < 2; time++) {
      const { clients, servers } = await app.tell({ do: "undo" });
      assertEquals([clients, servers], [false, false]);
    }
    for (const kind of KINDS) {
      assertEquals([kind, ...await client(app, kind)], [kind, "hello", false, false]);
      assertEquals([kind, ...(await server(app, kind)).slice(0, 2)], [kind, false, false]);
    }
    using conn = await connect({ port: port! });
    assert(conn.isMultipath());
  });
});

describe("a process with auto", () => {
  const PROGRAM = `
    import { auto } from ${AUTO};
    import { once } from "node:events";
    import { createServer, get } from "node:http";
    const server = createServer((_request, response) => response.end("hello")).listen(0, "127.0.0.1");
    await once(server, "listening");
    const [response] = await once(get({ host: "127.0.0.1", port: server.address().port, agent: false }), "response");
    response.setEncoding("utf8");
    for await (const text of response) console.log(text, auto.clients, auto.reason !== null);
    server.close();
  `;

  it("ends when its servers are closed, and prints nothing of its own", () => {
    const { code, stdout, stderr } = run(PROGRAM);
    assertEquals([code, stdout.trim(), stderr], [0, "hello true false", ""]);
  });

  it("goes on by plain TCP without libc, and is warned by one line", () => {
    const { code, stdout, stderr } = run(PROGRAM, { MPTCP_LIBC: "/nowhere/libc.so" });
    assertEquals([code, stdout.trim()], [0, "hello false true"]);
    assertEquals(stderr.match(/MptcpWarning: Connections are plain TCP: .*nowhere/g)?.length, 1, stderr);
  });

  // Only Deno has permissions.
  if (runtime === "deno") {
    it("goes on by plain TCP without --allow-ffi", () => {
      const flags = ["--allow-net", "--allow-env", "--allow-read"];
      const { code, stdout, stderr } = run(PROGRAM, {}, flags);
      assertEquals([code, stdout.trim()], [0, "hello false true"]);
      assertEquals(stderr.match(/MptcpWarning: Connections are plain TCP: .*ffi/g)?.length, 1, stderr);
    });
  }

  it("does not start with another MPTCP_AUTO", () => {
    const { code, stdout, stderr } = run(PROGRAM, { MPTCP_AUTO: "client" });
    assert(code !== 0 && stdout === "");
    assertMatch(stderr, /TypeError: Cannot use MPTCP_AUTO="client": it must be "clients", "servers" or "all"/);
  });

  it("still has the rest of this package, knows why a connection is plain TCP, and bears two copies of auto", () => {
    const { code, stdout, stderr } = run(`
      import { connect, listen } from "MPTCP";
      import { createConnection, createServer, mptcpOf } from ${NODE};
      import { once } from "node:events";
      import net from "node:net";
      const native = net.Socket.prototype.connect;
      const { undo } = await import(${AUTO});
      const { undo: undoSecond } = await import(${AUTO.slice(0, -1)}?copy");
      using listener = listen({ hostname: "127.0.0.1", port: 0 });
      const accepting = listener.accept();
      using conn = await connect({ port: listener.addr.port });
      using other = await accepting;
      console.log(conn.isMultipath(), other.isMultipath());
      const server = createServer((socket) => socket.end()).listen(0, "localhost");
      await once(server, "listening");
      for (const mptcp of ["require", "off"]) {
        const socket = createConnection({ port: server.address().port, host: "localhost", family: 4, mptcp });
        await once(socket, "connect");
        console.log(server.mptcp, socket.mptcp.isMultipath());
        socket.destroy();
      }
      server.close();
      const plain = net.createServer((socket) => console.log(mptcpOf(socket).fallback().code)).listen(0, "127.0.0.1");
      await once(plain, "listening");
      const arriving = once(plain, "connection");
      using client = await connect({ port: plain.address().port, mptcp: "off" });
      const [accepted] = await arriving;
      accepted.destroy();
      plain.close();
      using foreign = listen({ port: 0, mptcp: "off" });
      const socket = net.connect(foreign.addr.port, "127.0.0.1");
      await once(socket, "connect");
      console.log(mptcpOf(socket).fallback().phase);
      socket.destroy();
      undoSecond();
      undo();
      console.log(net.Socket.prototype.connect === native);
    `);
    assertEquals([code, stderr], [0, ""]);
    assertEquals(stdout.trim().split("\n"), ["true true", "true true", "true false", "MPCapableSYNRX", "handshake", "true"]);
  });

  it("leaves nothing open of servers that are closed, and of clients that are gone before they are connected", () => {
    const { code, stdout, stderr } = run(`
      import ${AUTO};
      import { once } from "node:events";
      import { readdirSync } from "node:fs";
      import { createServer as createHttpServer } from "node:http";
      import { connect, createServer } from "node:net";
      import { connect as connectTls } from "node:tls";
      const server = createServer((socket) => socket.on("error", () => {}).resume()).listen(0, "127.0.0.1");
      await once(server, "listening");
      const { port } = server.address();
      const count = () => readdirSync("/proc/self/fd").length;
      const round = async () => {
        const sockets = [connect, connectTls].flatMap((connect) => [
          connect({ port, host: "127.0.0.1" }),
          connect({ port: 1, host: "127.0.0.1" }),
        ]);
        const closed = sockets.map((socket) => once(socket.on("error", () => {}), "close").catch(() => {}));
        for (const socket of [sockets[0], sockets[2]]) socket.destroy();
        await Promise.all(closed);
        const http = createHttpServer().listen(0, "127.0.0.1");
        await once(http, "listening");
        http.close();
        await once(http, "close");
      };
      await round();
      const before = count();
      for (let time = 0; time < 20; time++) await round();
      for (let turn = 0; turn < 500 && count() > before; turn++) await new Promise((resolve) => setTimeout(resolve, 2));
      console.log(count() - before);
      server.close();
    `);
    assertEquals([code, stderr], [0, ""]);
    assert(Number(stdout) <= 0, stdout);
  });
});
