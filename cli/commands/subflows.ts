/**
 * `mptcp subflows`: the paths of all connections, or of one.
 *
 * @module
 */
import type { ConnectionSubflow } from "../../paths/sockets.ts";
import { type Command, JSON_OPTION } from "../frame/command.ts";
import { EXIT, Failure } from "../frame/failure.ts";
import { bytesText, rateText } from "../frame/output.ts";

export const subflows: Command = {
  name: "subflows",
  summary: "the paths of all connections, or of one",
  usage: "[options] [TOKEN]",
  options: [JSON_OPTION],
  operands: [0, 1],
  examples: [
    ["mptcp subflows", "all subflows, connection by connection"],
    ["mptcp subflows 1f2e3d4c", "those of the connection with this token, as mptcp connections prints it"],
    ["mptcp subflows --json | jq '.[].subflows[].tcpInfo.rtt'", "round-trip times in µs"],
  ],
  async run({ operands, options, output }) {
    const { addrText, parseToken, tokenText } = await import("../frame/texts.ts");
    const wanted = operands[0] === undefined ? undefined : parseToken(operands[0]);
    const { connections } = await import("../../paths/sockets.ts");
    const found = connections().filter(({ token }) => wanted === undefined || token === wanted);
    if (wanted !== undefined && found.length === 0) {
      throw new Failure(`there is no connection with token ${tokenText(wanted)}`);
    }
    if (options.flag("json")) {
      output.json(found.map(({ token, fallback, subflows }) => ({ token, fallback, subflows })));
      return EXIT.ok;
    }
    if (found.length === 0) output.say("There is no MPTCP connection");
    else {
      output.table(
        ["TOKEN", "LOCAL", "REMOTE", "STATE", "RTT", "SENT", "RECEIVED", "RETRANSMITTED", "RATE", ""],
        found.flatMap(({ token, subflows }) =>
          subflows.map((subflow) => [
            tokenText(token),
            addrText(subflow.local),
            addrText(subflow.remote),
            subflow.state,
            ...numbers(subflow),
          ])
        ),
      );
    }
    return EXIT.ok;
  },
};

function numbers({ tcpInfo, backup }: ConnectionSubflow): string[] {
  const { rtt, bytesSent, bytesReceived, bytesRetrans, deliveryRate } = tcpInfo;
  return [
    rtt === undefined ? "" : `${(rtt / 1000).toFixed(rtt < 10_000 ? 2 : 0)} ms`,
    bytesText(bytesSent ?? 0),
    bytesText(bytesReceived ?? 0),
    bytesText(bytesRetrans ?? 0),
    deliveryRate ? rateText(deliveryRate) : "",
    backup ? "backup" : "",
  ];
}
