/**
 * `mptcp limits`: how many subflows and announced addresses the kernel's path manager allows a connection.
 *
 * @module
 */
import { type Command, JSON_OPTION } from "../frame/command.ts";
import { EXIT } from "../frame/failure.ts";

export const limits: Command = {
  name: "limits",
  summary: "how many subflows a connection may have: show, change",
  usage: "[options]",
  about: "Changing them needs CAP_NET_ADMIN over the network namespace.",
  options: [
    JSON_OPTION,
    { name: "subflows", value: "N", summary: "allow so many additional subflows", range: [0, 255] },
    {
      name: "add-addr-accepted",
      value: "N",
      summary: "use so many of the addresses that a peer announces",
      range: [0, 255],
    },
  ],
  operands: [0, 0],
  examples: [
    ["mptcp limits", "shows them"],
    ["sudo mptcp limits --subflows 8 --add-addr-accepted 8", "as many as Linux knows"],
  ],
  async run({ options, output }) {
    const [subflows, addAddrAccepted] = [options.number("subflows"), options.number("add-addr-accepted")];
    const { PathManager } = await import("../../paths/path_manager.ts");
    using manager = PathManager.open();
    if (subflows !== undefined || addAddrAccepted !== undefined) {
      manager.setLimits({
        ...(subflows === undefined ? {} : { subflows }),
        ...(addAddrAccepted === undefined ? {} : { addAddrAccepted }),
      });
    }
    const now = manager.limits();
    if (options.flag("json")) output.json(now);
    else output.print(`subflows           ${now.subflows}`, `add-addr-accepted  ${now.addAddrAccepted}`);
    return EXIT.ok;
  },
};
