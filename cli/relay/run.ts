/**
 * Runs a relay for a command: from its words at the beginning to its counters at the end.
 *
 * @module
 */
import { hostPort } from "../../kernel/error.ts";
import type { Context } from "../frame/command.ts";
import { EXIT } from "../frame/failure.ts";
import { bytesText } from "../frame/output.ts";
import { Relay, type RelayCounters, type RelayOptions } from "./relay.ts";

/** What the command has to say; the rest is told by options that all such commands have. */
type Specific = Omit<RelayOptions, "idle" | "timeout" | "threads" | "trouble">;

/**
 * Relays until a signal comes and the last connection has ended, or until a second signal comes.
 *
 * @param started Called once the relay takes connections.
 */
export async function runRelay(
  { options, output, signal, hurry }: Context,
  specific: Specific,
  started: (relay: Relay) => void = () => {},
): Promise<number> {
  const relay = new Relay({
    ...specific,
    idle: (options.number("idle") ?? 0) * 1000,
    timeout: (options.number("timeout") ?? 10) * 1000,
    threads: options.number("threads") ?? 1,
    trouble: (message) => output.say(message),
  });
  const json = options.flag("json");
  const { hostname, port } = relay.addr;
  const { from, to, target } = specific;
  const goal = target === null
    ? "where clients say"
    : target.addresses.map((each) => hostPort(each, target.port)).join(", ");
  output.say(`Listening on ${hostPort(hostname, port)} (${from}), connecting to ${goal} (${to})`);
  if (json) output.jsonLine({ type: "listening", hostname, port });
  started(relay);
  const stop = () => {
    const { open } = relay.counters();
    if (open > 0 && !hurry.aborted) output.say(`${open} connections are open; Ctrl-C again ends them`);
    relay.stop();
  };
  const end = () => relay.end();
  if (signal.aborted) stop();
  else signal.addEventListener("abort", stop, { once: true });
  hurry.addEventListener("abort", end, { once: true });
  await relay.ended;
  const counters = relay.counters();
  if (json) output.jsonLine({ type: "ended", ...counters });
  else output.say(...summary(counters));
  return EXIT.ok;
}

function summary(counters: RelayCounters): string[] {
  const { accepted, acceptedMptcp, connectedMptcp, failed, refused, resets, idle, bytesIn, bytesOut } = counters;
  const parts = [`${accepted} connections`, `${acceptedMptcp} from and ${connectedMptcp} to MPTCP`];
  if (failed > 0) parts.push(`${failed} not connected`);
  if (refused > 0) parts.push(`${refused} refused`);
  if (resets > 0) parts.push(`${resets} reset`);
  if (idle > 0) parts.push(`${idle} idle`);
  return [`${parts.join(", ")}; ${bytesText(bytesOut)} to targets, ${bytesText(bytesIn)} back`];
}
