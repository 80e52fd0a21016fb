/**
 * `mptcp forward`: lends a program that knows TCP alone several paths, on either side of a network.
 *
 * @module
 */
import { parseHostPort, parseListen } from "../frame/address.ts";
import { type Command, JSON_OPTION, type Option } from "../frame/command.ts";

/** How often the target's name is looked up again, ms. */
const RESOLVE_EVERY = 30_000;

/** Options of whatever relays. */
export const RELAY_OPTIONS: readonly Option[] = [
  { name: "idle", value: "SECONDS", summary: "close connections on which nothing moved so long", range: [0.1, 1e6] },
  {
    name: "timeout",
    value: "SECONDS",
    summary: "for connecting to a target",
    range: [0.1, 3600],
    otherwise: "10",
  },
  { name: "threads", value: "N", summary: "share the work", range: [1, 64], otherwise: "1" },
];

const PROTOCOLS = ["tcp", "mptcp"] as const;
type Protocol = typeof PROTOCOLS[number];

export const forward: Command = {
  name: "forward",
  summary: "carry connections on to another address, by TCP or MPTCP on either side",
  usage: "[options] LISTEN TARGET",
  about:
    `LISTEN is address:port, :port for all addresses, or a port of 127.0.0.1; port 0 takes a free one. An MPTCP listener takes
plain TCP clients, too; where the target does not speak MPTCP, it is reached by TCP. Ctrl-C: no further connections are
taken, those that are open come to their end; a second one ends them. Then the counters are printed.`,
  options: [
    { name: "from", value: "PROTOCOL", summary: "what to listen by", choices: PROTOCOLS, otherwise: "mptcp" },
    { name: "to", value: "PROTOCOL", summary: "what to connect by", choices: PROTOCOLS, otherwise: "mptcp" },
    ...RELAY_OPTIONS,
    { ...JSON_OPTION, summary: "print lines of JSON: the address, and at the end the counters" },
  ],
  operands: [2, 2],
  examples: [
    ["mptcp forward --from tcp 8080 example.com:80", "a TCP client's way to an MPTCP server"],
    ["mptcp forward --to tcp :443 127.0.0.1:8443", "several paths for a server that knows TCP alone"],
    ["mptcp forward --idle 300 --json 192.0.2.7:5432 db:5432", "the counters for programs"],
  ],
  async run(context) {
    const { operands, options, signal } = context;
    const listen = parseListen(operands[0]!);
    const { hostname, port } = parseHostPort(operands[1]!, "TARGET");
    const { resolve } = await import("../../net/resolve.ts");
    const { runRelay } = await import("../relay/run.ts");
    const lookUp = async () => ({ addresses: (await resolve(hostname)).map(({ address }) => address), port });
    const target = await lookUp();
    const isName = target.addresses[0] !== hostname;
    return await runRelay(context, {
      listen,
      from: (options.text("from") ?? "mptcp") as Protocol,
      to: (options.text("to") ?? "mptcp") as Protocol,
      target,
      allow: null,
      credentials: null,
    }, (relay) => {
      if (!isName) return;
      const timer = setInterval(() => {
        // A resolver that fails now has given an answer before.
        lookUp().then((target) => relay.retarget(target), () => {});
      }, RESOLVE_EVERY);
      signal.addEventListener("abort", () => clearInterval(timer), { once: true });
    });
  },
};
