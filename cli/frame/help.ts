/**
 * The texts of `--help`.
 *
 * @module
 */
import { left, type Look, paint } from "./output.ts";
import type { Command, Option } from "./command.ts";

/** How long a line may be. */
const WIDTH = 110;

const HELP_OPTION: Option = { name: "help", short: "h", summary: "print this" };

/** An option as it is typed. */
export function optionText({ name, short, value, negatable }: Option): string {
  const letter = short === undefined ? "" : `-${short}, `;
  return `${letter}--${negatable ? "[no-]" : ""}${name}${value === undefined ? "" : ` ${value}`}`;
}

/** Breaks a text into lines; where it is broken already does not matter, but for empty lines. */
function wrapped(text: string): string[] {
  return text.split(/\n{2,}/).flatMap((paragraph, index) => {
    const lines: string[] = [];
    for (const word of paragraph.split(/\s+/)) {
      const last = lines.at(-1);
      if (last === undefined || last.length + word.length >= WIDTH) lines.push(word);
      else lines[lines.length - 1] = `${last} ${word}`;
    }
    return index === 0 ? lines : ["", ...lines];
  });
}

/** The list of commands. */
export function generalHelp(look: Look, commands: readonly Command[]): string {
  const width = Math.max(...commands.map(({ name }) => name.length));
  const head = (text: string) => paint(look, text, "bold");
  return [
    "mptcp: Multipath TCP on this machine: look at it, change it, use it.",
    "",
    `${head("Usage:")} mptcp COMMAND [options] [arguments]`,
    "",
    head("Commands:"),
    ...commands.map(({ name, summary }) => `  ${left(name, width)}  ${summary}`),
    "",
    head("Options:"),
    "  -h, --help     print this; mptcp COMMAND --help tells more",
    "  -V, --version  print the version",
    "",
    head("Examples:"),
    "  mptcp check example.com:443                    does this host, and does that one, speak MPTCP?",
    "  mptcp forward --from tcp 8080 example.com:80   a TCP program's way over several paths",
    "  mptcp connections --json | jq '.[].token'",
    "",
    "Data goes to standard output, words to standard error. Exit codes: 0 done, 1 failed, 2 wrong arguments, 3 MPTCP is not",
    "available here, 130 and 143 after SIGINT and SIGTERM. NO_COLOR is honoured.",
    "",
  ].join("\n");
}

/** The help of one command. */
export function commandHelp(look: Look, command: Command): string {
  const { name, summary, usage, about, options, examples } = command;
  const head = (text: string) => paint(look, text, "bold");
  const all = [...options, HELP_OPTION];
  const width = Math.max(...all.map((option) => optionText(option).length));
  const lines = all.map((option) => {
    const otherwise = option.otherwise === undefined ? "" : ` (${option.otherwise})`;
    const choices = option.choices === undefined ? "" : `: ${option.choices.join(", ")}`;
    return `  ${left(optionText(option), width)}  ${option.summary}${choices}${otherwise}`;
  });
  const wide = Math.max(...examples.map(([line]) => line.length));
  const beside = examples.every(([, meaning]) => wide + meaning.length < WIDTH);
  return [
    `mptcp ${name}: ${summary}`,
    "",
    `${head("Usage:")} mptcp ${name} ${usage}`.trimEnd(),
    ...(about === undefined ? [] : ["", ...wrapped(about)]),
    "",
    head("Options:"),
    ...lines,
    "",
    head("Examples:"),
    ...examples.flatMap(([line, meaning]) =>
      beside ? [`  ${left(line, wide)}  # ${meaning}`] : [`  # ${meaning}`, `  ${line}`]
    ),
    "",
  ].join("\n");
}
