/**
 * What went wrong, as one line and an exit code.
 *
 * @module
 */
import { UsageError } from "./command.ts";

/** The exit codes. After a signal it is 128 and the signal's number. */
export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  /** MPTCP is not to be had here. */
  unavailable: 3,
  /** Nobody reads any more: as after SIGPIPE. */
  closedPipe: 141,
} as const;

/** The message is all that a person needs. */
export class Failure extends Error {
  readonly code: number;

  constructor(message: string, code: number = EXIT.failed) {
    super(message);
    this.code = code;
  }
}

/** The exit code for an error. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof Failure) return error.code;
  if (error instanceof UsageError || error instanceof TypeError || error instanceof RangeError) return EXIT.usage;
  const { name, code, syscall } = error as { name?: string; code?: string; syscall?: string };
  if (name !== "MptcpError") return EXIT.failed;
  // Of connect it is the peer that has none.
  const missing = /^Cannot make an MPTCP socket/.test((error as Error).message) ||
    (code === "EOPNOTSUPP" && syscall !== "connect" && /no MPTCP|no FFI/.test((error as Error).message));
  return missing ? EXIT.unavailable : EXIT.failed;
}

/** The line for an error. */
export function lineOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  const [line = ""] = message.split("\n");
  return line || (error as Error).name;
}
