/**
 * The commands, in the order in which the help lists them.
 *
 * @module
 */
import { check } from "./commands/check.ts";
import { completions } from "./commands/completions.ts";
import { connections } from "./commands/connections.ts";
import { counters } from "./commands/counters.ts";
import { demo } from "./commands/demo.ts";
import { endpoint } from "./commands/endpoint.ts";
import { forward } from "./commands/forward.ts";
import { limits } from "./commands/limits.ts";
import { monitor } from "./commands/monitor.ts";
import { proxy } from "./commands/proxy.ts";
import { subflows } from "./commands/subflows.ts";
import type { Command } from "./frame/command.ts";

export const COMMANDS: readonly Command[] = [
  check,
  connections,
  subflows,
  monitor,
  endpoint,
  limits,
  counters,
  forward,
  proxy,
  demo,
  completions(() => COMMANDS),
];
