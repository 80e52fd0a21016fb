/** The stand-in for `@std/assert` itself. Where JSR is reached, the tables run through the real one too. */
import * as real from "@std/assert";
import { describe, it } from "node:test";
import * as standIn from "../offline/assert/mod.ts";

const { AssertionError } = standIn;

/** What a function throws; it must. Written by hand, as the assertions are what is tested. */
function thrown(run: () => unknown): Error {
  try {
    run();
  } catch (error) {
    if (error instanceof Error) return error;
    throw new Error("it threw what is no Error");
  }
  throw new Error("it did not throw");
}

function check(condition: boolean, what: string): void {
  if (!condition) throw new Error(what);
}

function passes(run: () => unknown): boolean {
  try {
    run();
    return true;
  } catch (error) {
    check(error instanceof Error && error.name === "AssertionError", `unexpected error: ${error}`);
    return false;
  }
}

class Point {
  x: number;
  constructor(x: number) {
    this.x = x;
  }
}
class OtherPoint {
  x: number;
  constructor(x: number) {
    this.x = x;
  }
}
class Hidden {
  readonly #x: number;
  constructor(x: number) {
    this.#x = x;
  }
  get x(): number {
    return this.#x;
  }
}

function cycle(end: unknown): unknown {
  const value: Record<string, unknown> = { end };
  value["self"] = value;
  return value;
}

const symbol = Symbol("s");
const prototypeless = Object.assign(Object.create(null), { a: 1 });
const callback = () => {};

const EQUAL: readonly (readonly [what: string, a: unknown, b: unknown])[] = [
  ["numbers", 1, 1],
  ["NaN", NaN, NaN],
  ["0 and -0", 0, -0],
  ["bigints", 1n, 1n],
  ["null", null, null],
  ["functions by identity", callback, callback],
  ["objects in any order", { a: 1, b: [2] }, { b: [2], a: 1 }],
  ["symbol keys", { [symbol]: 1 }, { [symbol]: 1 }],
  ["an object without a prototype and a plain one", prototypeless, { a: 1 }],
  ["instances of one class", new Point(1), new Point(1)],
  ["dates", new Date(5), new Date(5)],
  ["invalid dates", new Date(NaN), new Date(NaN)],
  ["expressions", /a/i, /a/i],
  ["URLs", new URL("http://a/"), new URL("http://a")],
  ["getters of a prototype", new Hidden(1), new Hidden(1)],
  ["maps in any order", new Map([["a", 1], ["b", 2]]), new Map([["b", 2], ["a", 1]])],
  ["maps with objects as keys", new Map([[{ k: 1 }, 1]]), new Map([[{ k: 1 }, 1]])],
  ["sets in any order", new Set([1, 2]), new Set([2, 1])],
  ["sets of objects", new Set([{ a: 1 }, { b: 1 }]), new Set([{ b: 1 }, { a: 1 }])],
  ["typed arrays", new Uint8Array([1, 2]), new Uint8Array([1, 2])],
  ["floats", new Float64Array([NaN, 0]), new Float64Array([NaN, -0])],
  ["views of different buffers", new Uint8Array([9, 1]).subarray(1), new Uint8Array([1])],
  ["cycles", cycle(1), cycle(1)],
];

