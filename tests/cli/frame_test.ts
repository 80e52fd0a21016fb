/** What all commands have in common: help, arguments, exit codes, where they write, completions. */
import { assert, assertEquals, assertLess, assertMatch, assertStringIncludes, assertThrows } from "@std/assert";
import { spawnSync } from "node:child_process";
import process from "node:process";
import { describe, it } from "node:test";
import { COMMANDS } from "../../cli/commands.ts";
import { parseHostPort, parseListen } from "../../cli/frame/address.ts";
import { type Command, UsageError } from "../../cli/frame/command.ts";
import { completionScript, SHELLS } from "../../cli/frame/completions.ts";
import { commandHelp, generalHelp } from "../../cli/frame/help.ts";
import { bytesText, jsonOf, rateText, tableLines } from "../../cli/frame/output.ts";
import { parseToken, tokenText } from "../../cli/frame/texts.ts";
import { parseCommand } from "../../cli/frame/values.ts";
import config from "../../deno.json" with { type: "json" };
import { interrupt, mptcp, startInShell } from "./command.ts";

const LOOK = { colour: false, unicode: false, width: 80 };

const TRIAL: Command = {
  name: "trial",
  summary: "",
  usage: "[WORD]",
  options: [
    { name: "json", summary: "" },
    { name: "loud", short: "l", negatable: true, summary: "" },
    { name: "name", short: "n", value: "NAME", summary: "" },
    { name: "from", value: "PROTOCOL", choices: ["tcp", "mptcp"], summary: "" },
    { name: "idle", value: "SECONDS", range: [0.5, 10], summary: "" },
    { name: "allow", value: "PREFIX", many: true, summary: "" },
  ],
  operands: [0, 2],
  examples: [],
  run: () => Promise.resolve(0),
};

const parse = (...args: string[]) => parseCommand(TRIAL, args);

describe("the arguments of a command", () => {
  it("are options of each kind, and operands, in any order", () => {
    const { operands, values } = parse("one", "--json", "--name=a b", "--from", "tcp", "--idle", "0.5", "two");
    assertEquals(operands, ["one", "two"]);
    assertEquals([values.flag("json"), values.text("name"), values.text("from"), values.number("idle")], [
      true,
      "a b",
      "tcp",
      0.5,
    ]);
  });

  it("stay as they are typed, also where they look like numbers", () => {
    const { operands, values } = parse("0012", "--name", "007");
    assertEquals([operands, values.text("name")], [["0012"], "007"]);
  });

  it("can be left out, denied, and repeated", () => {
    const none = parse().values;
    assertEquals([none.flag("json"), none.choice("loud"), none.text("name"), none.list("allow")], [
      false,
      undefined,
      undefined,
      [],
    ]);
    assertEquals([none.given("json"), none.given("loud")], [false, false]);
    assertEquals([parse("--loud").values.choice("loud"), parse("--no-loud").values.choice("loud")], [true, false]);
    assertEquals(parse("--loud", "word").operands, ["word"]);
    assertEquals(parse("--allow", "a", "--allow=b").values.list("allow"), ["a", "b"]);
    assertEquals(parse("-n", "x", "-l").values.text("name"), "x");
  });

  it("end with --", () => assertEquals(parse("--", "--json").operands, ["--json"]));

  for (
    const args of [["--nope"], ["--nope=1"], ["-x"], ["--name"], ["--name="], ["--from", "udp"], ["--idle", "0"], [
      "--idle=x",
    ], [
      "a",
      "b",
      "c",
    ], ["--no-json"]]
  ) {
    it(`refuse ${args.join(" ")}`, () => void assertThrows(() => parse(...args), UsageError));
  }
});

describe("addresses and tokens", () => {
  it("are read as people type them", () => {
    assertEquals(parseHostPort("example.com:80", "X"), { hostname: "example.com", port: 80 });
    assertEquals(parseHostPort("[2001:db8::1]:443", "X"), { hostname: "2001:db8::1", port: 443 });
    assertEquals(parseListen("8080"), { hostname: "127.0.0.1", port: 8080 });
    assertEquals(parseListen(":0"), { hostname: "0.0.0.0", port: 0 });
    assertEquals(parseListen("[::]:80"), { hostname: "::", port: 80 });
    assertEquals(parseListen("localhost:80").hostname, "127.0.0.1");
  });

  it("are refused when they are none", () => {
    for (const text of ["", "example.com", "example.com:", ":80", "a:0", "a:65536", "::1:80", "a:b:80", "a:-1", "[::1]"]) {
      assertThrows(() => parseHostPort(text, "X"), UsageError);
    }
    for (const text of ["example.com:80", "x"]) assertThrows(() => parseListen(text), UsageError);
    for (const text of ["", "0", "xyz", "123456789a", "99999999999"]) assertThrows(() => parseToken(text), UsageError);
  });

  it("tokens are hexadecimal as they are printed, or the number of JSON", () => {
    for (const token of [1, 0x1f2e3d4c, 0xffffffff]) {
      assertEquals(parseToken(tokenText(token)), token);
      assertEquals(parseToken(`0x${token.toString(16)}`), token);
    }
    assertEquals(parseToken("4294967295"), 0xffffffff);
  });
});

describe("output", () => {
  it("numbers of bytes and rates in units that fit", () => {
    assertEquals([0, 999, 1000, 99_960, 999_600, 1.5e9].map(bytesText), [
      "0 B",
      "999 B",
      "1.0 kB",
      "100 kB",
      "1.0 MB",
      "1.5 GB",
    ]);
    assertEquals([0, 12.5e6, 1.25e9].map(rateText), ["0 bit/s", "100 Mbit/s", "10.0 Gbit/s"]);
  });

  it("tables are aligned", () => {
    assertEquals(tableLines(LOOK, ["A", "LONG"], [["xxx", "1"], ["y", ""]]), ["A    LONG", "xxx  1", "y"]);
  });

  it("JSON has large numbers as strings", () => assertEquals(jsonOf({ a: 2n ** 64n }), '{"a":"18446744073709551616"}'));
});

