/**
 * An FTP server that answers what a test wants: well by itself, badly where it is told to.
 *
 * @module
 */
import type { Socket } from "node:net";
import { type Conn, listen, type Listener } from "../../mod.ts";
import { createServer, type MptcpServer } from "../../node/mod.ts";

/** What a command is answered by: a line or several, or whatever a function does. */
export type Answer = string | ((session: Session, argument: string) => unknown);

/** Answers by their commands; `greeting` is no command. */
export type Script = Readonly<Record<string, Answer>>;

const WELL: Script = {
  greeting: "220 ready",
  USER: "331 who?",
  PASS: "230 welcome",
  FEAT: "211 none",
  TYPE: "200 yes",
  STRU: "200 yes",
  OPTS: "200 yes",
  PWD: '257 "/"',
  CWD: "250 there",
  EPSV: (session) => session.reply(`229 Entering Extended Passive Mode (|||${session.open()}|)`),
  QUIT: "221 bye",
};

/** One client. */
export class Session {
  /** The control connection. */
  readonly control: Socket;
  readonly #host: string;
  #listener: Listener | null = null;
  readonly #conns: Conn[] = [];

  constructor(control: Socket, host: string) {
    this.control = control;
    this.#host = host;
  }

  /** Sends a line. */
  reply(line: string): void {
    this.control.write(`${line}\r\n`);
  }

  /** Listens for a data connection. @returns The port. */
  open(): number {
    this.#listener?.close();
    this.#listener = listen({ hostname: this.#host, port: 0 });
    return this.#listener.addr.port;
  }

  /** The data connection. */
  async data(): Promise<Conn> {
    const conn = await this.#listener!.accept();
    this.#conns.push(conn);
    return conn;
  }

  /** Sends a file as it should be. */
  async send(bytes: Uint8Array, before = "150 here it comes", after = "226 done"): Promise<void> {
    if (before) this.reply(before);
    const conn = await this.data();
    await conn.write(bytes);
    conn.close();
    if (after) this.reply(after);
  }

  /** Receives a file as it should be. */
  async receive(): Promise<Uint8Array> {
    this.reply("150 send it");
    const conn = await this.data();
    const bytes = new Uint8Array(await new Response(conn.readable).arrayBuffer());
    conn.close();
    this.reply("226 done");
    return bytes;
  }

  /** Ends everything. */
  close(): void {
    this.control.destroy();
    this.#listener?.close();
    for (const conn of this.#conns) conn.close();
  }
}

/** See the module's comment. */
export class ScriptedServer implements Disposable {
  readonly #server: MptcpServer;
  readonly #sessions: Session[] = [];
  /** Every command that came, with its argument. */
  readonly commands: string[] = [];
  /** @default {0} until it listens */
  port = 0;

  private constructor(script: Script, host: string) {
    const answers = { ...WELL, ...script };
    this.#server = createServer((control) => {
      const session = new Session(control, host);
      this.#sessions.push(session);
      const answer = (name: string, argument: string) => {
        const given = answers[name] ?? `502 what is ${name}?`;
        if (typeof given === "string") return session.reply(given);
        // A client that goes away ends what a function waits for.
        Promise.resolve(given(session, argument)).catch(() => {});
      };
      let rest = "";
      control.on("error", () => {});
      control.setEncoding("utf8").on("data", (text: string) => {
        const lines = (rest + text).split("\r\n");
        rest = lines.pop()!;
        for (const line of lines) {
          this.commands.push(line);
          const [name = "", ...words] = line.split(" ");
          answer(name, words.join(" "));
        }
      });
      answer("greeting", "");
    });
  }

  /** Starts one. */
  static async start(script: Script = {}, host = "127.0.0.1"): Promise<ScriptedServer> {
    const server = new ScriptedServer(script, host);
    await new Promise<void>((resolve) => server.#server.listen(0, host, () => resolve()));
    server.port = (server.#server.address() as { port: number }).port;
    return server;
  }

  /** How often a command came. */
  count(name: string): number {
    return this.commands.filter((line) => line.split(" ")[0] === name).length;
  }

  [Symbol.dispose](): void {
    this.#server.close();
    for (const session of this.#sessions) session.close();
  }
}
