/**
 * What a server of `node:net` listens by: an MPTCP socket of ours, which the runtime's event loop takes over.
 *
 * @module
 */
import { lookup } from "node:dns";
import type { AddressInfo, ListenOptions as NetListenOptions, Server, Socket } from "node:net";
import process from "node:process";
import { type System, system, unsupportedReason } from "../ffi/mod.ts";
import { EADDRNOTAVAIL, EAFNOSUPPORT, errnoMeaning } from "../kernel/errno.ts";
import { MptcpError } from "../kernel/error.ts";
import { ipVersion } from "../kernel/ip.ts";
import { Arrivals } from "../net/arrivals.ts";
import { type Fallback, requiredError, unsupportedFallback } from "../net/fallback.ts";
import { openListeningSocket } from "../net/listen.ts";
import type { SocketOptions } from "../net/options.ts";
import { type Origin, originOf } from "../net/path_control.ts";
import { control } from "./mptcp_of.ts";
import { socketOptionsOf } from "./socket_options.ts";

/** The server's own `listen`. */
type NativeListen = (...args: unknown[]) => unknown;

/** What a call of `listen` asks for. */
export interface ListenRequest {
  options: NetListenOptions & SocketOptions;
  listener: (() => void) | undefined;
}

/** Whether a port is one, as `net.Server` sees it. */
function isPort(port: unknown): boolean {
  if (port === undefined || port === null) return true;
  if (typeof port !== "number" && (typeof port !== "string" || port.trim() === "")) return false;
  return Number.isInteger(Number(port)) && Number(port) >= 0 && Number(port) <= 65535;
}

const isNumeric = (text: string): boolean => text.trim() !== "" && Number(text) >= 0;

/** Reads the forms of `listen` that are about a port; `null` for the others, and for wrong arguments. */
export function requestOf(args: readonly unknown[]): ListenRequest | null {
  const last = args[args.length - 1];
  const listener = typeof last === "function" ? last as () => void : undefined;
  const [first, ...rest] = args.filter((arg) => typeof arg !== "function");
  if (typeof first === "object" && first !== null) {
    const options = first as NetListenOptions & { fd?: number; handle?: unknown; _handle?: unknown };
    const elsewhere = options.path !== undefined || options.fd !== undefined || options.handle || options._handle;
    return "port" in options && !elsewhere && isPort(options.port) ? { options, listener } : null;
  }
  if (typeof first === "string" && !isNumeric(first)) return null;
  if (!isPort(first)) return null;
  const port = Number(first ?? 0);
  const host = rest.find((arg) => typeof arg === "string");
  const backlog = rest.find((arg) => typeof arg === "number");
  return { options: { port, ...(host ? { host } : {}), ...(backlog ? { backlog } : {}) }, listener };
}

/** An error as `net.Server` makes it. */
function listenError(error: unknown, address: string, port: number): unknown {
  if (!(error instanceof MptcpError) || !["bind", "listen"].includes(error.syscall ?? "")) return error;
  const { code, errno } = error;
  const message = `listen ${code}: ${errnoMeaning(code)} ${address}${port ? `:${port}` : ""}`;
  return Object.assign(
    new Error(message, { cause: error }),
    { code, errno, syscall: "listen", address },
    port ? { port } : {},
  );
}

/** One server's listening. */
export class Listening {
  readonly #server: Server;
  readonly #made: SocketOptions;
  readonly #takesOptions: boolean;
  #options: SocketOptions = {};
  #arrivals: Arrivals | null = null;
  #address: AddressInfo | null = null;
  #refused: Fallback | null = null;
  /** Numbers the calls, so that an answer of the resolver after `close` is known to be late. */
  #calls = 0;

  /**
   * @param options What listening sockets are made with.
   * @param takesOptions Whether `listen` may say otherwise: not of servers that know nothing of such options.
   */
  constructor(server: Server, options: SocketOptions, takesOptions = true) {
    this.#server = server;
    this.#takesOptions = takesOptions;
    this.#made = this.#options = options;
  }

  /** Whether the listening socket is MPTCP. */
  get mptcp(): boolean {
    return this.#address !== null && this.#server.listening && this.#wanted && this.#refused === null;
  }

  /** Why it is not, though it was to be. */
  get refused(): Fallback | null {
    return this.#refused;
  }