const UNEQUAL: typeof EQUAL = [
  ["a number and a text", 1, "1"],
  ["a number and a bigint", 1, 1n],
  ["null and undefined", null, undefined],
  ["null and an object", null, {}],
  ["functions", () => {}, () => {}],
  ["symbols", Symbol("a"), Symbol("a")],
  ["an undefined member and a missing one", { a: undefined }, {}],
  ["undefined members of other names", { a: undefined }, { b: undefined }],
  ["symbol keys", { [symbol]: 1 }, { [symbol]: 2 }],
  ["own symbol keys", { [Symbol()]: 1 }, { [Symbol()]: 1 }],
  ["an array and an object", [], {}],
  ["arrays of different lengths", [1], [1, undefined]],
  ["a hole and undefined", [, 1], [undefined, 1]],
  ["classes", new Point(1), new OtherPoint(1)],
  ["an instance and a plain object", new Point(1), { x: 1 }],
  ["dates", new Date(5), new Date(6)],
  ["an invalid date", new Date(NaN), new Date(0)],
  ["flags", /a/i, /a/],
  ["getters of a prototype", new Hidden(1), new Hidden(2)],
  ["values of maps", new Map([["a", 1]]), new Map([["a", 2]])],
  ["a map with undefined", new Map([["a", undefined]]), new Map([["b", undefined]])],
  ["sizes of sets", new Set([1]), new Set([1, 2])],
  ["sets of objects", new Set([{ a: 1 }]), new Set([{ a: 2 }])],
  ["a map and a set", new Map(), new Set()],
  ["typed arrays", new Uint8Array([1]), new Uint8Array([2])],
  ["lengths of typed arrays", new Uint8Array(1), new Uint8Array(2)],
  ["classes of typed arrays", new Uint8Array([1]), new Int8Array([1])],
  ["buffers", new Uint8Array([1]).buffer, new Uint8Array([2]).buffer],
  ["cycles", cycle(1), cycle(2)],
  ["a weak map and a weak set", new WeakMap(), new WeakSet()],
];

