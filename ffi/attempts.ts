/**
 * How a `net.Socket` comes to be connected: the lookup, the addresses in turn, the events and errors on the way. For Bun,
 * whose sockets cannot be given descriptors for their attempts: there they are told only of the connected one.
 *
 * It does what Node documents, and Bun's own `connect` does likewise.
 *
 * @module
 */
import { lookup as dnsLookup, type LookupAddress, type LookupOptions } from "node:dns";
import { getDefaultAutoSelectFamily, getDefaultAutoSelectFamilyAttemptTimeout, isIP, type Socket } from "node:net";
import process from "node:process";
import { ECANCELED, errnoName, ETIMEDOUT } from "../kernel/errno.ts";
import type { SocketTarget } from "./adapter.ts";

type Version = 4 | 6;

/** What attempts are made of. Results are 0 or `-errno`. */
export interface AttemptHost {
  /** Makes the descriptor of the next attempt, bound when a local address or port is given. */
  open(version: Version, localAddress: string | undefined, localPort: number | undefined): number;
  /**
   * Connects it; `done` is told the end, from the event loop.
   *
   * @returns How to stop it: `done` will not be called then.
   */
  connect(address: string, port: number, done: (result: number) => void): () => void;
  /** Closes a descriptor that was made and not connected. */
  discard(): void;
}

/** The parts of a socket that its type does not show. */
interface Inner {
  _host: string;
  _unrefTimer(): void;
  autoSelectFamilyAttemptedAddresses?: string[];
  blockList?: { check(address: string, family: "ipv4" | "ipv6"): boolean };
}

const inner = (socket: Socket): Inner => socket as unknown as Inner;

/** An error as `net.Socket` makes it: of class `Error`, worded as the system call. */
export function socketError(
  errno: number,
  syscall: string,
  address: string,
  port: number | undefined,
  local?: { address: string; port: number },
): Error {
  const code = errnoName(errno);
  const from = local === undefined ? "" : ` - Local (${local.address}:${local.port})`;
  const error = new Error(`${syscall} ${code} ${address}${port ? `:${port}` : ""}${from}`);
  Object.assign(error, { errno: -Math.abs(errno), code, syscall, address }, port ? { port } : {});
  if (local !== undefined) Object.assign(error, { localAddress: local.address, localPort: local.port });
  return error;
}

function coded<E extends Error>(error: E, code: string): E {
  return Object.assign(error, { code });
}

/** One run of `connect`, on a socket that says `connecting` already. */
export class Attempts {
  readonly #socket: Socket;
  readonly #target: SocketTarget;
  readonly #host: AttemptHost;
  readonly #port: number;
  readonly #errors: Error[] = [];
  #stop = () => {};
  #over = false;

  /** @param target Checked by the socket itself. */
  constructor(socket: Socket, target: SocketTarget, host: AttemptHost) {
    this.#socket = socket;
    this.#target = target;
    this.#host = host;
    this.#port = Number(target.port) | 0;
  }

  /** Ends the run, as the socket is destroyed. */
  stop(): void {
    this.#over = true;
    this.#stop();
    this.#host.discard();
  }

  /** @param lookupOptions What the socket itself would ask the resolver for; `null` for an address. */
  start(lookupOptions: LookupOptions | null): void {
    const { host = "localhost", localAddress, lookup = dnsLookup, autoSelectFamily } = this.#target;
    if (lookupOptions === null) {
      return process.nextTick(() => {
        if (!this.#over) this.#connectOne(host, isIP(host) as Version);
      });
    }
    const all = (autoSelectFamily ?? getDefaultAutoSelectFamily()) && !localAddress && !isFamily(lookupOptions.family);
    const answered = (error: Error | null, found: string | LookupAddress[], version?: number) => {
      if (this.#over) return;
      if (!all) return this.#found(error, [{ address: found as string, family: version! }]);
      this.#found(error, error ? [] : found as LookupAddress[]);
    };
    (lookup as (host: string, options: LookupOptions, done: typeof answered) => void)(
      host,
      all ? { ...lookupOptions, all } : lookupOptions,
      answered,
    );
  }

  #found(error: Error | null, addresses: readonly LookupAddress[]): void {
    const { host = "localhost" } = this.#target;
    if (error) {
      this.#socket.emit("lookup", error, undefined, undefined, host);
      return this.#fail(error);
    }
    const usable = new Map<string, Version>();
    for (const { address, family } of addresses) {
      this.#socket.emit("lookup", null, address, family, host);
      if (this.#over) return;
      if (isIP(address) && isFamily(family)) usable.set(address, family);
    }
    if (usable.size === 0) return this.#fail(this.#unusable(addresses[0]));
    inner(this.#socket)._unrefTimer();
    const order = interleaved([...usable]);
    if (order.length === 1) return this.#connectOne(...order[0]!);
    inner(this.#socket).autoSelectFamilyAttemptedAddresses = [];
    this.#connectNext(order);
  }

  #unusable(found: LookupAddress | undefined): Error {
    const { address, family } = found ?? {};
    if (typeof address !== "string" || !isIP(address)) {
      return coded(new TypeError(`Invalid IP address: ${address}`), "ERR_INVALID_IP_ADDRESS");
    }
    const { host, port } = this.#target;
    const message = `Invalid address family: ${family} ${host}:${port}`;
    return coded(new RangeError(message), "ERR_INVALID_ADDRESS_FAMILY");
  }

  /** An error that is there before anyone can listen waits for the next tick. */
  #fail(error: Error): void {
    process.nextTick(() => {
      if (!this.#over) this.#socket.destroy(error);
    });
  }

  #connectOne(address: string, version: Version): void {
    this.#try(address, version, (error) => {
      if (error) this.#socket.destroy(error);
    });
  }

