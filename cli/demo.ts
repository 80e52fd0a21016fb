/**
 * The demonstration: one Multipath TCP connection over two paths, one of which is cut while bytes flow.
 *
 *   npm start              or: node cli/demo.ts, bun cli/demo.ts, deno run -A cli/demo.ts
 *   npm start -- --help
 *
 * @module
 */
import { writeFileSync } from "node:fs";
import { release } from "node:os";
import { resolve } from "node:path";
import process from "node:process";
import { chartLines, plotWidth } from "./demo/chart.ts";
import { Lab, LabError, PATHS } from "./demo/lab.ts";
import { Live } from "./demo/live.ts";
import {
  congestionControl,
  missingMptcp,
  missingPrograms,
  mptcpAdvice,
  namespaceAdvice,
  sendBuffer,
  thisDistribution,
} from "./demo/needs.ts";
import { type DemoOptions, HELP, parseOptions, UsageError } from "./demo/options.ts";
import { chartOf, resultLines, subflowLines, type Summary, summaryOf } from "./demo/report.ts";
import { svg } from "./demo/svg.ts";
import { inkOf, type Look, lookOf, paint } from "./demo/text.ts";
import { type Outcome, type Plan, transfer } from "./demo/transfer.ts";
import { Children, runtimeName, searchPath } from "./demo/worker.ts";

/** Of a path's bits, about so many are payload; the rest is headers. */
const PAYLOAD = 0.94;
/** When the cut comes and when it ends, in parts of the whole time. */
const CUT = { from: 0.36, to: 0.55 };
const SIGNALS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

/**
 * Runs the demonstration.
 *
 * @param args The command line after the program's name.
 * @returns The exit code: 0 when all bytes arrived unharmed, 1 when not, 2 for wrong arguments, 128 and the signal's number
 * after a signal.
 */
