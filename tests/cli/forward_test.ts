/** `mptcp forward`: every byte, every end, and what it says. */
import { assert, assertEquals, assertLess, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { readFileSync } from "node:fs";
import { type Conn, connect, listen, type Listener } from "@mptcp/mptcp";
import type { Child } from "../child.ts";
import { addressOf, Host, Lab, labNeeds } from "../lab.ts";
import { until } from "../lab/until.ts";
import { namespacePrivilege } from "../needs.ts";
import { pattern, readAll } from "../net/pair.ts";
import { describe, it } from "../suite.ts";
import { interrupt, listening, mptcp, type Place, start, startInShell } from "./command.ts";

const LOOPBACK = "127.0.0.1";

interface Counters {
  type: "ended";
  accepted: number;
  acceptedMptcp: number;
  open: number;
  connected: number;
  connectedMptcp: number;
  failed: number;
  bytesOut: number;
  bytesIn: number;
  resets: number;
  idle: number;
}

/** A relay, its target in this process, and connections by way of both. */
class Rig implements AsyncDisposable {
  readonly target: Listener;
  readonly relay: Child;
  readonly port: number;
  readonly #conns: Conn[] = [];

  private constructor(target: Listener, relay: Child, port: number) {
    this.target = target;
    this.relay = relay;
    this.port = port;
  }

  static async open(...options: string[]): Promise<Rig> {
    const target = listen({ hostname: LOOPBACK, port: 0 });
    const { child, port } = await listening(["forward", "0", `${LOOPBACK}:${target.addr.port}`, ...options]);
    return new Rig(target, child, port);
  }

  /** A connection's two ends: the relay is in between. */
  async pair(mptcp: "require" | "off" = "require"): Promise<{ client: Conn; server: Conn }> {
    const accepted = this.target.accept();
    const client = await connect({ port: this.port, mptcp, timeout: 10_000 });
    const server = await accepted;
    this.#conns.push(client, server);
    return { client, server };
  }

  /** Interrupts the relay. */
  async counters(): Promise<Counters> {
    const { code, stdout, stderr } = await interrupt(this.relay);
    assertEquals(code, 130, stderr);
    return JSON.parse(stdout.trim().split("\n").at(-1)!) as Counters;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const conn of this.#conns) conn.close();
    this.target.close();
    await this.relay[Symbol.asyncDispose]();
  }
}

/** Memory of a process, bytes. */
function memoryOf({ pid }: Child): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]) * 1024;
}

/** Whether anybody listens there; a connection that tried would be relayed. */
function listens(port: number): boolean {
  const address = `:${port.toString(16).toUpperCase().padStart(4, "0")} 00000000:0000 0A`;
  return readFileSync("/proc/net/tcp", "utf8").includes(address);
}

