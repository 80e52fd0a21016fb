/**
 * `mptcp cat`: standard input to a connection, and the connection to standard output.
 *
 * @module
 */
import process from "node:process";
import type { Conn } from "../../net/conn.ts";
import type { Listener } from "../../net/listener.ts";
import { parseHostPort, parseListen } from "../frame/address.ts";
import { type Command, type Context, type Option, UsageError } from "../frame/command.ts";
import { EXIT } from "../frame/failure.ts";
import { bytesText, type Output } from "../frame/output.ts";

const CHUNK = 256 << 10;

/** How much MPTCP matters, of commands that connect. */
export const MPTCP_OPTIONS: readonly Option[] = [
  { name: "require", summary: "fail where it would be plain TCP" },
  { name: "tcp", summary: "use plain TCP" },
];

/** What those options say. */
export function mptcpMode({ options }: Context): "prefer" | "require" | "off" {
  if (options.flag("require") && options.flag("tcp")) throw new UsageError("--require and --tcp exclude each other");
  return options.flag("require") ? "require" : options.flag("tcp") ? "off" : "prefer";
}

export const cat: Command = {
  name: "cat",
  summary: "standard input to a connection, and the connection to standard output",
  usage: "[options] HOST:PORT | --listen LISTEN",
  about:
    `The end of the input ends the sending (FIN), and receiving goes on until the peer ends, too. LISTEN is address:port,
:port for all addresses, or a port of 127.0.0.1; one connection is taken.`,
  options: [
    { name: "listen", short: "l", value: "LISTEN", summary: "wait for a connection" },
    ...MPTCP_OPTIONS,
    { name: "timeout", value: "SECONDS", summary: "for connecting", range: [0.001, 3600], otherwise: "10" },
    { name: "verbose", short: "v", summary: "tell what the connection was" },
  ],
  operands: [0, 1],
  examples: [
    ["mptcp cat -v example.com:25", "talk to a server, and see what the connection was"],
    ["mptcp cat --listen :9000 > backup.tar", "receives a file"],
    ["mptcp cat -v --require 192.0.2.7:9000 < backup.tar", "sends it, by MPTCP or not at all"],
  ],
  async run(context) {
    const { operands: [target], options, output, signal } = context;
    const listen = options.text("listen");
    if ((target === undefined) === (listen === undefined)) throw new UsageError("either HOST:PORT or --listen is needed");
    // Held as long as the connection lives: the kernel takes its further subflows by the listener.
    using listener = listen === undefined ? null : await open(context, listen);
    const conn = listener === null ? await dial(context, target!) : await accept(context, listener);
    if (conn === null) return EXIT.ok;
    if (listener !== null) void refuseOthers(listener);
    const stop = () => conn.close();
    signal.addEventListener("abort", stop, { once: true });
    try {
      if (signal.aborted) return EXIT.ok;
      const told = options.flag("verbose") ? kind(conn) : "";
      const counts = { sent: 0, received: 0 };
      const sending = send(conn, counts);
      // Its failure is of interest only while we receive, or once we have received all.
      sending.catch(() => {});
      await Promise.race([receive(conn, output, counts), sending.then(() => new Promise<never>(() => {}))]);
      // The peer has ended. A person at a terminal has nobody to talk to any more; a pipe is still sent to its end.
      if (!process.stdin.isTTY) await sending;
      if (told !== "") output.say(`${told}, ${bytesText(counts.sent)} sent, ${bytesText(counts.received)} received`);
      return EXIT.ok;
    } catch (error) {
      if (signal.aborted) return EXIT.ok;
      throw error;
    } finally {
      signal.removeEventListener("abort", stop);
      process.stdin.destroy();
      conn.close();
    }
  },
};

async function dial(context: Context, target: string): Promise<Conn> {
  const { options, signal } = context;
  const { hostname, port } = parseHostPort(target, "HOST:PORT");
  const mptcp = mptcpMode(context);
  const { connect } = await import("../../net/connect.ts");
  return await connect({ hostname, port, mptcp, signal, timeout: (options.number("timeout") ?? 10) * 1000 });
}

async function open(context: Context, where: string): Promise<Listener> {
  const mptcp = mptcpMode(context);
  const { listen } = await import("../../net/listen.ts");
  const { addrText } = await import("../frame/texts.ts");
  const listener = listen({ ...parseListen(where), mptcp });
  context.output.say(`Listening on ${addrText(listener.addr)}`);
  return listener;
}

/** The first connection that comes; `null` after a signal. */
async function accept(context: Context, listener: Listener): Promise<Conn | null> {
  const { output, signal } = context;
  const { addrText } = await import("../frame/texts.ts");
  const stop = () => listener.close();
  signal.addEventListener("abort", stop, { once: true });
  try {
    for (;;) {
      const conn = await listener.accept();
      if (mptcpMode(context) !== "require" || conn.isMultipath()) return conn;
      output.say(`${addrText(conn.remoteAddr)} came by plain TCP and was refused`);
      conn.reset();
    }
  } catch (error) {
    if (signal.aborted) return null;
    throw error;
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

/** There is one standard input, and it is taken. */
async function refuseOthers(listener: Listener): Promise<void> {
  try {
    for await (const conn of listener) conn.reset();
  } catch {
    // Out of descriptors: whoever comes waits.
  }
}

function kind(conn: Conn): string {
  if (!conn.isMultipath()) return `plain TCP (${conn.fallback()?.message ?? "as asked for"})`;
  return "MPTCP";
}

async function send(conn: Conn, counts: { sent: number }): Promise<void> {
  for await (const chunk of process.stdin) counts.sent += await conn.write(chunk as Uint8Array);
  await conn.closeWrite();
}

async function receive(conn: Conn, output: Output, counts: { received: number }): Promise<void> {
  const buffer = new Uint8Array(CHUNK);
  for (let count; (count = await conn.read(buffer)) !== null; counts.received += count) {
    await output.write(buffer.subarray(0, count));
  }
}
