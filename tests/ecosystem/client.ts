/**
 * A program of `clients/`, seen from the test.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { fileURLToPath } from "node:url";
import type { Child, Ended } from "../child.ts";
import type { Host } from "../host.ts";
import type { Report } from "./clients/stage.ts";

/** How long a program may take from being told to close to its end. */
const PATIENCE = 10_000;

/** See the module's comment. It ends with this object, or with its host. */
export class Client implements AsyncDisposable {
  readonly #child: Child;

  private constructor(child: Child) {
    this.#child = child;
  }

  /** Starts a program in a host; its arguments are the scenario, the server's address, its port. */
  static start(host: Host, program: string, ...args: readonly (string | number)[]): Client {
    const file = fileURLToPath(new URL(`./clients/${program}`, import.meta.url));
    return new Client(host.script(file, args.map((arg) => `${arg}`)));
  }

  /** The next thing that it tells; its connections are open. */
  report<T>(): Promise<Report<T>> {
    return this.#child.json<Report<T>>();
  }

  /** Lets it close its connections and asserts that it then ends by itself, in peace. */
  async end(): Promise<void> {
    this.#child.endInput();
    let timer: ReturnType<typeof setTimeout>;
    const late = new Promise<Ended>((_, reject) => {
      timer = setTimeout(() => reject(new Error("Something keeps the process alive after its client was closed")), PATIENCE);
    });
    const { code, stderr } = await Promise.race([this.#child.ended, late]).finally(() => clearTimeout(timer));
    assertEquals({ code, stderr }, { code: 0, stderr: "" });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child.kill();
  }
}
