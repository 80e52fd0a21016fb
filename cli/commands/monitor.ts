/**
 * `mptcp monitor`: what happens to the connections of the network namespace, as it happens.
 *
 * @module
 */
import type { PathEvent } from "../../kernel/mptcp_event_types.ts";
import type { OverflowEvent } from "../../paths/watch.ts";
import { type Command, JSON_OPTION } from "../frame/command.ts";
import { EXIT } from "../frame/failure.ts";

export const monitor: Command = {
  name: "monitor",
  summary: "events of connections, subflows, addresses and listeners, as they come",
  usage: "[options]",
  about: "Needs CAP_NET_ADMIN over the network namespace. Ctrl-C ends it.",
  options: [{ ...JSON_OPTION, summary: "print one line of JSON for each event" }, {
    name: "count",
    value: "N",
    summary: "end after so many events",
    range: [1, 1e9],
  }],
  operands: [0, 0],
  examples: [
    ["sudo mptcp monitor", "a line for each event"],
    ["sudo mptcp monitor --json | jq 'select(.type == \"subflowClosed\")'", "subflows that end"],
  ],
  async run({ options, output, signal }) {
    const { watch } = await import("../../paths/watch.ts");
    const texts = await import("../frame/texts.ts");
    let left = options.number("count") ?? Infinity;
    const events = watch({ signal });
    output.say("Watching MPTCP events; Ctrl-C ends it");
    for await (const event of events) {
      const time = new Date();
      if (options.flag("json")) output.jsonLine({ time: time.toISOString(), ...event });
      else output.print(`${texts.clockText(time)}  ${eventText(event, texts)}`);
      if (--left <= 0) break;
    }
    return EXIT.ok;
  },
};

type Texts = typeof import("../frame/texts.ts");

/** An event as a person reads it: what, whose, where, and what is special about it. */
function eventText(event: PathEvent | OverflowEvent, { addrText, tokenText }: Texts): string {
  const words: string[] = [event.type.padEnd(18)];
  if ("token" in event && event.token !== undefined) words.push(tokenText(event.token));
  if (event.type === "overflow") words.push(`${event.lost} events were lost`);
  if ("local" in event && "remote" in event) words.push(`${addrText(event.local)} to ${addrText(event.remote)}`);
  else if ("local" in event) words.push(addrText(event.local));
  else if ("remote" in event) words.push(`${addrText(event.remote)} id ${event.remoteId}`);
  else if (event.type === "removed") words.push(`id ${event.remoteId}`);
  if ("serverSide" in event) words.push(event.serverSide ? "accepted" : "connected");
  if ("backup" in event && event.backup) words.push("backup");
  if ("error" in event && event.error !== undefined) words.push(event.error.code);
  if ("resetReason" in event && event.resetReason !== undefined) words.push(event.resetReason.meaning);
  return words.join("  ");
}
