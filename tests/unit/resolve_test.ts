/** The order of addresses, and the names that need no resolver. */
import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { describe, it } from "node:test";
import { type Candidate, interleave, resolve } from "../../net/resolve.ts";

/** `"4a 6b"`: an IPv4 address called a, an IPv6 address called b. */
const list = (text: string): Candidate[] =>
  text.split(" ").filter(Boolean).map((word) => ({ address: word, version: Number(word[0]) as 4 | 6 }));

const CASES: readonly (readonly [string, string])[] = [
  ["", ""],
  ["4a", "4a"],
  ["6a 6b", "6a 6b"],
  ["4a 6b", "4a 6b"],
  ["6a 4b", "6a 4b"],
  ["6a 6b 4c 4d", "6a 4c 6b 4d"],
  ["4a 4b 6c", "4a 6c 4b"],
  ["4a 6b 6c 6d", "4a 6b 6c 6d"],
  ["6a 4b 4c 6d 4e", "6a 4b 6d 4c 4e"],
];

describe("interleave", () => {
  for (const [given, expected] of CASES) {
    it(`makes "${expected}" of "${given}"`, () => assertEquals(interleave(list(given)), list(expected)));
  }

  it("keeps every address once, the order within a family, and the first in front", () => {
    const candidate = fc.record({ address: fc.string(), version: fc.constantFrom(4 as const, 6 as const) });
    fc.assert(fc.property(fc.array(candidate), (given) => {
      const order = interleave(given);
      assertEquals(order[0], given[0]);
      for (const family of [4, 6]) {
        assertEquals(order.filter(({ version }) => version === family), given.filter(({ version }) => version === family));
      }
      // Two of a family come one after the other only when the other family is used up.
      const change = order.findIndex(({ version }, index) => index > 0 && version === order[index - 1]!.version);
      if (change > 0) assertEquals(order.slice(change).every(({ version }) => version === order[change]!.version), true);
    }));
  });
});

describe("resolve", () => {
  for (const [address, version] of [["127.0.0.1", 4], ["::1", 6], ["fe80::1%eth0", 6]] as const) {
    it(`gives ${address} itself`, async () => assertEquals(await resolve(address), [{ address, version }]));
  }
});
