/** The stand-in for `@std/cli` itself. Where JSR is reached, the table runs through the real one too. */
import * as real from "@std/cli";
import { assertEquals } from "@std/assert";
import { describe, it } from "node:test";
import * as standIn from "../offline/cli/mod.ts";

type Options = standIn.ParseOptions;

/** Arguments, options, and what `parseArgs` gives by its documentation. */
const CASES: readonly (readonly [args: string[], options: Options, expected: Record<string, unknown>])[] = [
  [["--foo", "--bar=baz", "./quux.txt"], {}, { _: ["./quux.txt"], foo: true, bar: "baz" }],
  [["--foo", "--bar=baz", "--no-value"], {}, { _: [], foo: true, bar: "baz", "no-value": true }],
  [["--n=5", "--x", "0x10", "--t=1.5e3", "7", "a"], {}, { _: [7, "a"], n: 5, x: 16, t: 1500 }],
  [["--n=5", "7"], { string: ["n", "_"] }, { _: ["7"], n: "5" }],
  [["--quiet", "file"], { boolean: ["quiet"] }, { _: ["file"], quiet: true }],
  [["file"], { boolean: ["quiet"] }, { _: ["file"], quiet: false }],
  [["--quiet", "false", "--loud=false"], { boolean: ["quiet", "loud"] }, { _: [], quiet: false, loud: false }],
  [["--a", "b", "--c"], { boolean: true }, { _: ["b"], a: true, c: true }],
  [["--name"], { string: ["name"] }, { _: [], name: "" }],
  [["--name", "--other"], { string: ["name"] }, { _: [], name: "", other: true }],
  [["--c", "1", "--c=2"], { collect: ["c"], string: ["c"] }, { _: [], c: ["1", "2"] }],
  [[], { collect: ["c"], string: ["c"] }, { _: [], c: [] }],
  [["--c=1", "--c=2"], { string: "c" }, { _: [], c: "2" }],
  [["--no-color"], { negatable: ["color"], boolean: ["color"] }, { _: [], color: false }],
  [["--no-color=x"], { negatable: ["color"] }, { _: [], color: "x" }],
  [["-v", "-n", "5", "-abc"], {}, { _: [], v: true, n: 5, a: true, b: true, c: true }],
  [["-n5", "-x=y"], {}, { _: [], n: 5, x: "y" }],
  [["-o", "file"], { alias: { output: "o" }, string: ["output"] }, { _: [], o: "file", output: "file" }],
  [["--output", "f"], { alias: { output: ["o", "out"] } }, { _: [], o: "f", out: "f", output: "f" }],
  [["-q", "x"], { alias: { quiet: "q" }, boolean: ["quiet"] }, { _: ["x"], q: true, quiet: true }],
  [["a", "--", "-b", "7"], {}, { _: ["a", "-b", "7"] }],
  [["a", "--", "-b", "7"], { "--": true }, { _: ["a"], "--": ["-b", "7"] }],
  [["a", "--b", "c"], { stopEarly: true }, { _: ["a", "--b", "c"] }],
  [["--a.b", "1", "--a.c=2"], {}, { _: [], a: { b: 1, c: 2 } }],
  [["-"], {}, { _: ["-"] }],
  [[], { default: { a: 1, b: undefined }, alias: { a: "x" }, boolean: ["b"] }, { _: [], a: 1, x: 1, b: undefined }],
  [["--a", "--b", "c", "d"], { string: ["b"], unknown: () => false }, { _: [], b: "c" }],
];

const implementations: readonly (readonly [name: string, parse: typeof standIn.parseArgs])[] = [
  ["the stand-in", standIn.parseArgs],
  ["@std/cli", real.parseArgs as unknown as typeof standIn.parseArgs],
];

for (const [name, parseArgs] of implementations) {
  describe(`parseArgs of ${name}`, () => {
    for (const [args, options, expected] of CASES) {
      it(`${JSON.stringify(args)} with ${JSON.stringify(options)}`, () => {
        assertEquals({ ...parseArgs(args, options) }, expected);
      });
    }

    it("tells of what is unknown", () => {
      const told: unknown[] = [];
      const options: Options = {
        boolean: ["a"],
        unknown: (...each) => {
          told.push(each);
          return true;
        },
      };
      parseArgs(["--a", "--b=1", "c", "-d"], options);
      assertEquals(told.map((each) => (each as unknown[]).slice(0, 2)), [["--b=1", "b"], ["c"], ["-d", "d"]]);
    });
  });
}
