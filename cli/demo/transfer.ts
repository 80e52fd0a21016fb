/**
 * One transfer between two child processes: started, watched, disturbed, and brought to its end.
 *
 * @module
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { PathProgress } from "./bar.ts";
import { History, pathOf } from "./history.ts";
import type { Lab } from "./lab.ts";
import type { Live } from "./live.ts";
import type { Confirmation, Pause, ReceiverMessage, SenderMessage, Task } from "./messages.ts";
import { inkOf, megabits, paint, seconds } from "./text.ts";
import type { Children } from "./worker.ts";

/** What is to be done. */
export interface Plan {
  /** The two hosts; without them both ends are on this one. */
  lab: Lab | null;
  bytes: number;
  mptcp: Task["mptcp"];
  congestion: string | undefined;
  sendBuffer: number | undefined;
  /** Bytes per second that one path carries at most; without a laboratory the sender keeps to it. */
  limit: number;
  /** Which path is cut, how long after the first data, and for how long, ms. */
  cut: { path: number; after: number; lasts: number } | null;
}

/** What came of it. */
export interface Outcome {
  history: History;
  /** What each end computed; `answered` is what the sender was told over the connection. */
  sha256: { sent: string; received: string; answered: string };
  /** The kernel's word at each end, when all was there. */
  client: Confirmation;
  server: Confirmation;
  pauses: Pause[];
  /** When the path was cut and restored, as `Date.now()`. */
  cut: { path: number; at: number; restored: number | null } | null;
}

/** How often the display is renewed, ms. */
const SHOW_EVERY = 100;
/** Over how long the rates on display are measured, ms. */
const WINDOW = 400;

/**
 * Runs the transfer and shows it.
 *
 * @throws {Error} When an end fails, or cuts cannot be made.
 */
export async function transfer(children: Children, plan: Plan, live: Live): Promise<Outcome> {
  return await new Transfer(children, plan, live).run();
}

class Transfer {
  readonly #children: Children;
  readonly #plan: Plan;
  readonly #live: Live;
  readonly #history = new History();
  readonly #limits: number;
  /** Ends waits of the disturbance when the transfer is over. */
  readonly #over = new AbortController();
  /** Things to be said once, when they are true. */
  readonly #expected: (() => string | null)[] = [];
  #disturbance: Promise<void> = Promise.resolve();
  #cut: Outcome["cut"] = null;
  #bytes = 0;
  #accepted: Confirmation | null = null;
  #connected: Confirmation | null = null;
  #received: Extract<ReceiverMessage, { type: "done" }> | null = null;
  #sent: Extract<SenderMessage, { type: "done" }> | null = null;
  #listening: (port: number) => void = () => {};

  constructor(children: Children, plan: Plan, live: Live) {
    this.#children = children;
    this.#plan = plan;
    this.#live = live;
    this.#limits = plan.lab === null ? 1 : 2;
  }

  async run(): Promise<Outcome> {
    const { lab, bytes, mptcp, congestion, sendBuffer, limit } = this.#plan;
    const task = { bytes, mptcp, ...(congestion === undefined ? {} : { congestion }) };
    const tuned = { ...task, ...(sendBuffer === undefined ? {} : { sendBuffer }) };
    const listening = new Promise<number>((resolve) => this.#listening = resolve);
    const receiver = this.#children.runScript<ReceiverMessage>(
      lab?.asServer ?? [],
      new URL("./receiver.ts", import.meta.url),
      // In the laboratory it listens on both of its addresses: the second subflow comes to the second one.
      { ...task, hostname: lab === null ? "127.0.0.1" : "0.0.0.0", port: 0 },
      (message) => this.#fromReceiver(message),
    );
    const port = await Promise.race([listening, receiver.then(() => 0)]);
    const sender = this.#children.runScript<SenderMessage>(
      lab?.asClient ?? [],
      new URL("./sender.ts", import.meta.url),
      { ...tuned, hostname: lab === null ? "127.0.0.1" : "10.0.1.2", port, ...(lab === null ? { pace: limit } : {}) },
      (message) => this.#fromSender(message),
    );
    const timer = setInterval(() => this.#show(), SHOW_EVERY);
    try {
      await Promise.all([receiver, sender]);
    } finally {
      clearInterval(timer);
      this.#over.abort();
      await this.#disturbance;
      this.#live.clear();
    }
    return this.#outcome();
  }

