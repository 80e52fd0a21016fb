/**
 * Two hosts with two paths between them, made of network namespaces that vanish with this process. Nothing of the host's
 * own network is touched: interfaces are born inside the namespaces, limits and qdiscs are set inside them.
 *
 * @module
 */
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import type { Children } from "./worker.ts";

/** How many paths. Path n is 10.0.n.1 (client) to 10.0.n.2 (server), and the interface "path<n>" on both sides. */
export const PATHS = 2;

/** The laboratory could not be made; the message says why. */
export class LabError extends Error {}

/** Two namespaces, connected. */
export class Lab {
  readonly #children: Children;
  readonly #client: number;
  readonly #server: number;
  /** Whether it stands in a user namespace, so without being root. */
  readonly rootless: boolean;

  private constructor(children: Children, client: number, server: number, rootless: boolean) {
    this.#children = children;
    this.#client = client;
    this.#server = server;
    this.rootless = rootless;
  }

  /**
   * Makes the hosts and the paths.
   *
   * @param rate Of each path, Mbit/s, both ways.
   * @throws {LabError} When the host does not allow it.
   */
  static async make(children: Children, rate: number): Promise<Lab> {
    const lab = await Lab.#hosts(children);
    await lab.#links(rate);
    return lab;
  }

  static async #hosts(children: Children): Promise<Lab> {
    const reasons: string[] = [];
    for (const rootless of [false, true]) {
      try {
        const client = await hold(children, ["unshare", rootless ? "-Urn" : "-n", "cat"]);
        const server = await hold(children, [...enter(client, rootless, false), "unshare", "-n", "cat"]);
        return new Lab(children, client.pid!, server.pid!, rootless);
      } catch (error) {
        reasons.push((error as Error).message);
      }
    }
    throw new LabError(reasons.join("; "));
  }

  /** The command that runs another in the client's host. */
  get asClient(): string[] {
    return enter({ pid: this.#client }, this.rootless);
  }

  /** The command that runs another in the server's host. */
  get asServer(): string[] {
    return enter({ pid: this.#server }, this.rootless);
  }

  async #links(rate: number): Promise<void> {
    const paths = Array.from({ length: PATHS }, (_, index) => index + 1);
    await this.#batch(this.asClient, "ip", [
      "link set lo up",
      ...paths.flatMap((n) => [
        `link add path${n} type veth peer name path${n} netns ${this.#server}`,
        `address add 10.0.${n}.1/24 dev path${n}`,
        `link set path${n} up`,
      ]),
      "mptcp limits set subflows 8 add_addr_accepted 8",
    ]);
    await this.#batch(this.asServer, "ip", [
      "link set lo up",
      ...paths.flatMap((n) => [`address add 10.0.${n}.2/24 dev path${n}`, `link set path${n} up`]),
      "mptcp limits set subflows 8 add_addr_accepted 8",
      // The server tells its second address over the first path; the client's kernel then opens the second subflow.
      ...paths.slice(1).map((n) => `mptcp endpoint add 10.0.${n}.2 signal`),
    ]);
    // The bucket must hold what may leave between two ticks of the kernel's clock.
    const burst = Math.max(32_768, Math.ceil(rate * 640));
    const shape = paths.map((n) => `qdisc add dev path${n} root tbf rate ${rate}mbit burst ${burst} latency 30ms`);
    await this.#batch(this.asClient, "tc", shape);
    await this.#batch(this.asServer, "tc", shape);
    // A path is given up after its third timeout, not its fourth: the hole after the cut is shorter and more even, while
    // still lower values at times keep a path that is alive from standing in. Where the kernel has no such setting, it goes
    // without.
    const setting = "/proc/sys/net/mptcp/stale_loss_cnt";
    await Promise.allSettled([this.asClient, this.asServer].map((host) => this.#run([...host, "tee", setting], "3\n")));
  }

  /** Takes a path away, as if somebody had pulled the client's cable. */
  async cut(path: number): Promise<void> {
    await this.#batch(this.asClient, "ip", [`link set path${path} down`]);
  }

  /** Puts the cable back. */
  async restore(path: number): Promise<void> {
    await this.#batch(this.asClient, "ip", [`link set path${path} up`]);
  }

  async #batch(enterHost: string[], program: string, lines: string[]): Promise<void> {
    await this.#run([...enterHost, program, "-batch", "-"], `${lines.join("\n")}\n`);
  }

  async #run(command: string[], input: string): Promise<void> {
    const { child, trouble } = this.#children.start(command);
    child.stdin!.end(input);
    child.stdout!.resume();
    const [code] = await once(child, "close");
    if (code !== 0) throw new LabError(trouble().split("\n")[0] || `${command.join(" ")} ended with ${code}`);
  }
}

/** The command that runs another inside a namespace. */
function enter({ pid }: { pid?: number | undefined }, rootless: boolean, network = true): string[] {
  const user = rootless ? ["-U", "--preserve-credentials"] : [];
  if (!network && !rootless) return [];
  return ["nsenter", "-t", String(pid), ...user, ...(network ? ["-n"] : []), "--"];
}

/** Starts a process that does nothing but hold a namespace; it is there when `cat` gives back what it was given. */
async function hold(children: Children, command: string[]): Promise<ChildProcess> {
  const { child, trouble } = children.start(command);
  const ready = once(child.stdout!, "data");
  const ended = once(child, "close");
  child.stdin!.write("\n");
  const first = await Promise.race([ready.then(() => "ready"), ended.then(() => "ended")]);
  if (first === "ready") return child;
  throw new LabError(trouble() || `${command.join(" ")} failed`);
}
