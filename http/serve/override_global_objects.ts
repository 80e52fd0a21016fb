/**
 * `FastResponse` in the place of the global `Response`, on Node, for as long as servers want it.
 *
 * @module
 */
import { FastResponse } from "./fast_response.ts";

let users = 0;
let before: PropertyDescriptor | undefined;

function isOurs(): boolean {
  return globalThis.Response === FastResponse;
}

/** @returns Ends it; the last one gives back what was there, unless somebody else has replaced it meanwhile. */
export function overrideGlobalObjects(): () => void {
  if (users++ === 0 && !isOurs()) {
    before = Object.getOwnPropertyDescriptor(globalThis, "Response");
    Object.defineProperty(globalThis, "Response", { value: FastResponse, writable: true, configurable: true });
  }
  return () => {
    if (--users > 0 || before === undefined) return;
    if (isOurs()) Object.defineProperty(globalThis, "Response", before);
    before = undefined;
  };
}
