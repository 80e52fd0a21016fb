/**
 * `mptcp demo`: one connection over two paths, one of which is cut while bytes flow.
 *
 * @module
 */
import type { Command } from "../frame/command.ts";

export const demo: Command = {
  name: "demo",
  summary: "one connection over two paths, one of which is cut while bytes flow",
  usage: "[options]",
  // For completions; the demonstration reads its arguments itself.
  options: [
    { name: "seconds", value: "N", summary: "about how long the transfer takes" },
    { name: "rate", value: "MBIT", summary: "the rate of each path" },
    { name: "svg", value: "FILE", summary: "where the chart is written" },
    { name: "json", summary: "print JSON on standard output" },
    { name: "loopback", summary: "do without network namespaces" },
    { name: "tcp", summary: "do without Multipath TCP" },
  ],
  operands: [0, 0],
  examples: [["mptcp demo", "takes some ten seconds"], ["mptcp demo --help", "its options"]],
  runRaw: async (args) => (await import("../demo.ts")).demo(args),
  run: () => Promise.reject(new Error("the demonstration reads its arguments itself")),
};
