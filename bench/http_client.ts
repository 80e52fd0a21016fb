/**
 * HTTP clients, as contestants: this library's `fetch`, undici's, the runtime's own.
 *
 * @module
 */
import type { Meter } from "./meter.ts";
import type { HttpSubject, Target } from "./subject.ts";

/** What a client's `fetch` takes and gives, as far as it is used here. */
type Fetch = (url: string) => Promise<
  { headers: { get(name: string): string | null }; text(): Promise<string>; body: AsyncIterable<Uint8Array> | null }
>;

/** Larger than what any run takes. */
const FILE = 1e15;

/** The client by its name: `library`, `fetch` for the runtime's own, else undici, which the name of a runtime stands for. */
async function load(name: string | undefined, { congestion, receiveBuffer }: Target): Promise<Fetch> {
  if (name === "fetch") return globalThis.fetch as unknown as Fetch;
  // The real one: on Bun the bare "undici" is Bun's fetch.
  if (name !== "library") return (await import("undici/index.js")).fetch as unknown as Fetch;
  const { fetch } = await import("../http/mod.ts");
  // Not "require", which asks the kernel before each request: that it is MPTCP the server tells, as for the others.
  const options = { ...(congestion && { congestion }), ...(receiveBuffer && { receiveBuffer }) };
  return ((url) => fetch(url, options)) as Fetch;
}

/** The server tells what it sees. */
function count(meter: Meter, response: Awaited<ReturnType<Fetch>>): void {
  meter.mptcp = response.headers.get("x-mptcp") === "1";
}

/** @param name See `load`. */
export function httpSubject(name: string | undefined): HttpSubject {
  let loading: Promise<Fetch> | null = null;
  const client = (target: Target) => loading ??= load(name, target);
  return {
    async fetch(target, meter, parallel) {
      const fetch = await client(target);
      const url = `http://${target.hostname}:${target.port}/16`;
      const one = async () => {
        const response = await fetch(url);
        if ((await response.text()).length !== 16) throw new Error("Not 16 bytes");
        return response;
      };
      // Connecting is not measured.
      for (const response of await Promise.all(Array.from({ length: parallel }, one))) count(meter, response);
      meter.begin();
      await Promise.all(Array.from({ length: parallel }, async () => {
        do await one(); while (meter.done());
      }));
    },

    async download(target, meter) {
      const fetch = await client(target);
      const response = await fetch(`http://${target.hostname}:${target.port}/${FILE}`);
      count(meter, response);
      meter.begin();
      for await (const chunk of response.body!) if (!meter.received(chunk.length)) break;
    },
  };
}
