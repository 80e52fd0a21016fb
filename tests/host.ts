/**
 * One host of a lab: a network namespace that lives as long as a process that holds it.
 *
 * @module
 */
import process from "node:process";
import { Child, run } from "./child.ts";

/** The path of the hook that a packet filter's rules see packets at. */
export type Hook = "input" | "output";

/** A row of `ss -i`: a socket, and what the kernel tells about it. */
export interface SocketRow {
  state: string;
  local: string;
  remote: string;
  /** The `name:value` words, such as `token` and `bytes_sent`; a word without a value is there with an empty one. */
  info: Record<string, string>;
}

/** The command that runs a TypeScript file by the runtime that this runs on. */
export function runtimeCommand(file: string, args: readonly string[] = []): string[] {
  const deno = "Deno" in globalThis ? ["run", "-A", "--no-check", "--quiet"] : [];
  return [process.execPath, ...deno, file, ...args];
}

/**
 * A network namespace, and the means to act within it.
 *
 * It has no name and leaves nothing behind: `cat` holds it, and ends when its standard input does, so also when the test
 * process is killed.
 */
export class Host implements AsyncDisposable {
  readonly name: string;
  readonly #holder: Child;
  readonly #enter: readonly string[];
  readonly #children = new Set<Child>();

  private constructor(name: string, holder: Child, rootless: boolean) {
    this.name = name;
    this.#holder = holder;
    const user = rootless ? ["-U", "--preserve-credentials"] : [];
    this.#enter = ["nsenter", "-t", `${holder.pid}`, ...user, "-n"];
  }

  /**
   * Makes a host.
   *
   * @param rootless Whether to make a user namespace for it, in which this user is root.
   * @param beside A rootless host that shares its user namespace, so that cables can be laid between the two.
   */
  static async open(name: string, rootless: boolean, beside?: Host): Promise<Host> {
    const command = beside && rootless
      ? ["nsenter", "-t", `${beside.pid}`, "-U", "--preserve-credentials", "unshare", "-n", "cat"]
      : ["unshare", rootless ? "-Urn" : "-n", "cat"];
    const holder = new Child(command);
    holder.send("ready");
    await holder.line(); // it echoes, so the namespace is there
    return new Host(name, holder, rootless);
  }

  /** The process that holds the namespace. */
  get pid(): number {
    return this.#holder.pid;
  }

  /** Runs a command in the namespace. @returns What it wrote to its standard output. */
  async run(command: string, args: readonly string[] = [], input = ""): Promise<string> {
    return await run([...this.#enter, command, ...args], input);
  }

  /** Starts a command in the namespace. It is killed with the host at the latest. */
  spawn(command: string, args: readonly string[] = [], env?: Readonly<Record<string, string>>): Child {
    const child = new Child([...this.#enter, command, ...args], env);
    this.#children.add(child);
    child.ended.then(() => this.#children.delete(child));
    return child;
  }

  /** Starts a TypeScript file in the namespace, by the runtime that this runs on. */
  script(file: string, args: readonly string[] = []): Child {
    const [command, ...rest] = runtimeCommand(file, args);
    return this.spawn(command!, rest);
  }

  /** Runs `ip` commands, one per argument, such as `"link set lo up"`; they stop at the first that fails. */
  async ip(...commands: string[]): Promise<string> {
    return await this.run("ip", ["-batch", "-"], commands.join("\n"));
  }

  /** Sets a sysctl of this namespace, such as `net.mptcp.enabled`. */
  async sysctl(name: string, value: string | number): Promise<void> {
    await this.run("sh", ["-c", 'printf %s "$1" > "$2"', "sysctl", `${value}`, `/proc/sys/${name.replaceAll(".", "/")}`]);
  }

  /** Loads a packet filter in nft's own language. */
  async nft(ruleset: string): Promise<void> {
    await this.run("nft", ["-f", "-"], ruleset);
  }

  /**
   * Puts rules into a table, in place of those that it had; without rules they are gone.
   *
   * @param rules One statement each.
   * @param table Tables of other names are left alone.
   */
  async filter(rules: Partial<Record<Hook, readonly string[]>>, table = "fault"): Promise<void> {
    const chains = Object.entries(rules).map(([hook, statements]) =>
      `chain ${hook} {\ntype filter hook ${hook} priority mangle; policy accept;\n${statements.join("\n")}\n}`
    );
    // Adding it first makes the removal work the first time too; nft does it all at once.
    const lines = [`table inet ${table}`, `delete table inet ${table}`];
    if (chains.length > 0) lines.push(`table inet ${table} {`, ...chains, "}");
    await this.nft(lines.join("\n"));
  }

  /** The established sockets of the namespace by `ss`: MPTCP connections, and TCP ones, of which subflows are some. */
  async ss(): Promise<{ mptcp: SocketRow[]; tcp: SocketRow[] }> {
    const [mptcp, tcp] = await Promise.all([this.run("ss", ["-OHMni"]), this.run("ss", ["-OHtni"])]);
    return { mptcp: parseSs(mptcp), tcp: parseSs(tcp) };
  }

  /** Kills what runs in the namespace and waits until it is gone, and with it the namespace. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#children].map((child) => child.kill()));
    await this.#holder.kill();
  }
}

/** Parses `ss -OHni`: one socket a line. */
export function parseSs(text: string): SocketRow[] {
  return text.split("\n").filter((line) => line.trim() !== "").map((line) => {
    const [state = "", , , local = "", remote = "", ...words] = line.trim().split(/\s+/);
    const info = Object.fromEntries(words.map((word) => {
      const colon = word.indexOf(":");
      return colon < 0 ? [word, ""] : [word.slice(0, colon), word.slice(colon + 1)];
    }));
    return { state, local, remote, info };
  });
}
