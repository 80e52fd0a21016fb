/**
 * `mptcp get`: downloads a file over all paths there are, and shows them.
 *
 * @module
 */
import { type FileHandle, open, stat } from "node:fs/promises";
import type { FetchResponse } from "../../http/fetch.ts";
import type { Subflow } from "../../paths/connection.ts";
import { type Command, type Context, JSON_OPTION, UsageError } from "../frame/command.ts";
import { EXIT, Failure } from "../frame/failure.ts";
import { bytesText, rateText } from "../frame/output.ts";
import { MPTCP_OPTIONS, mptcpMode } from "./cat.ts";

/** How often the line of progress is drawn, ms. */
const EVERY = 200;
/** Over how long the shown rate is taken, ms. */
const WINDOW = 2000;

export const get: Command = {
  name: "get",
  summary: "download a file over several paths, and see them",
  usage: "[options] URL",
  about: "The file is named as the last part of the address, and no other is overwritten.",
  options: [
    { name: "output", short: "o", value: "FILE", summary: "write there; - is standard output" },
    { name: "continue", short: "c", summary: "go on with what an earlier download left" },
    { name: "force", short: "f", summary: "overwrite the file" },
    ...MPTCP_OPTIONS,
    { name: "from", value: "ADDRESS", summary: "the local address to connect from" },
    { name: "timeout", value: "SECONDS", summary: "until the answer begins", range: [0.001, 3600], otherwise: "30" },
    { name: "quiet", short: "q", summary: "show no progress" },
    { ...JSON_OPTION, summary: "print what was downloaded, and by which paths, as JSON" },
  ],
  operands: [1, 1],
  examples: [
    ["mptcp get https://example.com/image.iso", "with a line of progress that shows each path"],
    ["mptcp get -c https://example.com/image.iso", "goes on where it was interrupted"],
    ["mptcp get -o - https://example.com/ | less", "to standard output"],
  ],
  async run(context) {
    const { operands: [address], options } = context;
    const url = URL.canParse(address!) ? new URL(address!) : null;
    if (url === null || !/^https?:$/.test(url.protocol)) {
      throw new UsageError(`URL ${JSON.stringify(address)} is no address that begins with http:// or https://`);
    }
    if (options.flag("continue") && options.flag("force")) throw new UsageError("--continue and --force exclude each other");
    const file = options.text("output") ?? nameOf(url);
    if (file === "-" && (options.flag("continue") || options.flag("json"))) {
      throw new UsageError("standard output is taken: --continue and --json need a file");
    }
    return await download(context, url, file);
  },
};

function nameOf(url: URL): string {
  const name = decodeURIComponent(url.pathname.split("/").at(-1)!).replace(/[/\0]/g, "_");
  return ["", ".", ".."].includes(name) ? "index.html" : name;
}

async function sizeOf(file: string): Promise<number | null> {
  try {
    return (await stat(file)).size;
  } catch (error) {
    if ((error as { code?: string }).code === "ENOENT") return null;
    throw error;
  }
}

async function download(context: Context, url: URL, file: string): Promise<number> {
  const { options, output, signal } = context;
  const toFile = file !== "-";
  const there = toFile ? await sizeOf(file) : null;
  if (there !== null && !options.flag("continue") && !options.flag("force")) {
    throw new Failure(`${file} is there already; --continue goes on with it, --force overwrites it`);
  }
  const offset = options.flag("continue") ? there ?? 0 : 0;
  const { createClient } = await import("../../http/fetch.ts");
  await using client = createClient({ mptcp: mptcpMode(context) });
  const waiting = new AbortController();
  const timer = setTimeout(() => waiting.abort(), (options.number("timeout") ?? 30) * 1000);
  let response: FetchResponse;
  try {
    const from = options.text("from");
    response = await client.fetch(url, {
      // What arrives is counted, and is to be written as it is.
      headers: { "accept-encoding": "identity", ...(offset > 0 ? { range: `bytes=${offset}-` } : {}) },
      signal: AbortSignal.any([signal, waiting.signal]),
      ...(from === undefined ? {} : { localAddress: from }),
    });
  } catch (error) {
    if (signal.aborted) throw error;
    if (waiting.signal.aborted) throw new Failure(`${url.host} did not answer in time`);
    const { cause } = error as { cause?: unknown };
    if (cause instanceof Error && cause.name === "MptcpError") throw cause;
    throw new Failure(`${url.host} cannot be reached: ${cause instanceof Error ? cause.message : (error as Error).message}`);
  } finally {
    clearTimeout(timer);
  }
  const begin = startOf(response, offset);
  if (begin === null) {
    output.say(`${file} is complete`);
    return EXIT.ok;
  }
  const handle = toFile ? await open(file, begin > 0 ? "r+" : "w") : null;
  try {
    return await receive(context, response, { file, handle, begin });
  } finally {
    await handle?.close();
  }
}