export async function demo(args: string[]): Promise<number> {
  let options: DemoOptions;
  try {
    options = parseOptions(args);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(`${error.message}\n\nnpm start -- --help lists the options`);
    return 2;
  }
  if (options.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const screen = options.json ? process.stderr : process.stdout;
  const look = lookOf(screen, process.env);
  const redraws = screen.isTTY === true && process.env["TERM"] !== "dumb";
  const live = new Live(look, redraws, (text) => void screen.write(text));
  const children = new Children();
  const interruption = interrupted();
  try {
    const code = await Promise.race([run(options, live, children), interruption.code]);
    if (Object.values<number>(SIGNALS).includes(code)) {
      live.say("", "  Interrupted: the connection, the paths and the hosts are gone");
    }
    return code;
  } catch (error) {
    live.clear();
    console.error(`\n${error instanceof Error ? error.message : error}`);
    return 1;
  } finally {
    live.clear();
    // The namespaces and all that is in them vanish with the processes that hold them.
    await children.endAll();
    interruption.forget();
  }
}

/** Resolves with the exit code of the first signal; later ones, as Ctrl-C under npm comes twice, change nothing. */
function interrupted(): { code: Promise<number>; forget: () => void } {
  let settle: (code: number) => void;
  const code = new Promise<number>((resolve) => settle = resolve);
  const handlers = Object.entries(SIGNALS).map(([signal, number]) => ({ signal, handle: () => settle(number) }));
  for (const { signal, handle } of handlers) process.on(signal, handle);
  // A reader that goes away (| head) ends us as quietly as SIGPIPE ends others.
  const gone = () => settle(141);
  process.stdout.on("error", gone);
  return {
    code,
    forget: () => {
      for (const { signal, handle } of handlers) process.off(signal, handle);
      process.stdout.off("error", gone);
    },
  };
}

async function run(options: DemoOptions, live: Live, children: Children): Promise<number> {
  const { look } = live;
  const version = process.platform === "linux" ? `Linux ${release()}` : `${process.platform} ${release()}`;
  live.say(`${paint(look, "Multipath TCP", "bold")}, shown with ${runtimeName()} on ${version}`, "");
  const { plan, without } = await prepare(options, live, children);
  live.say("");
  const outcome = await transfer(children, plan, live);
  const summary = summaryOf(plan, outcome);
  const { network, protocol } = summary;
  live.say(
    "",
    ...resultLines(look, summary),
    "",
    ...subflowLines(look, summary),
    "",
    ...chartLines(look, chartOf(plan, outcome, plotWidth(look))),
    "",
  );
  const file = options.svg === "" ? null : resolve(options.svg);
  if (file !== null) {
    writeFileSync(file, drawing(plan, outcome, summary));
    live.say(`  The chart is in ${file}`);
  }
  if (options.json) {
    const paths = network === "namespaces" ? PATHS : 1;
    const object = {
      runtime: runtimeName(),
      kernel: version,
      paths,
      pathRate: options.rate,
      without,
      ...summary,
      svg: file,
    };
    process.stdout.write(`${JSON.stringify(object, null, 2)}\n`);
  }
  if (!summary.sha256.equal) return 1;
  return plan.mptcp === "require" && protocol !== "mptcp" ? 1 : 0;
}

/** Finds out what can be done here, makes the hosts, and says what is missing. */
async function prepare(options: DemoOptions, live: Live, children: Children): Promise<{ plan: Plan; without: string[] }> {
  const { rate, seconds } = options;
  const without: string[] = [];
  const say = (text: string, advice: string) => {
    without.push(`${text}; ${advice}`);
    live.say(`  ${paint(live.look, text, "red")}`, `    ${advice}`);
  };
  const refused = options.tcp ? null : missingMptcp();
  // A new network namespace has MPTCP switched on, also where the host has it switched off.
  const hopeful = refused === null || refused.code === "ENOPROTOOPT";
  const lab = options.loopback || !hopeful ? null : await makeLab(children, rate, say);
  const mptcp = options.tcp ? "off" : lab !== null || refused === null ? "require" : "prefer";
  if (mptcp === "prefer" && refused !== null) {
    say(`No Multipath TCP here, so this is plain TCP: ${refused.message}`, mptcpAdvice(refused.code));
  }
  if (mptcp === "off") live.say("  Multipath TCP is left out, as asked: this is plain TCP");
  const limit = rate * 1e6 / 8;
  const congestion = congestionControl(lab !== null || process.getuid?.() === 0);
  if (lab === null) {
    live.say(`  One path, over loopback; the sender keeps to ${rate} Mbit/s`);
    return {
      plan: { lab, bytes: Math.round(limit * seconds), mptcp, congestion, sendBuffer: undefined, limit, cut: null },
      without,
    };
  }
  live.say(...picture(live.look, lab, rate));
  const [after, end] = [seconds * CUT.from * 1000, seconds * CUT.to * 1000];
  // As much as two paths carry in the time, less what the cut one does not.
  const bytes = Math.round(limit * PAYLOAD * (2 * seconds - (end - after) / 1000) / 1e5) * 1e5;
  // The path that the connection began on: what joined later must carry on without it.
  const cut = { path: 1, after, lasts: end - after };
  return { plan: { lab, bytes, mptcp, congestion, sendBuffer: sendBuffer(limit), limit, cut }, without };
}

async function makeLab(
  children: Children,
  rate: number,
  say: (text: string, advice: string) => void,
): Promise<Lab | null> {
  if (process.platform !== "linux") {
    say("No second path: network namespaces are Linux's", "run it on Linux, for example in a virtual machine");
    return null;
  }
  const missing = missingPrograms(searchPath(), thisDistribution());
  if (missing !== null) {
    const are = missing.programs.length > 1 ? "are" : "is";
    say(`No second path: ${missing.programs.join(", ")} ${are} not installed`, missing.install);
    return null;
  }
  try {
    return await Lab.make(children, rate);
  } catch (error) {
    if (!(error instanceof LabError)) throw error;
    say(`No second path: the two hosts could not be made (${error.message})`, namespaceAdvice());
    return null;
  }
}

/** The two hosts and their paths. */
function picture(look: Look, { rootless }: Lab, rate: number): string[] {
  const line = (look.unicode ? "━" : "=").repeat(8);
  const paths = Array.from({ length: PATHS }, (_, index) => index + 1).map((n) =>
    `     10.0.${n}.1  ${paint(look, `${line} path ${n}, ${rate} Mbit/s ${line}`, inkOf(n))}  10.0.${n}.2`
  );
  const gap = widthBetween(rate);
  return [
    `  Two hosts made of network namespaces, ${rootless ? "without root (a user namespace)" : "as root"}:`,
    "",
    `     client${" ".repeat(gap)}server`,
    ...paths,
  ];
}

function widthBetween(rate: number): number {
  return `10.0.1.1  ${"=".repeat(8)} path 1, ${rate} Mbit/s ${"=".repeat(8)}  `.length - "client".length;
}

function drawing(plan: Plan, outcome: Outcome, summary: Summary): string {
  const { bytes, duration, cut, sha256, subflows, protocol } = summary;
  const parts = [`${(bytes / 1e6).toFixed(1)} MB in ${(duration / 1000).toFixed(1)} s`];
  if (cut !== null) parts.push(`longest pause after the cut ${cut.longestPause} ms`);
  parts.push(`sha256 ${sha256.equal ? "equal at both ends" : "NOT equal"}`, `${runtimeName()}, Linux ${release()}`);
  const legend = Object.fromEntries(subflows.map(({ path, local, share }) => {
    const host = local.slice(0, local.lastIndexOf(":"));
    return [path, `path ${path} (${host}): ${Math.round(share * 100)} % of the bytes`];
  }));
  const title = protocol === "mptcp" ? "Multipath TCP" : "TCP";
  const count = outcome.history.paths.length;
  return svg(chartOf(plan, outcome, Math.max(10, Math.round(duration / 100))), {
    title: `One ${title} connection over ${count === 1 ? "one path" : `${count} paths`}`,
    subtitle: parts.join("  ·  "),
    legend,
  });
}

if (import.meta.main) {
  const code = await demo(process.argv.slice(2));
  // What is still to be written goes out first.
  process.stdout.write("", () => process.exit(code));
}
