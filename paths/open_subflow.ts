/**
 * Opening one more subflow of one connection, and waiting until it is there.
 *
 * @module
 */
import { setImmediate } from "node:timers";
import { system } from "../ffi/mod.ts";
import { IPPROTO_TCP, SO_KEEPALIVE, SOL_SOCKET, TCP_KEEPIDLE } from "../kernel/constants.ts";
import { MptcpError, type MptcpErrorOptions } from "../kernel/error.ts";
import { canonicalAddress } from "../kernel/ip.ts";
import type { PathEvent, SubflowClosedEvent } from "../kernel/mptcp_event.ts";
import type { Addr } from "../kernel/sockaddr.ts";
import type { AddressIds } from "./address_ids.ts";
import { mptcpInfo, type Subflow, subflows } from "./connection.ts";
import { drainEvents, subscribe } from "./event_hub.ts";
import { PathManager } from "./path_manager.ts";
import { findSubflow } from "./sockets.ts";
import { isKernelManaged, PRIVILEGE } from "./subflow_control.ts";

/** A subflow to be opened. */
export interface SubflowRequest {
  /** The connection's local token. */
  token: number;
  localAddress: string;
  /** 0 lets the kernel pick one. */
  localPort: number;
  remoteAddress: string;
  remotePort: number;
  /** Bind it to the interface of this name. */
  interface: string | undefined;
  /** Ask the peer to use it as a backup only. */
  backup: boolean;
  /** `"endpoint"`: by an endpoint of the kernel's path manager, so for all connections. */
  via: "endpoint" | undefined;
}

const WHAT = "open a subflow";
/** How long a connection is given to become one that can have more subflows; see `wake`. */
const READY_PATIENCE = 5000;
/** How long the peer may take to refuse what it answered, at least. */
const CONFIRM_PATIENCE = 250;

const sameAddress = (a: string, b: string) => canonicalAddress(a) === canonicalAddress(b);

/** Whether a path is the one that was asked for. */
function matches(request: SubflowRequest, { local, remote }: { local: Addr; remote: Addr }): boolean {
  if (!sameAddress(local.hostname, request.localAddress)) return false;
  if (request.via === "endpoint") return true;
  return sameAddress(remote.hostname, request.remoteAddress) && remote.port === request.remotePort &&
    (request.localPort === 0 || request.localPort === local.port);
}

function failure(code: string, why: string, options: MptcpErrorOptions = {}): MptcpError {
  return new MptcpError(code, `Cannot ${WHAT}: ${why}`, { syscall: WHAT, ...options });
}

/** Why a subflow that was tried is gone. */
function refusal({ error, resetReason, remote }: SubflowClosedEvent): MptcpError {
  const { hostname: address, port } = remote;
  if (error?.code === "ECONNREFUSED") {
    return failure("ECONNREFUSED", "the peer has no listener there", {
      address,
      port,
      hint: "a join needs an MPTCP listener at that very address and port; one on 0.0.0.0 or :: serves all addresses",
    });
  }
  if (error?.code === "ETIMEDOUT") {
    return failure("ETIMEDOUT", "the peer did not answer", { address, port, hint: "the path may drop MPTCP's joins" });
  }
  const reason = resetReason?.code ? `: ${resetReason.meaning}` : "";
  return failure(error?.code ?? "ECONNRESET", `the peer refused the join${reason}`, {
    address,
    port,
    hint: "its limits may allow no more subflows (`ip mptcp limits` there), its listener may be plain TCP, " +
      "or something on the way removes MPTCP's options",
  });
}

/** Everything of one attempt. */
class Attempt {
  readonly #fd: () => number;
  readonly #request: SubflowRequest;
  /** Ids and local ports of the subflows that were there before: not ours, also when their end is told only now. */
  readonly #before: ReadonlySet<number>;
  readonly #othersPorts: ReadonlySet<number>;
  readonly #settle: (result: Subflow | Error) => void;
  /** The subflow, from the moment that the kernel has begun it. */
  #path: { local: Addr; remote: Addr } | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #answered = 0;
  #over = false;

  constructor(fd: () => number, request: SubflowRequest, settle: (result: Subflow | Error) => void) {
    this.#fd = fd;
    this.#request = request;
    this.#settle = settle;
    const others = subflows(fd());
    this.#before = new Set(others.map(({ id }) => id));
    this.#othersPorts = new Set(others.map(({ local }) => local.port));
  }

