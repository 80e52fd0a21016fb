/** Why a connection is plain TCP: what can be told without one. */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { describe, it } from "node:test";
import { grown, socketFallback, unsupportedFallback } from "../../net/fallback.ts";

const CAUSES = { First: "the first cause", Second: "the second cause", Third: "the third cause" };

describe("grown", () => {
  it("is the first of the table that grew", () => {
    assertEquals(grown(CAUSES, { First: 1, Second: 1 }, { First: 1, Second: 2 }), "Second");
    assertEquals(grown(CAUSES, {}, { Third: 1, Second: 1 }), "Second");
    assertEquals(grown({ Third: "", First: "" }, {}, { First: 1, Third: 1 }), "Third");
  });

  it("takes a counter that was not there for 0", () => {
    assertEquals(grown(CAUSES, {}, { First: 1 }), "First");
    assertEquals(grown(CAUSES, { First: 1 }, {}), null);
  });

  it("is null where none grew", () => {
    assertEquals(grown(CAUSES, {}, {}), null);
    assertEquals(grown(CAUSES, { First: 5, Second: 2 }, { First: 5, Second: 1 }), null);
  });

  it("looks at no counter that is not in the table", () => {
    assertEquals(grown(CAUSES, {}, { Other: 9 }), null);
    assertEquals(grown({}, {}, { First: 1 }), null);
  });
});

describe("socketFallback", () => {
  const cases: readonly (readonly [errno: number, code: string, part: string])[] = [
    [22, "EINVAL", "Linux 5.6"],
    [-22, "EINVAL", "Linux 5.6"],
    [93, "EPROTONOSUPPORT", "CONFIG_MPTCP"],
    [92, "ENOPROTOOPT", "network namespace"],
    [1, "EPERM", "security policy"],
    [13, "EACCES", "security policy"],
    [24, "EMFILE", "too many open files"],
    [4095, "E4095", "system error"],
  ];
  for (const [errno, code, part] of cases) {
    it(`explains ${code} (${errno})`, () => {
      const fallback = socketFallback(errno);
      assertEquals([fallback.phase, fallback.code], ["socket", code]);
      assertStringIncludes(fallback.message, part);
      assertMatch(fallback.message, /^[^.].*[^.]$/);
    });
  }

  it("passes on why a host is not supported", () => {
    assertEquals(unsupportedFallback("no FFI"), { phase: "socket", code: "UNSUPPORTED", message: "no FFI" });
  });
});
