/** The errno table, against the runtime's own. */
import { assertEquals, assertMatch, assertStrictEquals } from "@std/assert";
import { constants } from "node:os";
import { describe, it } from "node:test";
import * as errno from "../../kernel/errno.ts";

const { errnoMeaning, errnoName, errnoNumber } = errno;
const system = Object.entries(constants.errno) as [string, number][];
/** Names whose number has a better known name. */
const ALIASES = ["EWOULDBLOCK", "ENOTSUP", "EDEADLOCK"];

describe("errno", () => {
  it("has the numbers of this system", () => {
    for (const [name, number] of system) {
      const known = errnoNumber(name);
      if (known !== undefined) assertEquals([name, known], [name, number]);
      if (known !== undefined && !ALIASES.includes(name)) assertEquals(errnoName(number), name);
    }
  });

  it("names an errno of either sign", () => {
    assertEquals([errnoName(111), errnoName(-111)], ["ECONNREFUSED", "ECONNREFUSED"]);
    assertEquals(errnoNumber("ECONNREFUSED"), 111);
  });

  it("has a meaning for every name", () => {
    for (const [name] of system) {
      if (errnoNumber(name) === undefined) continue;
      assertMatch(errnoMeaning(name), /^[a-z][^.]*$/);
    }
  });

  it("does without a name", () => {
    assertEquals([errnoName(4095), errnoName(-4095), errnoName(0)], ["E4095", "E4095", "E0"]);
    assertStrictEquals(errnoNumber("E4095"), undefined);
    assertStrictEquals(errnoNumber(""), undefined);
    assertStrictEquals(errnoNumber("constructor"), undefined);
    assertEquals(errnoMeaning("E4095"), "system error");
    assertEquals(errnoMeaning("constructor"), "system error");
  });

  it("exports constants of the right numbers", () => {
    for (const [name, value] of Object.entries(errno)) {
      if (typeof value === "number") assertEquals([name, value], [name, errnoNumber(name)!]);
    }
  });
});
