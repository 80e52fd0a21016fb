/** MptcpError and the errno funnel. */
import { assert, assertEquals, assertInstanceOf, assertStrictEquals, assertThrows } from "@std/assert";
import { describe, it } from "node:test";
import { check, hostPort, MptcpError, systemError } from "../../kernel/error.ts";

describe("MptcpError", () => {
  it("is an Error with a code and a negative errno", () => {
    const error = new MptcpError("ECONNREFUSED", "connect failed");
    assertInstanceOf(error, Error);
    assertEquals([error.name, error.code, error.errno, error.message], [
      "MptcpError",
      "ECONNREFUSED",
      -111,
      "connect failed",
    ]);
    assert(error.stack?.includes("error_test"));
  });

  it("has a negative errno for every code: the resolver's as in Node, EPROTO for what nobody has numbered", () => {
    const codes = ["ENOTFOUND", "EAI_AGAIN", "DEPTH_ZERO_SELF_SIGNED_CERT", "E4095", "E0", "constructor", ""];
    assertEquals(codes.map((code) => new MptcpError(code, "x").errno), [-3008, -3001, -71, -4095, -71, -71, -71]);
  });

  it("says what can be done after what failed", () => {
    const error = new MptcpError("EPERM", "it failed", { hint: "run it as root" });
    assertEquals([error.message, error.hint], ["it failed; run it as root", "run it as root"]);
  });

  it("keeps the cause, and has none where none was given", () => {
    const cause = new Error("deep");
    assertStrictEquals(new MptcpError("EIO", "x", { cause }).cause, cause);
    assertEquals("cause" in new MptcpError("EIO", "x"), false);
  });

  it("keeps what else is known", () => {
    const known = { syscall: "bind", address: "::1", port: 80, detail: "words", hint: "do" };
    const error = new MptcpError("EIO", "x", known);
    assertEquals({ ...known }, {
      syscall: error.syscall!,
      address: error.address!,
      port: error.port!,
      detail: error.detail!,
      hint: error.hint!,
    });
    assertStrictEquals(new MptcpError("EIO", "x").syscall, undefined);
  });
});

describe("systemError", () => {
  const cases: readonly (readonly [string, MptcpError])[] = [
    ["socket failed: protocol not supported (EPROTONOSUPPORT)", systemError(-93, "socket")],
    ["socket failed: protocol not supported (EPROTONOSUPPORT)", systemError(93, "socket")],
    [
      "connect 192.0.2.1:443 failed: connection refused (ECONNREFUSED); nobody listens there",
      systemError(-111, "connect", { address: "192.0.2.1", port: 443 }),
    ],
    [
      "bind [::1]:80 failed: permission denied (EACCES); " +
      "ports below net.ipv4.ip_unprivileged_port_start (1024) need CAP_NET_BIND_SERVICE",
      systemError(-13, "bind", { address: "::1", port: 80 }),
    ],
    [
      "listen [::]:0 failed: address already in use (EADDRINUSE); ask root",
      systemError(-98, "listen", { address: "::", port: 0, hint: "ask root" }),
    ],
    [
      "accept failed: too many open files in this process (EMFILE); `ulimit -n` tells how many descriptors a process may have open",
      systemError(-24, "accept"),
    ],
    ["read /proc/x failed: is a directory (EISDIR)", systemError(-21, "read", { address: "/proc/x" })],
    [
      "send failed: invalid subflow (EINVAL)",
      systemError(-22, "send", { detail: "invalid subflow" }),
    ],
    [
      "socket failed: operation not permitted (EPERM); ask root",
      systemError(-1, "socket", { hint: "ask root" }),
    ],
    ["ioctl failed: system error (E4095)", systemError(-4095, "ioctl")],
  ];
  for (const [message, error] of cases) {
    it(`says "${message}"`, () => {
      assertEquals(error.message, message);
      assert(!error.message.endsWith("."));
    });
  }

  it("keeps errno negative whatever the sign it was given", () => {
    assertEquals([systemError(98, "bind").errno, systemError(-98, "bind").errno], [-98, -98]);
    assertEquals(systemError(-98, "bind").syscall, "bind");
  });
});

describe("check", () => {
  it("gives a result that is no error", () => {
    assertEquals([check(0, "close"), check(7, "socket")], [0, 7]);
  });

  it("throws for -errno", () => {
    const error = assertThrows(
      () => check(-111, "connect", { address: "::1", port: 1 }),
      MptcpError,
      "connect [::1]:1 failed: connection refused (ECONNREFUSED)",
    );
    assertEquals([error.code, error.errno, error.syscall, error.address, error.port], [
      "ECONNREFUSED",
      -111,
      "connect",
      "::1",
      1,
    ]);
  });
});

describe("hostPort", () => {
  it("puts brackets around IPv6", () => {
    assertEquals(hostPort("192.0.2.1", 1), "192.0.2.1:1");
    assertEquals(hostPort("fe80::1%eth0", 1), "[fe80::1%eth0]:1");
    assertEquals(hostPort("example.test", 0), "example.test:0");
  });
});
