#!/usr/bin/env node
/**
 * The `mptcp` command: this machine's MPTCP on the command line.
 *
 *   deno run -A jsr:@mptcp/mptcp/cli --help        bunx mptcp --help        npx mptcp --help
 *
 * @example Run a command from a program
 * ```ts
 * import { main } from "@mptcp/mptcp/cli";
 *
 * const code = await main(["--version"]);
 * console.log("exit code", code);
 * ```
 *
 * @module
 */
import process from "node:process";
import config from "../deno.json" with { type: "json" };
import { COMMANDS } from "./commands.ts";
import { type Command, UsageError } from "./frame/command.ts";
import { EXIT, exitCodeOf, lineOf } from "./frame/failure.ts";
import { commandHelp, generalHelp } from "./frame/help.ts";
import { Interruption } from "./frame/interruption.ts";
import { ClosedPipe, Output } from "./frame/output.ts";

/**
 * Runs a command line. Data goes to the process's standard output, words to its standard error; while it runs, SIGINT,
 * SIGTERM and SIGHUP end the command, not the process.
 *
 * @param args The arguments after the program's name.
 * @returns The exit code: 0 done, 1 failed, 2 wrong arguments, 3 MPTCP is not available here, 130 after SIGINT, 143 after
 * SIGTERM, 141 when nobody reads the output any more. It never rejects.
 */
export async function main(args: string[]): Promise<number> {
  const output = new Output();
  const [name, ...rest] = args;
  const asks = (...words: string[]) => name !== undefined && words.includes(name);
  if (name === undefined || asks("--help", "-h") || (asks("help") && rest.length === 0)) {
    const text = generalHelp(output.look, COMMANDS);
    if (name === undefined) output.say(text.trimEnd());
    else output.print(text.trimEnd());
    return name === undefined ? EXIT.usage : EXIT.ok;
  }
  if (asks("--version", "-V")) {
    output.print(`mptcp ${config.version}`);
    return EXIT.ok;
  }
  const wanted = asks("help") ? rest[0]! : name;
  const command = COMMANDS.find((each) => each.name === wanted);
  if (command === undefined) {
    const what = wanted.startsWith("-") ? `option ${wanted}` : `command ${JSON.stringify(wanted)}`;
    output.say(`mptcp: there is no ${what}; mptcp --help lists what there is`);
    return EXIT.usage;
  }
  if (asks("help") || (command.runRaw === undefined && wantsHelp(rest))) {
    output.print(commandHelp(output.look, command).trimEnd());
    return EXIT.ok;
  }
  return command.runRaw === undefined ? await run(command, rest, output) : await command.runRaw(rest);
}

/** Whether `--help` stands before any `--`. */
function wantsHelp(args: readonly string[]): boolean {
  const end = args.indexOf("--");
  return (end < 0 ? args : args.slice(0, end)).some((arg) => arg === "--help" || arg === "-h");
}

async function run(command: Command, args: string[], output: Output): Promise<number> {
  using interruption = new Interruption();
  const { signal, hurry } = interruption;
  try {
    const { parseCommand } = await import("./frame/values.ts");
    const { operands, values } = parseCommand(command, args);
    const code = await command.run({ operands, options: values, output, signal, hurry });
    await output.flush();
    return interruption.code ?? code;
  } catch (error) {
    output.status("");
    if (interruption.code !== null) return interruption.code;
    if (error instanceof ClosedPipe) return EXIT.closedPipe;
    const help = error instanceof UsageError ? `; mptcp ${command.name} --help tells more` : "";
    output.say(`mptcp ${command.name}: ${lineOf(error)}${help}`);
    return exitCodeOf(error);
  }
}

if (import.meta.main) {
  const code = await main(process.argv.slice(2));
  // What is still to be written goes out first.
  process.stdout.write("", () => process.exit(code));
}
