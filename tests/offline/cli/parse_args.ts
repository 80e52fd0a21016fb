/**
 * `parseArgs` as `@std/cli` documents it: flags of a command line as members of an object, all else under `_`.
 *
 * @module
 */

/** What `parseArgs` gives. */
// deno-lint-ignore no-explicit-any
export type Args = Record<string, any> & {
  /** Arguments without a flag. */
  _: (string | number)[];
  /** With the option `"--"`: what comes after `--`. */
  "--"?: string[];
};

/** A name, or several. */
type Names = string | readonly string[];

/** Options of `parseArgs`. */
export interface ParseOptions {
  /** Keep what comes after `--` under that name, and not under `_`. */
  "--"?: boolean;
  /** Other names of flags. */
  alias?: Readonly<Record<string, Names>>;
  /** Flags without values; `true`: all that begin with two dashes and have no `=`. */
  boolean?: boolean | Names;
  /** Values of flags that are not given. */
  default?: Readonly<Record<string, unknown>>;
  /** Everything after the first argument without a flag belongs to `_`. */
  stopEarly?: boolean;
  /** Flags whose values stay strings; `_` for the arguments without a flag. */
  string?: Names;
  /** Flags that may be given several times: their values become an array. */
  collect?: Names;
  /** Flags of which `--no-…` is the opposite. */
  negatable?: Names;
  /** Told of each argument that no option names; `false` leaves it out. */
  unknown?: (arg: string, key?: string, value?: unknown) => unknown;
}

type Value = string | number | boolean;
type Tree = Record<string, unknown>;

const NUMBER = /^(?:0x[0-9a-f]+|[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[-+]?\d+)?)$/i;
/** `--`, perhaps `no-`, the name, perhaps a value that is not empty. */
const LONG = /^--(no-)?(.+?)(?:=(.+))?$/s;

const listOf = (names: Names | undefined): string[] => typeof names === "string" ? [names] : [...names ?? []];
const numberOr = (text: string): Value => NUMBER.test(text) ? Number(text) : text;

/** The object that has the last part of a dotted name, made on the way if `make`. */
function holder(tree: Tree, path: readonly string[], make: boolean): Tree | undefined {
  let place: Tree | undefined = tree;
  for (const part of path.slice(0, -1)) {
    if (make) place![part] ??= {};
    place = place?.[part] as Tree | undefined;
  }
  return place;
}

class Parser {
  readonly args: Args = { _: [] };
  readonly #options: ParseOptions;
  /** For each name of a flag that has several: the others. */
  readonly #others = new Map<string, string[]>();
  readonly #booleans: Set<string>;
  readonly #strings: Set<string>;
  readonly #collected: Set<string>;
  readonly #negatable: Set<string>;
  readonly #allBooleans: boolean;

  constructor(options: ParseOptions) {
    this.#options = options;
    for (const [name, aliases] of Object.entries(options.alias ?? {})) {
      const all = [name, ...listOf(aliases)];
      for (const each of all) this.#others.set(each, all.filter((other) => other !== each));
    }
    const { boolean = false } = options;
    this.#allBooleans = boolean === true;
    this.#booleans = this.#named(typeof boolean === "boolean" ? [] : boolean);
    this.#strings = this.#named(options.string);
    this.#collected = this.#named(options.collect);
    this.#negatable = this.#named(options.negatable);
  }