describe("help", () => {
  it("lists every command", () => {
    const text = generalHelp(LOOK, COMMANDS);
    for (const { name, summary } of COMMANDS) assertMatch(text, new RegExp(`^  ${name} +${summary.slice(0, 10)}`, "m"));
  });

  for (const command of COMMANDS) {
    it(`${command.name} tells its options, and has examples that can be read by it`, () => {
      const text = commandHelp(LOOK, command);
      for (const { name } of command.options) assertMatch(text, new RegExp(`--(\\[no-\\])?${name}\\b`));
      assert(command.examples.length > 0);
      for (const line of text.split("\n")) assertLess(line.length, 126, line);
      for (const [line] of command.examples) {
        const words = line.split(/ \| | > | < /).find((part) => part.includes("mptcp ")) ?? line;
        const args = words.replace(/^.*\bmptcp /, "").replace(/\).*$/, "").split(" ").map((word) =>
          word.replace(/^'|'$/g, "")
        );
        assertEquals(args[0], command.name, line);
        if (command.runRaw === undefined) parseCommand(command, args.slice(1).filter((word) => word !== "--help"));
      }
    });
  }
});

describe("the command", () => {
  it("tells its version, and nothing else", async () => {
    const { code, stdout, stderr } = await mptcp(["--version"]);
    assertEquals([code, stdout, stderr], [0, `mptcp ${config.version}\n`, ""]);
  });

  it("prints help to standard output when asked, to standard error when nothing was said", async () => {
    const asked = await mptcp(["--help"]);
    assertEquals([asked.code, asked.stderr], [0, ""]);
    assertStringIncludes(asked.stdout, "mptcp COMMAND");
    const silent = await mptcp([]);
    assertEquals([silent.code, silent.stdout], [2, ""]);
    assertEquals((await mptcp(["help", "check"])).stdout, (await mptcp(["check", "--json", "--help"])).stdout);
  });

  for (
    const [args, words] of [
      [["nope"], 'there is no command "nope"'],
      [["--nope"], "there is no option --nope"],
      [["check", "--nope"], "there is no option --nope"],
      [["check", "example.com"], "is not of the form host:port"],
      [["endpoint", "add"], "needs an argument"],
    ] as const
  ) {
    it(`refuses ${args.join(" ")} with one line and 2`, async () => {
      const { code, stdout, stderr } = await mptcp(args);
      assertEquals([code, stdout], [2, ""]);
      assertStringIncludes(stderr, words);
      assertMatch(stderr, /^mptcp.*--help.*\n$/);
    });
  }

  it("is quiet when nobody reads", async () => {
    await using child = startInShell('{ "$@"; echo $? >&2; } | true', ["completions", "bash"]);
    assertEquals((await child.ended).stderr, "141\n");
  });

  it("writes no colours into a pipe, and none at a terminal with NO_COLOR", async () => {
    assertEquals((await mptcp(["check"])).stdout.includes("\x1b["), false);
    await using child = startInShell('FORCE_COLOR=1 NO_COLOR= "$@"', ["check"]);
    assertStringIncludes((await child.ended).stdout, "\x1b[");
    await using plain = startInShell('FORCE_COLOR=1 NO_COLOR=1 "$@"', ["check"]);
    assertEquals((await plain.ended).stdout.includes("\x1b["), false);
  });

  for (const [signal, expected] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
    it(`ends with ${expected} on ${signal}`, async () => {
      await using child = startInShell('exec "$@" 2>&1', ["counters", "--watch"]);
      assertEquals(await child.line(), "Watching; Ctrl-C ends it");
      const { code, signal: by } = await interrupt(child, signal);
      assertEquals([code, by], [expected, null]);
    });
  }
});

describe("completions", () => {
  for (const shell of SHELLS) {
    it(`${shell} knows every command and option`, () => {
      const script = completionScript(shell, COMMANDS);
      for (const { name, options } of COMMANDS) {
        assertMatch(script, new RegExp(`\\b${name}\\b`));
        for (const option of options) assertMatch(script, new RegExp(`\\b${option.name}\\b`));
      }
    });
  }

  it("bash completes by it", () => {
    const script = completionScript("bash", COMMANDS);
    const complete = (...words: string[]) => {
      const list = words.map((word) => `'${word}'`).join(" ");
      const ask = `COMP_WORDS=(${list}); COMP_CWORD=${words.length - 1}; _mptcp; echo "\${COMPREPLY[*]}"`;
      const { stdout, stderr } = spawnSync("bash", ["-c", `${script}\n${ask}`], { encoding: "utf8" });
      assertEquals(stderr, "");
      return stdout.trim();
    };
    assertEquals(complete("mptcp", "co"), "connections counters completions");
    assertEquals(complete("mptcp", "endpoint", "a"), "add");
    assertEquals(complete("mptcp", "forward", "--from", ""), "tcp mptcp");
    assertEquals(complete("mptcp", "endpoint", "--no-"), "--no-backup --no-fullmesh");
  });
});

describe("main", () => {
  it("is a function of the package, and leaves the process as it was", async () => {
    const { main } = await import("@mptcp/mptcp/cli");
    const before = process.listenerCount("SIGINT");
    assertEquals(await main(["subflows", "nonsense"]), 2);
    assertEquals(process.listenerCount("SIGINT"), before);
  });
});
