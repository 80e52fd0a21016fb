/**
 * The runtime that this process runs on. Its adapter's file is chosen here, once, and nothing else of it is loaded; libc is
 * opened on first use, so that an import never fails and never asks for a permission.
 *
 * @module
 */
import process from "node:process";
import type { Adapter, RuntimeName, System } from "./adapter.ts";
import { environment, libcCandidates } from "./libc_paths.ts";

export type {
  Acceptor,
  AcceptorOwner,
  Channel,
  ChannelOwner,
  EventLoop,
  HttpHost,
  HttpHostClients,
  HttpHostServer,
  SocketDialer,
  SocketTarget,
  System,
  Target,
  UpgradedWebSocket,
  Watcher,
  WebSocketOwner,
  WebSocketPeer,
} from "./adapter.ts";
export { EVENT, EVENT_SIZE } from "./epoll_event.ts";
export type { Libc } from "./libc.ts";
export { environment } from "./libc_paths.ts";
export { connectPlain, type Flow, fromNodeError, listenPlain, type PlainOptions, StreamChannel } from "./unsupported.ts";

/** The runtime's name, and its version where it has one. */
export const runtime: RuntimeName = process.versions["deno"] ? "deno" : process.versions["bun"] ? "bun" : "node";

// The specifiers are literals, so that bundlers and JSR see them; only one file is loaded. Node before 26 has no node:ffi.
const adapter: Adapter | Error = await load();

async function load(): Promise<Adapter | Error> {
  if (process.platform !== "linux") return new Error(`MPTCP needs Linux, this is ${process.platform}`);
  try {
    if (runtime === "deno") return (await import("./deno.ts")).adapter;
    if (runtime === "bun") return (await import("./bun.ts")).adapter;
    return (await import("./node.ts")).adapter;
  } catch (error) {
    return new Error(`${runtime} ${process.version} has no FFI (Node has it since version 26)`, { cause: error });
  }
}

let opened: System | null | undefined;
let failure: string | null = null;

/**
 * libc and the event loop, or `null` on a host without them; then `unsupportedReason` says why.
 *
 * @throws Deno's own error when `--allow-ffi` is missing. It is asked again on the next call.
 */
export function system(): System | null {
  if (opened !== undefined) return opened;
  if (adapter instanceof Error) {
    failure = adapter.message;
    return opened = null;
  }
  try {
    return opened = adapter.open(libcCandidates(process.arch, environment("MPTCP_LIBC")));
  } catch (error) {
    if (error instanceof Error && !/^(NotCapable|PermissionDenied)$/.test(error.name)) {
      failure = error.message;
      return opened = null;
    }
    throw error;
  }
}

/**
 * What a failure to resolve a name is for the runtime: a missing permission is an error of its own, which Deno's `node:dns`
 * makes an `EPERM` of.
 */
export function resolverError(error: unknown, hostname: string): unknown {
  if (adapter instanceof Error || (error as { code?: string }).code !== "EPERM") return error;
  return adapter.deniedName?.(hostname) ?? error;
}

/** Why `system()` is `null`. */
export function unsupportedReason(): string | null {
  return failure;
}
