/**
 * `mptcp connections`: every MPTCP connection of the network namespace.
 *
 * @module
 */
import { type Command, JSON_OPTION } from "../frame/command.ts";
import { EXIT } from "../frame/failure.ts";
import { bytesText } from "../frame/output.ts";

export const connections: Command = {
  name: "connections",
  summary: "every MPTCP connection of this network namespace",
  usage: "[options]",
  options: [JSON_OPTION],
  operands: [0, 0],
  examples: [
    ["mptcp connections", "a table"],
    ["mptcp connections --json | jq '.[] | select(.fallback)'", "those that fell back to TCP"],
  ],
  async run({ options, output }) {
    const sockets = await import("../../paths/sockets.ts");
    const { addrText, tokenText } = await import("../frame/texts.ts");
    const all = sockets.connections();
    if (options.flag("json")) {
      output.json(all);
      return EXIT.ok;
    }
    if (all.length === 0) output.say("There is no MPTCP connection");
    else {
      output.table(
        ["TOKEN", "STATE", "LOCAL", "REMOTE", "SUBFLOWS", "SENT", "RECEIVED"],
        all.map(({ token, state, local, remote, fallback, subflows, info }) => [
          tokenText(token),
          state,
          addrText(local),
          addrText(remote),
          fallback ? "TCP" : `${subflows.length}`,
          bytesText(info.bytesSent ?? 0),
          bytesText(info.bytesReceived ?? 0),
        ]),
      );
    }
    return EXIT.ok;
  },
};
