/** `MptcpSocket` where the network is at fault: what it says of it, and that it leaves nothing behind. */
import { assert, assertEquals, assertGreater, assertLess } from "@std/assert";
import type * as node from "../../node/mod.ts";
import { addressOf, Lab, labNeeds } from "../lab.ts";
import { Peer } from "../peers/peer.ts";
import { describe, it } from "../suite.ts";
import { Agent } from "./remote.ts";

const skip = labNeeds("python3", "nft");
const SERVER = addressOf("server", 1);
const SERVER6 = addressOf("server", 1, 6);
const ANY_SYN = "tcp flags & (syn|ack) == syn";
const MPTCP_SYN = `${ANY_SYN} tcp option mptcp subtype 0`;

/** The entry point, which the agent does not have by itself. */
const MODULE = new URL("../../node/mod.ts", import.meta.url).href;

interface Task {
  module: string;
  port: number;
  /** Found by the resolver, in this order. */
  addresses: string[];
  /** Milliseconds after which the socket is destroyed. */
  patience?: number;
  options?: node.MptcpSocketOptions;
}

/** What a socket said until it was connected or closed. */
interface Told {
  events: string[];
  code: string | undefined;
  multipath: boolean | undefined;
  fallback: string | undefined;
  ms: number;
  /** How many more descriptors are open than before, but for the two that Deno's reactor opens once (epoll, eventfd). */
  left: number;
}

