/**
 * A request's `Range` (RFC 9110, section 14): the one that a download is resumed by.
 *
 * @module
 */

/** A part of a file, both ends included. */
export interface Range {
  first: number;
  last: number;
}

/**
 * Reads the header.
 *
 * @param size Of the file, bytes.
 * @returns The part that is wanted; `null` for all of it, also where several parts are wanted, as a server may; `"none"` where
 * the file does not have that part.
 */
export function parseRange(header: string | null, size: number): Range | null | "none" {
  const [, from, to] = /^bytes=(\d*)-(\d*)$/.exec(header?.replaceAll(" ", "") ?? "") ?? [];
  if (from === undefined || (from === "" && to === "")) return null;
  if (from === "") {
    const count = Math.min(Number(to), size);
    return count === 0 ? "none" : { first: size - count, last: size - 1 };
  }
  const first = Number(from);
  const last = to === "" ? size - 1 : Math.min(Number(to), size - 1);
  if (to !== "" && Number(to) < first) return null; // no range by the grammar: it is ignored
  return first >= size ? "none" : { first, last };
}
