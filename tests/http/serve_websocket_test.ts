/** WebSockets on the server's side: what is said, how it ends, and what wrong clients can do. */
import { assert, assertEquals, assertGreater, assertLess, assertStringIncludes, assertThrows } from "@std/assert";
import { describe, it } from "node:test";
import { connectTls } from "@mptcp/mptcp";
import { type ServeHandler, upgradeWebSocket } from "../../http/serve.ts";
import { runtime } from "../../ffi/mod.ts";
import { CERT, KEY } from "../net/certificate.ts";
import { openAtLast, openDescriptors, pattern, utf8 } from "../net/pair.ts";
import { RawClient } from "./raw_client.ts";
import {
  ACCEPT,
  BINARY,
  CLOSE,
  closing,
  CONTINUATION,
  frame,
  handshake,
  PING,
  PONG,
  RawWebSocket,
  TEXT,
} from "./raw_web_socket.ts";
import { WAYS } from "./ways.ts";

/** The code of an end without a closing; Deno says 0. */
const ABNORMAL = runtime === "deno" ? 0 : 1006;

/** How a socket ended on the server's side. */
interface Ended {
  code: number;
  reason: string;
  wasClean: boolean;
}

/** An echo, and how its sockets ended, in turn. */
function echo(): { handler: ServeHandler; ended(): Promise<Ended>; sockets: WebSocket[]; multipath: boolean[] } {
  const waiting: ((ended: Ended) => void)[] = [];
  const over: Ended[] = [];
  const sockets: WebSocket[] = [];
  const multipath: boolean[] = [];
  const handler: ServeHandler = (request, info) => {
    multipath.push(info.isMultipath);
    const { socket, response } = upgradeWebSocket(request);
    sockets.push(socket);
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => socket.send(data);
    socket.onclose = ({ code, reason, wasClean }) => {
      const ended = { code, reason, wasClean };
      const next = waiting.shift();
      if (next) next(ended);
      else over.push(ended);
    };
    return response;
  };
  const ended = () => {
    const first = over.shift();
    return first ? Promise.resolve(first) : new Promise<Ended>((resolve) => waiting.push(resolve));
  };
  return { handler, ended, sockets, multipath };
}

