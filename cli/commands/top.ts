/**
 * `mptcp top`: connections and their paths, live.
 *
 * @module
 */
import process from "node:process";
import type { ConnectionView, View } from "../watch/meter.ts";
import { type Order, ORDERS, sorted } from "../watch/order.ts";
import { type Command, type Context, JSON_OPTION, type Option } from "../frame/command.ts";
import { EXIT } from "../frame/failure.ts";
import { bytesText, type Output, rateText } from "../frame/output.ts";
import { slept } from "../frame/slept.ts";

/** How often it is looked at what the kernel has counted. */
export const INTERVAL_OPTION: Option = {
  name: "interval",
  short: "i",
  value: "SECONDS",
  summary: "how often to look",
  range: [0.1, 3600],
  otherwise: "1",
};

/** So many rates are kept of each path. */
const KEPT = 60;

export const top: Command = {
  name: "top",
  summary: "connections and their paths, live: throughput, round-trip times, retransmits",
  usage: "[options]",
  about:
    `In a terminal a live table. Keys: q ends it, s sorts by something else, p pauses, the arrows scroll. Elsewhere a table for
each interval, with --json a line for each. Rates are those of the last interval, both directions of a path together in the
line at the right.`,
  options: [
    INTERVAL_OPTION,
    { name: "count", short: "n", value: "N", summary: "end after so many intervals", range: [1, 1e9] },
    { name: "sort", short: "s", value: "BY", summary: "what comes first", choices: ORDERS, otherwise: "rate" },
    { ...JSON_OPTION, summary: "print a line of JSON for each interval" },
  ],
  operands: [0, 0],
  examples: [
    ["mptcp top", "a live table"],
    ["mptcp top --count 1 | cat", "what happened within the next second"],
    ["mptcp top --json | jq -c '.connections[].subflows[] | {interface, sending, rtt}'", "for programs"],
  ],
  async run(context) {
    const { options, output } = context;
    const { readable } = await import("../watch/readable.ts");
    readable(output);
    const screen = process.stdout.isTTY === true && process.env["TERM"] !== "dumb" && !options.flag("json");
    return screen ? await live(context) : await plain(context);
  },
};

interface Wishes {
  order: Order;
  count: number;
  interval: number;
}

function wishes({ options }: Context): Wishes {
  return {
    order: (options.text("sort") ?? "rate") as Order,
    count: options.number("count") ?? Infinity,
    interval: (options.number("interval") ?? 1) * 1000,
  };
}

/** A table for each interval. */
async function plain(context: Context): Promise<number> {
  const { options, output, signal } = context;
  const { Meter } = await import("../watch/meter.ts");
  const { read } = await import("../watch/reading.ts");
  const { clockText } = await import("../frame/texts.ts");
  const { order, count, interval } = wishes(context);
  const meter = new Meter(1);
  meter.add(performance.now(), read());
  for (let shown = 0; shown < count; shown++) {
    if (!await slept(interval, signal)) break;
    const view = meter.add(performance.now(), read());
    const connections = sorted(view.connections, order);
    const time = new Date();
    if (options.flag("json")) {
      output.jsonLine({
        time: time.toISOString(),
        sending: view.sending,
        receiving: view.receiving,
        connections: connections.map(bare),
      });
      continue;
    }
    output.print(...shown > 0 ? [""] : [], `${clockText(time)}  ${summary(view)}`);
    if (connections.length > 0) table(output, connections);
  }
  return EXIT.ok;
}

/** Without the past, which a reader of lines has already. */
function bare({ key: _, history: _past, subflows, ...rest }: ConnectionView): unknown {
  return { ...rest, subflows: subflows.map(({ key: _, history: _past, ...each }) => each) };
}

function summary({ connections, sending, receiving }: View): string {
  const subflows = connections.reduce((sum, { subflows }) => sum + subflows.length, 0);
  return `${connections.length} connections, ${subflows} subflows, sending ${rateText(sending)}, receiving ${
    rateText(receiving)
  }`;
}

function table(output: Output, connections: readonly ConnectionView[]): void {
  const rows = connections.flatMap((
    { token, local, remote, fallback, state, sending, receiving, sent, received, subflows },
  ) => [
    [
      token,
      "",
      local,
      remote,
      fallback ? "TCP" : state,
      "",
      "",
      rateText(sending),
      rateText(receiving),
      bytesText(sent),
      bytesText(received),
    ],
    ...subflows.map((each) => [
      "",
      each.interface || "?",
      each.local,
      each.remote,
      each.backup ? `${each.state} backup` : each.state,
      each.rtt === null ? "" : `${(each.rtt / 1000).toFixed(2)} ms`,
      `${each.retransmits}`,
      rateText(each.sending),
      rateText(each.receiving),
      bytesText(each.sent),
      bytesText(each.received),
    ]),
  ]);
  output.table(
    ["TOKEN", "INTERFACE", "LOCAL", "REMOTE", "STATE", "RTT", "RETRANSMITS", "SENDING", "RECEIVING", "SENT", "RECEIVED"],
    rows,
  );
}

/** The live table. */
async function live(context: Context): Promise<number> {
  const { output, signal } = context;
  const { Meter } = await import("../watch/meter.ts");
  const { read } = await import("../watch/reading.ts");
  const { screenOf } = await import("../top/screen.ts");
  const { Terminal } = await import("../top/terminal.ts");
  const { order, count, interval } = wishes(context);
  const meter = new Meter(KEPT);
  const choice = { order, paused: false, scrolled: 0 };
  const over = new AbortController();
  let code: number = EXIT.ok;
  const end = (by: number) => {
    code = by;
    over.abort();
  };
  let view = meter.add(performance.now(), read());
  let at = Date.now();
  let furthest = 0;
  const draw = () => {
    const { width, height } = terminal.size;
    const screen = screenOf({ ...output.look, width }, { ...view, at }, choice, height);
    furthest = screen.furthest;
    choice.scrolled = Math.min(choice.scrolled, furthest);
    terminal.draw(screen.lines);
  };
  const scroll = (by: number) => choice.scrolled = Math.min(furthest, Math.max(0, choice.scrolled + by));
  const keys: Readonly<Record<string, () => void>> = {
    q: () => end(EXIT.ok),
    // Ctrl-C: the terminal sends no signal as long as each key comes at once.
    "\x03": () => end(130),
    "\x1a": () => terminal.suspend(),
    s: () => choice.order = ORDERS[(ORDERS.indexOf(choice.order) + 1) % ORDERS.length]!,
    p: () => choice.paused = !choice.paused,
    " ": () => choice.paused = !choice.paused,
    "\x1b[A": () => scroll(-1),
    "\x1b[B": () => scroll(1),
    "\x1b[5~": () => scroll(-10),
    "\x1b[6~": () => scroll(10),
  };
  using terminal = new Terminal({
    key: (key) => {
      keys[key.length === 1 ? key.toLowerCase() : key]?.();
      if (!over.signal.aborted) draw();
    },
    stale: draw,
  });
  draw();
  const either = AbortSignal.any([signal, over.signal]);
  for (let shown = 0; shown < count; shown++) {
    if (!await slept(interval, either)) break;
    const next = meter.add(performance.now(), read());
    if (choice.paused) continue;
    view = next;
    at = Date.now();
    draw();
  }
  return code;
}
