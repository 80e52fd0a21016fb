/**
 * `mptcp bench`: throughput, latency, connection rate, and what each path has of it.
 *
 * @module
 */
import { writeFileSync } from "node:fs";
import { hostPort } from "../../kernel/error.ts";
import { ipVersion } from "../../kernel/ip.ts";
import { parseHostPort, parseListen } from "../frame/address.ts";
import { type Command, type Context, JSON_OPTION, UsageError } from "../frame/command.ts";
import { EXIT, Failure } from "../frame/failure.ts";
import { bytesText, rateText, tableLines } from "../frame/output.ts";

const PORT = 5202;
const TESTS = ["upload", "download", "latency", "connections"] as const;
const PROTOCOLS = ["both", "mptcp", "tcp"] as const;

export const bench: Command = {
  name: "bench",
  summary: "throughput, latency and connection rate to a host, path by path, by MPTCP and TCP",
  usage: "[options] server [LISTEN] | client HOST[:PORT]",
  about:
    `One end serves, the other measures. LISTEN is address:port, :port for all addresses (:${PORT} unless given), or a port of
127.0.0.1. Whoever reaches the server can use it: end it when you are done. An MPTCP result counts only where both kernels say
that it was MPTCP. Ctrl-C ends the test under way, and prints what is there.`,
  options: [
    { name: "time", short: "t", value: "SECONDS", summary: "for each test", range: [0.1, 3600], otherwise: "3" },
    { name: "test", value: "TEST", summary: "only this one; may be given several times", choices: TESTS, many: true },
    { name: "protocol", value: "PROTOCOL", summary: "what to speak", choices: PROTOCOLS, otherwise: "both" },
    { name: "timeout", value: "SECONDS", summary: "how long nothing may move", range: [0.1, 3600], otherwise: "10" },
    { name: "from", value: "ADDRESS", summary: "the client's address to connect from" },
    { name: "congestion", value: "NAME", summary: "congestion control, such as cubic" },
    { name: "iperf3", summary: "let iperf3 measure, too: under mptcpize, on both ends" },
    { name: "svg", value: "FILE", summary: "draw each path's throughput over time" },
    { ...JSON_OPTION, summary: "print JSON; the server a line for each event" },
  ],
  operands: [1, 2],
  words: ["server", "client"],
  examples: [
    ["mptcp bench server", "on one host"],
    ["mptcp bench client 192.0.2.7", "on another"],
    ["mptcp bench client --test download --time 10 --svg paths.svg 192.0.2.7", "one test, drawn"],
    ["mptcp bench client --json 192.0.2.7 | jq '.results[] | {test, protocol, rate}'", "for programs"],
  ],
  async run(context) {
    return context.operands[0] === "server" ? await server(context) : await client(context);
  },
};

async function server({ operands, options, output, signal, hurry }: Context): Promise<number> {
  for (const name of ["time", "test", "timeout", "from", "svg"]) {
    if (name === "test" ? options.list(name).length > 0 : options.given(name)) {
      throw new UsageError(`--${name} is the client's`);
    }
  }
  const { hostname, port } = parseListen(operands[1] ?? `:${PORT}`);
  const { listen } = await import("../../net/listen.ts");
  const { BenchServer } = await import("../bench/server.ts");
  const { iperf3Server, needIperf3 } = await import("../bench/iperf3.ts");
  const congestion = options.text("congestion");
  const peer = options.flag("iperf3");
  if (peer) needIperf3();
  const listener = listen({
    hostname,
    port,
    mptcp: options.text("protocol") === "tcp" ? "off" : "require",
    ...(congestion === undefined ? {} : { congestion }),
  });
  const json = options.flag("json");
  const work = new BenchServer(listener, ({ mode }, conn, bytes) => {
    const { hostname, port } = conn.remoteAddr;
    const multipath = conn.isMultipath();
    if (json && mode !== "connections") output.jsonLine({ type: mode, hostname, port, multipath, bytes });
    else if (mode !== "connections") {
      output.say(`${mode} by ${hostPort(hostname, port)}, ${multipath ? "MPTCP" : "TCP"}: ${bytesText(bytes)}`);
    }
  });
  const { addr } = listener;
  output.say(`Listening on ${hostPort(addr.hostname, addr.port)}; Ctrl-C ends it`);
  if (json) output.jsonLine({ type: "listening", hostname: addr.hostname, port: addr.port });
  const end = () => work.end();
  if (signal.aborted) end();
  else signal.addEventListener("abort", end, { once: true });
  hurry.addEventListener("abort", end, { once: true });
  const child = peer ? iperf3Server(hostname) : null;
  child?.once("close", () => {
    if (!signal.aborted) output.say("iperf3 has ended; is its port in use?");
  });
  try {
    await work.run();
  } finally {
    child?.kill();
  }
  const { served } = work;
  if (json) output.jsonLine({ type: "ended", ...served });
  else {
    output.say(
      `${served.connections} connections, ${served.multipath} of them MPTCP${
        served.failed > 0 ? `, ${served.failed} broken` : ""
      }`,
    );
  }
  return EXIT.ok;
}