for (const [way, start] of WAYS) {
  describe(`WebSockets, ${way}`, () => {
    it("carry text and bytes over MPTCP, as both ends say", async () => {
      const { handler, multipath } = echo();
      await using server = await start(handler);
      using socket = await RawWebSocket.open(server);
      assertEquals(socket.answer.header("sec-websocket-accept"), ACCEPT);
      for (const text of ["", "grüße", "x".repeat(125), "x".repeat(126), "x".repeat(65_536)]) {
        await socket.send(TEXT, text);
        const { opcode, text: back } = await socket.message();
        assertEquals([opcode, back], [TEXT, text]);
      }
      await socket.send(BINARY, Uint8Array.of(0, 255, 1));
      assertEquals(await socket.message().then(({ opcode, bytes }) => [opcode, [...bytes]]), [BINARY, [0, 255, 1]]);
      assertEquals(multipath, [true]);
      assert(socket.client.conn.isMultipath());
    });

    it("serve the runtime's own client", async () => {
      await using server = await start(echo().handler);
      const socket = new WebSocket(`ws://127.0.0.1:${server.addr.port}/`);
      const closed = new Promise<CloseEvent>((resolve) => socket.onclose = resolve);
      await new Promise((resolve) => socket.onopen = resolve);
      const answer = new Promise<MessageEvent>((resolve) => socket.onmessage = resolve);
      socket.send("hello");
      assertEquals((await answer).data, "hello");
      socket.close(4001, "enough");
      const { code, reason, wasClean } = await closed;
      assertEquals([code, reason, wasClean], [4001, "enough", true]);
    });

    it("over TLS", async () => {
      const { handler, multipath } = echo();
      await using server = await start((request, info) => {
        assert(request.url.startsWith("https://"));
        return handler(request, info);
      }, { cert: CERT, key: KEY });
      const conn = await connectTls({
        hostname: "127.0.0.1",
        port: server.addr.port,
        serverName: "localhost",
        caCerts: [CERT],
        mptcp: "require",
      });
      using socket = await RawWebSocket.over(new RawClient(conn));
      await socket.send(TEXT, "hidden");
      assertEquals((await socket.message()).text, "hidden");
      assertEquals(multipath, [true]);
    });

    it("carry 8 MB in one message, and come whole", async () => {
      await using server = await start(echo().handler);
      using socket = await RawWebSocket.open(server);
      const bytes = pattern(8 << 20, 0);
      const sending = socket.send(BINARY, bytes);
      const { opcode, bytes: back } = await socket.message();
      await sending;
      assertEquals([opcode, back.length], [BINARY, bytes.length]);
      assert(back.every((byte, index) => byte === bytes[index]));
    });

    it("lose no message that the client takes late", async () => {
      const count = 20; // more than Bun keeps by itself
      const { promise, resolve } = Promise.withResolvers<void>();
      await using server = await start((request) => {
        const { socket, response } = upgradeWebSocket(request);
        socket.onopen = () => {
          for (let index = 0; index < count; index++) socket.send(new Uint8Array(1 << 20).fill(index));
          resolve();
        };
        return response;
      });
      using socket = await RawWebSocket.open(server);
      await promise;
      for (let index = 0; index < count; index++) {
        const { bytes } = await socket.message();
        assertEquals([bytes.length, bytes[0], bytes.at(-1)], [1 << 20, index, index]);
      }
    });

    it("put messages together that come in pieces, with a ping in between", async () => {
      await using server = await start(echo().handler);
      using socket = await RawWebSocket.open(server);
      const text = utf8("grüße");
      await socket.send(TEXT, text.subarray(0, 3), { fin: false }); // in the middle of a character
      await socket.send(PING, "still there");
      await socket.send(CONTINUATION, "", { fin: false });
      const pong = await socket.next();
      assertEquals([pong.opcode, pong.text], [PONG, "still there"]);
      await socket.send(CONTINUATION, text.subarray(3));
      assertEquals((await socket.message()).text, "grüße");
      // Byte by byte, too.
      for (const byte of frame(TEXT, "slow")) await socket.client.conn.write(Uint8Array.of(byte));
      assertEquals((await socket.message()).text, "slow");
    });

    it("take what comes together with the handshake", async () => {
      await using server = await start(echo().handler);
      using client = await RawClient.open(server);
      const head = utf8(handshake("/"));
      const first = frame(TEXT, "early");
      const both = new Uint8Array(head.length + first.length);
      both.set(head);
      both.set(first, head.length);
      await client.conn.write(both);
      const socket = new RawWebSocket(client, await client.head());
      assertEquals(socket.answer.status, 101);
      assertEquals((await socket.message()).text, "early");
    });

    it("are 100 at once, each with its own messages", async () => {
      await using server = await start(echo().handler);
      await Promise.all(Array.from({ length: 100 }, async (_, number) => {
        using socket = await RawWebSocket.open(server, "/", { mptcp: number % 2 === 0 ? "require" : "off" });
        for (let turn = 0; turn < 5; turn++) {
          await socket.send(TEXT, `${number}/${turn}`);
          assertEquals((await socket.message()).text, `${number}/${turn}`);
        }
      }));
    });

    it("are closed by the client with its code and reason", async () => {
      const { handler, ended } = echo();
      await using server = await start(handler);
      for (const [code, reason] of [[1000, ""], [1001, "away"], [3000, "grüße"], [4999, "r".repeat(123)]] as const) {
        using socket = await RawWebSocket.open(server);
        await socket.send(CLOSE, closing(code, reason));
        assertEquals(await socket.closed(), code);
        assertEquals(await socket.client.rest(), "");
        socket.client.conn.close();
        assertEquals(await ended(), { code, reason, wasClean: true });
      }
      using socket = await RawWebSocket.open(server);
      await socket.send(CLOSE);
      await socket.closed();
      assertEquals(await socket.client.rest(), ""); // the client's end of the connection stays open
      const { code, reason } = await ended();
      assertEquals([code, reason], [1005, ""]);
    });

    it("are closed by the server with its code and reason", async () => {
      const asked: Ended[] = [];
      const { promise, resolve } = Promise.withResolvers<void>();
      await using server = await start((request) => {
        const { socket, response } = upgradeWebSocket(request);
        socket.onopen = () => {
          socket.send("last words");
          socket.close(4321, "that is all");
        };
        socket.onclose = ({ code, reason, wasClean }) => {
          asked.push({ code, reason, wasClean });
          resolve();
        };
        return response;
      });
      using socket = await RawWebSocket.open(server);
      assertEquals((await socket.message()).text, "last words");
      const { opcode, code, text } = await socket.next();
      assertEquals([opcode, code, text], [CLOSE, 4321, "that is all"]);
      await socket.send(CLOSE, closing(4321));
      assertEquals(await socket.client.rest(), "");
      socket.client.conn.close();
      await promise;
      assertEquals(asked.map(({ code, wasClean }) => [code, wasClean]), [[4321, true]]);
    });

    it("end with 1006 when the client vanishes", async () => {
      const { handler, ended } = echo();
      await using server = await start(handler);
      for (const mptcp of ["require", "off"] as const) {
        for (const half of [false, true]) {
          const socket = await RawWebSocket.open(server, "/", { mptcp });
          if (half) await socket.client.conn.write(frame(TEXT, "never whole").subarray(0, 9));
          else {
            await socket.send(TEXT, "x");
            await socket.message();
          }
          socket.client.conn.reset();
          const { code, wasClean } = await ended();
          assertEquals([mptcp, half, code, wasClean], [mptcp, half, ABNORMAL, false]);
        }
      }
    });

    it("end when the client sends what no client may", async () => {
      const { handler, ended } = echo();
      await using server = await start(handler);
      const wrong: readonly (readonly [title: string, bytes: Uint8Array])[] = [
        // Deno takes it.
        ...(runtime === "deno" ? [] : [["no mask", frame(TEXT, "x", { masked: false })]] as [string, Uint8Array][]),
        ["an unknown opcode", frame(3, "x")],
        ["an unknown control opcode", frame(11, "x")],
        ["a reserved bit", frame(TEXT, "x").with(0, 0xc1)],
        ["a continuation of nothing", frame(CONTINUATION, "x")],
        ["a ping in pieces", frame(PING, "x", { fin: false })],
        ["a ping of 126 bytes", frame(PING, "x".repeat(126))],
        ["text that is no UTF-8", frame(TEXT, Uint8Array.of(0xff, 0xfe))],
        ["a closing with half a code", frame(CLOSE, Uint8Array.of(3))],
      ];
      for (const [title, bytes] of wrong) {
        using socket = await RawWebSocket.open(server);
        await socket.client.conn.write(bytes);
        const code = await socket.closed();
        assert(code === null || [1002, 1005, 1006, 1007].includes(code), `${title}: ${code}`);
        // Whether the client agrees or not, it is over.
        if (code !== null) await socket.send(CLOSE, closing(1002)).catch(() => {});
        await socket.client.rest();
        socket.client.conn.close();
        await ended();
        using good = await RawWebSocket.open(server);
        await good.send(TEXT, title);
        assertEquals((await good.message()).text, title);
        good.client.conn.reset();
        await ended();
      }
    });

    it("need a request for one; another is answered as any", async () => {
      const refused: unknown[] = [];
      await using server = await start((request) => {
        try {
          return upgradeWebSocket(request, { protocol: "chat" }).response;
        } catch (error) {
          refused.push((error as Error).name);
          return new Response("no", { status: 426 });
        }
      });
      using plain = await RawClient.open(server);
      assertEquals((await plain.ask("GET /")).status, 426);
      using without = await RawClient.open(server);
      await without.send(handshake("/"));
      assertEquals((await without.response()).status, 426); // no subprotocol was offered
      using client = await RawClient.open(server);
      const socket = await RawWebSocket.over(client, "/", ["Sec-WebSocket-Protocol: mail, chat"]);
      assertEquals(socket.answer.header("sec-websocket-protocol"), "chat");
      assertEquals(refused, ["TypeError", "TypeError"]);
    });

    it("may be refused, and by a handler that throws", async () => {
      await using server = await start((request) => {
        if (request.url.endsWith("/throws")) throw new Error("thrown");
        return new Response("not today", { status: 403 });
      }, { onError: () => new Response("told", { status: 503 }) });
      for (const [path, status, text] of [["/", 403, "not today"], ["/throws", 503, "told"]] as const) {
        using client = await RawClient.open(server);
        await client.send(handshake(path));
        const answer = await client.response();
        assertEquals([answer.status, answer.body], [status, text]);
      }
    });

    it("are closed with 1001 when the server ends, and their messages before are not lost", async () => {
      const { handler, sockets } = echo();
      const server = await start(handler);
      using socket = await RawWebSocket.open(server);
      await socket.send(TEXT, "x");
      await socket.message();
      sockets[0]!.send("before the end");
      const down = server.shutdown();
      assertEquals((await socket.message()).text, "before the end");
      assertEquals(await socket.closed(), 1001);
      await socket.send(CLOSE, closing(1001)).catch(() => {});
      assertEquals(await socket.client.rest(), "");
      socket.client.conn.close();
      await down;
    });

    it("do not hold a server up that ends, though their clients say nothing", async () => {
      const { handler, ended } = echo();
      const server = await start(handler);
      using socket = await RawWebSocket.open(server);
      await socket.send(TEXT, "x");
      await socket.message();
      const begun = performance.now();
      await server.shutdown();
      assertLess(performance.now() - begun, 5000);
      await ended();
    });

    it("leave no descriptor", async () => {
      const { handler, ended } = echo();
      await using server = await start(handler);
      const round = async () => {
        for (let turn = 0; turn < 6; turn++) {
          using socket = await RawWebSocket.open(server);
          await socket.send(TEXT, "x");
          await socket.message();
          if (turn % 3 === 0) socket.client.conn.reset();
          else if (turn % 3 === 1) await socket.send(CLOSE, closing(1000)).then(() => socket.client.rest());
          socket.client.conn.close();
          await ended();
        }
      };
      await round();
      const before = openDescriptors();
      for (let turn = 0; turn < 5; turn++) await round();
      assertLess(await openAtLast(openDescriptors, before), before + 1);
    });
  });
}

