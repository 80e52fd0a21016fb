import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { describe, it } from "node:test";
import { connect, listen, MptcpError } from "@mptcp/mptcp";
import { openDescriptors, pair } from "./pair.ts";

/** A port of loopback where nobody listens. */
function freePort(): number {
  using listener = listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

describe("connect", () => {
  it("over IPv6", async () => {
    await using ends = await pair({ hostname: "::1" }, { hostname: "::1" });
    assert(ends.client.isMultipath() && ends.server.isMultipath());
    assertEquals(ends.client.remoteAddr.hostname, "::1");
  });

  it("by name", async () => {
    using listener = listen({ hostname: "::", port: 0 });
    const accepted = listener.accept();
    using client = await connect({ hostname: "localhost", port: listener.addr.port });
    using server = await accepted;
    assert(client.isMultipath() && server.isMultipath());
  });

  it("from an address and port of one's own", async () => {
    const localPort = freePort();
    await using ends = await pair({ localAddress: "127.0.0.2", localPort });
    assertEquals(ends.server.remoteAddr, { transport: "tcp", hostname: "127.0.0.2", port: localPort });
  });

  it("with buffers and congestion control set before connecting", async () => {
    await using ends = await pair(
      { receiveBuffer: 1 << 16, sendBuffer: 1 << 17, congestion: "reno" },
      { receiveBuffer: 1 << 18, congestion: "reno" },
    );
    assertEquals(ends.client.getOption(1, 8), 1 << 17);
    assertEquals(ends.client.getOption(1, 7), 1 << 18);
    assertEquals(ends.server.getOption(1, 8), 1 << 19);
  });

  it("refused, names the call, the address, the port", async () => {
    const port = freePort();
    const error = await assertRejects(() => connect({ hostname: "127.0.0.1", port }), MptcpError);
    assertEquals(
      [error.code, error.errno, error.syscall, error.address, error.port],
      ["ECONNREFUSED", -111, "connect", "127.0.0.1", port],
    );
    assertEquals(error.name, "MptcpError");
    assert(!error.message.endsWith("."), error.message);
  });

  it("refused on every address of a name, tells all", async () => {
    const error = await assertRejects(() => connect({ hostname: "localhost", port: freePort() }), MptcpError);
    assertEquals(error.code, "ECONNREFUSED");
  });

  it("to a name that does not exist", async () => {
    const error = await assertRejects(() => connect({ hostname: "no-such-host.invalid", port: 80 }), MptcpError);
    assert(["ENOTFOUND", "EAI_AGAIN"].includes(error.code), error.code);
    assert(error.hint !== undefined && error.cause !== undefined);
  });

  it("from an address that is not ours, or of the other family", async () => {
    const foreign = await assertRejects(() => connect({ port: 80, localAddress: "192.0.2.1" }), MptcpError);
    assertEquals([foreign.code, foreign.syscall], ["EADDRNOTAVAIL", "bind"]);
    const family = await assertRejects(() => connect({ hostname: "127.0.0.1", port: 80, localAddress: "::1" }), MptcpError);
    assertEquals(family.code, "EADDRNOTAVAIL");
  });

  it("aborted before, rejects with the signal's own reason", async () => {
    const reason = new Error("not now");
    const before = openDescriptors();
    const rejection = await connect({ port: freePort(), signal: AbortSignal.abort(reason) }).catch((error) => error);
    assertStrictEquals(rejection, reason);
    assertEquals(openDescriptors(), before);
  });

  it("aborted after, leaves the connection alone", async () => {
    const controller = new AbortController();
    await using ends = await pair({ signal: controller.signal, timeout: 60_000 });
    controller.abort();
    assert(ends.client.isMultipath());
  });

  it("requires MPTCP when told so", async () => {
    await using ends = await pair({ mptcp: "require" });
    assert(ends.client.isMultipath());
    using tcp = listen({ hostname: "127.0.0.1", port: 0, mptcp: "off" });
    const before = openDescriptors();
    const error = await assertRejects(() => connect({ port: tcp.addr.port, mptcp: "require" }), MptcpError);
    assertEquals([error.code, error.errno], ["EOPNOTSUPP", -95]);
    assert(error.hint?.includes("prefer"), error.message);
    (await tcp.accept()).close();
    assert(openDescriptors() <= before + 1);
  });

  it("over TCP when told so", async () => {
    await using ends = await pair({ mptcp: "off" });
    assertEquals([ends.client.isMultipath(), ends.client.fallback(), ends.client.token], [false, null, null]);
    assertEquals(ends.client.subflows().map(({ id }) => id), [0]);
    assertEquals(typeof ends.client.subflows()[0]!.tcpInfo.rtt, "number");
  });
});

describe("bad input to connect", () => {
  const cases: [options: unknown, type: typeof TypeError | typeof RangeError][] = [
    [undefined, TypeError],
    ["localhost:80", TypeError],
    [{}, TypeError],
    [{ port: "80" }, TypeError],
    [{ port: 0 }, RangeError],
    [{ port: 70000 }, RangeError],
    [{ port: 80.5 }, RangeError],
    [{ port: 80, hostname: 1 }, TypeError],
    [{ port: 80, hostname: "" }, TypeError],
    [{ port: 80, hostname: "a\0b" }, TypeError],
    [{ port: 80, mptcp: true }, TypeError],
    [{ port: 80, timeout: -1 }, RangeError],
    [{ port: 80, timeout: "1s" }, TypeError],
    [{ port: 80, timeout: NaN }, RangeError],
    [{ port: 80, signal: {} }, TypeError],
    [{ port: 80, localPort: -1 }, RangeError],
    [{ port: 80, localAddress: "not-an-address" }, TypeError],
    [{ port: 80, localAddress: "not-an-address", hostname: "no-such-name.invalid" }, TypeError],
    [{ port: 80, receiveBuffer: 2 ** 31 }, RangeError],
    [{ port: 80, noDelay: "yes" }, TypeError],
  ];
  for (const [options, type] of cases) {
    it(`${JSON.stringify(options)} is a ${type.name}`, async () => {
      await assertRejects(() => connect(options as { port: number }), type);
    });
  }
});
