/**
 * Completion scripts, made of the table of commands.
 *
 * @module
 */
import type { Command, Option } from "./command.ts";

/** The shells that are known. */
export const SHELLS = ["bash", "zsh", "fish"] as const;

/** The script for a shell. */
export function completionScript(shell: typeof SHELLS[number], commands: readonly Command[]): string {
  if (shell === "bash") return bash(commands);
  return shell === "zsh" ? zsh(commands) : fish(commands);
}

const HELP: Option = { name: "help", short: "h", summary: "print help" };

const optionsOf = ({ options }: Command): Option[] => [...options, HELP];

/** The words that an option is typed by. */
function wordsOf({ name, short, negatable }: Option): string[] {
  return [`--${name}`, ...negatable ? [`--no-${name}`] : [], ...short === undefined ? [] : [`-${short}`]];
}

/** Within single quotes, for all three shells. */
const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

const takesFile = ({ value }: Option): boolean => value === "FILE" || value === "DIR";

function bash(commands: readonly Command[]): string {
  const cases = commands.map((command) => {
    const values = optionsOf(command).filter(({ value }) => value !== undefined).map((option) => {
      const reply = option.choices !== undefined
        ? `COMPREPLY=($(compgen -W ${quoted(option.choices.join(" "))} -- "$word"))`
        : takesFile(option)
        ? 'COMPREPLY=($(compgen -f -- "$word"))'
        : "COMPREPLY=()";
      return `        ${wordsOf(option).join("|")}) ${reply}; return ;;`;
    });
    const words = [...command.words ?? [], ...optionsOf(command).flatMap(wordsOf)];
    return [
      `    ${command.name})`,
      ...values.length === 0 ? [] : ['      case "$before" in', ...values, "      esac"],
      `      COMPREPLY=($(compgen -W ${quoted(words.join(" "))} -- "$word")) ;;`,
    ].join("\n");
  });
  return [
    "# mptcp completions bash: source it, or put it into ~/.local/share/bash-completion/completions/mptcp",
    "_mptcp() {",
    '  local word="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}"',
    "  COMPREPLY=()",
    '  if [ "$COMP_CWORD" -eq 1 ]; then',
    `    COMPREPLY=($(compgen -W ${
      quoted([...commands.map(({ name }) => name), "--help", "--version"].join(" "))
    } -- "$word"))`,
    "    return",
    "  fi",
    '  case "${COMP_WORDS[1]}" in',
    ...cases,
    "  esac",
    "}",
    "complete -o default -F _mptcp mptcp",
    "",
  ].join("\n");
}

/** A text within brackets of `_arguments`. */
const zshText = (text: string): string => text.replaceAll("[", "\\[").replaceAll("]", "\\]").replaceAll(":", "\\:");

function zsh(commands: readonly Command[]): string {
  const cases = commands.map((command) => {
    const specs = optionsOf(command).flatMap((option) => {
      const { summary, value, choices, many } = option;
      const values = choices !== undefined ? `(${choices.join(" ")})` : takesFile(option) ? "_files" : "";
      const argument = value === undefined ? "" : `:${value}:${values}`;
      return wordsOf(option).map((word) => quoted(`${many ? "*" : ""}${word}[${zshText(summary)}]${argument}`));
    });
    const first = command.words === undefined ? "'*::argument:_files'" : quoted(`1:action:(${command.words.join(" ")})`);
    return `    ${command.name}) _arguments ${[...specs, first].join(" ")} ;;`;
  });
  return [
    "#compdef mptcp",
    '# mptcp completions zsh > "${fpath[1]}/_mptcp"',
    "_mptcp() {",
    "  local -a commands",
    `  commands=(${commands.map(({ name, summary }) => quoted(`${name}:${summary}`)).join(" ")})`,
    "  if (( CURRENT == 2 )); then",
    "    _describe command commands",
    "    return",
    "  fi",
    '  local command="$words[2]"',
    "  shift words",
    "  (( CURRENT-- ))",
    '  case "$command" in',
    ...cases,
    "  esac",
    "}",
    'if [ "$funcstack[1]" = "_mptcp" ]; then _mptcp "$@"; else compdef _mptcp mptcp; fi',
    "",
  ].join("\n");
}

function fish(commands: readonly Command[]): string {
  const lines = commands.flatMap((command) => {
    const { name, summary, words } = command;
    const within = `-n ${quoted(`__fish_seen_subcommand_from ${name}`)}`;
    return [
      `complete -c mptcp -f -n __fish_use_subcommand -a ${name} -d ${quoted(summary)}`,
      ...words === undefined ? [] : [`complete -c mptcp -f ${within} -a ${quoted(words.join(" "))}`],
      ...optionsOf(command).flatMap((option) => {
        const { name, short, summary, value, choices, negatable } = option;
        const letter = short === undefined ? "" : ` -s ${short}`;
        const values = choices === undefined ? takesFile(option) ? " -r" : " -x" : ` -x -a ${quoted(choices.join(" "))}`;
        const line = `complete -c mptcp ${within} -l ${name}${letter} -d ${quoted(summary)}${
          value === undefined ? "" : values
        }`;
        return negatable ? [line, `complete -c mptcp ${within} -l no-${name} -d ${quoted(`not: ${summary}`)}`] : [line];
      }),
    ];
  });
  return ["# mptcp completions fish > ~/.config/fish/completions/mptcp.fish", ...lines, ""].join("\n");
}
