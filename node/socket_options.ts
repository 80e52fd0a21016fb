/**
 * The options that a socket is made with, picked out of others.
 *
 * @module
 */
import { checkSocketOptions, type SocketOptions } from "../net/options.ts";

const NAMES = ["mptcp", "receiveBuffer", "sendBuffer", "congestion", "paths"] as const;

/**
 * Picks them out of several sources, of which later ones win.
 *
 * @throws {TypeError} When one has the wrong type.
 * @throws {RangeError} When a number is out of range.
 */
export function socketOptionsOf(...sources: (object | undefined)[]): SocketOptions {
  const result: Record<string, unknown> = {};
  for (const source of sources) {
    for (const name of NAMES) {
      const value = (source as Record<string, unknown> | undefined)?.[name];
      if (value !== undefined) result[name] = value;
    }
  }
  checkSocketOptions(result);
  return result;
}
