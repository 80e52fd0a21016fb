/** Redis, as Debian's `redis-server` has it. */
import type { Host } from "../../host.ts";
import { Daemon } from "../daemon.ts";
import { fileOf } from "../needs.ts";

/** Starts Redis; by plain TCP without `mptcpize`. */
export function redis(host: Host, mptcpize = true): Promise<Daemon> {
  return Daemon.start(host, {
    command: [
      fileOf("redis-server")!,
      "--port",
      "6379",
      "--bind",
      "0.0.0.0",
      "--protected-mode",
      "no",
      "--save",
      "",
      "--dir",
      "@folder",
    ],
    port: 6379,
    ready: /Ready to accept connections/,
    mptcpize,
  });
}
