/** `./auto` where there is a network: two paths, and a host whose MPTCP is switched off. */
import { assertEquals, assertGreater, assertMatch } from "@std/assert";
import { APPLICATION, Application } from "../auto/application_control.ts";
import { addressOf, Lab, labNeeds } from "../lab.ts";
import type * as node from "../../node/mod.ts";
import { Peer } from "../peers/peer.ts";
import { describe, it } from "../suite.ts";
import { Agent } from "./remote.ts";

const AUTO = new URL("../../node/auto.ts", import.meta.url).href;
const NODE = new URL("../../node/mod.ts", import.meta.url).href;

describe("auto", { skip: labNeeds("python3") }, () => {
  it("makes the runtime's HTTP client and server use every path", async () => {
    await using lab = await Lab.open();
    const server = Agent.start(lab.server);
    const port = await server.run(async (_kit, auto) => {
      await import(auto);
      const { createServer } = await import("node:http");
      // The first half of the body is there at once, the second when the client asks again.
      const waiting: (() => void)[] = [];
      const server = createServer((request, response) => {
        if (request.url === "/more") waiting.forEach((finish) => finish());
        else waiting.push(() => response.end("world"));
        request.url === "/more" ? response.end() : response.write("hello ");
      });
      await new Promise<void>((resolve) => server.listen(0, "0.0.0.0", resolve));
      return (server.address() as { port: number }).port;
    }, AUTO);

    const client = Agent.start(lab.client);
    const target = { auto: AUTO, module: NODE, port, host: addressOf("server", 1), second: addressOf("server", 2) };
    const seen = await client.run(async ({ until, here }, { auto, module, port, host, second }) => {
      await import(auto);
      const { mptcpOf } = await import(module) as typeof node;
      const { get } = await import("node:http");
      const ask = (path: string) =>
        new Promise<import("node:http").IncomingMessage>((resolve, reject) => {
          get({ host, port, path, agent: false }, resolve).on("error", reject);
        });
      const response = await ask("/");
      let text = "";
      response.setEncoding("utf8").on("data", (chunk) => text += chunk);
      const remotes = () => mptcpOf(response.socket)!.subflows().map(({ remote }) => remote.hostname);
      await until(() => remotes().includes(second));
      here.later = new Promise((resolve) => response.on("end", () => resolve(text)));
      return remotes();
    }, target);
    assertEquals(seen.sort(), [addressOf("server", 1), addressOf("server", 2)]);
    const { mptcp: [theirs] } = await lab.server.ss();
    assertGreater(Number(theirs?.info["subflows"]), 0, "ss on the server knows no further subflow");

    const text = await client.run(async ({ here }, { host, port }) => {
      const { get } = await import("node:http");
      get({ host, port, path: "/more", agent: false }, (response) => response.resume());
      return await here.later;
    }, target);
    assertEquals(text, "hello world");
  });

  it("warns where MPTCP is switched off, and uses it when it is switched on", async () => {
    await using lab = await Lab.open();
    await lab.client.sysctl("net.mptcp.enabled", 0);
    const peer = await Peer.listen(lab.server, addressOf("server", 1), { behaviour: "send", bytes: 3 });
    const [command, ...args] = APPLICATION;
    await using app = new Application(lab.client.spawn(command!, args));
    const { clients, reason } = await app.tell({ do: "state" });
    assertEquals(clients, true);
    assertMatch(reason!, /net\.mptcp\.enabled/);
    for (const enabled of [false, true]) {
      if (enabled) await lab.client.sysctl("net.mptcp.enabled", 1);
      const told = app.tell({ do: "ask", kind: "net", host: addressOf("server", 1), port: peer.port });
      const { mptcp } = await peer.report();
      assertEquals([mptcp, (await told).multipath], [enabled, enabled]);
    }
    const { stderr } = await app.end();
    assertEquals(stderr.match(/MptcpWarning: Connections are plain TCP: .*net\.mptcp\.enabled/g)?.length, 1, stderr);
  });
});
