/**
 * The demonstration's command line.
 *
 * @module
 */
import { parseArgs } from "node:util";

/** What was asked for. */
export interface DemoOptions {
  help: boolean;
  /** About how long the transfer takes, s. */
  seconds: number;
  /** Of each path, Mbit/s. */
  rate: number;
  /** Where the chart goes; empty for nowhere. */
  svg: string;
  json: boolean;
  /** As if there were no network namespaces. */
  loopback: boolean;
  /** As if there were no MPTCP. */
  tcp: boolean;
}

/** What `--help` prints. */
export const HELP =
  `Sends random bytes over one Multipath TCP connection with two paths, cuts one path in the middle, and shows that the
connection goes on. The two hosts and the paths between them are made on this machine, out of network namespaces, and are
gone when it ends; the machine's own network is not touched.

  npm start -- [options]        or        node cli/demo.ts [options]        (bun …, deno run -A …)

  --seconds N    about how long the transfer takes                       (7; 2 to 120)
  --rate MBIT    the rate of each path in Mbit/s                         (50; 1 to 1000)
  --svg FILE     where the chart is written; "" for nowhere              (demo.svg)
  --json         print one JSON object on standard output, words on standard error
  --loopback     do without network namespaces: one path, nothing to cut
  --tcp          do without Multipath TCP, as on a kernel that has none; implies --loopback
  -h, --help     print this

Two paths need root or user namespaces, and ip, tc, unshare and nsenter (Debian: iproute2, util-linux). What is missing is
named, and the demonstration then does with less. Exit codes: 0 all bytes arrived unharmed, 1 they did not, 2 wrong
arguments, 130 after Ctrl-C, 143 after SIGTERM.
`;

/** Arguments that cannot be used; the message says which and why. */
export class UsageError extends Error {}

/**
 * Reads the arguments.
 *
 * @throws {UsageError} When one is unknown or out of range.
 */
export function parseOptions(args: string[]): DemoOptions {
  const values = read(args);
  return {
    help: values.help ?? false,
    seconds: number("--seconds", values.seconds ?? "7", 2, 120),
    rate: number("--rate", values.rate ?? "50", 1, 1000),
    svg: values.svg ?? "demo.svg",
    json: values.json ?? false,
    loopback: (values.loopback ?? false) || (values.tcp ?? false),
    tcp: values.tcp ?? false,
  };
}

function read(args: string[]) {
  try {
    return parseArgs({
      args,
      options: {
        help: { type: "boolean", short: "h" },
        seconds: { type: "string" },
        rate: { type: "string" },
        svg: { type: "string" },
        json: { type: "boolean" },
        loopback: { type: "boolean" },
        tcp: { type: "boolean" },
      },
    }).values;
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

function number(name: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (text.trim() !== "" && value >= min && value <= max) return value;
  throw new UsageError(`Cannot use ${name} ${JSON.stringify(text)}: it must be a number from ${min} to ${max}`);
}
