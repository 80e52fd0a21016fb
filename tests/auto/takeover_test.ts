/** HTTP servers whose listener is to be exchanged, where that cannot be done: nobody is left with plain TCP in silence. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { once } from "node:events";
import { createServer, get, type IncomingMessage, Server } from "node:http";
import { type AddressInfo, Server as NetServer } from "node:net";
import process from "node:process";
import { describe, it } from "node:test";
import { connect } from "@mptcp/mptcp";
import { type Libc, type System, system } from "../../ffi/mod.ts";
import { openListeningSocket } from "../../net/listen.ts";
import { listenByTakeover } from "../../node/auto/http_servers.ts";
import type { Method } from "../../node/auto/replace.ts";

const native = (Server as unknown as { prototype: { listen: Method } }).prototype.listen;

/** The host, but for one call of libc. */
function hostWith(name: keyof Libc, call: () => number): System {
  const { libc, loop, http } = system()!;
  const changed = new Proxy(libc, {
    get: (target, key) => {
      if (key === name) return call;
      const member = target[key as keyof Libc] as (...args: unknown[]) => unknown;
      return member.bind(target);
    },
  });
  return { libc: changed, loop, http };
}

/** Asks over TCP or MPTCP, whatever the server has. */
async function bodyOf(port: number): Promise<string> {
  const [response] = await once(get({ host: "127.0.0.1", port, agent: false }), "response") as [IncomingMessage];
  let text = "";
  for await (const chunk of response) text += chunk;
  return text;
}

async function closed(server: Server): Promise<void> {
  server.close();
  server.closeAllConnections();
  await once(server, "close");
}

/** The others begin to listen at once, and are the only ones that `./auto` listens for so. */
const takesDescriptors = Server.prototype instanceof NetServer;

describe("listenByTakeover", () => {
  if (takesDescriptors) {
    it("is not needed for servers that take a descriptor", async () => {
      const { fd, addr: { port } } = openListeningSocket(system()!.libc, { hostname: "127.0.0.1", port: 0 });
      const server = createServer((_request, response) => response.end("hello")).listen({ fd });
      await once(server, "listening");
      assertEquals(await bodyOf(port), "hello");
      using conn = await connect({ port });
      assert(conn.isMultipath());
      await closed(server);
    });
    return;
  }

  it("exchanges the listener of a server that the runtime has opened", async () => {
    const server = createServer((_request, response) => response.end("hello"));
    const listening = once(server, "listening");
    listenByTakeover(system()!, server, [0, "127.0.0.1"], native);
    await listening;
    const { port } = server.address() as AddressInfo;
    assertEquals(await bodyOf(port), "hello");
    using conn = await connect({ port });
    assert(conn.isMultipath());
    await closed(server);
  });

  it("warns when it finds no listener, and leaves the server to TCP", async () => {
    const warned = once(process, "warning");
    const server = createServer((_request, response) => response.end("hello"));
    const listening = once(server, "listening");
    listenByTakeover(hostWith("getInt", () => -1), server, [0, "127.0.0.1"], native);
    await listening;
    const { port } = server.address() as AddressInfo;
    assertEquals(await bodyOf(port), "hello");
    const [{ name, message }] = await warned as [Error];
    assertEquals(name, "MptcpWarning");
    assertStringIncludes(message, "Cannot listen for HTTP by MPTCP: 0 listeners were found");
    await closed(server);
  });

  it("fails when the exchange does", async () => {
    const server = createServer();
    const failed = once(server, "error");
    listenByTakeover(hostWith("dup3", () => -9), server, [0, "127.0.0.1"], native);
    const [{ code, message }] = await failed as [Error & { code: string }];
    assertEquals(code, "EOPNOTSUPP");
    assertStringIncludes(message, "dup3 failed (EBADF)");
    assert(!server.listening);
  });
});