describe("stand-in of @std/assert", () => {
  it("has only names that @std/assert has", () => {
    for (const name of Object.keys(standIn)) check(name in real, name);
  });

  it("says what is equal", () => {
    for (const [what, a, b] of EQUAL) {
      for (const { equal, assertEquals, assertNotEquals } of [standIn, real]) {
        check(equal(a, b) && equal(b, a), what);
        check(passes(() => assertEquals(a, b)), what);
        check(!passes(() => assertNotEquals(a, b)), what);
      }
    }
  });

  it("says what is not equal", () => {
    for (const [what, a, b] of UNEQUAL) {
      for (const { equal, assertEquals, assertNotEquals } of [standIn, real]) {
        check(!equal(a, b) && !equal(b, a), what);
        check(!passes(() => assertEquals(a, b)), what);
        check(passes(() => assertNotEquals(a, b)), what);
      }
    }
  });

  it("cannot compare what nobody can look into", () => {
    check(thrown(() => standIn.equal(new WeakMap(), new WeakMap())) instanceof TypeError, "WeakMap");
    check(thrown(() => standIn.equal(new WeakSet(), new WeakSet())) instanceof TypeError, "WeakSet");
    check(standIn.equal(new WeakRef({ a: 1 }), new WeakRef({ a: 1 })), "WeakRef");
    check(!standIn.equal(new WeakRef({ a: 1 }), new WeakRef({ a: 2 })), "WeakRef");
  });

  it("pairs the members of sets one to one", () => {
    check(!standIn.equal(new Set([{ a: 1 }, { a: 1 }]), new Set([{ a: 1 }, { a: 2 }])), "a member was used twice");
  });

  it("shows the difference line by line", () => {
    const { name, message } = thrown(() => standIn.assertEquals({ a: 1, b: [2, "x"] }, { b: [3, "x"], a: 1 }, "why"));
    check(name === "AssertionError", name);
    const text = [
      "Values are not equal: why",
      "",
      "",
      "    [Diff] Actual / Expected",
      "",
      "",
      "    {",
      "      a: 1,",
      "      b: [",
      "-       2,",
      "+       3,",
      '        "x",',
      "      ],",
      "    }",
      "",
    ].join("\n");
    check(message === text, message);
    const lines = thrown(() => standIn.assertEquals("a\nb", "a\nc")).message;
    check(lines.includes("    a\\n\n-   b\n+   c\n"), lines);
  });

  it("shows long values in short", () => {
    const long = new Uint8Array(100_000);
    const { message } = thrown(() => standIn.assertEquals(long, long.with(50_000, 1)));
    check(message.includes("-     0,\n+     1,\n") && message.length < 2000, message);
    const words = Array.from({ length: 5000 }, (_, index) => `a${index}`);
    const other = words.map((word) => word.replace("a", "b"));
    check(thrown(() => standIn.assertEquals(words, other)).message.includes('-     "a4999",'), "all lines differ");
  });

  it("shows every kind of value", () => {
    const value = {
      text: 'a"b',
      numbers: [-0, 1n, NaN],
      [Symbol("key")]: Symbol("value"),
      "odd key": null,
      call: function named() {},
      type: Point,
      when: new Date(0),
      never: new Date(NaN),
      expression: /x/g,
      url: new URL("http://a/"),
      bytes: new Uint8Array([1]),
      buffer: new Uint8Array([1, 255]).buffer,
      map: new Map([[{ a: 1 }, new Set([1])]]),
      failure: new TypeError("bad"),
      point: new Point(1),
      bare: prototypeless,
      holes: [, 1],
      cycle: cycle(1),
      empty: [{}, [], undefined, true],
    };
    const { message } = thrown(() => standIn.assertStrictEquals<unknown>(value, 1));
    const parts = ['"a\\"b"', "-0", "1n", "NaN", "[Symbol(key)]: Symbol(value)", '"odd key": null', "[Function: named]"];
    parts.push("[class Point]", "1970-01-01T00:00:00.000Z", "Invalid Date", "/x/g", 'URL "http://a/"', "Uint8Array(1) [");
    parts.push("ArrayBuffer <01 ff>", "} => Set(1) {", 'TypeError: "bad"', "Point {", "[Object: null prototype] {");
    parts.push("<empty>", "[Circular]", "{},", "[],", "undefined,", "true,");
    for (const part of parts) check(message.includes(part), `${part} is not in ${message}`);
  });

  it("asserts truth", () => {
    for (const value of [1, "a", {}, []]) {
      check(passes(() => standIn.assert(value)) && !passes(() => standIn.assertFalse(value)), String(value));
    }
    for (const value of [0, 0n, "", null, undefined, NaN, false]) {
      check(!passes(() => standIn.assert(value)) && passes(() => standIn.assertFalse(value)), String(value));
    }
    check(thrown(() => standIn.assert(false, "why")).message === "why", "message");
    check(thrown(() => standIn.assert(false)).message === "", "no message");
  });

  it("asserts identity", () => {
    const same = {};
    check(passes(() => standIn.assertStrictEquals(same, same)), "itself");
    check(passes(() => standIn.assertStrictEquals(NaN, NaN)), "NaN");
    check(passes(() => standIn.assertNotStrictEquals(0, -0)), "0 and -0");
    check(!passes(() => standIn.assertNotStrictEquals(same, same)), "not itself");
    const alike = thrown(() => standIn.assertStrictEquals({ a: 1 }, { a: 1 })).message;
    check(alike.startsWith("Values have the same structure but are not reference-equal."), alike);
    const unlike = thrown(() => standIn.assertStrictEquals(1, 2, "why")).message;
    check(unlike.startsWith("Values are not strictly equal: why") && unlike.includes("-   1\n+   2\n"), unlike);
  });

  it("asserts nearness", () => {
    const near: [number, number, number?][] = [[0.1 + 0.2, 0.3], [-0, 0], [NaN, NaN], [1, 2, 1], [9e20, 9.0000000001e20]];
    for (const args of near) check(passes(() => standIn.assertAlmostEquals(...args)), String(args));
    const far: [number, number, number?][] = [[1, 2], [1, 1.1], [1e-8, 1e-9], [0, Infinity], [NaN, 1], [1, 2, 0.5]];
    for (const args of far) check(!passes(() => standIn.assertAlmostEquals(...args)), String(args));
    const { message } = thrown(() => standIn.assertAlmostEquals(1, 1.5, 0.1));
    check(message.includes('delta "5e-1" is greater than "1e-1".'), message);
  });

  it("asserts order", () => {
    check(passes(() => standIn.assertGreater(2, 1)) && !passes(() => standIn.assertGreater(1, 1)), ">");
    check(passes(() => standIn.assertGreaterOrEqual(1, 1)) && !passes(() => standIn.assertGreaterOrEqual(0, 1)), ">=");
    check(passes(() => standIn.assertLess(1n, 2n)) && !passes(() => standIn.assertLess(1, 1)), "<");
    check(passes(() => standIn.assertLessOrEqual(1, 1)) && !passes(() => standIn.assertLessOrEqual(2, 1)), "<=");
    check(!passes(() => standIn.assertGreater(NaN, 1)) && !passes(() => standIn.assertLess(NaN, 1)), "NaN");
    check(thrown(() => standIn.assertLess(2, 1)).message === "Expect 2 < 1", "message");
  });

  it("asserts what is held", () => {
    check(passes(() => standIn.assertArrayIncludes([{ a: 1 }, { b: 2 }], [{ b: 2 }])), "deeply");
    check(passes(() => standIn.assertArrayIncludes(new Uint8Array([1, 2]), new Uint8Array([2]))), "typed");
    const { message } = thrown(() => standIn.assertArrayIncludes(["a"], ["b"]));
    check(message.endsWith('missing: [\n  "b",\n]'), message);
    check(passes(() => standIn.assertExists(0)) && !passes(() => standIn.assertExists(null)), "exists");
    check(
      passes(() => standIn.assertStringIncludes("abc", "b")) && !passes(() => standIn.assertStringIncludes("a", "b")),
      "text",
    );
    check(passes(() => standIn.assertMatch("abc", /b/)) && !passes(() => standIn.assertMatch("abc", /x/)), "match");
    check(passes(() => standIn.assertNotMatch("abc", /x/)) && !passes(() => standIn.assertNotMatch("abc", /b/)), "no match");
  });

  it("asserts classes", () => {
    check(passes(() => standIn.assertInstanceOf(new Date(), Date)), "Date");
    const cases: [unknown, string][] = [
      [5, ' but was "number"'],
      [null, ' but was "null"'],
      [{}, ' but was "Object"'],
      [Object.create(null), ' but was "Object"'],
      [() => {}, " but was not an instanced object"],
    ];
    for (const [value, but] of cases) {
      const { message } = thrown(() => standIn.assertInstanceOf(value, Date));
      check(message === `Expected object to be an instance of "Date"${but}.`, message);
    }
    check(
      passes(() => standIn.assertNotInstanceOf(5, Date)) && !passes(() => standIn.assertNotInstanceOf(new Date(), Date)),
      "not",
    );
  });

  it("asserts errors", () => {
    const error = new RangeError('\x1b[31mred\x1b[0m "quoted"');
    check(passes(() => standIn.assertIsError(error)), "an error");
    check(passes(() => standIn.assertIsError(error, Error, 'red "q')), "without colours");
    check(passes(() => standIn.assertIsError(error, RangeError, /^red/)), "by expression");
    check(!passes(() => standIn.assertIsError("text")), "a text");
    const wrong = thrown(() => standIn.assertIsError(error, TypeError, "", "why")).message;
    check(wrong === 'Expected error to be instance of "TypeError", but was "RangeError": why', wrong);
    const text = thrown(() => standIn.assertIsError(new Error("a"), Error, 'b"')).message;
    check(text === 'Expected error message to include "b\\"", but got "a".', text);
  });

  it("asserts throws", () => {
    const error = new RangeError("bad");
    const raise = () => {
      throw error;
    };
    check(standIn.assertThrows(raise) === error, "gives the error");
    check(standIn.assertThrows(raise, RangeError, "ba") === error, "gives the error of a class");
    check(
      standIn.assertThrows(() => {
        throw 1;
      }) === 1,
      "gives what is no error",
    );
    check(!passes(() => standIn.assertThrows(raise, TypeError)), "class");
    check(!passes(() => standIn.assertThrows(raise, RangeError, "good")), "text");
    check(thrown(() => standIn.assertThrows(() => 1)).message === "Expected function to throw.", "none");
    check(thrown(() => standIn.assertThrows(() => 1, "why")).message === "Expected function to throw: why", "message");
    const nothing = thrown(() =>
      standIn.assertThrows(() => {
        throw "text";
      }, Error)
    );
    check(nothing.message === "A non-Error object was thrown.", nothing.message);
  });

  it("asserts rejections", async () => {
    const error = new RangeError("bad");
    const rejected = () => Promise.reject(error);
    check(await standIn.assertRejects(rejected) === error, "gives the reason");
    check(await standIn.assertRejects(rejected, RangeError, "ba") === error, "gives the error of a class");
    const messageOf = async (run: () => Promise<unknown>) => {
      const failure = await run().then(() => new Error("it passed"), (reason) => reason);
      check(failure instanceof AssertionError, String(failure));
      return failure.message;
    };
    const cases: [() => Promise<unknown>, string][] = [
      [
        () => standIn.assertRejects(rejected, TypeError),
        'Expected error to be instance of "TypeError", but was "RangeError".',
      ],
      [() => standIn.assertRejects(() => Promise.resolve(1), "why"), "Expected function to reject: why"],
      [() => standIn.assertRejects(() => Promise.reject(1), Error), "A non-Error object was rejected."],
      [() => standIn.assertRejects(() => standIn.fail()), "Function throws when expected to reject."],
      [() => standIn.assertRejects((() => 1) as never), "Function throws when expected to reject."],
    ];
    for (const [run, expected] of cases) {
      const message = await messageOf(run);
      check(message === expected, message);
    }
  });

  it("asserts parts of objects", () => {
    const whole = {
      a: 1,
      list: [{ b: 1, c: 2 }, 3],
      map: new Map([["k", { d: 1, e: 2 }], ["l", { d: 3, e: 4 }]]),
      set: new Set([1, 2]),
      point: new Point(1),
      when: new Date(0),
      bytes: new Uint8Array([1]),
      none: null,
      [symbol]: 1,
    };
    const parts: Record<PropertyKey, unknown>[] = [
      {},
      { a: 1 },
      { list: [{ b: 1 }] },
      { list: [] },
      { map: new Map([["k", { d: 1 }]]) },
      { set: new Set([2]) },
      { point: { x: 1 } },
      { when: new Date(0), bytes: new Uint8Array([1]), none: null },
      { [symbol]: 1 },
    ];
    for (const part of parts) {
      check(passes(() => standIn.assertObjectMatch(whole, part)), `matches ${Object.keys(part)}`);
      check(passes(() => real.assertObjectMatch(whole, part)), `really matches ${Object.keys(part)}`);
    }
    const others: Record<PropertyKey, unknown>[] = [
      { a: 2 },
      { z: undefined },
      { list: [{ b: 2 }] },
      { list: [{ b: 1 }, 3, 4] },
      { map: new Map([["k", { d: 2 }]]) },
      { map: new Map([["m", 1]]) },
      { set: new Set([3]) },
      { none: {} },
      { when: new Date(1) },
      { bytes: new Uint8Array([2]) },
    ];
    for (const other of others) {
      check(!passes(() => standIn.assertObjectMatch(whole, other)), `does not match ${Object.keys(other)}`);
      check(!passes(() => real.assertObjectMatch(whole, other)), `really does not match ${Object.keys(other)}`);
    }
    check(passes(() => standIn.assertObjectMatch(cycle(1) as never, cycle(1) as never)), "a cycle");
    check(passes(() => standIn.assertObjectMatch(cycle(1) as never, { self: { self: { end: 1 } } })), "into a cycle");
    check(
      !passes(() => standIn.assertObjectMatch(cycle(1) as never, { self: { self: { end: 2 } } })),
      "a cycle that differs",
    );
    const bad = thrown(() => standIn.assertObjectMatch(null as never, {}));
    check(bad instanceof TypeError && bad.message.includes("null"), bad.message);
  });

  it("fails on demand", () => {
    check(thrown(() => standIn.fail("why")).message === "Failed assertion: why", "fail");
    check(thrown(() => standIn.fail()).message === "Failed assertion.", "fail");
    check(thrown(() => standIn.unimplemented()).message === "Unimplemented.", "unimplemented");
    check(thrown(() => standIn.unreachable()).message === "Unreachable.", "unreachable");
    const cause = new Error("deep");
    check(new AssertionError("x", { cause }).cause === cause, "cause");
  });

  it("narrows types", () => {
    const text = ((): unknown => "a")();
    standIn.assertStrictEquals(text, "a" as const);
    const exact: "a" = text;
    const maybe = ((): string | undefined => exact)();
    standIn.assertExists(maybe);
    check(maybe.length === 1, "string");
    const date = ((): unknown => new Date(0))();
    standIn.assertInstanceOf(date, Date);
    check(date.getTime() === 0, "Date");
    const error = ((): unknown => new RangeError("x"))();
    standIn.assertIsError(error, RangeError);
    check(error.message === "x", "RangeError");
    const caught: TypeError = standIn.assertThrows(() => {
      throw new TypeError("y");
    }, TypeError);
    check(caught.message === "y", "TypeError");
  });
});
