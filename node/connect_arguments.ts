/**
 * The forms of arguments that `connect` of `node:net` takes, as one.
 *
 * @module
 */
import type { SocketConnectOpts } from "node:net";

/** Options and listener. */
export interface ConnectArguments<O> {
  options: O;
  listener: (() => void) | undefined;
}

/** Reads `(options, listener?)`, `(port, host?, listener?)` and `(path, listener?)`. */
export function connectArguments<O extends SocketConnectOpts>(args: readonly unknown[]): ConnectArguments<O> {
  // `node:net` itself hands on an array of both, normalised.
  const list = Array.isArray(args[0]) ? args[0] as unknown[] : args;
  const [first, second] = list;
  const last = list[list.length - 1];
  const listener = typeof last === "function" ? last as () => void : undefined;
  let options: Record<string, unknown>;
  if (typeof first === "object" && first !== null) options = first as Record<string, unknown>;
  else if (typeof first === "string" && !isNumeric(first)) options = { path: first };
  else options = { port: first, ...(typeof second === "string" ? { host: second } : {}) };
  return { options: options as unknown as O, listener };
}

function isNumeric(text: string): boolean {
  return text.trim() !== "" && Number(text) >= 0;
}
