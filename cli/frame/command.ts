/**
 * What a command is: its description, by which help, completions and the reading of its arguments are made, and its deed.
 *
 * @module
 */
import type { Output } from "./output.ts";
import type { Values } from "./values.ts";

/** An option of a command. */
export interface Option {
  /** Without the dashes. */
  name: string;
  /** One letter, without the dash. */
  short?: string;
  /** What its value is called in the help; without it the option has none. */
  value?: string;
  /** What it does, in a few words. */
  summary: string;
  /** The values that there are. */
  choices?: readonly string[];
  /** Its value is a number within these bounds. */
  range?: readonly [min: number, max: number];
  /** It may be given several times. */
  many?: true;
  /** Has an opposite, `--no-…`. */
  negatable?: true;
  /** What holds without it, for the help. */
  otherwise?: string;
}

/** What a command is given. */
export interface Context {
  /** The arguments that are no options. */
  operands: readonly string[];
  options: Values;
  output: Output;
  /** Aborted by SIGINT, SIGTERM, SIGHUP, and when nobody reads the output any more: time to come to an end. */
  signal: AbortSignal;
  /** Aborted by a second one of them: end at once. */
  hurry: AbortSignal;
}

/** A command. Its file loads what it needs when it runs, so that the help of all of them costs nothing. */
export interface Command {
  name: string;
  /** A line for the list of commands. */
  summary: string;
  /** What follows its name. */
  usage: string;
  /** More about it; an empty line parts paragraphs. */
  about?: string;
  options: readonly Option[];
  /** How few and how many operands it takes. */
  operands: readonly [min: number, max: number];
  /** The words that its first operand can be. */
  words?: readonly string[];
  /** Command lines, and what they are for. */
  examples: readonly (readonly [line: string, meaning: string])[];
  /** It reads its arguments itself. */
  runRaw?: (args: string[]) => Promise<number>;
  /** @returns The exit code. */
  run(context: Context): Promise<number>;
}

/** `--json`, of commands that print data. */
export const JSON_OPTION: Option = { name: "json", summary: "print JSON on standard output" };

/** Arguments that cannot be used; the message says which and why. */
export class UsageError extends Error {}
