/**
 * One login, and what went over which path since.
 *
 * @module
 */
import { FtpClient } from "../../ftp/mod.ts";
import { bar } from "../demo/bar.ts";
import type { Context } from "../frame/command.ts";
import { Failure } from "../frame/failure.ts";
import { bytesText, rateText } from "../frame/output.ts";
import { pathName } from "../watch/path_name.ts";
import type { FtpAddress } from "./address.ts";

/** How often the line of progress is drawn, ms. */
const EVERY = 200;
const BAR = 20;
/** How long a transfer has to end in order after a signal, ms. */
const GRACE = 500;

/** How to log in. */
export interface SessionOptions {
  mptcp: "prefer" | "require" | "off";
  /** Explicit TLS. */
  tls: boolean;
  /** Whether a certificate that nobody vouches for will do. */
  insecure: boolean;
  active: boolean;
  /** The server's longest silence, ms. */
  timeout: number;
  localAddress: string | undefined;
}

/** What a path carried. */
export interface PathPart {
  name: string;
  bytes: number;
  /** From 0 to 1. */
  share: number;
}

/** What went over the data connections. */
export interface Carried {
  /** Whether all of them were MPTCP. */
  multipath: boolean;
  /** Why the last that was not is not. */
  fallback: string | null;
  paths: PathPart[];
}

/** See the module's comment. */
export class Session implements Disposable {
  readonly client: FtpClient;
  readonly #context: Context;
  readonly #stop: () => void;

  private constructor(context: Context, client: FtpClient) {
    this.client = client;
    this.#context = context;
    this.#stop = () => {
      client.abort(context.signal.reason);
      setTimeout(() => client.close(), GRACE).unref();
    };
    if (context.signal.aborted) this.#stop();
    else context.signal.addEventListener("abort", this.#stop, { once: true });
  }

  /** Connects and logs in. */
  static async open(context: Context, address: FtpAddress, options: SessionOptions): Promise<Session> {
    const { mptcp, tls, insecure, active, timeout, localAddress } = options;
    const client = new FtpClient({ mptcp, active, timeout, ...(localAddress === undefined ? {} : { localAddress }) });
    const session = new Session(context, client);
    try {
      const { host, port, implicit, user, password } = address;
      await client.access({
        host,
        port,
        secure: implicit ? "implicit" : tls,
        ...(user === undefined ? {} : { user, password: password ?? "" }),
        ...(insecure ? { secureOptions: { rejectUnauthorized: false } } : {}),
      });
      return session;
    } catch (error) {
      session[Symbol.dispose]();
      throw error;
    }
  }

  /** A file's size; `null` where the server does not tell, or there is none. */
  async size(path: string): Promise<number | null> {
    try {
      return await this.client.size(path);
    } catch (error) {
      if (this.client.closed) throw error;
      return null;
    }
  }

  /**
   * Does a transfer, and shows how far it is.
   *
   * @param begin Bytes that were there before.
   * @param size Of the whole; `null` where nobody knows.
   */
  async show<T>(name: string, begin: number, size: number | null, work: () => Promise<T>): Promise<T> {
    const { output, options } = this.#context;
    const { client } = this;
    const before = client.dataConnections.at(-1);
    const start = performance.now();
    const draw = () => {
      const current = client.dataConnections.at(-1);
      const moved = current === undefined || current === before ? 0 : current.bytes;
      const rate = rateText(moved * 1000 / Math.max(1, performance.now() - start));
      const done = begin + moved;
      const part = size === null || size === 0 ? 1 : Math.min(1, done / size);
      const gauge = size === null
        ? ""
        : `${bar(output.errorLook, part, BAR)} ${String(Math.floor(part * 100)).padStart(3)} %  `;
      const paths = current === before ? 0 : current?.subflows.length ?? 0;
      output.status(`${gauge}${bytesText(done)}  ${rate}  ${paths} path${paths === 1 ? "" : "s"}  ${visible(name)}`);
    };
    const timer = output.live && !options.flag("quiet") ? setInterval(draw, EVERY) : undefined;
    try {
      return await work();
    } finally {
      clearInterval(timer);
      output.status("");
    }
  }

  /** What uploads and downloads went over; of very many, the last thousand. */
  carried(): Carried {
    const all = this.client.dataConnections.filter(({ kind }) => kind !== "list");
    const sums = new Map<string, number>();
    let fallback: string | null = null;
    for (const { kind, subflows, ...rest } of all.map(wordsOf)) {
      fallback = rest.fallback ?? fallback;
      for (const subflow of subflows) {
        const { bytesAcked = 0, bytesReceived = 0 } = subflow.tcpInfo;
        const name = pathName(subflow);
        sums.set(name, (sums.get(name) ?? 0) + (kind === "upload" ? bytesAcked : bytesReceived));
      }
    }
    const total = [...sums.values()].reduce((sum, bytes) => sum + bytes, 0);
    const paths = [...sums].map(([name, bytes]) => ({ name, bytes, share: total > 0 ? bytes / total : 0 }));
    return { multipath: all.length > 0 && all.every(({ isMultipath }) => isMultipath), fallback, paths };
  }

  [Symbol.dispose](): void {
    this.#context.signal.removeEventListener("abort", this.#stop);
    this.client.close();
  }
}

function wordsOf({ kind, subflows, fallback }: FtpClient["dataConnections"][number]) {
  return { kind, subflows, fallback: fallback?.message ?? null };
}

/** Which paths data went over, in words. */
export function carriedText({ multipath, fallback, paths }: Carried): string {
  if (paths.length === 0) return "nothing was transferred";
  const used = paths.filter(({ bytes }) => bytes > 0);
  const shares = used.map(({ name, share }) => `${Math.round(share * 100)} % ${name}`).join(", ");
  if (!multipath) return `by plain TCP${fallback === null ? "" : ` (${fallback})`}`;
  return used.length > 1 ? `over ${used.length} paths: ${shares}` : `by MPTCP over one path: ${shares}`;
}

/** A name without what would act on a terminal. */
export function visible(name: string): string {
  // deno-lint-ignore no-control-regex
  return name.replace(/[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/g, "?");
}

/** What a server calls a file must not lead anywhere else. */
export function checkName(name: string): void {
  if (name === "" || name === "." || name === ".." || /[/\0\r\n]/.test(name)) {
    throw new Failure(`the server lists a file named ${JSON.stringify(name)}, which is no name`);
  }
}
