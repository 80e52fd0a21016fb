/**
 * The options that were given, by their kinds.
 *
 * @module
 */
import { parseArgs } from "@std/cli";
import { type Command, type Option, UsageError } from "./command.ts";

type Given = Readonly<Record<string, unknown>>;

/** See the module's comment. Asking for an option that the command does not have is a mistake of ours. */
export class Values {
  readonly #given: Given;

  constructor(given: Given) {
    this.#given = given;
  }

  /** Whether an option was given. */
  given(name: string): boolean {
    return this.#given[name] !== undefined;
  }

  /** Whether an option without a value was given. */
  flag(name: string): boolean {
    return this.#given[name] === true;
  }

  /** Of an option that has an opposite: `undefined` when neither was given. */
  choice(name: string): boolean | undefined {
    return this.#given[name] as boolean | undefined;
  }

  /** The value of an option. */
  text(name: string): string | undefined {
    return this.#given[name] as string | undefined;
  }

  /** The value of an option with a range. */
  number(name: string): number | undefined {
    const text = this.text(name);
    return text === undefined ? undefined : Number(text);
  }

  /** The values of an option that may be given several times. */
  list(name: string): readonly string[] {
    return this.#given[name] as readonly string[] | undefined ?? [];
  }
}

/** What a command line was about. */
export interface Parsed {
  operands: string[];
  values: Values;
}

/**
 * Reads the arguments of a command.
 *
 * @throws {UsageError} When there is no such option, or a value or the number of operands is wrong.
 */
export function parseCommand(command: Command, args: readonly string[]): Parsed {
  const { options } = command;
  const names = (which: (option: Option) => boolean) => options.filter(which).map(({ name }) => name);
  const switches = names(({ value }) => value === undefined);
  const alias: Record<string, string> = {};
  for (const { name, short } of options) if (short !== undefined) alias[name] = short;
  const known = new Set(options.map(({ name }) => name));
  const given = parseArgs([...args], {
    string: ["_", ...names(({ value }) => value !== undefined)],
    boolean: switches,
    // Not `false`: so that what was not given can be told from what was denied.
    default: Object.fromEntries(switches.map((name) => [name, undefined])),
    collect: names(({ many }) => many === true),
    negatable: names(({ negatable }) => negatable === true),
    alias,
    unknown: (arg, key) => {
      if (key === undefined || known.has(key)) return true;
      throw new UsageError(`there is no option ${arg.split("=")[0]}`);
    },
  }) as unknown as Given & { _: string[] };
  for (const option of options) checkValue(option, given[option.name]);
  const operands = given._;
  const [min, max] = command.operands;
  if (operands.length < min) throw new UsageError(`an argument is missing: mptcp ${command.name} ${command.usage}`);
  if (operands.length > max) throw new UsageError(`there is an argument too many: ${JSON.stringify(operands[max])}`);
  checkWord(command, operands[0]);
  return { operands, values: new Values(given) };
}

function checkWord({ words }: Command, word: string | undefined): void {
  if (words === undefined || word === undefined || words.includes(word)) return;
  throw new UsageError(`${JSON.stringify(word)} is not one of ${words.join(", ")}`);
}

function checkValue(option: Option, given: unknown): void {
  const { name, value, choices, range, many, negatable } = option;
  if (given === undefined) return;
  if (value === undefined) {
    if (negatable && typeof given !== "boolean") throw new UsageError(`--${name} takes no value`);
    return;
  }
  for (const text of many ? given as unknown[] : [given]) {
    if (text === "" || typeof text !== "string") throw new UsageError(`--${name} needs a value: ${value}`);
    if (choices !== undefined && !choices.includes(text)) {
      throw new UsageError(`--${name} ${JSON.stringify(text)} is not one of ${choices.join(", ")}`);
    }
    if (range === undefined) continue;
    const number = Number(text);
    if (text.trim() === "" || !(number >= range[0] && number <= range[1])) {
      throw new UsageError(`--${name} ${JSON.stringify(text)} is not a number from ${range[0]} to ${range[1]}`);
    }
  }
}
