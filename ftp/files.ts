/**
 * Local files as the ends of transfers.
 *
 * @module
 */
import {
  close,
  createReadStream,
  createWriteStream,
  fstat,
  open,
  type ReadStream,
  type Stats,
  type WriteStream,
} from "node:fs";
import { stat, truncate } from "node:fs/promises";
import { promisify } from "node:util";

/** Read at once: several times as fast as the 64 KiB that streams of files have by themselves. */
const CHUNK = 1 << 18;

const opened = promisify<string, string, number>(open);
const statsOf = promisify<number, Stats>(fstat);
const closed = promisify(close);

/** What an upload is read from. */
export interface FileSource {
  stream: ReadStream;
  /** How many bytes there are to be sent; `null` for what is no regular file. */
  expected: number | null;
}

/**
 * Opens a file for an upload: before the server is told of it, which would make a file too.
 *
 * @param last The last byte to be sent.
 */
export async function openSource(path: string, start: number, last = Infinity): Promise<FileSource> {
  const fd = await opened(path, "r");
  try {
    const stats = await statsOf(fd);
    const expected = stats.isFile() ? Math.max(0, Math.min(last + 1, stats.size) - start) : null;
    // Without a position what is no regular file, such as a pipe, can be read too.
    const place = start === 0 && last === Infinity ? {} : { start, end: last };
    return { stream: createReadStream("", { fd, highWaterMark: CHUNK, ...place }), expected };
  } catch (error) {
    await closed(fd);
    throw error;
  }
}

/**
 * Checks that a download can be resumed.
 *
 * @throws {RangeError} When the file is shorter: a gap would be left.
 */
export async function checkSink(path: string, start: number): Promise<void> {
  if (start === 0) return;
  const stats = await stat(path);
  if (stats.isFile() && stats.size < start) {
    throw new RangeError(`Cannot resume "${path}" at ${start}: it has only ${stats.size} bytes`);
  }
}

/** Opens a file for a download. */
export async function openSink(path: string, start: number): Promise<WriteStream> {
  const fd = await opened(path, start === 0 ? "w" : "r+");
  return createWriteStream("", { fd, ...(start === 0 ? {} : { start }) });
}

/** Cuts off what a resumed file had after the end of the download. */
export async function endSink(path: string, start: number, received: number): Promise<void> {
  if (start > 0 && (await stat(path)).size > start + received) await truncate(path, start + received);
}