// Deno has its own.
const describeOurs = runtime === "deno" ? () => {} : describe;

describeOurs("a served WebSocket", () => {
  it("is as a browser's", async () => {
    const log: unknown[] = [];
    const { promise, resolve } = Promise.withResolvers<void>();
    await using server = await WAYS[0]![1]((request) => {
      const { socket, response } = upgradeWebSocket(request, { protocol: "a" });
      log.push(socket.readyState, socket.url, socket.protocol, socket.extensions, socket.bufferedAmount, socket.binaryType);
      assertEquals([response.status, response.ok], [101, false]);
      assertThrows(() => socket.send("too early"), DOMException, "not open");
      assertThrows(() => socket.close(1001), DOMException, "1001");
      assertThrows(() => socket.close(1000, "x".repeat(124)), DOMException, "123");
      socket.onmessage = () => log.push("never");
      socket.onmessage = ({ data }) => log.push(data);
      socket.addEventListener("open", () => log.push(`open ${socket.readyState}`));
      socket.addEventListener("message", async ({ data }) => {
        log.push(data instanceof Blob ? await data.text() : "no Blob");
        assertEquals(socket.readyState, 1);
        assertThrows(() => socket.send(5 as unknown as string), TypeError);
        socket.close();
        socket.close(4000);
        log.push(socket.readyState);
      });
      socket.onclose = () => {
        log.push(`closed ${socket.readyState}`);
        socket.send("is thrown away");
        resolve();
      };
      return response;
    });
    using client = await RawClient.open(server);
    using socket = await RawWebSocket.over(client, "/x", ["Sec-WebSocket-Protocol: a"]);
    await socket.send(BINARY, "blob");
    await socket.closed();
    await socket.send(CLOSE, closing(1000)).catch(() => {});
    await socket.client.rest();
    socket.client.conn.close();
    await promise;
    const [state, url, protocol, extensions, buffered, type, ...rest] = log;
    assertEquals([state, url, protocol, extensions, buffered, type], [0, "ws://test/x", "a", "", 0, "blob"]);
    assertStringIncludes(rest.join(" "), "open 1");
    assertStringIncludes(rest.join(" "), "blob 2 closed 3");
  });

  it("tells how much is not sent yet", async () => {
    const { promise, resolve } = Promise.withResolvers<number>();
    await using server = await WAYS[0]![1]((request) => {
      const { socket, response } = upgradeWebSocket(request);
      socket.onopen = () => {
        for (let count = 0; count < 8; count++) socket.send(new Uint8Array(1 << 20));
        resolve(socket.bufferedAmount);
      };
      return response;
    });
    using socket = await RawWebSocket.open(server);
    assertGreater(await promise, 1 << 20);
    for (let count = 0; count < 8; count++) assertEquals((await socket.message()).bytes.length, 1 << 20);
  });
});
