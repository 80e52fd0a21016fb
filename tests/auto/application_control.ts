/**
 * Starts `application.ts`, and tells it what to do.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import { Child, type Ended } from "../child.ts";
import { runtimeCommand } from "../host.ts";

/** One thing for the application to do. */
export interface Task {
  do: "serve" | "ask" | "undo" | "state";
  kind?: "net" | "tls" | "http" | "https" | "http2" | "fetch";
  host?: string;
  port?: number;
  /** A Unix socket, in place of host and port. */
  path?: string;
}

/** What came of it. */
export interface Answered {
  /** Where it serves. */
  port?: number;
  /** What the other end sent. */
  text?: string;
  /** What `mptcpOf` says of the client's socket. */
  multipath?: boolean | null;
  clients?: boolean;
  servers?: boolean;
  reason?: string | null;
  uncovered?: string[];
  code?: string;
  error?: string;
}

/** The command that starts it. */
export const APPLICATION: readonly string[] = runtimeCommand(fileURLToPath(new URL("application.ts", import.meta.url)));

/** A running application. */
export class Application implements AsyncDisposable {
  readonly #child: Child;

  constructor(child: Child) {
    this.#child = child;
  }

  /** Starts one. */
  static start(env: Readonly<Record<string, string>> = {}): Application {
    return new Application(new Child(APPLICATION, env));
  }

  /** Lets it do something. What fails throws. */
  async tell(task: Task): Promise<Answered> {
    const answer = await this.attempt(task);
    if (answer.error) throw new Error(`${JSON.stringify(task)}: ${answer.error}`);
    return answer;
  }

  /** Lets it do something that may fail. */
  async attempt(task: Task): Promise<Answered> {
    this.#child.send(JSON.stringify(task));
    return await this.#child.json<Answered>();
  }

  /** Ends it. */
  async end(): Promise<Ended> {
    this.#child.endInput();
    return await this.#child.ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child.kill();
  }
}