/** Connects a socket, and notes down what it says. */
function dial(client: Agent, task: Omit<Task, "module">): Promise<Told> {
  return client.run(async (_kit, { module, port, addresses, patience, options }: Task) => {
    const { MptcpSocket } = await import(module) as typeof node;
    const { readdirSync } = await import("node:fs");
    const count = () => readdirSync("/proc/self/fd").length;
    /** What the runtime opens once and keeps. */
    const once = (port: number) =>
      new Promise<void>((resolve) => {
        const socket = new MptcpSocket().connect(port, "127.0.0.1");
        socket.on("error", () => {}).on("close", () => resolve());
      });
    await once(1);
    const before = count();
    const found = addresses.map((address) => ({ address, family: address.includes(":") ? 6 : 4 }));
    const lookup = (_host: string, options: { all?: boolean }, done: (error: null, ...found: unknown[]) => void) => {
      if (options.all) done(null, found);
      else done(null, found[0]!.address, found[0]!.family);
    };
    const events: string[] = [];
    const start = performance.now();
    const socket = new MptcpSocket(options);
    let code: string | undefined;
    for (const name of ["connectionAttempt", "connectionAttemptFailed", "connectionAttemptTimeout", "connect", "close"]) {
      socket.on(name, (address) => events.push(typeof address === "string" ? `${name} ${address}` : name));
    }
    socket.on("error", (error: Error & { code?: string }) => code = error.code);
    const over = new Promise<void>((resolve) => socket.once("connect", resolve).once("close", () => resolve()));
    socket.connect({ host: "a.test", port, lookup: lookup as never });
    const timer = patience === undefined ? undefined : setTimeout(() => socket.destroy(), patience);
    await over;
    clearTimeout(timer);
    const ms = performance.now() - start;
    const multipath = socket.destroyed ? undefined : socket.mptcp.isMultipath();
    const fallback = socket.destroyed ? undefined : socket.mptcp.fallback()?.code;
    const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
    if (!socket.destroyed) {
      socket.destroy();
      await closed;
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
    const left = Math.max(0, count() - before - ("Deno" in globalThis ? 2 : 0));
    return { events: events.filter((event) => event !== "close"), code, multipath, fallback, ms, left };
  }, { ...task, module: MODULE });
}

/** Whether attempts at several addresses are told: Deno is silent of an attempt at a single one. */
const attempts = (told: Told) => told.events.filter((event) => event !== `connectionAttempt ${SERVER}`);

describe("MptcpSocket", { skip }, () => {
  it("uses every path", async () => {
    await using lab = await Lab.open();
    const peer = await Peer.listen(lab.server, "0.0.0.0", { behaviour: "echo" });
    const client = Agent.start(lab.client);
    const seen = await client.run(async ({ until, here }, { module, host, port, second }) => {
      const { MptcpSocket } = await import(module) as typeof node;
      const socket = new MptcpSocket().connect(port, host);
      here.later = Promise.resolve(socket); // so that it lives on
      await new Promise((resolve) => socket.once("connect", resolve));
      socket.write("hello");
      const remotes = () => socket.mptcp.subflows().map(({ remote }) => remote.hostname);
      await until(() => remotes().includes(second));
      return remotes();
    }, { module: MODULE, host: SERVER, port: peer.port, second: addressOf("server", 2) });
    assert(seen.includes(SERVER), seen.join());
    const { mptcp: [theirs] } = await lab.server.ss();
    assertGreater(Number(theirs?.info["subflows"]), 0, "ss on the server knows no further subflow");
  });

  it("of a server and of an agent know every path", async () => {
    await using lab = await Lab.open();
    const server = Agent.start(lab.server);
    const port = await server.run(async ({ here }, module) => {
      const { createServer } = await import(module) as typeof node;
      const server = createServer();
      here.later = new Promise((resolve) => {
        server.on("connection", (socket) => {
          socket.on("data", () => socket.write("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"));
          resolve(socket);
        });
      });
      await new Promise<void>((resolve) => server.listen(0, "0.0.0.0", resolve));
      return (server.address() as { port: number }).port;
    }, MODULE);
    const client = Agent.start(lab.client);
    const seen = await client.run(async ({ until }, { module, host, port, second }) => {
      const { HttpAgent, mptcpOf } = await import(module) as typeof node;
      const { get } = await import("node:http");
      const agent = new HttpAgent({ keepAlive: true, mptcp: "require" });
      const response = await new Promise<import("node:http").IncomingMessage>((resolve, reject) => {
        get({ host, port, agent }, resolve).on("error", reject);
      });
      const { socket } = response;
      let body = "";
      for await (const chunk of response) body += chunk;
      const remotes = () => mptcpOf(socket)!.subflows().map(({ remote }) => remote.hostname);
      await until(() => remotes().includes(second));
      return { body, remotes: remotes().sort() };
    }, { module: MODULE, host: SERVER, port, second: addressOf("server", 2) });
    const both = [SERVER, addressOf("server", 2)];
    assertEquals(seen, { body: "hello", remotes: both });
    const theirs = await server.run(async ({ here, until }) => {
      const socket = await here.later as node.AcceptedSocket;
      const { fd, token } = socket.mptcp;
      const locals = () => socket.mptcp.subflows().map(({ local }) => local.hostname).sort();
      await until(() => locals().length === 2);
      return { hasDescriptor: fd >= 0, hasToken: token !== null, multipath: socket.mptcp.isMultipath(), locals: locals() };
    });
    assertEquals(theirs, { hasDescriptor: true, hasToken: true, multipath: true, locals: both });
  });

  it("waits while SYNs are lost, and still gets MPTCP", async () => {
    await using lab = await Lab.open();
    await lab.server.filter({ input: [`${ANY_SYN} drop`] });
    const peer = await Peer.listen(lab.server, SERVER, { behaviour: "echo" });
    const client = Agent.start(lab.client);
    const dialling = dial(client, { port: peer.port, addresses: [SERVER] });
    await lab.client.run("sh", [
      "-c",
      "until nstat -asz TcpExtTCPSynRetrans | grep -q 'Retrans *[1-9]'; do sleep 0.05; done",
    ]);
    await lab.server.filter({});
    const told = await dialling;
    assertEquals([attempts(told), told.multipath, told.left], [["connect"], true, 0]);
    assertGreater(told.ms, 900);
    assert(await peer.connected());
  });

  it("tells that MPTCP is lost on the way", async () => {
    await using lab = await Lab.open();
    await lab.server.filter({ input: [`${MPTCP_SYN} drop`] });
    const peer = await Peer.listen(lab.server, SERVER, { behaviour: "echo" });
    const client = Agent.start(lab.client);
    const told = await dial(client, { port: peer.port, addresses: [SERVER] });
    assertEquals([attempts(told), told.multipath, told.fallback], [["connect"], false, "MPCapableSYNTXDrop"]);
    const required = await dial(client, { port: peer.port, addresses: [SERVER], options: { mptcp: "require" } });
    assertEquals([required.code, required.left], ["EOPNOTSUPP", 0]);
  });

  it("goes to the next address when one does not answer", async () => {
    await using lab = await Lab.open();
    await lab.server.filter({ input: [`meta nfproto ipv6 ${ANY_SYN} drop`] });
    const peer = await Peer.listen(lab.server, SERVER, { behaviour: "echo" });
    const client = Agent.start(lab.client);
    const told = await dial(client, { port: peer.port, addresses: [SERVER6, SERVER] });
    assertEquals(told.events, [
      `connectionAttempt ${SERVER6}`,
      `connectionAttemptTimeout ${SERVER6}`,
      `connectionAttempt ${SERVER}`,
      "connect",
    ]);
    assertEquals([told.multipath, told.left], [true, 0]);
    assertLess(told.ms, 2000);
  });

  it("is destroyed while nobody answers, and leaves nothing open", async () => {
    await using lab = await Lab.open();
    await lab.server.filter({ input: [`${ANY_SYN} drop`] });
    const client = Agent.start(lab.client);
    for (const addresses of [[SERVER], [SERVER6, SERVER]]) {
      const told = await dial(client, { port: 9, addresses, patience: 50 });
      assertEquals([told.code, told.left], [undefined, 0]);
      assertLess(told.ms, 1000);
    }
  });

  for (
    const [when, address, code, rule] of [
      ["there is no route, over IPv4", "192.0.2.1", "ENETUNREACH", null],
      ["there is no route, over IPv6", "2001:db8::1", "ENETUNREACH", null],
      ["a firewall forbids it", SERVER, "EHOSTUNREACH", "reject with icmpx type admin-prohibited"],
    ] as const
  ) {
    it(`fails when ${when}: ${code}`, async () => {
      await using lab = await Lab.open();
      if (rule) await lab.server.filter({ input: [rule] });
      const told = await dial(Agent.start(lab.client), { port: 9, addresses: [address] });
      assertEquals([told.code, told.left], [code, 0]);
    });
  }
});
