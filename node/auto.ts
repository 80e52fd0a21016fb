/**
 * Imported for its effect: the runtime's own clients and servers of `node:net`, `node:tls`, `node:http`, `node:https` and
 * `node:http2`, and so the libraries on them, use MPTCP, and TCP where MPTCP cannot be had. As `mptcpize run` does it from
 * outside, but without a preloaded library, and so that it can be undone.
 *
 * Only stream sockets of TCP are concerned: Unix sockets, UDP, descriptors and handles that somebody else made are left alone.
 * What became of a socket tells `mptcpOf(socket)`.
 *
 * `MPTCP_AUTO=clients` or `MPTCP_AUTO=servers` takes one side only; the default is `all`. Import it before the modules that
 * connect at once: `node --import @mptcp/mptcp/auto`, `bun --preload @mptcp/mptcp/auto`, `deno run --preload …`. Each worker
 * thread imports it for itself.
 *
 * Where MPTCP cannot be had at all a process warning says why, and everything goes on as plain TCP.
 *
 * @example The runtime's own HTTP server and client
 * ```ts no-assert
 * import "@mptcp/mptcp/auto";
 * import { mptcpOf } from "@mptcp/mptcp/node";
 * import { createServer, get } from "node:http";
 *
 * const server = createServer((_request, response) => response.end("hello")).listen(0, "127.0.0.1", () => {
 *   const { port } = server.address() as { port: number };
 *   get({ host: "127.0.0.1", port, agent: false }, (response) => {
 *     console.log(mptcpOf(response.socket)?.isMultipath());
 *     response.resume().on("end", () => server.close());
 *   });
 * });
 * ```
 *
 * @module
 */
import { environment, runtime, type System, system, unsupportedReason } from "../ffi/mod.ts";
import { show } from "../kernel/argument_checks.ts";
import { MptcpError } from "../kernel/error.ts";
import { makeSocket } from "../net/socket.ts";
import { replaceConnect } from "./auto/clients.ts";
import { replaceListen } from "./auto/servers.ts";
import { warn } from "./auto/warn.ts";

/** What is in effect. */
export interface Auto {
  /** Whether the runtime's clients connect over MPTCP. */
  readonly clients: boolean;
  /** Whether the runtime's servers listen over MPTCP. */
  readonly servers: boolean;
  /** Why connections are plain TCP all the same, as the host was when this was imported; `null` when it has MPTCP. */
  readonly reason: string | null;
  /** What of this runtime does not stand on `node:net`, and goes on by plain TCP. */
  readonly uncovered: readonly string[];
}

const UNCOVERED: Readonly<Record<typeof runtime, readonly string[]>> = {
  node: [],
  deno: [
    "fetch",
    "WebSocket",
    "EventSource",
    "Deno.connect",
    "Deno.connectTls",
    "Deno.listen",
    "Deno.listenTls",
    "Deno.serve",
  ],
  // The packages "ws" and "undici" are Bun's own there, whatever is installed.
  bun: [
    "fetch",
    "WebSocket",
    "EventSource",
    "Bun.connect",
    "Bun.listen",
    "Bun.serve",
    "Bun.sql",
    "Bun.redis",
    "ws",
    "undici",
  ],
};

const SIDES = ["clients", "servers", "all"];

/** Which side the environment asks for. */
function wantedSide(): string {
  const side = environment("MPTCP_AUTO") || "all";
  if (SIDES.includes(side)) return side;
  throw new TypeError(`Cannot use MPTCP_AUTO=${show(side)}: it must be "clients", "servers" or "all"`);
}

/** libc and the event loop; `null`, and a warning, where they are not to be had. */
function hostOf(): { host: System | null; reason: string | null } {
  let host: System | null = null;
  let reason: string | null;
  try {
    host = system();
    reason = host === null ? unsupportedReason() : refusal(host);
  } catch (error) {
    reason = (error as Error).message; // a missing permission
  }
  if (reason !== null) warn(`Connections are plain TCP: ${reason}`);
  return { host, reason };
}

/** Why the kernel makes no MPTCP socket now. It may do so later: a sysctl can be changed. */
function refusal({ libc }: System): string | null {
  try {
    const { fd, refused } = makeSocket(libc, 4, {});
    libc.close(fd);
    return refused?.message ?? null;
  } catch (error) {
    if (error instanceof MptcpError) return error.message;
    throw error;
  }
}

const side = wantedSide();
const { host, reason } = hostOf();

let undoClients = host !== null && side !== "servers" ? replaceConnect(host) : null;
let undoServers = host !== null && side !== "clients" ? replaceListen(host) : null;

/** What is in effect now. */
export const auto: Auto = {
  get clients(): boolean {
    return undoClients !== null;
  },
  get servers(): boolean {
    return undoServers !== null;
  },
  reason,
  uncovered: UNCOVERED[runtime],
};

/**
 * Gives the runtime its own methods back. What is connected, connects or listens by MPTCP goes on so. A second call does
 * nothing.
 */
export function undo(): void {
  undoClients?.();
  undoServers?.();
  undoClients = undoServers = null;
}
