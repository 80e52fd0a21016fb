/**
 * What MPTCP adds to a connection: its paths and its options, whatever carries its bytes.
 *
 * @module
 */
import { system, unsupportedReason } from "../ffi/mod.ts";
import { MptcpError } from "../kernel/error.ts";
import type { MptcpInfo } from "../kernel/mptcp_info.ts";
import type { Addr } from "../kernel/sockaddr.ts";
import type { SubflowOptionName, SubflowOptionValue } from "../kernel/subflow_option_names.ts";
import { AddressIds } from "../paths/address_ids.ts";
import * as kernel from "../paths/connection.ts";
import type { Subflow } from "../paths/connection.ts";
import { announcedBy, listenToEvents } from "../paths/event_hub.ts";
import { openSubflow } from "../paths/open_subflow.ts";
import { defaultMode } from "../paths/path_manager_mode.ts";
import { getSocketOption, setSocketOption } from "../paths/socket_options.ts";
import { getSubflowOption, optionOf, setSubflowOption } from "../paths/subflow_options.ts";
import { closeSubflow, setSubflowBackup, subflowGone } from "../paths/subflow_control.ts";
import { closedError } from "./byte_io.ts";
import { type ConnEvents, EventFeeds } from "./conn_events.ts";
import { withDeadline } from "./deadline.ts";
import { acceptedFallback, establishedFallback, type Fallback, handshakeFallback } from "./fallback.ts";
import type { SocketOptions } from "./options.ts";
import { checkOpenSubflowOptions, completeRequest, type OpenSubflowOptions } from "./open_subflow.ts";
import { checkPolicy, type Policy, type PolicyHandle } from "./policy.ts";
import { PolicyEngine } from "./policy_engine.ts";
import { PolicyUse } from "./policy_use.ts";
import { processPolicies } from "./process_policies.ts";

/** Where a connection comes from, and what is known of it besides what the kernel tells. */
export interface Origin {
  /** Who began it. */
  side: "client" | "server";
  /** Whether MPTCP was wanted. */
  wanted: boolean;
  /** When and why it is plain TCP, as far as that is known. */
  fallback: Fallback | null;
  /** Whether it came out of the handshake as MPTCP; `null` before anybody has asked. */
  wasMultipath: boolean | null;
  /** Who manages its paths; `null` where nobody asked for anything: as the host said when the socket was made. */
  paths: "kernel" | "userspace" | null;
  /** What has listened to events since before the connection was made, so that nothing is missed; the connection's own. */
  listening?: Disposable | null;
}

/** Where a connection comes from, when it is new. */
export function originOf(
  side: Origin["side"],
  options: SocketOptions | undefined,
  refused: Fallback | null,
  paths: Origin["paths"] = options?.paths ?? null,
): Origin {
  return { side, wanted: options?.mptcp !== "off", fallback: refused, wasMultipath: null, paths };
}

/** What a connection said last, for questions after its streams have closed it. */
interface LastWords {
  info: MptcpInfo | null;
  subflows: Subflow[];
  multipath: boolean;
}

/** Attaches a policy for which somebody else has the handle: a listener, or the process. */
export let attachPolicy: (control: PathControl, use: PolicyUse) => void;

/** See the module's comment: the part of `Conn` that is about paths and not about bytes. */
export abstract class PathControl {
  readonly #origin: Origin;
  readonly #feeds = new EventFeeds();
  #policies: PolicyEngine | null = null;
  #ids: AddressIds | null = null;
  #listening: Disposable | null;
  #lastWords: LastWords | null = null;

  /**
   * Connections are made by `connect`, `Listener.accept` and the like.
   *
   * @param origin Where the connection comes from; kept, and completed as more is known.
   */
  constructor(origin: Origin) {
    this.#origin = origin;
    this.#listening = origin.listening ?? null;
  }

  static {
    attachPolicy = (control, use) => {
      if (control.isOpen) control.#engine().attach(use);
    };
  }

  /** The descriptor; -1 while not connected, once closed, and on hosts without FFI. It stays ours: do not close it. */
  abstract get fd(): number;
  /** Our end: of the initial subflow, also when that is gone. */
  abstract get localAddr(): Addr;
  /** The peer's end of the initial subflow. */
  abstract get remoteAddr(): Addr;
  /** Whether it is connected, also where there is no descriptor to tell. */
  protected abstract get isOpen(): boolean;

