/**
 * Servers as their packages ship them, made to speak MPTCP by `mptcpize` alone.
 *
 * @module
 */
import { assert } from "@std/assert";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Child } from "../child.ts";
import type { Host } from "../host.ts";
import { CERT, KEY } from "./certificate.ts";

/** How long a server may take until it answers. Making a database is slow on a slow disk; a test may take half as much again. */
const PATIENCE = 60_000;

/**
 * Ends the server and all that it has started when the standard input ends, so also when the test is killed, and itself with
 * the server, and removes its folder. (A shell gives /dev/null to what it starts in the background, hence the 3. What was in
 * the midst of writing may make the first removal fail.)
 */
const GUARD = 'exec 3<&0; "$@" 2>&1 & server=$!; (cat <&3 >/dev/null; kill -KILL -1) & wait $server; kill -KILL -1; ' +
  'rm -rf "$0" || rm -rf "$0"';

/**
 * Namespaces of its own: a server need not run as root, which some refuse, but as who owns its folder; its children end with
 * it, and so does the memory that they share.
 */
const APART = ["-U", "--map-user=1", "--map-group=1", "-ipf", "--kill-child", "sh", "-c", GUARD];

const quoted = (words: readonly string[]) => words.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");

/** A server of a host. */
export interface DaemonOptions {
  /** The command, in which `@folder` is the server's folder. */
  command: readonly string[];
  /** Where it is going to listen. */
  port: number;
  /** What it prints when it answers. */
  ready: RegExp;
  /** Files to put into its folder. The certificate of the tests is there as `cert.pem` and `key.pem`. @default {{}} */
  files?: Readonly<Record<string, string>>;
  /** A command that prepares its folder, before the server is there. @default {undefined} */
  prepare?: readonly string[];
  /** @default {true} */
  mptcpize?: boolean;
}

/** A running server. It ends with its host, or with this object; nothing of it stays. */
export class Daemon implements AsyncDisposable {
  readonly #child: Child;
  /** Where its data are. */
  readonly folder: string;
  /** Where it listens. */
  readonly port: number;

  private constructor(child: Child, folder: string, port: number) {
    this.#child = child;
    this.folder = folder;
    this.port = port;
  }

  /** Starts a server; it answers already when this resolves. */
  static async start(host: Host, options: DaemonOptions): Promise<Daemon> {
    const { command, port, ready, files = {}, prepare, mptcpize = true } = options;
    const folder = mkdtempSync(join(tmpdir(), "mptcp-server-"));
    const inFolder = (words: readonly string[]) => words.map((word) => word.replaceAll("@folder", folder));
    const all = { "cert.pem": CERT, "key.pem": KEY, ...files };
    for (const [name, text] of Object.entries(all)) writeFileSync(join(folder, name), text.replaceAll("@folder", folder));
    chmodSync(join(folder, "key.pem"), 0o600);
    const wrapped = mptcpize ? ["mptcpize", "run", ...inFolder(command)] : inFolder(command);
    const whole = prepare ? ["sh", "-c", `${quoted(inFolder(prepare))} && exec "$@"`, "sh", ...wrapped] : wrapped;
    const child = host.spawn("unshare", [...APART, folder, ...whole]);
    const daemon = new Daemon(child, folder, port);
    child.ended.then(() => rmSync(folder, { recursive: true, force: true }));
    const late = setTimeout(() => void child.kill(), PATIENCE);
    let answers = false;
    for await (const line of child) {
      answers = ready.test(line);
      if (answers) break;
    }
    clearTimeout(late);
    if (!answers) throw new Error(`${command[0]} does not start: ${(await child.kill()).stdout}`);
    const listening = await host.run("ss", ["-OHMln", `sport = :${port}`]);
    assert((listening !== "") === mptcpize, `${command[0]} listens by ${mptcpize ? "TCP" : "MPTCP"}`);
    return daemon;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.endInput();
    await this.#child.ended;
  }
}
