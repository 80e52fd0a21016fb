/**
 * `mptcp check`: this machine's MPTCP in a page, or why a peer is not multipath.
 *
 * @module
 */
import type { Endpoint } from "../../kernel/mptcp_pm.ts";
import type { Diagnosis } from "../../net/diagnose.ts";
import type { Support } from "../../paths/support.ts";
import { parseHostPort } from "../frame/address.ts";
import { type Command, type Context, JSON_OPTION } from "../frame/command.ts";
import { EXIT } from "../frame/failure.ts";
import { left, type Output, paint } from "../frame/output.ts";

export const check: Command = {
  name: "check",
  summary: "what this machine can do; with a host, whether that one speaks MPTCP",
  usage: "[options] [HOST:PORT]",
  about: "Exit code 0 when MPTCP can be used, with a host: when that was reached by it; 1 when the host was not; 3 when\n" +
    "this machine has no MPTCP.",
  options: [
    JSON_OPTION,
    { name: "timeout", value: "SECONDS", summary: "for connecting", range: [0.001, 3600], otherwise: "10" },
    {
      name: "wait",
      value: "SECONDS",
      summary: "for further paths, at most",
      range: [0, 3600],
      otherwise: "2.5",
    },
    { name: "from", value: "ADDRESS", summary: "the local address to connect from" },
  ],
  operands: [0, 1],
  examples: [
    ["mptcp check", "kernel, path manager, endpoints, privileges, and what could be better"],
    ["mptcp check --json", "the same for programs: the object that support() gives"],
    ["mptcp check example.com:443", "connects, sends nothing, and tells what it found"],
  ],
  async run(context) {
    const [target] = context.operands;
    return target === undefined ? await checkHost(context) : await checkPeer(context, target);
  },
};

async function checkHost({ options, output }: Context): Promise<number> {
  const { support } = await import("../../paths/support.ts");
  const found = support();
  if (options.flag("json")) output.json(found);
  else await page(output, found);
  return found.enabled ? EXIT.ok : EXIT.unavailable;
}

async function page(output: Output, found: Support): Promise<void> {
  const { endpointText } = await import("../frame/texts.ts");
  const { look } = output;
  const { enabled, available, reason, sysctls, limits } = found;
  const yes = (is: boolean, text: string) => paint(look, text, is ? "green" : "red");
  const rows: [string, string][] = [
    ["MPTCP", enabled ? yes(true, "ready") : yes(false, `${available ? "off" : "not available"}: ${reason}`)],
    ["kernel", `${found.platform} ${found.kernel ?? "unknown"}, seen by ${found.runtime}`],
  ];
  if (available) {
    const schedulers = found.schedulers.join(", ");
    rows.push(
      ["IPv6", found.ipv6 ? "yes" : "no"],
      ["path manager", found.pathManager ?? "unknown"],
      ["scheduler", `${sysctls["scheduler"] ?? "default"}${schedulers && ` (there are: ${schedulers})`}`],
      ["checksums", sysctls["checksum_enabled"] === 1 ? "on" : "off"],
    );
    if (limits !== null) {
      const { subflows, addAddrAccepted } = limits;
      rows.push(["limits", `${subflows} additional subflows, ${addAddrAccepted} announced addresses accepted`]);
    }
    rows.push(["blackholes", await blackholes(sysctls)]);
    const endpoints = await endpointsOf();
    if (endpoints !== null) rows.push(["endpoints", endpoints.length === 0 ? "none" : endpointText(endpoints[0]!)]);
    for (const endpoint of endpoints?.slice(1) ?? []) rows.push(["", endpointText(endpoint)]);
    rows.push(
      ["may manage paths", found.canManagePaths ? "yes" : "no (CAP_NET_ADMIN)"],
      ["may tune subflows", found.canTuneSubflows ? "yes" : "no (CAP_BPF and CAP_PERFMON)"],
    );
  }
  const width = Math.max(...rows.map(([name]) => name.length));
  output.print(...rows.map(([name, text]) => `${paint(look, left(name, width), "bold")}  ${text}`));
  if (found.advice.length > 0) output.print("", "What could help:", ...found.advice.map((line) => `  ${line}`));
}

/** Whether MPTCP was, or is, held back for a network that drops it. */
async function blackholes(sysctls: Support["sysctls"]): Promise<string> {
  const { counters } = await import("../../paths/counters.ts");
  const seen = counters();
  const timeout = sysctls["blackhole_timeout"];
  if (timeout === undefined) return "this kernel does not look for them";
  if (timeout === 0) return "not looked for (net.mptcp.blackhole_timeout is 0)";
  const { Blackhole: met = 0, MPCapableSYNTXDisabled: disabled = 0 } = seen;
  const found = met === 0 ? "none met" : `${met} met, ${disabled} connections by TCP for it`;
  return `${found}; one switches MPTCP off for ${timeout} s`;
}

async function endpointsOf(): Promise<Endpoint[] | null> {
  const { PathManager } = await import("../../paths/path_manager.ts");
  try {
    using manager = PathManager.open();
    return manager.endpoints();
  } catch {
    return null;
  }
}

async function checkPeer({ options, output, signal }: Context, target: string): Promise<number> {
  const { hostname, port } = parseHostPort(target, "HOST:PORT");
  const { diagnose } = await import("../../net/diagnose.ts");
  const [timeout, wait, localAddress] = [options.number("timeout"), options.number("wait"), options.text("from")];
  const diagnosis = await diagnose({
    hostname,
    port,
    signal,
    ...(timeout === undefined ? {} : { timeout: timeout * 1000 }),
    ...(wait === undefined ? {} : { wait: wait * 1000 }),
    ...(localAddress === undefined ? {} : { localAddress }),
  });
  if (options.flag("json")) output.json(diagnosis);
  else await report(output, diagnosis);
  if (!diagnosis.support.enabled) return EXIT.unavailable;
  return diagnosis.multipath ? EXIT.ok : EXIT.failed;
}

async function report(output: Output, diagnosis: Diagnosis): Promise<void> {
  const { addrText } = await import("../frame/texts.ts");
  const { verdict, findings, subflows, address, connectMs, multipath } = diagnosis;
  const { look } = output;
  output.print(paint(look, verdict, multipath ? "green" : "red"));
  if (address !== null) output.print("", `connected to ${address} in ${connectMs.toFixed(1)} ms`);
  for (const { local, remote, state, backup } of subflows) {
    output.print(`  ${addrText(local)} to ${addrText(remote)}  ${state}${backup ? ", backup" : ""}`);
  }
  for (const { severity, code, message, hint, evidence } of findings) {
    output.print("", `${paint(look, severity, severity === "error" ? "red" : "bold")} ${code}: ${message}`);
    if (hint !== undefined) output.print(`  ${hint}`);
    if (evidence !== undefined) output.print(`  ${paint(look, `seen: ${evidence}`, "dim")}`);
  }
}
