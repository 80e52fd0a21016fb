/**
 * What a person is told on the terminal, as nobody else is there to be told.
 *
 * @module
 */
import process from "node:process";

const told = new Set<string>();

/** Says it by a process warning (`MptcpWarning`), once. */
export function warn(message: string): void {
  if (told.has(message)) return;
  told.add(message);
  process.emitWarning(message, { type: "MptcpWarning", code: "MPTCP_AUTO" });
}
