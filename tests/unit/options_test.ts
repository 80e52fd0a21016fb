/** The options of `connect` and `listen`: what is refused before any system call. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "node:test";
import { checkConnectOptions, checkListenOptions, type ConnectOptions, type ListenOptions } from "../../net/options.ts";

type Bad = readonly (readonly [option: string, value: unknown, type: "TypeError" | "RangeError"])[];

const NUMBERS: readonly (readonly [value: unknown, type: "TypeError" | "RangeError"])[] = [
  ["1", "TypeError"],
  [null, "TypeError"],
  [1n, "TypeError"],
  [true, "TypeError"],
  [{}, "TypeError"],
  [-1, "RangeError"],
  [1.5, "RangeError"],
  [NaN, "RangeError"],
  [Infinity, "RangeError"],
];
const TEXTS = [1, null, true, {}, [], "", "a\0b"];
const FLAGS = [0, 1, "true", null, {}];

/** Both take these. */
const BOTH: Bad = [
  ...["on", "", 1, null, true, {}, []].map((value) => ["mptcp", value, "TypeError"] as const),
  ...NUMBERS.flatMap(([value, type]) => [["receiveBuffer", value, type], ["sendBuffer", value, type]] as const),
  ...[0, 2 ** 31].flatMap((value) => [["receiveBuffer", value, "RangeError"], ["sendBuffer", value, "RangeError"]] as const),
  ...TEXTS.flatMap((value) => [["congestion", value, "TypeError"], ["hostname", value, "TypeError"]] as const),
  ["congestion", "sixteen_or_more_", "RangeError"],
  ...NUMBERS.map(([value, type]) => ["port", value, type] as const),
  ["port", undefined, "TypeError"],
  ["port", 65536, "RangeError"],
];

const CONNECT: Bad = [
  ...BOTH,
  ["port", 0, "RangeError"],
  ...TEXTS.map((value) => ["localAddress", value, "TypeError"] as const),
  ...["example.test", "localhost", "999.1.1.1", "[::1]"].map((value) => ["localAddress", value, "TypeError"] as const),
  ...NUMBERS.map(([value, type]) => ["localPort", value, type] as const),
  ["localPort", 65536, "RangeError"],
  ...[null, {}, new AbortController(), "abort", true].map((value) => ["signal", value, "TypeError"] as const),
  ["timeout", "1", "TypeError"],
  ["timeout", null, "TypeError"],
  ["timeout", 1n, "TypeError"],
  ["timeout", -1, "RangeError"],
  ["timeout", NaN, "RangeError"],
  ...FLAGS.flatMap((value) => [["noDelay", value, "TypeError"], ["keepAlive", value, "TypeError"]] as const),
];

const LISTEN: Bad = [
  ...BOTH,
  ...NUMBERS.map(([value, type]) => ["backlog", value, type] as const),
  ["backlog", 2 ** 31, "RangeError"],
  ...FLAGS.flatMap((value) => [["reusePort", value, "TypeError"], ["ipv6Only", value, "TypeError"]] as const),
];

function refuses(run: () => void, option: string, type: string): void {
  const error = assertThrows(run, Error);
  assertEquals([option, error.name], [option, type]);
  assert(error.message.startsWith(`Cannot use ${option} `), error.message);
  assert(!error.message.endsWith("."), error.message);
  assert(!error.message.includes("\0"), "a NUL is shown escaped");
}

const label = (value: unknown) => typeof value === "object" && value ? "an object" : JSON.stringify(String(value));

describe("options of connect", () => {
  it("takes the least", () => checkConnectOptions({ port: 1 }));

  it("takes all", () => {
    checkConnectOptions({
      hostname: "example.test",
      port: 65535,
      localAddress: "fe80::1%eth0",
      localPort: 0,
      mptcp: "require",
      receiveBuffer: 1,
      sendBuffer: 2 ** 31 - 1,
      congestion: "fifteen_letters",
      signal: AbortSignal.timeout(0),
      timeout: Infinity,
      noDelay: true,
      keepAlive: false,
    });
    for (const mptcp of ["prefer", "require", "off"] as const) checkConnectOptions({ port: 1, mptcp });
    checkConnectOptions({ port: 1, timeout: 0 });
  });

  it("takes undefined for absent", () => {
    const names = ["hostname", "localAddress", "localPort", "mptcp", "receiveBuffer", "sendBuffer", "congestion", "signal"];
    const absent = Object.fromEntries([...names, "timeout", "noDelay", "keepAlive"].map((name) => [name, undefined]));
    checkConnectOptions({ ...absent, port: 1 });
  });

  for (const [option, value, type] of CONNECT) {
    it(`refuses ${option} ${typeof value} ${label(value)}`, () => {
      refuses(() => checkConnectOptions({ port: 1, [option]: value } as ConnectOptions), option, type);
    });
  }
});

describe("options of listen", () => {
  it("takes the least", () => checkListenOptions({ port: 0 }));

  it("takes all", () => {
    checkListenOptions({
      hostname: "::",
      port: 65535,
      mptcp: "off",
      receiveBuffer: 4096,
      sendBuffer: 4096,
      congestion: "cubic",
      backlog: 0,
      reusePort: true,
      ipv6Only: true,
    });
  });

  for (const [option, value, type] of LISTEN) {
    it(`refuses ${option} ${typeof value} ${label(value)}`, () => {
      refuses(() => checkListenOptions({ port: 1, [option]: value } as ListenOptions), option, type);
    });
  }
});

describe("options at all", () => {
  for (const value of [undefined, null, 80, "80", true, () => {}]) {
    it(`are not ${typeof value} ${String(value)}`, () => {
      assertThrows(() => checkConnectOptions(value as never), TypeError, "Cannot connect with");
      assertThrows(() => checkListenOptions(value as never), TypeError, "Cannot listen with");
    });
  }

  it("are read once, so a getter cannot change its mind", () => {
    let reads = 0;
    const options = {
      get port() {
        return ++reads === 1 ? 80 : -1;
      },
    };
    checkConnectOptions(options);
    assertEquals(reads, 1);
  });

  it("are shown short in messages", () => {
    const error = assertThrows(() => checkConnectOptions({ port: 1, mptcp: "x".repeat(10_000) as never }), TypeError);
    assert(error.message.length < 200, error.message);
  });
});
