/**
 * The library, running in a host of a lab. A test writes what is to happen there as a function:
 *
 * ```ts
 * const client = Agent.start(lab.client);
 * const seen = await client.run(async ({ connect, look }, port) => {
 *   using conn = await connect({ hostname: "10.0.1.2", port });
 *   return look(conn);
 * }, 8080);
 * ```
 *
 * The function's text goes over, so it sees only its two arguments: the kit, and one value that JSON can carry. What it
 * returns comes back as JSON; what it throws comes back as a `RemoteError`.
 *
 * @module
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Child } from "../child.ts";
import { type Host, runtimeCommand } from "../host.ts";
import type { Answer, Kit, Request } from "./kit.ts";

/** What the library threw in the agent: its own name, code and so on. */
export class RemoteError extends Error {
  override readonly name: string;
  readonly code: string | undefined;
  readonly errno: number | undefined;
  readonly syscall: string | undefined;
  readonly address: string | undefined;
  readonly port: number | undefined;

  constructor({ name, message, code, errno, syscall, address, port }: NonNullable<Answer["error"]>) {
    super(message);
    this.name = name;
    this.code = code;
    this.errno = errno;
    this.syscall = syscall;
    this.address = address;
    this.port = port;
  }
}

const AGENT = fileURLToPath(new URL("./agent.ts", import.meta.url));

/** A process in a host, with the library in it. It ends with its host. */
export class Agent {
  readonly #child: Child;
  readonly #answers = new Map<number, (answer: Answer) => void>();
  #count = 0;

  private constructor(child: Child) {
    this.#child = child;
    this.#read();
  }

  /**
   * Starts an agent.
   *
   * @param files Texts to stand in the place of files, for this process alone, such as `/etc/hosts`.
   */
  static start(host: Host, files: Readonly<Record<string, string>> = {}): Agent {
    const command = runtimeCommand(AGENT);
    if (Object.keys(files).length === 0) return new Agent(host.spawn(command[0]!, command.slice(1)));
    const folder = mkdtempSync(join(tmpdir(), "mptcp-agent-"));
    const mounts = Object.entries(files).map(([path, text], index) => {
      writeFileSync(join(folder, `${index}`), text);
      return `mount --bind ${folder}/${index} ${path} && `;
    });
    const child = host.spawn("unshare", ["-m", "sh", "-c", `${mounts.join("")}exec "$@"`, "sh", ...command]);
    child.ended.then(() => rmSync(folder, { recursive: true }));
    return new Agent(child);
  }

  /** Runs a function in the agent. */
  run<R>(work: (kit: Kit) => R): Promise<Awaited<R>>;
  /** Runs a function in the agent, with a value that JSON can carry. */
  run<R, A>(work: (kit: Kit, argument: A) => R, argument: A): Promise<Awaited<R>>;
  async run(work: (kit: Kit, argument: never) => unknown, argument?: unknown): Promise<unknown> {
    const id = ++this.#count;
    const request: Request = { id, source: `${work}`, argument };
    const { value, error } = await new Promise<Answer>((resolve, reject) => {
      this.#answers.set(id, resolve);
      this.#child.send(JSON.stringify(request));
      this.#child.ended.then(({ stderr }) => reject(new Error(`The agent ended: ${stderr}`)));
    });
    if (error) throw new RemoteError(error);
    return value;
  }

  /** Ends the agent's process in order, by `process.exit`. */
  async end(): Promise<void> {
    this.#child.endInput();
    await this.#child.ended;
  }

  /** Ends the agent's process as a crash would. */
  async kill(): Promise<void> {
    await this.#child.kill();
  }

  async #read(): Promise<void> {
    for await (const line of this.#child) {
      const answer = JSON.parse(line) as Answer;
      this.#answers.get(answer.id)?.(answer);
      this.#answers.delete(answer.id);
    }
  }
}