/** With the port left out, the usual one. */
function targetOf(text: string | undefined): { hostname: string; port: number } {
  if (text === undefined) throw new UsageError("an argument is missing: mptcp bench client HOST[:PORT]");
  if (ipVersion(text) === 6) return { hostname: text, port: PORT };
  return parseHostPort(/^(\[[^\]]+\]|[^:]+)$/.test(text) && !/^\d+$/.test(text) ? `${text}:${PORT}` : text, "HOST:PORT");
}

async function client({ operands, options, output, signal }: Context): Promise<number> {
  const { hostname, port } = targetOf(operands[1]);
  const svgFile = options.text("svg");
  const { BenchClient } = await import("../bench/client.ts");
  const { iperf3Client, needIperf3 } = await import("../bench/iperf3.ts");
  const { drawing, rowOf } = await import("../bench/report.ts");
  const peer = options.flag("iperf3");
  if (peer) needIperf3();
  const time = (options.number("time") ?? 3) * 1000;
  const wanted = options.list("test");
  const tests = TESTS.filter((test) => wanted.length === 0 || wanted.includes(test));
  const protocols = (["mptcp", "tcp"] as const).filter((each) =>
    [each, "both"].includes(options.text("protocol") ?? "both")
  );
  const bench = new BenchClient({
    hostname,
    port,
    time,
    patience: (options.number("timeout") ?? 10) * 1000,
    localAddress: options.text("from"),
    congestion: options.text("congestion"),
    signal,
    progress: (test, protocol, ms, done) => {
      const count = test === "upload" || test === "download" ? rateText(done * 1000 / Math.max(1, ms)) : `${done}`;
      output.status(`${test}, ${protocol.toUpperCase()}  ${(ms / 1000).toFixed(1)} s  ${count}`);
    },
  });
  const json = options.flag("json");
  const results: (Awaited<ReturnType<typeof bench.run>> | Awaited<ReturnType<typeof iperf3Client>>)[] = [];
  let trouble: unknown;
  try {
    for (const test of tests) {
      for (const protocol of protocols) {
        if (signal.aborted) break;
        results.push(await bench.run(test, protocol));
        if (!peer || signal.aborted || (test !== "upload" && test !== "download")) continue;
        output.status(`${test}, ${protocol.toUpperCase()}, iperf3`);
        results.push(await iperf3Client(test, protocol, { hostname, time, signal }));
      }
    }
  } catch (error) {
    // What was measured before stays worth something.
    if (!signal.aborted) trouble = error;
  }
  output.status("");
  const rows = results.map((result) =>
    "program" in result ? [result.test, result.protocol.toUpperCase(), rateText(result.rate), "iperf3"] : rowOf(result)
  );
  if (trouble !== undefined && rows.length === 0) throw trouble;
  if (json) output.json({ target: hostPort(hostname, port), time: time / 1000, interrupted: signal.aborted, results });
  else if (rows.length > 0) output.print(...tableLines(output.look, ["TEST", "BY", "RESULT", ""], rows));
  if (svgFile !== undefined && results.length > 0) {
    const summary = rows.filter(([test, , , by]) => /load/.test(test!) && by !== "iperf3").map(([test, by, rate]) =>
      `${test} ${by} ${rate}`
    ).join(
      "  ·  ",
    );
    draw(svgFile, drawing(bench, `mptcp bench to ${hostPort(hostname, port)}`, summary), (text) => output.say(text));
  }
  if (trouble !== undefined) throw trouble;
  return EXIT.ok;
}

function draw(file: string, text: string | null, say: (text: string) => void): void {
  if (text === null) return say("No upload and no download: nothing to draw");
  try {
    writeFileSync(file, text);
  } catch (error) {
    throw new Failure(`cannot write ${file}: ${(error as Error).message}`);
  }
  say(`The chart is in ${file}`);
}