  #blocked(address: string, version: Version): Error | null {
    if (!inner(this.#socket).blockList?.check(address, `ipv${version}`)) return null;
    return coded(new Error(`IP(${address}) is blocked by net.BlockList`), "ERR_IP_BLOCKED");
  }

  #connectNext(rest: readonly [string, Version][]): void {
    const [candidate, ...others] = rest;
    if (candidate === undefined) return void this.#socket.destroy(this.#combined());
    const [address, version] = candidate;
    const blocked = this.#blocked(address, version);
    if (blocked !== null) {
      this.#errors.push(blocked);
      this.#socket.emit("connectionAttemptFailed", address, this.#port, version, blocked);
      if (!this.#over) this.#connectNext(others);
      return;
    }
    let timer: ReturnType<typeof setTimeout> | undefined = undefined;
    const next = (error: Error) => {
      this.#errors.push(error);
      if (!this.#over) this.#connectNext(others);
    };
    inner(this.#socket).autoSelectFamilyAttemptedAddresses!.push(`${address}:${this.#port}`);
    const going = this.#try(address, version, (error) => {
      clearTimeout(timer);
      if (error) next(error);
    });
    if (!going || others.length === 0) return;
    const stop = this.#stop;
    timer = setTimeout(() => {
      this.#socket.emit("connectionAttemptTimeout", address, this.#port, version);
      stop();
      next(this.#error(ETIMEDOUT, address, version));
    }, Math.max(10, this.#target.autoSelectFamilyAttemptTimeout ?? getDefaultAutoSelectFamilyAttemptTimeout()));
    this.#stop = () => {
      clearTimeout(timer);
      stop();
    };
  }

  /** @returns Whether it is under way. */
  #try(address: string, version: Version, done: (error: Error | null) => void): boolean {
    const socket = this.#socket;
    const port = this.#port;
    const failed = (error: Error) => {
      socket.emit("connectionAttemptFailed", address, port, version, error);
      done(error);
    };
    const { localAddress, localPort } = this.#target;
    const bound = localAddress || localPort ? this.#host.open(version, localAddress, localPort) : 0;
    if (bound < 0) {
      done(socketError(bound, "bind", this.#local(version), localPort));
      return false;
    }
    socket.emit("connectionAttempt", address, port, version);
    if (this.#over) return false;
    const blocked = this.#blocked(address, version);
    if (blocked !== null) {
      this.#host.discard();
      done(blocked);
      return false;
    }
    const opened = localAddress || localPort ? 0 : this.#host.open(version, undefined, undefined);
    const ended = (result: number) => {
      if (this.#over) return;
      this.#over = result === 0;
      if (result === 0) done(null);
      else failed(this.#error(result, address, version));
    };
    if (opened < 0) {
      ended(opened);
      return false;
    }
    this.#stop = this.#host.connect(address, port, ended);
    return true;
  }

  #local(version: Version): string {
    return this.#target.localAddress ?? (version === 6 ? "::" : "0.0.0.0");
  }

  #error(errno: number, address: string, version: Version): Error {
    const { localPort } = this.#target;
    const local = localPort ? { address: this.#local(version), port: localPort } : undefined;
    return socketError(errno, "connect", address, this.#port, local);
  }

  #combined(): Error {
    const [first] = this.#errors;
    return coded(new AggregateError(this.#errors), (first as { code?: string } | undefined)?.code ?? errnoName(ECANCELED));
  }
}

function isFamily(family: unknown): family is Version {
  return family === 4 || family === 6;
}

/** Alternates the families, beginning with that of the first address. */
function interleaved(addresses: readonly [string, Version][]): [string, Version][] {
  const first = addresses[0]?.[1];
  const preferred = addresses.filter(([, version]) => version === first);
  const others = addresses.filter(([, version]) => version !== first);
  const order: [string, Version][] = [];
  for (let index = 0; index < Math.max(preferred.length, others.length); index++) {
    if (preferred[index]) order.push(preferred[index]!);
    if (others[index]) order.push(others[index]!);
  }
  return order;
}
