/**
 * `mptcp dash`: connections and their paths as a web page.
 *
 * @module
 */
import { hostname as hostName, release } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { ipVersion } from "../../kernel/ip.ts";
import type { HttpServer } from "../../http/mod.ts";
import { type Command, type Context, JSON_OPTION, UsageError } from "../frame/command.ts";
import { EXIT, Failure } from "../frame/failure.ts";
import { slept } from "../frame/slept.ts";
import { INTERVAL_OPTION } from "./top.ts";

const PORT = 8484;
/** How long answers under way have when it is to end, ms. */
const GRACE = 500;

export const dash: Command = {
  name: "dash",
  summary: "connections and their paths as a web page, on this machine only",
  usage: "[options]",
  about:
    `A live page: every connection of this network namespace, its subflows, charts of throughput and round-trip time for each
path, and with CAP_NET_ADMIN a log of events. It can only be read, and all of it comes from here. Its address goes to
standard output. Who can reach --hostname can read it; there is no password.`,
  options: [
    {
      name: "port",
      short: "p",
      value: "PORT",
      summary: "where to listen; 0 takes a free one",
      range: [0, 65535],
      otherwise: `${PORT}`,
    },
    { name: "hostname", value: "ADDRESS", summary: "listen for other machines, too", otherwise: "127.0.0.1" },
    INTERVAL_OPTION,
    { ...JSON_OPTION, summary: "print the address as JSON" },
  ],
  operands: [0, 0],
  examples: [
    ["mptcp dash", "then open http://127.0.0.1:8484"],
    ["sudo mptcp dash", "with the log of events"],
    ["ssh -L 8484:127.0.0.1:8484 HOST mptcp dash", "another machine's, safely"],
  ],
  async run(context) {
    const { options, output } = context;
    const hostname = options.text("hostname") ?? "127.0.0.1";
    if (hostname !== "localhost" && ipVersion(hostname) === 0) {
      throw new UsageError(`--hostname ${JSON.stringify(hostname)} is no IP address`);
    }
    const { readable } = await import("../watch/readable.ts");
    readable(output);
    const { chartFiles } = await import("../dash/charts.ts");
    return await show(context, hostname === "localhost" ? "127.0.0.1" : hostname, await chartFiles());
  },
};

type ChartFiles = import("../dash/site.ts").ChartFiles;
type Greeting = import("../dash/feed.ts").Greeting;

async function show({ options, output, signal, hurry }: Context, hostname: string, charts: ChartFiles): Promise<number> {
  const { serve } = await import("../../http/mod.ts");
  const { watch } = await import("../../paths/watch.ts");
  const { shownEvent } = await import("../dash/event_text.ts");
  const { Feed } = await import("../dash/feed.ts");
  const { site } = await import("../dash/site.ts");
  const { addrText } = await import("../frame/texts.ts");
  const { Meter } = await import("../watch/meter.ts");
  const { read } = await import("../watch/reading.ts");
  const interval = (options.number("interval") ?? 1) * 1000;
  const loopback = hostname === "::1" || hostname.startsWith("127.");
  const greeting: Greeting = { host: hostName(), kernel: `Linux ${release()}`, interval, eventless: null };
  const feed = new Feed(greeting);
  const meter = new Meter(1);
  let server: HttpServer;
  try {
    // Plain TCP, lest the page's own connections be what it shows.
    const port = options.number("port") ?? PORT;
    server = await serve(site(feed, charts, loopback), { hostname, port, mptcp: "off" });
  } catch (error) {
    if ((error as { code?: string }).code !== "EADDRINUSE") throw error;
    throw new Failure(`${(error as Error).message}; --port 0 takes a free port`);
  }
  const over = new AbortController();
  let logged: Promise<void> | null = null;
  try {
    // Only now: a server that begins may try itself out, which is nobody's concern.
    const events = watching(() => watch({ signal: over.signal }));
    greeting.eventless = events.refusal;
    logged = (async () => {
      for await (const event of events.iterable) feed.event(shownEvent(event, Date.now()));
    })().catch((error) => output.say(`No further events: ${(error as Error).message}`));
    const url = `http://${addrText(server.addr)}/`;
    if (options.flag("json")) output.jsonLine({ type: "listening", url, ...server.addr });
    else output.print(url);
    if (!loopback) output.say("Everybody who reaches this address can read it");
    output.say("Ctrl-C ends it");
    do feed.snapshot({ ...meter.add(performance.now(), read()), at: Date.now() }); while (await slept(interval, signal));
  } finally {
    over.abort();
    feed.close();
    const late = sleep(GRACE, true, { ref: false, signal: hurry }).catch(() => true);
    if (await Promise.race([server.shutdown(), late])) await server.close();
    await logged;
  }
  return EXIT.ok;
}

/** Events, or why there are none. */
function watching<T>(begin: () => AsyncIterable<T>): { iterable: AsyncIterable<T>; refusal: string | null } {
  try {
    return { iterable: begin(), refusal: null };
  } catch (error) {
    if ((error as { code?: string }).code !== "EPERM") throw error;
    const none = (async function* (): AsyncGenerator<T> {})();
    return { iterable: none, refusal: "Events are told to who has CAP_NET_ADMIN only: run this as root to see them." };
  }
}
