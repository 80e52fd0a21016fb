/**
 * Takes connections and carries their bytes to targets and back: the engine of `mptcp forward` and `mptcp proxy`.
 *
 * The work is done by threads of their own (`thread.ts`), which sit in `epoll_wait` and make system calls; this is their
 * keeper on the main thread, where names are looked up, signals arrive and counters are read.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { Worker } from "node:worker_threads";
import { type System, system, unsupportedReason } from "../../ffi/mod.ts";
import { SOCK_CLOEXEC, SOCK_NONBLOCK } from "../../kernel/constants.ts";
import { check, MptcpError } from "../../kernel/error.ts";
import type { Addr } from "../../kernel/sockaddr.ts";
import { openListeningSocket } from "../../net/listen.ts";
import { makeSocket } from "../../net/socket.ts";
import {
  type CounterName,
  COUNTERS,
  type Credentials,
  type Refusal,
  type ResolvedTarget,
  type ThreadCommand,
  type ThreadConfig,
  type ThreadMessage,
} from "./messages.ts";

/** As many as a busy service wants; the kernel caps it at `net.core.somaxconn`. */
const BACKLOG = 4096;

/** What a relay is to do. */
export interface RelayOptions {
  /** Where to listen. */
  listen: { hostname: string; port: number };
  /** What to listen by, and what to connect to targets by. */
  from: "tcp" | "mptcp";
  to: "tcp" | "mptcp";
  /** Connections on which nothing has moved for so many ms are closed; 0 for never. */
  idle: number;
  /** How long connecting to a target may take, ms. */
  timeout: number;
  /** How many threads share the work. */
  threads: number;
  /** Where all connections go; `null` for a proxy. */
  target: ResolvedTarget | null;
  /** The addresses and prefixes that clients are served from; `null` for all. */
  allow: string[] | null;
  /** Whom a proxy serves; `null` for everybody. */
  credentials: Credentials | null;
  /** The addresses of the target that a proxy's client asks for, or why it gets none. */
  resolve?(hostname: string, port: number): Promise<string[] | Refusal>;
  /** Told what a person should know. */
  trouble(message: string): void;
}

/** What a relay has counted. */
export type RelayCounters = Record<CounterName, number>;

interface Thread {
  worker: Worker;
  /** The end of its pipe that commands are written to; -1 once it has ended. */
  commands: number;
  counters: Float64Array;
  ended: Promise<void>;
}

/** The thread's file, as a worker can load it: Deno's loads files and data only, but those may import anything. */
function threadUrl(): URL {
  const url = new URL("./thread.ts", import.meta.url);
  if (url.protocol === "file:") return url;
  return new URL(`data:text/javascript,${encodeURIComponent(`import ${JSON.stringify(url.href)};`)}`);
}

/** See the module's comment. */
export class Relay {
  /** Where it listens. */
  readonly addr: Addr;
  /** Settles when all threads have ended; rejects when one has died. */
  readonly ended: Promise<void>;
  readonly #system: System;
  readonly #options: RelayOptions;
  readonly #threads: Thread[] = [];

  /**
   * Starts a relay: connections are taken when it returns.
   *
   * @throws {MptcpError} `EADDRINUSE`, `EACCES` and the like; and where this host has no MPTCP, or no FFI.
   */
  constructor(options: RelayOptions) {
    const host = system();
    if (host === null) throw new MptcpError("EOPNOTSUPP", `Cannot relay: no FFI here, ${unsupportedReason()}`);
    this.#system = host;
    this.#options = options;
    const { libc } = host;
    // A host without MPTCP is told of now, and not to each client.
    if (options.to === "mptcp") libc.close(makeSocket(libc, 4, { mptcp: "require" }).fd);
    const mptcp = options.from === "mptcp" ? "require" : "off";
    const { fd, addr } = openListeningSocket(libc, { ...options.listen, mptcp, backlog: BACKLOG });
    this.addr = addr;
    try {
      for (let count = 0; count < options.threads; count++) this.#threads.push(this.#start(fd));
    } catch (error) {
      this.end();
      throw error;
    } finally {
      libc.close(fd);
    }
    this.ended = Promise.all(this.#threads.map(({ ended }) => ended)).then(() => {});
  }

  /** What all threads have counted. */
  counters(): RelayCounters {
    const sum = (index: number) => this.#threads.reduce((total, { counters }) => total + counters[index]!, 0);
    return Object.fromEntries(COUNTERS.map((name, index) => [name, sum(index)])) as RelayCounters;
  }

  /** Connections from now on go there. */
  retarget(target: ResolvedTarget): void {
    this.#tellAll({ type: "target", target });
  }

  /** Takes no more connections, and ends with the last that is open. */
  stop(): void {
    this.#tellAll({ type: "stop" });
  }

  /** Ends now; open connections are aborted. */
  end(): void {
    this.#tellAll({ type: "end" });
  }

  #start(listener: number): Thread {
    const { libc } = this.#system;
    const { to, idle, timeout, target, allow, credentials } = this.#options;
    const pipe = libc.pipe(SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (typeof pipe === "number") throw check(pipe, "pipe2") as never;
    const counters = new SharedArrayBuffer(COUNTERS.length * 8);
    const config: ThreadConfig = {
      listener: check(libc.dup(listener), "fcntl"),
      commands: pipe[0],
      counters,
      mptcp: to === "mptcp",
      idle,
      timeout,
      target,
      allow,
      credentials,
    };
    const worker = new Worker(threadUrl(), { workerData: config });
    const thread: Thread = {
      worker,
      commands: pipe[1],
      counters: new Float64Array(counters),
      ended: new Promise((resolve, reject) => {
        worker.on("message", (message: ThreadMessage) => {
          if (message.type === "ended") resolve();
          else this.#heard(thread, message);
        });
        worker.on("error", reject);
        worker.on("exit", () => reject(new Error("a relaying thread has died")));
      }),
    };
    const gone = () => {
      libc.close(thread.commands);
      thread.commands = -1;
    };
    thread.ended.then(gone, gone);
    return thread;
  }

  #heard(thread: Thread, message: Exclude<ThreadMessage, { type: "ended" }>): void {
    if (message.type === "trouble") return this.#options.trouble(message.message);
    const { id, hostname, port } = message;
    const answer = (found: string[] | Refusal) => {
      const refused = typeof found === "string";
      this.#tell(thread, {
        type: "resolved",
        id,
        addresses: refused ? [] : found,
        ...(refused ? { refusal: found } : {}),
      });
    };
    this.#options.resolve!(hostname, port).then(answer, () => answer("unknown"));
  }

  #tellAll(command: ThreadCommand): void {
    for (const thread of this.#threads) this.#tell(thread, command);
  }

  /** Writes a line into the thread's pipe. A pipe that is full is read soon: then it is tried again. */
  #tell(thread: Thread, command: ThreadCommand): void {
    if (thread.commands < 0) return;
    const bytes = Buffer.from(`${JSON.stringify(command)}\n`);
    // At most PIPE_BUF bytes: all of them or none.
    if (this.#system.libc.write(thread.commands, bytes) < 0) setTimeout(() => this.#tell(thread, command), 10);
  }
}