  /** Where it listens; `null` when it does not, or by a socket that is not ours. */
  get address(): AddressInfo | null {
    return this.#server.listening ? this.#address : null;
  }

  get #wanted(): boolean {
    return this.#options.mptcp !== "off";
  }

  /** Listens; what is not about a port, and what is wrong, is the server's own affair. */
  listen(args: readonly unknown[], native: NativeListen): void {
    const request = requestOf(args);
    if (!this.#server.listening) this.#address = null;
    if (this.#server.listening || request === null) return void native(...args);
    const { options, listener } = request;
    this.#options = this.#takesOptions ? socketOptionsOf(this.#made, options) : this.#made;
    this.#refused = null;
    const call = ++this.#calls;
    let host: System | null;
    try {
      host = system();
    } catch (error) {
      return this.#failed(error); // a missing permission
    }
    if (host === null) return this.#listenPlain(args, native);
    if (listener) this.#server.once("listening", listener);
    const name = options.host;
    if (!name || ipVersion(name) !== 0) return this.#open(host, options, name || undefined, native);
    lookup(name, { all: true }, (error, found) => {
      if (call !== this.#calls) return;
      if (error) this.#server.emit("error", error);
      else this.#open(host, options, found.find(({ address }) => !address.startsWith("fe80:"))?.address, native);
    });
  }

  /** Stops what lasts as long as the listening; the server closes its socket by itself. */
  close(): void {
    this.#calls++;
    this.#arrivals?.close();
    this.#arrivals = null;
  }

  /** Where a connection comes from that arrives now; `null` by a socket that is not ours. */
  origin(): Origin | null {
    if (this.#address === null) return null;
    return originOf("server", this.#options, this.#refused, this.#arrivals?.paths ?? null);
  }

  /** Tells an accepted socket of its MPTCP side. */
  accepted(socket: Socket): void {
    const origin = this.origin();
    if (origin !== null) control(socket, origin, true);
  }

  #open(host: System, options: NetListenOptions, address: string | undefined, native: NativeListen): void {
    const { libc } = host;
    const port = Number(options.port ?? 0);
    const { backlog, reusePort, ipv6Only, signal } = options;
    const make = (hostname: string) =>
      openListeningSocket(libc, {
        ...this.#options,
        hostname,
        port,
        backlog: backlog || 511,
        reusePort: reusePort ?? false,
        ipv6Only: ipv6Only ?? false,
      });
    let fd = -1;
    try {
      this.#arrivals = new Arrivals({ ...this.#options, port });
      const made = address === undefined ? anywhere(make) : make(address);
      const { hostname, port: bound } = made.addr;
      fd = made.fd;
      this.#refused = made.refused;
      this.#address = { address: hostname, family: hostname.includes(":") ? "IPv6" : "IPv4", port: bound };
      native(...host.loop.listenArguments(fd, backlog || 511));
      if (signal && this.#server.listening) this.#closeAt(signal);
      if (!this.#server.listening) libc.close(fd); // the runtime has not taken it, and says why
    } catch (error) {
      this.close();
      this.#address = null;
      if (fd >= 0) libc.close(fd);
      this.#failed(listenError(error, address ?? "::", port));
    }
  }

  #closeAt(signal: AbortSignal): void {
    const close = () => void this.#server.close();
    if (signal.aborted) return process.nextTick(close);
    signal.addEventListener("abort", close, { once: true });
    this.#server.once("close", () => signal.removeEventListener("abort", close));
  }

  /** On a host without FFI. */
  #listenPlain(args: readonly unknown[], native: NativeListen): void {
    if (this.#wanted) this.#refused = unsupportedFallback(unsupportedReason() ?? "no FFI");
    if (this.#refused === null || this.#options.mptcp !== "require") return void native(...args);
    this.#failed(requiredError(this.#refused));
  }

  #failed(error: unknown): void {
    process.nextTick(() => this.#server.emit("error", error));
  }
}

/** On all addresses of both families, or of IPv4 where there is no IPv6. */
function anywhere<T>(make: (hostname: string) => T): T {
  try {
    return make("::");
  } catch (error) {
    const errno = error instanceof MptcpError ? -error.errno : 0;
    if (errno !== EAFNOSUPPORT && errno !== EADDRNOTAVAIL) throw error;
    return make("0.0.0.0");
  }
}
