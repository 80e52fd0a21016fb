/**
 * The foreign other end of a connection, in Python or C: what it says was not said by the code under test.
 *
 * @module
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Child, run } from "../child.ts";
import type { Host } from "../host.ts";

/** The language that a peer is written in. */
export type Language = "python" | "c";

/** What a peer does with a connection; see peer.py. The C peer knows the first three. */
export type Behaviour = "echo" | "sink" | "send" | "reset" | "mute";

/** What a peer is to be. */
export interface PeerOptions {
  /** @default {"python"} */
  language?: Language;
  /** @default {"mptcp"} */
  protocol?: "mptcp" | "tcp";
  behaviour: Behaviour;
  /** The bytes for `send` and `reset`. @default {0} */
  bytes?: number;
}

/** What went through a connection, and what the kernel on the peer's side says of it. */
export interface Report {
  mptcp: boolean;
  /** The bytes of each subflow, without handshakes; the Python peer's alone. */
  paths: { sent: number; received: number }[];
  sent: number;
  sentSha256: string;
  received: number;
  receivedSha256: string;
  /** The errno's name, such as `"ECONNRESET"`. */
  error: string | null;
}

const folder = fileURLToPath(new URL(".", import.meta.url));

/** Compiles the C peer into a folder of its own. */
async function compile(): Promise<string> {
  const target = mkdtempSync(join(tmpdir(), "mptcp-peer-"));
  await run(["gcc", "-O1", "-Wall", "-Werror", "-pthread", "-o", join(target, "peer"), join(folder, "peer.c")]);
  return target;
}

/** A running peer. It is killed with its host. */
export class Peer {
  readonly #child: Child;
  /** The port that it listens on; 0 for one that connects. */
  readonly port: number;

  private constructor(child: Child, port: number) {
    this.#child = child;
    this.port = port;
  }

  static async #start(host: Host, role: string, address: string, port: number, options: PeerOptions): Promise<Child> {
    const { language = "python", protocol = "mptcp", behaviour, bytes = 0 } = options;
    const args = [role, address, `${port}`, protocol, behaviour, `${bytes}`];
    if (language === "python") return host.spawn("python3", [join(folder, "peer.py"), ...args]);
    const target = await compile();
    const child = host.spawn(join(target, "peer"), args);
    child.ended.then(() => rmSync(target, { recursive: true, force: true }));
    return child;
  }

  /** Starts a peer that listens. */
  static async listen(host: Host, address: string, options: PeerOptions, port = 0): Promise<Peer> {
    const child = await Peer.#start(host, "listen", address, port, options);
    return new Peer(child, (await child.json<{ port: number }>()).port);
  }

  /** Starts a peer that connects. */
  static async connect(host: Host, address: string, port: number, options: PeerOptions): Promise<Peer> {
    return new Peer(await Peer.#start(host, "connect", address, port, options), 0);
  }

  /** Waits for the peer's side of a connection; says whether the kernel there calls it MPTCP. */
  async connected(): Promise<boolean> {
    return (await this.#child.json<{ mptcp: boolean }>()).mptcp;
  }

  /** Waits for the end of the connection that `connected` told of. */
  done(): Promise<Report> {
    return this.#child.json<Report>();
  }

  /** `connected`, then `done`. */
  async report(): Promise<Report> {
    await this.connected();
    return await this.done();
  }

  /** Kills the peer's process, so that its kernel ends its connections. */
  async kill(): Promise<void> {
    await this.#child.kill();
  }
}