describe("mptcp forward", { skip: labNeeds() }, () => {
  for (const from of ["tcp", "mptcp"] as const) {
    for (const to of ["tcp", "mptcp"] as const) {
      it(`carries bytes and ends from ${from} to ${to}`, async () => {
        await using rig = await Rig.open("--from", from, "--to", to);
        const { client, server } = await rig.pair(from === "mptcp" ? "require" : "off");
        assertEquals([client.isMultipath(), server.isMultipath()], [from === "mptcp", to === "mptcp"]);
        const [there, back] = [pattern(3_000_000), pattern(2_000_000, 7)];
        // The client's end comes first, and the answer only after it: half-closed for a while.
        const answered = readAll(server).then(async (received) => {
          await server.write(back);
          await server.closeWrite();
          return received;
        });
        await client.write(there);
        await client.closeWrite();
        assertEquals(await readAll(client), back);
        assertEquals(await answered, there);
        client.close();
        server.close();
        const { accepted, acceptedMptcp, connectedMptcp, bytesOut, bytesIn, open } = await rig.counters();
        assertEquals([accepted, acceptedMptcp, connectedMptcp], [1, from === "mptcp" ? 1 : 0, to === "mptcp" ? 1 : 0]);
        assertEquals([bytesOut, bytesIn, open], [there.length, back.length, 0]);
      });
    }
  }

  it("takes the server's end first, and TCP clients of an MPTCP listener", async () => {
    await using rig = await Rig.open();
    const { client, server } = await rig.pair("off");
    await server.closeWrite();
    assertEquals((await readAll(client)).length, 0);
    await client.write(pattern(10_000));
    await client.closeWrite();
    assertEquals(await readAll(server), pattern(10_000));
    assertEquals((await rig.counters()).acceptedMptcp, 0);
  });

  for (const protocol of ["tcp", "mptcp"] as const) {
    it(`keeps what a slow reader has not taken where it is, by ${protocol}`, async () => {
      await using rig = await Rig.open("--from", protocol, "--to", protocol);
      const { client, server } = await rig.pair(protocol === "mptcp" ? "require" : "off");
      const before = memoryOf(rig.relay);
      const size = 64 << 20;
      let written = 0;
      const writing = (async () => {
        for (const chunk = pattern(1 << 20); written < size; written += chunk.length) await client.write(chunk);
        await client.closeWrite();
      })();
      // It stops by itself, when the buffers of the kernel are full.
      for (let last = -1; last !== written;) {
        last = written;
        await new Promise((resolve) => setTimeout(resolve, 300));
      }
      assertLess(written, size);
      assertLess(memoryOf(rig.relay) - before, 16 << 20);
      let read = 0;
      const buffer = new Uint8Array(1 << 20);
      for (let count; (count = await server.read(buffer)) !== null;) {
        for (let at = 0; at < count; at += 4099) {
          if (buffer[at] !== pattern(1, (read + at) % (1 << 20))[0]) throw new Error(`byte ${read + at} is wrong`);
        }
        read += count;
      }
      await writing;
      assertEquals(read, size);
    });
  }

  it("passes resets on, both ways", async () => {
    await using rig = await Rig.open();
    // A byte shows that the relay has both connections: before, a reset by the target is one that could not be reached.
    const talking = async (mptcp: "require" | "off") => {
      const pair = await rig.pair(mptcp);
      await pair.client.write(pattern(1));
      await pair.server.read(new Uint8Array(1));
      return pair;
    };
    const first = await talking("require");
    first.client.reset();
    await assertRejects(() => first.server.read(new Uint8Array(1)), Error, "ECONNRESET");
    const second = await talking("off");
    second.server.reset();
    await assertRejects(() => second.client.read(new Uint8Array(1)), Error, "ECONNRESET");
    assertEquals((await rig.counters()).resets, 2);
  });

  it("notices a reset while nothing can be delivered", async () => {
    await using rig = await Rig.open();
    const { client, server } = await rig.pair();
    client.write(new Uint8Array(64 << 20)).catch(() => {});
    await new Promise((resolve) => setTimeout(resolve, 500));
    client.reset();
    // What is under way comes first.
    await assertRejects(() => readAll(server), Error, "ECONNRESET");
  });

  it("aborts a client whose target refuses", async () => {
    await using rig = await Rig.open();
    rig.target.close();
    const client = await connect({ port: rig.port, timeout: 5000 });
    await assertRejects(() => client.read(new Uint8Array(1)), Error, "ECONNRESET");
    client.close();
    const { failed, open } = await rig.counters();
    assertEquals([failed, open], [1, 0]);
  });

  it("closes what is idle, and only that", async () => {
    await using rig = await Rig.open("--idle", "1");
    const idle = await rig.pair();
    const busy = await rig.pair();
    const timer = setInterval(() => void busy.client.write(new Uint8Array(1)).catch(() => {}), 100);
    try {
      assertEquals((await readAll(idle.client)).length, 0);
      assertEquals((await readAll(idle.server)).length, 0);
      assertEquals(busy.client.isMultipath(), true);
      await busy.server.write(new Uint8Array([5]));
      assertEquals(await busy.client.read(new Uint8Array(1)), 1);
    } finally {
      clearInterval(timer);
    }
    busy.client.close();
    busy.server.close();
    assertEquals((await rig.counters()).idle, 1);
  });

  it("carries 300 connections side by side", async () => {
    await using rig = await Rig.open();
    const bytes = pattern(20_000);
    const serving = (async () => {
      for (let count = 0; count < 300; count++) {
        const conn = await rig.target.accept();
        conn.readable.pipeTo(conn.writable).catch(() => conn.close());
      }
    })();
    await Promise.all(Array.from({ length: 300 }, async () => {
      const conn = await connect({ port: rig.port, timeout: 20_000 });
      await conn.write(bytes);
      await conn.closeWrite();
      assertEquals((await readAll(conn)).length, bytes.length);
      conn.close();
    }));
    await serving;
    const { connected, bytesIn, bytesOut, resets, open } = await rig.counters();
    assertEquals([connected, bytesIn, bytesOut, resets, open], [300, 6_000_000, 6_000_000, 0, 0]);
  });

  it("goes on when it is out of descriptors, and takes those who wait when it has some again", async () => {
    const target = listen({ hostname: LOOPBACK, port: 0 });
    const limited = startInShell('ulimit -n 60 && exec "$@"', ["forward", "0", `${LOOPBACK}:${target.addr.port}`, "--json"]);
    await using relay = limited;
    const { port } = await relay.json<{ port: number }>();
    const conns: Conn[] = [];
    try {
      for (let count = 0; count < 60; count++) conns.push(await connect({ port, timeout: 5000 }));
      // Whoever has no descriptor for a target is aborted, whoever has none at all waits.
      await new Promise((resolve) => setTimeout(resolve, 300));
      for (const conn of conns.splice(0)) conn.close();
      using _targets = target;
      (async () => {
        for await (const conn of target) conn.readable.pipeTo(conn.writable).catch(() => conn.close());
      })();
      await until(async () => {
        using conn = await connect({ port, timeout: 5000 });
        await conn.write(pattern(1000));
        await conn.closeWrite();
        return (await readAll(conn).catch(() => [])).length === 1000;
      }, 10_000);
      const { code, stderr } = await interrupt(relay);
      assertEquals(code, 130);
      assertMatch(stderr, /too many open files|EMFILE/i);
    } finally {
      for (const conn of conns) conn.close();
      target.close();
    }
  });

  it("lets connections come to their end on SIGINT, and takes no more", async () => {
    await using rig = await Rig.open();
    const { client, server } = await rig.pair();
    await client.write(pattern(1));
    await server.read(new Uint8Array(1));
    const ended = interrupt(rig.relay);
    await until(() => !listens(rig.port));
    await client.write(pattern(1000));
    assertEquals(await server.read(new Uint8Array(1000)), 1000);
    client.close();
    server.close();
    const { code, stderr } = await ended;
    assertEquals(code, 130);
    assertStringIncludes(stderr, "1 connections are open; Ctrl-C again ends them");
  });

  it("ends at once on a second SIGINT", async () => {
    await using rig = await Rig.open();
    const { client } = await rig.pair();
    const ended = interrupt(rig.relay);
    await until(() => !listens(rig.port));
    await new Promise((resolve) => setTimeout(resolve, 150)); // less is taken for the same Ctrl-C
    interrupt(rig.relay);
    assertEquals((await ended).code, 130);
    await assertRejects(() => client.read(new Uint8Array(1)), Error, "ECONNRESET");
  });

  it("shares the work between threads", async () => {
    await using rig = await Rig.open("--threads", "3");
    const pairs = await Promise.all(Array.from({ length: 6 }, () => rig.pair()));
    await Promise.all(pairs.map(({ client }) => client.write(pattern(1000))));
    let received = 0;
    for (const { server } of pairs) received += (await server.read(new Uint8Array(1000))) ?? 0;
    assertEquals(received, 6000);
    for (const { client, server } of pairs) [client, server].forEach((conn) => conn.close());
    assertEquals((await rig.counters()).connected, 6);
  });

  it("says in one line what is wrong", async () => {
    using taken = listen({ hostname: LOOPBACK, port: 0, mptcp: "off" });
    const { port } = taken.addr;
    const cases: [string[], number, RegExp][] = [
      [["0"], 2, /an argument is missing/],
      [["0", "x"], 2, /TARGET "x" is not of the form host:port/],
      [["example.com:80", "a:1"], 2, /LISTEN "example.com:80" needs an IP address/],
      [["0", "a:1", "--to", "udp"], 2, /--to "udp" is not one of tcp, mptcp/],
      [[`${port}`, "127.0.0.1:1"], 1, /in use.*EADDRINUSE/],
      [["0", "nowhere.invalid:1"], 1, /Cannot resolve "nowhere.invalid"/],
    ];
    for (const [args, expected, words] of cases) {
      const { code, stdout, stderr } = await mptcp(["forward", ...args]);
      assertEquals([code, stdout], [expected, ""], stderr);
      assertMatch(stderr, words);
      assertMatch(stderr, /^mptcp forward: .+\n$/);
    }
  });

  it("ends with 3 where MPTCP is switched off, and does without it where it need not be", async () => {
    await using host = await Host.open("host", namespacePrivilege() !== "root");
    await host.ip("link set lo up");
    await host.sysctl("net.mptcp.enabled", 0);
    for (const protocol of ["--to=tcp", "--from=tcp"]) {
      const { code, stderr } = await mptcp(["forward", "0", "127.0.0.1:1", protocol], host);
      assertEquals(code, 3, stderr);
      assertMatch(stderr, /^mptcp forward: .*net\.mptcp\.enabled.*\n$/);
    }
    const { child } = await listening(["forward", "0", "127.0.0.1:1", "--from=tcp", "--to=tcp"], host);
    assertEquals((await interrupt(child, "SIGTERM")).code, 143);
  });
});

