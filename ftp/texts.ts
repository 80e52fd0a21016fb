/**
 * Texts that become part of a command: a control character in one would begin another command, or name another file.
 *
 * @module
 */
import { show } from "../kernel/argument_checks.ts";

// deno-lint-ignore no-control-regex
const CONTROL = /[\x00-\x1f\x7f]/;

/**
 * Checks such texts.
 *
 * @param texts By what they are called in a message; `undefined` stands for one that was left out.
 * @throws {TypeError} When one is no string, or has a control character or half a surrogate pair.
 */
export function checkTexts(texts: Readonly<Record<string, unknown>>): void {
  for (const [what, value] of Object.entries(texts)) {
    if (value === undefined) continue;
    if (typeof value !== "string") throw new TypeError(`Cannot use ${what} ${show(value)}: it must be a string`);
    // What a password is shows in no message.
    const shown = what === "password" ? "" : ` ${show(value)}`;
    if (CONTROL.test(value)) throw new TypeError(`Cannot use ${what}${shown}: it has a control character`);
    if (!value.isWellFormed()) throw new TypeError(`Cannot use ${what}${shown}: it has half a surrogate pair`);
  }
}
