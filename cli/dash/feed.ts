/**
 * What the page is told: a snapshot for each interval, and the events in between. Who joins later gets the recent past first.
 *
 * @module
 */
import { jsonOf } from "../frame/output.ts";
import type { ConnectionView, View } from "../watch/meter.ts";

/** So many connections are told of at most, those with most traffic; and of so many intervals and events. */
export const MOST = { connections: 40, snapshots: 120, events: 200, readers: 32 } as const;

/** An event, as it is shown. */
export interface ShownEvent {
  /** As `Date.now()`. */
  at: number;
  type: string;
  /** The connection's token, "" where it has none. */
  token: string;
  text: string;
}

/** What does not change. */
export interface Greeting {
  host: string;
  kernel: string;
  /** Milliseconds between two snapshots. */
  interval: number;
  /** Why there are no events; `null` when there are. */
  eventless: string | null;
}

interface Reader {
  controller: ReadableStreamDefaultController<Uint8Array>;
  /** Those that it has not got yet. */
  events: string[];
}

const encoder = new TextEncoder();

/** A message of server-sent events. */
const message = (name: string, data: string): Uint8Array => encoder.encode(`event: ${name}\ndata: ${data}\n\n`);

/** The last so many texts. */
class Recent {
  readonly texts: string[] = [];
  readonly #most: number;

  constructor(most: number) {
    this.#most = most;
  }

  push(text: string): void {
    this.texts.push(text);
    if (this.texts.length > this.#most) this.texts.shift();
  }
}

/** See the module's comment. Its memory is bounded, whatever the readers do. */
export class Feed {
  readonly #greeting: Greeting;
  readonly #snapshots = new Recent(MOST.snapshots);
  readonly #events = new Recent(MOST.events);
  readonly #readers = new Set<Reader>();
  /** The connections that were told of last. */
  #shown: ReadonlySet<string> = new Set();
  #closed = false;

  constructor(greeting: Greeting) {
    this.#greeting = greeting;
  }

  /** How many read it. */
  get readers(): number {
    return this.#readers.size;
  }

  /** Tells everybody what is now. A reader that is slow misses it, and gets the next. */
  snapshot(view: View): void {
    const text = jsonOf(this.#reduced(view));
    this.#snapshots.push(text);
    for (const reader of this.#readers) {
      if ((reader.controller.desiredSize ?? 0) <= 0) continue;
      reader.controller.enqueue(message("now", `{"events":[${reader.events.splice(0).join(",")}],"view":${text}}`));
    }
  }

  /** Tells everybody of an event, with the next snapshot. */
  event(event: ShownEvent): void {
    const text = jsonOf(event);
    this.#events.push(text);
    for (const { events } of this.#readers) {
      events.push(text);
      if (events.length > MOST.events) events.shift();
    }
  }

  /** Joins; `null` when there are too many, or it is over. */
  join(): ReadableStream<Uint8Array> | null {
    if (this.#closed || this.#readers.size >= MOST.readers) return null;
    let reader: Reader;
    return new ReadableStream<Uint8Array>({
      start: (controller) => {
        reader = { controller, events: [] };
        this.#readers.add(reader);
        const [snapshots, events] = [this.#snapshots, this.#events].map(({ texts }) => `[${texts.join(",")}]`);
        const past = `{"greeting":${jsonOf(this.#greeting)},"events":${events},"views":${snapshots}}`;
        controller.enqueue(message("past", past));
      },
      cancel: () => void this.#readers.delete(reader),
    }, { highWaterMark: 4 });
  }

  /** Ends it for all. */
  close(): void {
    this.#closed = true;
    for (const { controller } of this.#readers) controller.close();
    this.#readers.clear();
  }

  /** Without what the page can do without. */
  #reduced({ at, sending, receiving, connections }: View): unknown {
    // One that is on the page stays there until another has twice its traffic: a chart needs time.
    const rank = ({ key, sending, receiving }: ConnectionView) => (sending + receiving + 1) * (this.#shown.has(key) ? 2 : 1);
    const shown = [...connections].sort((a, b) => rank(b) - rank(a)).slice(0, MOST.connections);
    this.#shown = new Set(shown.map(({ key }) => key));
    return {
      at,
      sending,
      receiving,
      connections: connections.length,
      subflows: connections.reduce((sum, { subflows }) => sum + subflows.length, 0),
      shown: shown.map(({ history: _past, subflows, ...rest }) => ({
        ...rest,
        subflows: subflows.map(({ history: _, ...each }) => each),
      })),
    };
  }
}