describe("mptcp forward between two hosts", { skip: labNeeds("tc", "ss") }, () => {
  it("lends two programs of plain TCP two paths, as both kernels count", async () => {
    await using lab = await Lab.open({ paths: [{ rateMbit: 50 }, { rateMbit: 50 }] });
    // A program of plain TCP on each side, and a relay beside each.
    const sink = start(["cat", "--tcp", "--listen", "127.0.0.1:9000"], lab.server);
    const near: Place = lab.client;
    const far = await listening(["forward", ":7000", "127.0.0.1:9000", "--to=tcp"], lab.server);
    const gate = await listening(["forward", "7000", `${addressOf("server", 1)}:7000`, "--from=tcp"], near);
    await until(async () => (await lab.server.run("ss", ["-ltnH"])).includes(":9000"));
    const source = start(["cat", "--tcp", `127.0.0.1:${gate.port}`], near);
    const text = Array.from({ length: 120_000 }, (_, index) => `${index} ${"x".repeat(60)}`).join("\n");
    source.send(text);
    const [ours, theirs] = await until(async () => {
      const both = await Promise.all([lab.client.ss(), lab.server.ss()]);
      const found = both.map(({ mptcp: [row] }) => row);
      return found.every((row) => Number(row?.info["subflows"]) >= 1) && found;
    }, 10_000);
    assert(ours && theirs);
    for (const [host, name] of [[lab.client, "bytes_sent"], [lab.server, "bytes_received"]] as const) {
      await until(async () => {
        const paths = (await host.ss()).tcp.filter(({ local }) => /^10\.0\.[12]\./.test(local));
        return paths.length === 2 && paths.every(({ info }) => Number(info[name] ?? 0) > 100_000);
      });
    }
    source.endInput();
    // The sink ends after the source has sent all: Deno 2.9 breaks a write that waits when the other side's end comes first.
    await until(async () => (await lab.client.run("ss", ["-tnH", "state", "fin-wait-2"])).includes(":7000"));
    sink.endInput();
    assertEquals((await sink.ended).stdout, `${text}\n`);
    assertEquals([(await source.ended).code, (await sink.ended).code], [0, 0]);
    const counted = [gate.child, far.child].map((child) => interrupt(child).then(({ stdout }) => stdout.trim().split("\n")));
    const [first, second] = (await Promise.all(counted)).map((lines) => JSON.parse(lines.at(-1)!) as Counters);
    assertEquals([first!.connectedMptcp, second!.acceptedMptcp], [1, 1]);
    assertEquals([first!.bytesOut, second!.bytesOut], [text.length + 1, text.length + 1]);
  });
});