  /** The row of the subflow, if it is there. */
  #row(): Subflow | undefined {
    const fd = this.#fd();
    if (fd < 0) return undefined;
    return subflows(fd).find((row) =>
      !this.#before.has(row.id) && (this.#path === null ? matches(this.#request, row) : this.#is(row))
    );
  }

  #is({ local, remote }: { local: Addr; remote: Addr }): boolean {
    const mine = this.#path;
    if (mine === null) return !this.#othersPorts.has(local.port) && matches(this.#request, { local, remote });
    return local.port === mine.local.port && remote.port === mine.remote.port &&
      sameAddress(local.hostname, mine.local.hostname) && sameAddress(remote.hostname, mine.remote.hostname);
  }

  /** The kernel has sent the SYN: from its row on, the subflow is known by its ports. */
  begun(): void {
    const row = this.#row();
    if (row === undefined) return;
    this.#path = { local: row.local, remote: row.remote };
    if (row.state === "ESTABLISHED") this.#confirm();
  }

  /** The ends of a subflow that was begun. */
  get path(): { local: Addr; remote: Addr } | null {
    return this.#path;
  }

  event(event: PathEvent): void {
    if (event.type === "closed") return this.#settle(failure("ECONNABORTED", "the connection was closed"));
    if (event.type === "subflowEstablished" && this.#is(event)) {
      this.#path ??= { local: event.local, remote: event.remote };
      this.#confirm();
    }
    if (event.type === "subflowClosed" && this.#is(event)) this.#settle(refusal(event));
  }

  /** What events would have told is asked for. */
  resync(): void {
    const row = this.#row();
    if (row?.state === "ESTABLISHED") this.#confirm();
    else if (row === undefined && this.#path !== null) this.#settle(failure("ECONNRESET", "the subflow was closed"));
  }

  /**
   * The peer has answered the SYN, and may still refuse the join: the subflow is established only when the peer has
   * acknowledged our answer to that, half the handshake later. No event tells; a flag of the socket does.
   */
  #confirm(): void {
    clearTimeout(this.#timer);
    this.#answered ||= performance.now();
    const row = this.#row();
    if (row === undefined) return; // the event of its end is on the way
    const rtt = (row.tcpInfo.rtt ?? 0) / 1000;
    const waited = performance.now() - this.#answered;
    const known = findSubflow(row.local, row.remote)?.subflow;
    if (known === undefined || known.fullyEstablished || waited > Math.max(CONFIRM_PATIENCE, 3 * rtt)) {
      return this.#settle(row);
    }
    const pause = waited < rtt ? rtt - waited : rtt / 16;
    // A timer takes a millisecond at least, which is long where the peer is near.
    if (pause < 1 && waited < 2) setImmediate(() => this.#over || this.#confirm());
    else this.#timer = setTimeout(() => this.#confirm(), pause);
  }

  stop(): void {
    this.#over = true;
    clearTimeout(this.#timer);
  }
}

/**
 * Lets an idle connection become one that can have more subflows: its client may not open any before the peer has
 * acknowledged something. A keep-alive probe makes the peer do so, and is no data.
 *
 * @returns What ends it.
 */
function wake(fd: () => number, token: number): () => void {
  const other = woken.get(token);
  if (other !== undefined) other.count++;
  else woken.set(token, { count: 1, restore: probe(fd) });
  return () => {
    const mine = woken.get(token);
    if (mine === undefined || --mine.count > 0) return;
    woken.delete(token);
    mine.restore();
  };
}

/** Connections that are being woken, by token: of several attempts at once the last one puts back what was before the first. */
const woken = new Map<number, { count: number; restore: () => void }>();

function probe(fd: () => number): () => void {
  const { libc } = system()!;
  const before = [libc.getInt(fd(), SOL_SOCKET, SO_KEEPALIVE), libc.getInt(fd(), IPPROTO_TCP, TCP_KEEPIDLE)] as const;
  libc.setInt(fd(), SOL_SOCKET, SO_KEEPALIVE, 1);
  libc.setInt(fd(), IPPROTO_TCP, TCP_KEEPIDLE, 1); // seconds, and the least there is
  return () => {
    if (fd() < 0) return;
    if (before[1] > 0) libc.setInt(fd(), IPPROTO_TCP, TCP_KEEPIDLE, before[1]);
    libc.setInt(fd(), SOL_SOCKET, SO_KEEPALIVE, before[0] > 0 ? 1 : 0);
  };
}

/** Whether the peer's MPTCP is certain. */
function isReady(fd: number): boolean {
  return subflows(fd).some(({ local, remote }) => findSubflow(local, remote)?.subflow.fullyEstablished);
}

/** The kernel's refusals of the command, in the library's words. */
function explain(error: unknown, { localAddress }: SubflowRequest): unknown {
  if (!(error instanceof MptcpError)) return error;
  const { code, detail } = error;
  if (code === "EPERM") {
    return failure("EPERM", "CAP_NET_ADMIN is needed over this network namespace", { hint: PRIVILEGE, cause: error });
  }
  const hints: Record<string, string> = {
    EADDRNOTAVAIL: `${localAddress} is no address of this host`,
    EADDRINUSE: "that local port is taken",
    EACCES: "local ports below 1024 need CAP_NET_BIND_SERVICE",
    ENETUNREACH: "there is no route from that local address to that remote one",
    ENOTCONN: "the peer has acknowledged nothing yet: exchange some data first",
  };
  if (isKernelManaged(error)) {
    return failure("EOPNOTSUPP", "the kernel's path manager manages this connection, and opens none for one alone", {
      detail,
      hint: 'connect with paths: "userspace" (or under net.mptcp.path_manager=userspace) to open them one by one; or pass ' +
        'via: "endpoint", which makes a `subflow` endpoint, and so a subflow of each connection',
      cause: error,
    });
  }
  return failure(code, detail ?? error.message, { detail, hint: hints[code], cause: error });
}

/** The kernel made nothing of an endpoint, and does not say why. */
const unopened = () =>
  failure("ETIMEDOUT", "the kernel opened none for the endpoint", {
    hint: "its limits may be reached (`ip mptcp limits`), the peer may refuse joins to its initial address, " +
      "or the connection is not under the kernel's path manager",
  });

/** The command. Once it has succeeded, `undo` ends what it began. */
function begin(
  paths: PathManager,
  fd: () => number,
  ids: AddressIds,
  request: SubflowRequest,
): (path: Attempt["path"]) => void {
  const { token, localAddress, localPort, remoteAddress, remotePort, interface: name, backup, via } = request;
  if (via === "endpoint") {
    const { subflows: used = 0, subflowsMax = Infinity } = mptcpInfo(fd()) ?? {};
    if (used >= subflowsMax) {
      throw failure("ERANGE", `the connection has all the ${used} additional subflows that the host's limits allow it`, {
        hint: `\`ip mptcp limits set subflows ${used + 1}\`, for connections to come`,
      });
    }
    const { id } = paths.addEndpoint({
      address: localAddress,
      subflow: true,
      backup,
      ...(name === undefined ? {} : { interface: name }),
    });
    return () => paths.removeEndpoint(id);
  }
  ids.refresh(paths, token, subflows(fd()));
  const localId = ids.idFor(localAddress, localPort);
  if (localId === null) throw failure("ERANGE", "all 255 ids of addresses are in use in this connection");
  paths.createSubflow({
    token,
    localAddress,
    localId,
    remoteAddress,
    remotePort,
    backup,
    ...(localPort === 0 ? {} : { localPort }),
    ...(name === undefined ? {} : { interface: name }),
  });
  ids.learn(localAddress, localPort, localId);
  return (path) => {
    if (path === null) return;
    const end = ({ hostname, port }: Addr) => ({ address: hostname, port });
    paths.destroySubflow({ token, local: end(path.local), remote: end(path.remote) });
  };
}

/**
 * Opens a subflow.
 *
 * @param fd The connection's descriptor, -1 once it is closed.
 * @param ids What is known of the connection's ids.
 * @returns The subflow, when the peer has confirmed it.
 * @throws {MptcpError} With the kernel's reason; `signal.reason` after an abort: what was begun is undone then.
 */
export function openSubflow(
  fd: () => number,
  ids: AddressIds,
  request: SubflowRequest,
  signal: AbortSignal,
): Promise<Subflow> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const cleanups: (() => void)[] = [];
    let undo: ((path: Attempt["path"]) => void) | null = null;
    let settled = false;
    const settle = (result: Subflow | Error | { reason: unknown }) => {
      if (settled) return;
      settled = true;
      signal.removeEventListener("abort", aborted);
      attempt.stop();
      if ("reason" in result || result instanceof Error) {
        try {
          undo?.(attempt.path);
        } catch {
          // It has ended by itself.
        }
      }
      for (const cleanup of cleanups.reverse()) cleanup();
      if ("reason" in result) reject(result.reason);
      else if (result instanceof Error) reject(result);
      else resolve(result);
    };
    const aborted = () => settle({ reason: signal.reason });
    const attempt = new Attempt(fd, request, settle);
    const within = (milliseconds: number, error: () => Error) => {
      const timer = setTimeout(() => settle(error()), milliseconds);
      cleanups.push(() => clearTimeout(timer));
    };
    let probed = false;
    const start = () => {
      try {
        drainEvents(); // of earlier subflows between the same addresses
        undo = begin(paths, fd, ids, request);
        attempt.begun();
        if (request.via === undefined) return;
        if (!isReady(fd())) cleanups.push(wake(fd, request.token));
        within(READY_PATIENCE, unopened);
      } catch (error) {
        const notReady = error instanceof MptcpError && error.code === "ENOTCONN";
        if (!notReady) return settle(explain(error, request) as Error);
        if (probed) return;
        probed = true;
        cleanups.push(wake(fd, request.token));
        within(READY_PATIENCE, () => explain(error, request) as Error);
      }
    };
    let paths: PathManager;
    try {
      paths = PathManager.open();
      cleanups.push(() => paths.close());
      const events = subscribe(request.token, {
        event(event) {
          if (undo !== null || event.type === "closed") attempt.event(event);
          else if (event.type === "established" && probed) start();
        },
        lost: () => undo === null ? start() : attempt.resync(),
        failed: (error) => settle(error as Error),
      });
      events.setRef(true);
      cleanups.push(() => events.close());
    } catch (error) {
      return settle(explain(error, request) as Error);
    }
    signal.addEventListener("abort", aborted, { once: true });
    start();
  });
}
