import { assert, assertEquals, assertMatch, assertRejects, assertStrictEquals } from "@std/assert";
import { createServer } from "node:net";
import { describe, it } from "node:test";
import { diagnose, type Diagnosis, listen } from "@mptcp/mptcp";
import { run, runtime } from "../host/program.ts";
import { openDescriptors } from "./pair.ts";

/** What was found, but for what depends on others that use this network, and on who runs this. */
const codes = ({ findings }: Diagnosis) =>
  findings.map(({ code }) => code).filter((code) => code !== "otherConnections" && code !== "lessEvidence");

/** A port of loopback where nobody listens. */
function freePort(): number {
  using listener = listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

describe("diagnose", () => {
  for (const hostname of ["127.0.0.1", "::1"]) {
    it(`reports a good peer at ${hostname}, and exchanges nothing`, async () => {
      using listener = listen({ hostname, port: 0 });
      const { port } = listener.addr;
      const [found, received] = await Promise.all([
        diagnose({ hostname, port }),
        listener.accept().then(async (conn) => {
          using accepted = conn;
          return { multipath: accepted.isMultipath(), count: await accepted.read(new Uint8Array(1)) };
        }),
      ]);
      assertEquals(received, { multipath: true, count: null });
      assertEquals([found.hostname, found.port, found.address], [hostname, port, hostname]);
      assertEquals([found.reachable, found.multipath, found.fallback], [true, true, null]);
      assertEquals(codes(found), ["sameHost"]);
      assertMatch(found.verdict, /is reached by MPTCP, over one path: /);
      assertEquals(found.subflows.map(({ remote, interface: name, state }) => [remote.hostname, name, state]), [
        [hostname, "lo", "ESTABLISHED"],
      ]);
      assert((found.counters["MPCapableSYNTX"] ?? 0) >= 1);
      assert(found.connectMs >= 0 && found.connectMs < 5000 && found.waitedMs <= 3000);
      assertEquals(found.support.enabled, true);
    });
  }

  it("can be written as JSON, and read", async () => {
    using listener = listen({ hostname: "127.0.0.1", port: 0 });
    const found = await diagnose({ port: listener.addr.port, wait: 0 });
    const again: Diagnosis = JSON.parse(JSON.stringify(found));
    assertEquals([again.verdict, again.findings, again.subflows.length], [found.verdict, found.findings, 1]);
  });

  it("waits as long as told", async () => {
    using listener = listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = listener.addr;
    assert((await diagnose({ port, wait: 0 })).waitedMs < 100);
    assert((await diagnose({ port, wait: 300 })).waitedMs <= 600);
  });

  it("names a listener of this host that is plain TCP", async () => {
    using listener = listen({ hostname: "127.0.0.1", port: 0, mptcp: "off" });
    const found = await diagnose({ port: listener.addr.port });
    assertEquals(codes(found), ["peerWithoutMptcp"]);
    assertEquals([found.reachable, found.multipath, found.fallback?.phase], [true, false, "handshake"]);
    assertMatch(found.verdict, /is reached by plain TCP: /);
    assertEquals(found.waitedMs < 100, true);
  });

  it("says so when the runtime's own server listens", async () => {
    const server = createServer();
    await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as { port: number };
    const found = await diagnose({ port });
    // Node's own may be MPTCP one day.
    if (!found.multipath) assertEquals(codes(found), ["peerWithoutMptcp"]);
    await new Promise((resolve) => server.close(resolve));
  });

  it("finds a refused port, and no failure", async () => {
    const found = await diagnose({ hostname: "127.0.0.1", port: freePort() });
    assertEquals(codes(found), ["refused"]);
    assertEquals([found.reachable, found.multipath, found.address, found.subflows], [false, false, null, []]);
    assertMatch(found.verdict, /is not reached: /);
  });

  it("finds a name that does not exist", async () => {
    const found = await diagnose({ hostname: "no-such-host.invalid", port: 80 });
    assertEquals(codes(found), ["nameUnknown"]);
  });

  it("finds a local address that cannot be used", async () => {
    using listener = listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = listener.addr;
    for (const localAddress of ["192.0.2.1", "::1"]) {
      assertEquals(codes(await diagnose({ port, localAddress })), ["localAddressUnusable"]);
    }
    const found = await diagnose({ port, localAddress: "127.0.0.2", wait: 0 });
    assertEquals([found.localAddress, found.multipath], ["127.0.0.2", true]);
  });

  it("finds a peer that closes or resets at once", async () => {
    for (const end of ["close", "reset"] as const) {
      using listener = listen({ hostname: "127.0.0.1", port: 0 });
      const serving = (async () => {
        for await (const conn of listener) conn[end]();
      })();
      const found = await diagnose({ port: listener.addr.port });
      // Which of the three depends on how soon it does.
      assert(["peerClosed", "reset", "sameHost"].includes(codes(found).join()), JSON.stringify(found.findings));
      assert(found.waitedMs < 2500);
      listener.close();
      await serving;
    }
  });

  it("rejects with the signal's reason, before and while it waits, and leaves nothing open", async () => {
    using listener = listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = listener.addr;
    const first = listener.accept();
    await diagnose({ port, wait: 50 });
    (await first).close();
    const before = openDescriptors();
    const reason = new Error("enough");
    assertStrictEquals(await diagnose({ port, signal: AbortSignal.abort(reason) }).catch((error) => error), reason);
    const controller = new AbortController();
    const accepting = listener.accept();
    const working = diagnose({ port, wait: 60_000, signal: controller.signal }).catch((error) => error);
    const accepted = await accepting; // so it is connected, and waits or is about to
    controller.abort(reason);
    assertStrictEquals(await working, reason);
    accepted.close();
    assertEquals(openDescriptors(), before);
  });

  it("leaves nothing open after reports of all kinds", async () => {
    using listener = listen({ hostname: "127.0.0.1", port: 0 });
    const once = async () => {
      await diagnose({ port: freePort() });
      const accepted = listener.accept();
      await diagnose({ port: listener.addr.port, wait: 30 });
      (await accepted).close();
      await diagnose({ hostname: "no-such-host.invalid", port: 80 });
    };
    await once();
    const before = openDescriptors();
    for (let i = 0; i < 5; i++) await once();
    assertEquals(openDescriptors(), before);
  });

  it("lets the process end", () => {
    const { code, stdout, stderr } = run(`
      import { diagnose, listen } from "MPTCP";
      const listener = listen({ hostname: "127.0.0.1", port: 0 });
      const { multipath } = await diagnose({ port: listener.addr.port, wait: 50 });
      listener.close();
      console.log(multipath);
    `);
    assertEquals([code, stdout.trim()], [0, "true"], stderr);
  });

  it("works on a host without FFI", () => {
    const { stdout, stderr } = run(
      `
      import { createServer } from "node:net";
      import { diagnose } from "MPTCP";
      const server = createServer().listen(0, "127.0.0.1", async () => {
        const { port } = server.address();
        const { findings, reachable, multipath, support } = await diagnose({ port });
        console.log(JSON.stringify([findings.map(({ code }) => code), reachable, multipath, support.available]));
        server.close();
        const refused = await diagnose({ port });
        console.log(JSON.stringify([refused.findings.map(({ code }) => code), refused.reachable]));
      });
    `,
      { MPTCP_LIBC: "/no/such/libc.so" },
    );
    assertEquals(stdout.trim().split("\n").map((line) => JSON.parse(line)), [
      [["unsupported"], true, false, false],
      [["refused"], false],
    ], stderr);
  });

  // Only Deno has permissions.
  if (runtime === "deno") {
    it("passes a missing permission through", () => {
      const { stdout } = run(
        `
      import { diagnose } from "MPTCP";
      console.log(await diagnose({ port: 1 }).catch((error) => error.name));
    `,
        {},
        ["--allow-net"],
      );
      assertEquals(stdout.trim(), "NotCapable");
    });
  }
});

describe("bad input to diagnose", () => {
  const cases: [options: unknown, type: typeof TypeError | typeof RangeError][] = [
    [undefined, TypeError],
    [null, TypeError],
    ["localhost:80", TypeError],
    [{}, TypeError],
    [{ port: "80" }, TypeError],
    [{ port: 0 }, RangeError],
    [{ port: 65536 }, RangeError],
    [{ port: 80, hostname: 1 }, TypeError],
    [{ port: 80, hostname: "" }, TypeError],
    [{ port: 80, hostname: "a\0b" }, TypeError],
    [{ port: 80, localAddress: "not-an-address" }, TypeError],
    [{ port: 80, timeout: -1 }, RangeError],
    [{ port: 80, timeout: "1s" }, TypeError],
    [{ port: 80, wait: -1 }, RangeError],
    [{ port: 80, wait: NaN }, RangeError],
    [{ port: 80, wait: "1s" }, TypeError],
    [{ port: 80, signal: {} }, TypeError],
  ];
  for (const [options, type] of cases) {
    it(`${JSON.stringify(options)} is a ${type.name}`, async () => {
      await assertRejects(() => diagnose(options as { port: number }), type);
    });
  }
});