  /** The connection is there. */
  protected begun(): void {
    const { side, paths } = this.#origin;
    const { fd } = this;
    // Asked now, as a fallback later on is another matter.
    if (fd >= 0) this.#wasMultipath(fd);
    if (paths === "userspace" && this.#origin.wasMultipath) this.#manage();
    // For a client the cause is looked up now, as the counters are fresh; for a server's many clients when somebody asks.
    if (side === "client" && fd >= 0) this.fallback();
    for (const use of processPolicies()) attachPolicy(this, use);
  }

  /** It is under the userspace path manager: the kernel takes no join while nobody in the namespace listens to events. */
  #manage(): void {
    this.#origin.paths = "userspace";
    if (this.isOpen) this.#listening ??= listenToEvents();
  }

  /** The connection is about to be closed: what has happened to its paths is told while it can be asked about them. */
  protected ending(): void {
    this.#feeds.catchUp();
  }

  /** The connection is gone. */
  protected ended(error?: unknown): void {
    this.#listening?.[Symbol.dispose]();
    this.#listening = null;
    this.#policies?.ended();
    this.#feeds.ended(error);
  }

  /** Keeps the answers of now, for questions after the end. */
  protected keepLastWords(): void {
    this.#lastWords = { info: this.info(), subflows: this.subflows(), multipath: this.isMultipath() };
  }

