/**
 * `mptcp endpoint`: the local addresses that the kernel's path manager may use.
 *
 * @module
 */
import type { PathManager } from "../../paths/path_manager.ts";
import { type Command, type Context, JSON_OPTION, UsageError } from "../frame/command.ts";
import { EXIT } from "../frame/failure.ts";

export const endpoint: Command = {
  name: "endpoint",
  summary: "the addresses that connections get further subflows by: list, add, del, set, flush",
  usage: "[options] [list | add ADDRESS | del ID|ADDRESS | set ID|ADDRESS | flush]",
  about: "Changes need CAP_NET_ADMIN over the network namespace, and reach the connections that are there, too.",
  options: [
    JSON_OPTION,
    { name: "subflow", summary: "add: open a subflow from the address" },
    { name: "signal", summary: "add: announce the address to peers" },
    { name: "laminar", summary: "add: open subflows from it to addresses that peers announce (Linux 6.18)" },
    { name: "backup", negatable: true, summary: "add, set: use its subflows when no other works" },
    { name: "fullmesh", negatable: true, summary: "add, set: open subflows from it to all addresses of the peer" },
    { name: "id", value: "N", summary: "add: its id", range: [1, 255], otherwise: "the kernel picks one" },
    { name: "dev", value: "INTERFACE", summary: "add: bind its subflows to an interface" },
    { name: "port", value: "PORT", summary: "add: announce this port, too", range: [1, 65535] },
  ],
  operands: [0, 2],
  words: ["list", "add", "del", "set", "flush"],
  examples: [
    ["mptcp endpoint", "lists them"],
    ["sudo mptcp endpoint add 192.0.2.7 --subflow --dev wlan0", "a client's second path"],
    ["sudo mptcp endpoint add 2001:db8::7 --signal", "a server's second address"],
    ["sudo mptcp endpoint set 2 --backup", "by its id"],
    ["sudo mptcp endpoint del 192.0.2.7", "by its address"],
  ],
  async run(context) {
    const { operands: [action = "list", which], options } = context;
    const needs = action === "add" ? "ADDRESS" : action === "del" || action === "set" ? "ID or ADDRESS" : null;
    if (needs !== null && which === undefined) throw new UsageError(`endpoint ${action} needs an argument: ${needs}`);
    if (needs === null && which !== undefined) throw new UsageError(`endpoint ${action} takes no argument`);
    checkOptions(action, context);
    const { PathManager } = await import("../../paths/path_manager.ts");
    using manager = PathManager.open();
    switch (action) {
      case "add":
        return await add(manager, which!, context);
      case "del":
        manager.removeEndpoint(idOf(manager, which!));
        break;
      case "set": {
        const [backup, fullmesh] = [options.choice("backup"), options.choice("fullmesh")];
        manager.setEndpointFlags(keyOf(which!), {
          ...(backup === undefined ? {} : { backup }),
          ...(fullmesh === undefined ? {} : { fullmesh }),
        });
        break;
      }
      case "flush":
        manager.flushEndpoints();
        break;
      default:
        await list(manager, context);
    }
    return EXIT.ok;
  },
};

const ADD_ONLY = ["subflow", "signal", "laminar", "id", "dev", "port"];
const CHANGING = ["backup", "fullmesh"];

/** An option that would be ignored is a mistake. */
function checkOptions(action: string, { options }: Context): void {
  const taken = action === "add" ? [...ADD_ONLY, ...CHANGING] : action === "set" ? CHANGING : [];
  const wrong = [...ADD_ONLY, ...CHANGING].find((name) => options.given(name) && !taken.includes(name));
  if (wrong !== undefined) throw new UsageError(`endpoint ${action} takes no --${wrong}`);
  if (action === "set" && !CHANGING.some((name) => options.given(name))) {
    throw new UsageError("endpoint set needs --backup, --no-backup, --fullmesh or --no-fullmesh");
  }
}

function keyOf(which: string): number | { address: string } {
  return /^\d+$/.test(which) ? Number(which) : { address: which };
}

function idOf(manager: PathManager, which: string): number {
  const key = keyOf(which);
  if (typeof key === "number") return key;
  const { address } = key;
  const found = manager.endpoints().find((each) => each.address === address);
  if (found === undefined) throw new Error(`there is no endpoint with address ${address}`);
  return found.id;
}

async function add(manager: PathManager, address: string, { options, output }: Context): Promise<number> {
  const [id, port, device] = [options.number("id"), options.number("port"), options.text("dev")];
  const flags = (["subflow", "signal", "laminar", "backup", "fullmesh"] as const).filter((flag) => options.choice(flag));
  const made = manager.addEndpoint({
    address,
    ...Object.fromEntries(flags.map((flag) => [flag, true])),
    ...(id === undefined ? {} : { id }),
    ...(port === undefined ? {} : { port }),
    ...(device === undefined ? {} : { interface: device }),
  });
  if (options.flag("json")) output.json(made);
  else {
    const { endpointText } = await import("../frame/texts.ts");
    output.say(`added ${endpointText(made)}`);
  }
  return EXIT.ok;
}

async function list(manager: PathManager, { options, output }: Context): Promise<void> {
  const { addrText, flagsText, interfaceName } = await import("../frame/texts.ts");
  const all = manager.endpoints();
  if (options.flag("json")) return output.json(all);
  if (all.length === 0) return output.say("There is no endpoint");
  output.table(
    ["ID", "ADDRESS", "FLAGS", "INTERFACE"],
    all.map((each) => [
      `${each.id}`,
      each.port === undefined ? each.address : addrText({ transport: "tcp", hostname: each.address, port: each.port }),
      flagsText(each),
      each.interfaceIndex === undefined ? "" : interfaceName(each.interfaceIndex),
    ]),
  );
}
