/**
 * Answers requests with the files of a folder.
 *
 * @module
 */
import type { Stats } from "node:fs";
import { realpath, stat } from "node:fs/promises";
import { join, sep } from "node:path";
import type { ServeHandler, ServeInfo } from "../../http/serve.ts";
import { bodyOf } from "./body.ts";
import { listingOf } from "./listing.ts";
import { parseRange } from "./range.ts";
import { typeOf } from "./types.ts";

/** How a folder is served. */
export interface FolderOptions {
  /** Whether folders are listed. */
  listing: boolean;
  /** Told of each answer as it begins. */
  done(request: Request, info: ServeInfo, status: number, bytes: number): void;
}

interface Answer {
  status: number;
  headers?: Record<string, string>;
  body?: Uint8Array<ArrayBuffer> | ReadableStream | Blob | string;
  /** Of the body, bytes. */
  length: number;
}

const words = (status: number, text: string, headers: Record<string, string> = {}): Answer => ({
  status,
  headers: { "content-type": "text/plain; charset=utf-8", ...headers },
  body: `${text}\n`,
  length: new TextEncoder().encode(text).length + 1,
});

const NOT_FOUND = words(404, "Not found");

/** Makes the handler. @param root The folder's real path. */
export function folderHandler(root: string, options: FolderOptions): ServeHandler {
  return async (request, info) => {
    const { status, headers, body, length } = await answerTo(root, request, options.listing);
    const head = request.method === "HEAD";
    options.done(request, info, status, head ? 0 : length);
    if (head && body instanceof ReadableStream) await body.cancel();
    return new Response(head ? null : body ?? null, {
      status,
      headers: { "content-length": `${length}`, "x-content-type-options": "nosniff", ...headers },
    });
  };
}

async function answerTo(root: string, request: Request, listing: boolean): Promise<Answer> {
  if (request.method !== "GET" && request.method !== "HEAD") {
    return words(405, "Only GET and HEAD are known here", { allow: "GET, HEAD" });
  }
  const { pathname } = new URL(request.url);
  const path = decoded(pathname);
  if (path === null) return words(400, "The path is broken");
  // What begins with a dot is hidden; ".." is among it.
  if (path.split("/").some((part) => part.startsWith("."))) return NOT_FOUND;
  const place = await inside(root, path);
  if (place === null) return NOT_FOUND;
  if (!place.found.isDirectory()) {
    return place.found.isFile() && !path.endsWith("/") ? await fileAnswer(place.file, place.found, request) : NOT_FOUND;
  }
  // Without the slash a page's relative links would lead elsewhere.
  if (!path.endsWith("/")) {
    return words(301, "See the path with a slash at its end", { location: `${pathname.replace(/^\/+/, "/")}/` });
  }
  const index = await inside(root, `${path}index.html`);
  if (index?.found.isFile()) return await fileAnswer(index.file, index.found, request);
  if (!listing) return words(403, "Folders are not listed here");
  const body = new TextEncoder().encode(
    await listingOf(place.file, path, async (each) => (await inside(root, each))?.found ?? null),
  );
  return { status: 200, headers: { "content-type": "text/html; charset=utf-8" }, body, length: body.length };
}

function decoded(pathname: string): string | null {
  try {
    const path = decodeURIComponent(pathname);
    return path.includes("\0") || path.includes("\\") ? null : path;
  } catch {
    return null;
  }
}

/** What a path names, unless it leads out of the folder, as a symbolic link can. */
async function inside(root: string, path: string): Promise<{ file: string; found: Stats } | null> {
  try {
    const file = await realpath(join(root, path));
    const base = root.endsWith(sep) ? root : root + sep;
    return file === root || file.startsWith(base) ? { file, found: await stat(file) } : null;
  } catch {
    return null;
  }
}

async function fileAnswer(file: string, { size, mtime, mtimeMs }: Stats, { headers }: Request): Promise<Answer> {
  const etag = `"${size.toString(36)}-${Math.floor(mtimeMs).toString(36)}"`;
  const modified = mtime.toUTCString();
  const common = { etag, "last-modified": modified, "accept-ranges": "bytes", "content-disposition": "inline" };
  if (unchanged(headers, etag, mtime)) return { status: 304, headers: common, length: size };
  const condition = headers.get("if-range");
  const wanted = condition === null || condition === etag || condition === modified
    ? parseRange(headers.get("range"), size)
    : null;
  if (wanted === "none") return words(416, "The file has no such part", { ...common, "content-range": `bytes */${size}` });
  const range = wanted ?? { first: 0, last: size - 1 };
  let body: Answer["body"];
  try {
    body = size === 0 ? new Uint8Array(0) : await bodyOf(file, range);
  } catch {
    return words(403, "The file cannot be read");
  }
  const { first, last } = range;
  const partial = wanted === null ? {} : { "content-range": `bytes ${first}-${last}/${size}` };
  return {
    status: wanted === null ? 200 : 206,
    headers: { "content-type": typeOf(file), ...common, ...partial },
    body,
    length: last - first + 1,
  };
}

/** Whether the client has the file already. */
function unchanged(headers: Headers, etag: string, mtime: Date): boolean {
  const tags = headers.get("if-none-match");
  if (tags !== null) return tags.split(",").some((tag) => ["*", etag].includes(tag.trim().replace(/^W\//, "")));
  const since = Date.parse(headers.get("if-modified-since") ?? "");
  return Math.floor(mtime.getTime() / 1000) * 1000 <= since;
}
