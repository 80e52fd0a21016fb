import { assertEquals, assertInstanceOf, fail } from "@std/assert";
import { RemoteError } from "./remote.ts";

/** Waits for the `MptcpError` that an agent's work must end with. */
export async function assertFails(work: Promise<unknown>, code: string): Promise<RemoteError> {
  const error = await work.then(() => null, (error: unknown) => error);
  if (error === null) fail(`Expected ${code}, but it succeeded`);
  assertInstanceOf(error, RemoteError, `Expected ${code}, got ${error}`);
  assertEquals([error.name, error.code], ["MptcpError", code], error.message);
  return error;
}