  parse(all: readonly string[]): Args {
    const end = all.indexOf("--");
    const args = end < 0 ? all : all.slice(0, end);
    const rest = end < 0 ? [] : all.slice(end + 1);
    for (let index = 0; index < args.length; index++) {
      const arg = args[index]!;
      if (arg.startsWith("--") && arg.length > 2) {
        index += this.#long(arg, args[index + 1]);
      } else if (arg.startsWith("-") && arg.length > 1) {
        index += this.#short(arg, args[index + 1]);
      } else {
        if (this.#options.unknown?.(arg) !== false) this.args._.push(this.#strings.has("_") ? arg : numberOr(arg) as string);
        if (!this.#options.stopEarly) continue;
        this.args._.push(...args.slice(index + 1));
        break;
      }
    }
    this.#fillIn();
    if (this.#options["--"]) this.args["--"] = [...rest];
    else this.args._.push(...rest);
    return this.args;
  }

  /** One argument that begins with two dashes. @returns How many of the following arguments were its value. */
  #long(arg: string, next: string | undefined): number {
    const [, no = "", name = "", value] = LONG.exec(arg)!;
    // With a value, `no-` is a part of nothing: the name stands alone.
    if (value !== undefined) return this.#set(name, this.#booleans.has(name) ? value !== "false" : value, arg), 0;
    if (no !== "" && this.#negatable.has(name)) return this.#set(name, false, arg, false), 0;
    const key = no + name;
    const takes = !this.#isBoolean(key) && !this.#allBooleans;
    if (takes && next && !next.startsWith("-")) return this.#set(key, next, arg), 1;
    return this.#withoutValue(key, next, arg);
  }

  /** One argument of one dash and letters. @returns How many of the following arguments were its value. */
  #short(arg: string, next: string | undefined): number {
    const letters = arg.slice(1);
    for (let at = 0; at < letters.length - 1; at++) {
      const letter = letters[at]!;
      const rest = letters.slice(at + 1);
      if (rest === "-") {
        this.#set(letter, rest, arg);
        continue;
      }
      const isLetter = /[A-Za-z]/.test(letter);
      if (isLetter && rest.includes("=")) return this.#set(letter, rest.split(/=(.+)/)[1] as string, arg), 0;
      if (isLetter && /-?\d+(\.\d*)?(e-?\d+)?$/.test(rest)) return this.#set(letter, rest, arg), 0;
      if (/\W/.test(rest[0]!) && at + 1 < letters.length - 1) return this.#set(letter, rest, arg), 0;
      this.#set(letter, this.#strings.has(letter) ? "" : true, arg);
    }
    const last = letters.at(-1)!;
    if (last === "-") return 0;
    if (next && !/^--?[^-]/.test(next) && !this.#isBoolean(last)) return this.#set(last, next, arg), 1;
    return this.#withoutValue(last, next, arg);
  }

  #withoutValue(key: string, next: string | undefined, arg: string): number {
    if (next === "true" || next === "false") return this.#set(key, next === "true", arg), 1;
    return this.#set(key, this.#strings.has(key) ? "" : true, arg), 0;
  }

  #isBoolean(key: string): boolean {
    return this.#booleans.has(key);
  }

  #set(key: string, value: Value, arg: string, collect = true): void {
    const known = this.#booleans.has(key) || this.#strings.has(key) || this.#others.has(key) ||
      (this.#allBooleans && /^--[^=]+$/.test(arg));
    if (!known && this.#options.unknown?.(arg, key, value) === false) return;
    const typed = typeof value === "string" && !this.#strings.has(key) ? numberOr(value) : value;
    for (const name of [key, ...this.#others.get(key) ?? []]) this.#put(name, typed, collect && this.#collected.has(key));
  }

  #put(name: string, value: unknown, collect: boolean): void {
    const path = name.split(".");
    const place = holder(this.args, path, true)!;
    const last = path.at(-1)!;
    const before = place[last];
    if (!collect) place[last] = value;
    else if (Array.isArray(before)) before.push(value);
    else place[last] = before ? [before, value] : [value];
  }

  #has(name: string): boolean {
    const path = name.split(".");
    const place = holder(this.args, path, false);
    return place !== undefined && Object.hasOwn(place, path.at(-1)!);
  }

  /** What was not given: defaults, `false`, empty arrays. */
  #fillIn(): void {
    for (const [name, value] of Object.entries(this.#options.default ?? {})) {
      if (this.#has(name)) continue;
      for (const each of [name, ...this.#others.get(name) ?? []]) this.#put(each, value, false);
    }
    for (const name of this.#booleans) if (!this.#has(name)) this.#put(name, this.#collected.has(name) ? [] : false, false);
    for (const name of this.#strings) if (!this.#has(name) && this.#collected.has(name)) this.#put(name, [], false);
  }

  #named(names: Names | undefined): Set<string> {
    const result = new Set<string>();
    for (const name of listOf(names).filter((name) => name !== "")) {
      result.add(name);
      for (const other of this.#others.get(name) ?? []) result.add(other);
    }
    return result;
  }
}

/**
 * Parses a command line.
 *
 * @example
 * ```ts ignore
 * parseArgs(["--port=80", "--quiet", "file"], { boolean: ["quiet"] }); // { _: ["file"], port: 80, quiet: true }
 * ```
 */
export function parseArgs(args: string[], options: ParseOptions = {}): Args {
  return new Parser(options).parse(args);
}