  /** The descriptor, for one synchronous stretch; -1 on a host without FFI. */
  #open(syscall: string): number {
    const { fd } = this;
    if (fd < 0 && (system() !== null || !this.isOpen)) throw closedError(syscall);
    return fd;
  }

  /** The descriptor, for what only the kernel can do. */
  #descriptor(syscall: string): number {
    const fd = this.#open(syscall);
    if (fd >= 0) return fd;
    throw new MptcpError("EOPNOTSUPP", `Cannot ${syscall}: ${unsupportedReason() ?? "this host has no FFI"}`, { syscall });
  }

  /** The local 32-bit key under which netlink commands and events name the connection; `null` when it is plain TCP. */
  get token(): number | null {
    return this.info()?.token ?? null;
  }

  /**
   * Who manages the connection's paths: the kernel, by endpoints and limits, or a program, by `openSubflow` and the like.
   * The kernel decides that when a socket is made and does not tell later: where no `paths` was asked for, this is what the
   * host says at the first look. `null` when it is plain TCP, and on kernels before Linux 5.19.
   */
  get pathManager(): "kernel" | "userspace" | null {
    return this.isMultipath() ? this.#origin.paths ??= defaultMode() : null;
  }

  /** Whether it came out of the handshake as MPTCP. */
  #wasMultipath(fd: number): boolean {
    const origin = this.#origin;
    return origin.wasMultipath ??= origin.wanted && origin.fallback === null && kernel.isMptcp(fd);
  }

  /** Whether the connection speaks MPTCP now. The kernel is asked each time. */
  isMultipath(): boolean {
    if (this.#lastWords) return this.#lastWords.multipath;
    const fd = this.#open("isMultipath");
    return fd >= 0 && this.#wasMultipath(fd) && kernel.isMptcp(fd);
  }

  /**
   * When and why the connection is plain TCP; `null` while it speaks MPTCP, and when TCP was asked for (`mptcp: "off"`).
   * The kernel tells that a connection fell back, its counters tell why: where other connections fall back in the same
   * moment, the cause may be theirs.
   */
  fallback(): Fallback | null {
    const origin = this.#origin;
    if (origin.fallback !== null || !origin.wanted || this.#lastWords) return origin.fallback;
    const fd = this.#open("fallback");
    if (fd < 0) return null;
    if (!this.#wasMultipath(fd)) origin.fallback = origin.side === "client" ? handshakeFallback() : acceptedFallback();
    else if (!kernel.isMptcp(fd)) origin.fallback = establishedFallback();
    return origin.fallback;
  }

  /** `struct mptcp_info`: what the kernel tells about the whole connection; `null` when it is plain TCP. */
  info(): MptcpInfo | null {
    if (this.#lastWords) return this.#lastWords.info;
    const fd = this.#open("info");
    return fd >= 0 && this.#wasMultipath(fd) ? kernel.mptcpInfo(fd) : null;
  }

  /**
   * The live subflows, by one atomic read of the kernel. Of a connection that is plain TCP one entry with id 0.
   *
   * @example Print each path's round-trip time in milliseconds
   * ```ts
   * import { connect, listen } from "@mptcp/mptcp";
   *
   * using listener = listen({ port: 0 });
   * using conn = await connect({ port: listener.addr.port });
   * for (const { id, local, remote, tcpInfo } of conn.subflows()) {
   *   console.log(id, local.hostname, remote.hostname, (tcpInfo.rtt ?? 0) / 1000);
   * }
   * ```
   */
  subflows(): Subflow[] {
    if (this.#lastWords) return this.#lastWords.subflows;
    const fd = this.#open("subflows");
    return fd >= 0 ? kernel.subflows(fd) : [kernel.plainSubflow(this.localAddr, this.remoteAddr)];
  }

  /**
   * Opens one more subflow, of this connection alone. It must be under the userspace path manager (`connect` with
   * `paths: "userspace"`, or a host that says so); under the kernel's see `via`. Needs CAP_NET_ADMIN over the network
   * namespace. To a port other than the connection's a subflow can be opened only after the peer has announced it.
   *
   * A connection on which nothing was exchanged yet is woken first, by a keep-alive probe: that takes a second.
   *
   * @returns The subflow, when the peer has confirmed it: after the whole handshake of four segments, two round trips.
   * @throws {TypeError} When an option has the wrong type.
   * @throws {RangeError} When a number is out of range.
   * @throws {MptcpError} With the kernel's reason: `EOPNOTSUPP` for plain TCP, and under the kernel's path manager; `EPERM`
   * without the privilege; `EADDRNOTAVAIL`, `ENETUNREACH`, `EADDRINUSE`, `EACCES` as for a connect; `ECONNREFUSED`,
   * `ECONNRESET`, `ETIMEDOUT` as the peer answered, or not.
   *
   * @example Use the second interface as well
   * ```ts ignore
   * import { connect } from "@mptcp/mptcp";
   *
   * using conn = await connect({ hostname: "server.example", port: 8080, paths: "userspace" });
   * const subflow = await conn.openSubflow({ interface: "wlan0" });
   * console.log(subflow.id, subflow.local.hostname);
   * ```
   */
  openSubflow(options: OpenSubflowOptions = {}): Promise<Subflow> {
    return this.#attempt(async () => {
      checkOpenSubflowOptions(options);
      options.signal?.throwIfAborted();
      const syscall = "open a subflow";
      const fd = this.#descriptor(syscall);
      const token = kernel.token(fd);
      if (token === null) {
        throw new MptcpError("EOPNOTSUPP", "Cannot open a subflow: the connection is plain TCP and can have only one", {
          syscall,
          hint: this.fallback()?.message,
        });
      }
      const ids = this.#addressIds();
      return await withDeadline(options, syscall, async (signal) => {
        const request = await completeRequest(options, { token, remote: this.remoteAddr }, signal);
        const subflow = await openSubflow(() => this.fd, ids, request, signal);
        if (request.via === undefined) this.#manage();
        return subflow;
      });
    });
  }

  /**
   * Closes one subflow of this connection, which goes on over the others. Needs CAP_NET_ADMIN over the network namespace.
   * Under the kernel's path manager the peer sees a reset of that path, and the kernel does not open it anew. It is done when
   * the subflow is gone; over a path that is dead that may take long, and is waited for a second only.
   *
   * @param id `Subflow.id`
   * @throws {MptcpError} `EINVAL` for an id that no live subflow has, `EPERM` without the privilege, `EOPNOTSUPP` when the
   * connection is plain TCP.
   */
  closeSubflow(id: number): Promise<void> {
    return this.#attempt(async () => {
      const fd = this.#descriptor("close the subflow");
      this.#policies?.asked(id);
      closeSubflow(fd, id);
      await subflowGone(() => this.fd, id);
    });
  }

  /**
   * Makes a subflow a backup, used while no other works, or a regular one again; the peer is told (MP_PRIO). For connections
   * under the userspace path manager; needs CAP_NET_ADMIN over the network namespace.
   *
   * @param id `Subflow.id`
   * @throws {MptcpError} `EOPNOTSUPP` under the kernel's path manager, which changes priorities for all connections at once:
   * see `PathManager.setEndpointFlags`.
   */
  setSubflowBackup(id: number, backup: boolean): Promise<void> {
    return this.#attempt(() => {
      this.#feeds.catchUp();
      this.#feeds.priority(setSubflowBackup(this.#descriptor("change the subflow's priority"), id, backup));
    });
  }

  /**
   * Reads a socket option of one subflow. By an eBPF program, which takes CAP_BPF and CAP_PERFMON outside of user namespaces;
   * without them what sock_diag tells: TCP_CONGESTION, IP_TOS, SO_SNDBUF, SO_RCVBUF, and SO_MARK with CAP_NET_ADMIN.
   *
   * @param id `Subflow.id`
   * @param name Such as `"TCP_CONGESTION"`.
   * @throws {MptcpError} `EPERM` without the privilege, `EINVAL` for an option that the kernel has not for one subflow.
   */
  getSubflowOption<N extends SubflowOptionName>(id: number, name: N): SubflowOptionValue<N>;
  /**
   * Reads an `int` option of one subflow.
   *
   * @param id `Subflow.id`
   * @param level Such as 1 (SOL_SOCKET) or 6 (SOL_TCP).
   * @param name The option's number at that level.
   */
  getSubflowOption(id: number, level: number, name: number): number;
  /**
   * Reads the bytes of an option of one subflow.
   *
   * @param id `Subflow.id`
   * @param level Such as 1 (SOL_SOCKET) or 6 (SOL_TCP).
   * @param name The option's number at that level.
   * @param size How many bytes to ask for, 1 to 64.
   */
  getSubflowOption(id: number, level: number, name: number, size: number): Uint8Array;
  getSubflowOption(
    id: number,
    level: SubflowOptionName | number,
    name?: number,
    size?: number,
  ): number | string | Uint8Array {
    const option = optionOf(level, name, size);
    return getSubflowOption(this.#descriptor("read the subflow's option"), id, option);
  }

  /**
   * Sets a socket option of one subflow, which the others and the connection do not notice: its congestion control, its mark
   * for routing, its pacing … By an eBPF program: it takes CAP_BPF and CAP_PERFMON outside of user namespaces.
   *
   * Setting the same option on the whole connection later sets it on all subflows again.
   *
   * @param id `Subflow.id`
   * @param name Such as `"SO_MAX_PACING_RATE"` (bytes a second).
   * @param value As the option's kind is, or its bytes.
   * @throws {MptcpError} `EPERM` without the privilege, `EINVAL` for an option or a value that the kernel does not take for one
   * subflow, `ENOENT` for an unknown congestion control.
   *
   * @example Give up a dead path after a second, and spare an expensive one
   * ```ts ignore
   * import { connect } from "@mptcp/mptcp";
   *
   * using conn = await connect({ hostname: "server.example", port: 8080 });
   * for (const { id, local } of conn.subflows()) {
   *   conn.setSubflowOption(id, "TCP_USER_TIMEOUT", 1000);
   *   if (local.hostname === "192.0.2.7") conn.setSubflowOption(id, "SO_MAX_PACING_RATE", 125_000);
   * }
   * ```
   */
  setSubflowOption<N extends SubflowOptionName>(id: number, name: N, value: SubflowOptionValue<N> | Uint8Array): void;
  /**
   * Sets an option of one subflow by its number.
   *
   * @param id `Subflow.id`
   * @param level Such as 1 (SOL_SOCKET) or 6 (SOL_TCP).
   * @param name The option's number at that level.
   * @param value A number for an `int` option, or the option's bytes, 1 to 64.
   */
  setSubflowOption(id: number, level: number, name: number, value: number | Uint8Array): void;
  setSubflowOption(id: number, level: SubflowOptionName | number, ...rest: unknown[]): void {
    const byName = typeof level === "string";
    const option = optionOf(level, byName ? undefined : rest[0] as number, undefined);
    setSubflowOption(this.#descriptor("set the subflow's option"), id, option, rest[byName ? 0 : 1]);
  }

  /** What `work` throws becomes a rejection. */
  async #attempt<T>(work: () => T | Promise<T>): Promise<T> {
    return await work();
  }

  /**
   * What happens to the connection's paths from now on, until it is closed. Each call gives its own events, to be iterated
   * once; they wait until they are asked for, and waiting for them keeps the process alive.
   *
   * Needs no privilege. With CAP_NET_ADMIN the kernel tells, with reasons; else the subflows are looked at now and then:
   * `source` says which.
   *
   * @example
   * ```ts
   * import { connect, listen } from "@mptcp/mptcp";
   *
   * using listener = listen({ port: 0 });
   * const conn = await connect({ port: listener.addr.port });
   * const events = conn.events();
   * console.log(events.source);
   * conn.close();
   * for await (const event of events) console.log(event.type);
   * ```
   */
  events(): ConnEvents {
    return this.#events(false);
  }

  #events(quiet: boolean): ConnEvents {
    const fd = this.#open("events");
    const control = this as PathControl;
    return this.#feeds.open({
      token: fd < 0 ? null : control.token,
      subflows: () => control.fd < 0 ? [] : control.subflows(),
      fallback: () => control.fallback(),
    }, quiet);
  }

  #addressIds(): AddressIds {
    return this.#ids ??= new AddressIds(this.localAddr);
  }

  /**
   * Attaches a policy, which manages the connection's paths until it is stopped or the connection ends: see `./policy`. Several
   * policies go together: what one may not open, no other does.
   *
   * Where it can do nothing, as the connection is plain TCP, or under the kernel's path manager while the policy would have to
   * manage it, the first of `decisions()` says so, and they end: whether that is so is seldom the program's doing.
   *
   * @throws {TypeError} When it is no policy.
   * @throws {MptcpError} `EBADF` when the connection is closed.
   *
   * @example All paths there are, kept alive
   * ```ts ignore
   * import { connect } from "@mptcp/mptcp";
   * import { fullMesh, selfHealing } from "@mptcp/mptcp/policy";
   *
   * using conn = await connect({ hostname: "server.example", port: 8080, paths: "userspace" });
   * conn.use(fullMesh());
   * const healing = conn.use(selfHealing());
   * for await (const { action, reason, outcome } of healing.decisions()) console.log(action, outcome, reason);
   * ```
   */
  use(policy: Policy): PolicyHandle {
    checkPolicy(policy);
    this.#open("use a policy");
    const use = new PolicyUse(policy);
    attachPolicy(this, use);
    use.noMore();
    return use;
  }

  #engine(): PolicyEngine {
    if (this.pathManager === "userspace") this.#manage();
    return this.#policies ??= new PolicyEngine({
      control: this,
      side: this.#origin.side,
      events: () => this.#events(true),
      ids: () => this.#addressIds(),
      announced: () => announcedBy(this.token ?? 0).map(({ remote }) => remote),
    });
  }

  /**
   * Reads a socket option of the whole connection.
   *
   * @param level Such as 1 (SOL_SOCKET), 6 (SOL_TCP) or 284 (SOL_MPTCP).
   * @param name The option's number at that level.
   * @returns An `int` option's value.
   * @throws {MptcpError} With a hint, when MPTCP does not support the option.
   */
  getOption(level: number, name: number): number;
  /**
   * Reads the bytes of a socket option of the whole connection.
   *
   * @param size How many bytes to ask for, 1 to 65536.
   * @returns As many bytes as the kernel gave.
   */
  getOption(level: number, name: number, size: number): Uint8Array;
  getOption(level: number, name: number, size?: number): number | Uint8Array {
    return getSocketOption(this.#descriptor("getsockopt"), level, name, size);
  }

  /**
   * Sets a socket option of the whole connection, so of all present and future subflows.
   *
   * @param value A number for an `int` option, or the option's bytes.
   * @throws {MptcpError} With a hint, when MPTCP does not support the option.
   */
  setOption(level: number, name: number, value: number | Uint8Array): void {
    setSocketOption(this.#descriptor("setsockopt"), level, name, value);
  }
}
