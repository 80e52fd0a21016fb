/**
 * `mptcp counters`: what the kernel has counted of MPTCP.
 *
 * @module
 */
import { type Command, JSON_OPTION } from "../frame/command.ts";
import { EXIT, Failure } from "../frame/failure.ts";
import { slept } from "../frame/slept.ts";

export const counters: Command = {
  name: "counters",
  summary: "the kernel's MPTCP counters (MPTcpExt)",
  usage: "[options] [NAME…]",
  about: "Without names those that are not 0; names are the kernel's, or a part of them.",
  options: [
    { ...JSON_OPTION, summary: "print JSON; with --watch a line for each change" },
    { name: "all", summary: "print those that are 0, too" },
    { name: "watch", short: "w", summary: "print what grows, until Ctrl-C" },
    { name: "interval", value: "SECONDS", summary: "how often --watch looks", range: [0.01, 3600], otherwise: "1" },
  ],
  operands: [0, 1000],
  examples: [
    ["mptcp counters", "all that has ever happened here"],
    ["mptcp counters Fallback", "those with this word in their names"],
    ["mptcp counters --watch Join", "subflows, as they are tried"],
  ],
  async run({ operands, options, output, signal }) {
    const all = (await import("../../paths/counters.ts")).counters;
    const json = options.flag("json");
    const wanted = (name: string) =>
      operands.length === 0 || operands.some((part) => name.toLowerCase().includes(part.toLowerCase()));
    const read = () => Object.fromEntries(Object.entries(all()).filter(([name]) => wanted(name)));
    let before = read();
    if (Object.keys(before).length === 0) {
      if (Object.keys(all()).length === 0) throw new Failure("this kernel has no MPTCP counters", EXIT.unavailable);
      throw new Failure(`no counter has ${operands.join(" or ")} in its name`);
    }
    if (!options.flag("watch")) {
      const shown = Object.entries(before).filter(([, value]) => value !== 0 || options.flag("all") || operands.length > 0);
      if (json) output.json(Object.fromEntries(shown));
      else output.print(...lines(shown));
      return EXIT.ok;
    }
    const { clockText } = await import("../frame/texts.ts");
    output.say("Watching; Ctrl-C ends it");
    while (await slept((options.number("interval") ?? 1) * 1000, signal)) {
      const now = read();
      const grown = Object.entries(now).flatMap(([name, value]) => {
        const by = value - (before[name] ?? 0);
        return by === 0 ? [] : [[name, by] as const];
      });
      before = now;
      if (grown.length === 0) continue;
      const time = new Date();
      if (json) output.jsonLine({ time: time.toISOString(), ...Object.fromEntries(grown) });
      else output.print(...grown.map(([name, by]) => `${clockText(time)}  ${name} +${by}`));
    }
    return EXIT.ok;
  },
};

function lines(shown: readonly (readonly [string, number])[]): string[] {
  const width = Math.max(0, ...shown.map(([name]) => name.length));
  return shown.map(([name, value]) => `${name.padEnd(width)}  ${value}`);
}