  #fromReceiver(message: ReceiverMessage): void {
    if (message.type === "listening") this.#listening(message.port);
    else if (message.type === "accepted") this.#confirmed(this.#connected, this.#accepted = message.confirmation);
    else if (message.type === "progress") this.#history.received.add(message.at, this.#bytes = message.bytes);
    else if (message.type === "done") this.#received = message;
  }

  #fromSender(message: SenderMessage): void {
    if (message.type === "connected") {
      this.#confirmed(this.#connected = message.confirmation, this.#accepted);
    } else if (message.type === "sample") {
      const first = this.#history.start === 0;
      this.#history.add(message.sample);
      if (!first) return;
      this.#disturbance = this.#disturb().catch((error) => {
        // Said here, as the transfer itself may well go on to its end.
        if (!this.#over.signal.aborted) this.#live.say(`Cannot disturb the path: ${error.message}`);
      });
    } else if (message.type === "done") {
      this.#sent = message;
    }
  }

  /** Says what both ends are, when both have said it. */
  #confirmed(client: Confirmation | null, server: Confirmation | null): void {
    if (client === null || server === null) return;
    const arrow = this.#live.look.unicode ? "→" : "->";
    const what = client.multipath && server.multipath ? "both ends confirm Multipath TCP" : "it is plain TCP";
    this.#say(0, `connected, ${client.local} ${arrow} ${client.remote}: ${what}`);
    if (this.#limits < 2) return;
    this.#expected.push(() => {
      const second = this.#history.subflows.find(({ id }) => id > 1);
      if (second === undefined) return null;
      const [local, remote] = [second.local, second.remote];
      return `subflow ${second.id} joined, ${local} ${arrow} ${remote}: ${this.#path(pathOf(second))} carries data as well`;
    });
  }

  /** Cuts a path and restores it. */
  async #disturb(): Promise<void> {
    const { lab, cut, limit } = this.#plan;
    if (lab === null || cut === null) return;
    const { path, after, lasts } = cut;
    const { signal } = this.#over;
    await sleep(after, undefined, { signal });
    const at = Date.now();
    await lab.cut(path);
    this.#cut = { path, at, restored: null };
    this.#say(
      at - this.#history.start,
      `${paint(this.#live.look, `path ${path} is cut`, "red", "bold")} (ip link set path${path} down)`,
    );
    this.#expected.push(() => {
      const rate = this.#history.received.rate(Date.now() - 200, Date.now());
      return Date.now() > at + 250 && rate > limit * 0.85 ? `the transfer goes on without it, at ${megabits(rate)}` : null;
    });
    await sleep(Math.max(0, at + lasts - Date.now()), undefined, { signal });
    await lab.restore(path);
    this.#cut.restored = Date.now();
    this.#expected.length = 0;
    this.#say(this.#cut.restored - this.#history.start, `${this.#path(path)} is restored`);
    this.#expected.push(() => {
      const rate = this.#history.track(path).rate(Date.now() - 200, Date.now());
      return rate > limit * 0.5 ? `${this.#path(path)} carries data again, by itself, within the same connection` : null;
    });
  }

  #path(path: number): string {
    return paint(this.#live.look, `path ${path}`, inkOf(path), "bold");
  }

  #say(elapsed: number, text: string): void {
    this.#live.say(`  ${paint(this.#live.look, seconds(elapsed), "dim")}  ${text}`);
  }

  #show(): void {
    const { start } = this.#history;
    if (start === 0 || this.#sent !== null) return;
    const now = Date.now();
    const [expected] = this.#expected;
    const news = expected?.() ?? null;
    if (news !== null) {
      this.#expected.shift();
      this.#say(now - start, news);
    }
    const from = Math.max(start, now - WINDOW);
    const paths: PathProgress[] = Array.from({ length: this.#limits }, (_, index) => {
      const path = index + 1;
      const track = this.#history.track(path);
      const cut = this.#cut !== null && this.#cut.path === path && this.#cut.restored === null;
      return { path, bytes: track.count(), rate: track.rate(from, now), limit: this.#plan.limit, cut };
    });
    this.#live.show({
      elapsed: now - start,
      bytes: this.#bytes,
      total: this.#plan.bytes,
      rate: this.#history.received.rate(from, now),
      paths,
    });
  }

  #outcome(): Outcome {
    if (this.#sent === null || this.#received === null) throw new Error("The transfer ended without a result");
    return {
      history: this.#history,
      sha256: { sent: this.#sent.sha256, received: this.#received.sha256, answered: this.#sent.answered },
      client: this.#sent.confirmation,
      server: this.#received.confirmation,
      pauses: this.#received.pauses,
      cut: this.#cut,
    };
  }
}