/** Where in the file the body belongs; `null` when nothing is missing. */
function startOf(response: FetchResponse, offset: number): number | null {
  const { status, statusText, headers } = response;
  if (status === 200) return 0;
  const range = headers.get("content-range") ?? "";
  if (status === 206 && offset > 0) {
    const start = Number(/^bytes (\d+)-/.exec(range)?.[1]);
    if (start === offset) return offset;
    throw new Failure(`the server sent another part than was asked for: ${range}`);
  }
  if (status === 416 && Number(/^bytes \*\/(\d+)$/.exec(range)?.[1]) === offset) return null;
  throw new Failure(`the server answered ${status} ${statusText}`.trimEnd());
}

interface Sink {
  file: string;
  handle: FileHandle | null;
  begin: number;
}

async function receive({ options, output, signal }: Context, response: FetchResponse, sink: Sink): Promise<number> {
  const { file, handle, begin } = sink;
  const length = response.headers.get("content-length");
  const progress = new Progress(response, begin, length === null ? null : begin + Number(length));
  const shows = !options.flag("quiet");
  const timer = shows && output.live ? setInterval(() => output.status(progress.line()), EVERY) : undefined;
  let position = begin;
  try {
    for await (const chunk of response.body ?? []) {
      if (handle === null) await output.write(chunk);
      else await writeAll(handle, chunk, position);
      position += chunk.length;
      progress.at = position;
    }
    await handle?.truncate(position);
  } catch (error) {
    if (!signal.aborted && (error as Error).name !== "TypeError") throw error;
    clearInterval(timer);
    output.status("");
    const { cause } = error as { cause?: unknown };
    const reason = signal.aborted ? "interrupted" : cause instanceof Error ? cause.message : (error as Error).message;
    const advice = handle === null ? "" : `; --continue goes on with ${file}`;
    throw new Failure(`the download broke off after ${bytesText(position)}: ${reason}${advice}`);
  } finally {
    clearInterval(timer);
  }
  output.status("");
  if (shows) output.say(`${handle === null ? "done" : file}: ${progress.summary()}`);
  if (options.flag("json")) output.json({ url: response.url, file, resumedAt: begin, ...progress.facts() });
  return EXIT.ok;
}

async function writeAll(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    done += (await handle.write(bytes, done, bytes.length - done, position + done)).bytesWritten;
  }
}

/** How far a download is, and by which paths. */
class Progress {
  readonly #response: FetchResponse;
  readonly #begin: number;
  readonly #size: number | null;
  readonly #start = performance.now();
  readonly #marks: { time: number; at: number }[] = [];
  /** How much of the file is there, bytes. */
  at: number;

  constructor(response: FetchResponse, begin: number, size: number | null) {
    this.#response = response;
    this.#begin = begin;
    this.#size = size;
    this.at = begin;
  }

  /** The line that is drawn again and again. */
  line(): string {
    const now = performance.now();
    this.#marks.push({ time: now, at: this.at });
    while (now - this.#marks[0]!.time > WINDOW) this.#marks.shift();
    const [first] = this.#marks;
    const rate = now > first!.time ? (this.at - first!.at) / (now - first!.time) * 1000 : 0;
    const part = this.#size === null ? "" : `${String(Math.floor(this.at / this.#size * 100)).padStart(3)} %  `;
    const left = this.#size !== null && rate > 0 ? `  ${Math.ceil((this.#size - this.at) / rate)} s left` : "";
    return `${part}${bytesText(this.at)}  ${rateText(rate)}${left}  ${pathsText(this.#subflows())}`;
  }

  summary(): string {
    const seconds = (performance.now() - this.#start) / 1000;
    const bytes = this.at - this.#begin;
    return `${bytesText(bytes)} in ${seconds.toFixed(1)} s, ${rateText(bytes / seconds)}  ${pathsText(this.#subflows())}`;
  }

  facts(): Record<string, unknown> {
    return {
      status: this.#response.status,
      size: this.at,
      bytes: this.at - this.#begin,
      seconds: (performance.now() - this.#start) / 1000,
      isMultipath: this.#response.mptcp?.isMultipath ?? false,
      subflows: this.#subflows().map(({ id, local, remote, tcpInfo }) => ({
        id,
        local,
        remote,
        bytesReceived: tcpInfo.bytesReceived ?? 0,
      })),
    };
  }

  #subflows(): Subflow[] {
    return this.#response.mptcp?.subflows ?? [];
  }
}

/** Each path with its share of what has come. */
function pathsText(subflows: readonly Subflow[]): string {
  const [only] = subflows;
  if (only === undefined) return "";
  if (only.id === 0) return "by plain TCP";
  const total = subflows.reduce((sum, { tcpInfo }) => sum + (tcpInfo.bytesReceived ?? 0), 0);
  const share = ({ tcpInfo }: Subflow) => total === 0 ? 0 : Math.round((tcpInfo.bytesReceived ?? 0) / total * 100);
  return `by ${subflows.map((each) => `${each.local.hostname} ${share(each)} %`).join(", ")}`;
}
