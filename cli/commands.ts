/**
 * The commands, in the order in which the help lists them.
 *
 * @module
 */
import { bench } from "./commands/bench.ts";
import { cat } from "./commands/cat.ts";
import { check } from "./commands/check.ts";
import { completions } from "./commands/completions.ts";
import { connections } from "./commands/connections.ts";
import { counters } from "./commands/counters.ts";
import { dash } from "./commands/dash.ts";
import { demo } from "./commands/demo.ts";
import { endpoint } from "./commands/endpoint.ts";
import { forward } from "./commands/forward.ts";
import { ftp } from "./commands/ftp.ts";
import { get } from "./commands/get.ts";
import { limits } from "./commands/limits.ts";
import { monitor } from "./commands/monitor.ts";
import { proxy } from "./commands/proxy.ts";
import { serve } from "./commands/serve.ts";
import { subflows } from "./commands/subflows.ts";
import { top } from "./commands/top.ts";
import type { Command } from "./frame/command.ts";

export const COMMANDS: readonly Command[] = [
  check,
  connections,
  subflows,
  monitor,
  top,
  dash,
  endpoint,
  limits,
  counters,
  forward,
  proxy,
  cat,
  get,
  ftp,
  serve,
  bench,
  demo,
  completions(() => COMMANDS),
];
