/**
 * Whole folders, one way: what is there with the same size already is left alone, nothing is removed.
 *
 * @module
 */
import { mkdir, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import type { FileInfo } from "../../ftp/mod.ts";
import { Failure } from "../frame/failure.ts";
import { checkName, type Session, visible } from "./session.ts";

/** Deeper folders are a loop. */
const DEEPEST = 64;

/** What was done. */
export interface Mirrored {
  files: number;
  skipped: number;
  bytes: number;
}

/** What a mirror is told by, and tells. */
export interface MirrorOptions {
  /** Whether a file that is too short is gone on with, not written anew. */
  resume: boolean;
  signal: AbortSignal;
  say: (text: string) => void;
}

/** Downloads what is in a directory. */
export async function mirrorDown(session: Session, from: string, to: string, options: MirrorOptions): Promise<Mirrored> {
  const { client } = session;
  const { resume, signal, say } = options;
  const done: Mirrored = { files: 0, skipped: 0, bytes: 0 };
  const walk = async (remote: string, local: string, depth: number): Promise<void> => {
    if (depth > DEEPEST) throw new Failure(`${visible(remote)} is deeper than ${DEEPEST} folders`);
    const entries: FileInfo[] = await client.list(remote, { signal });
    await mkdir(local, { recursive: true });
    for (const { name, size, isDirectory, isFile } of entries.map(plain)) {
      if (name === "." || name === "..") continue;
      checkName(name);
      const [there, here] = [`${remote}/${name}`.replace(/^\/\//, "/"), join(local, name)];
      if (isDirectory) await walk(there, here, depth + 1);
      else if (!isFile) say(`${visible(there)} is a link or no file, and left out`);
      else {
        const have = await localSize(here);
        if (have === size) {
          done.skipped++;
          continue;
        }
        const startAt = resume && have !== null && have < size ? have : 0;
        await session.show(there, startAt, size, () => client.downloadTo(here, there, { startAt, signal }));
        done.files++;
        done.bytes += size - startAt;
      }
    }
  };
  await walk(from, to, 0);
  return done;
}

/** Uploads what is in a local folder. */
export async function mirrorUp(session: Session, from: string, to: string, options: MirrorOptions): Promise<Mirrored> {
  const { client } = session;
  const { resume, signal, say } = options;
  const done: Mirrored = { files: 0, skipped: 0, bytes: 0 };
  const walk = async (local: string, remote: string): Promise<void> => {
    await client.ensureDir(remote);
    const there = new Map((await client.list(remote, { signal })).map(({ name, size }) => [name, size]));
    for (const entry of await readdir(local, { withFileTypes: true })) {
      const { name } = entry;
      const [here, target] = [join(local, name), `${remote}/${name}`.replace(/^\/\//, "/")];
      if (entry.isDirectory()) await walk(here, target);
      else if (!entry.isFile()) say(`${visible(here)} is a link or no file, and left out`);
      else {
        const { size } = await stat(here);
        const have = there.get(name);
        if (have === size) {
          done.skipped++;
          continue;
        }
        const start = resume && have !== undefined && have < size ? have : 0;
        await session.show(
          here,
          start,
          size,
          () =>
            start > 0
              ? client.appendFrom(here, target, { localStart: start, signal })
              : client.uploadFrom(here, target, { signal }),
        );
        done.files++;
        done.bytes += size - start;
      }
    }
  };
  await walk(from, to);
  return done;
}

function plain({ name, size, isDirectory, isFile }: FileInfo) {
  return { name, size, isDirectory, isFile };
}

/** A local file's size; `null` where there is none. */
export async function localSize(file: string): Promise<number | null> {
  try {
    return (await stat(file)).size;
  } catch (error) {
    if ((error as { code?: string }).code === "ENOENT") return null;
    throw error;
  }
}
