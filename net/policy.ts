/**
 * What a path policy is, and what it has to act by.
 *
 * @module
 */
import { checkObject, show } from "../kernel/argument_checks.ts";
import type { Addr } from "../kernel/sockaddr.ts";
import type { SubflowOptionName, SubflowOptionValue } from "../kernel/subflow_option_names.ts";
import type { Subflow } from "../paths/connection.ts";
import type { HostInterface } from "../paths/host_view.ts";
import type { PathCandidate } from "../paths/path_candidates.ts";
import type {
  AddressAnnounced,
  AddressWithdrawn,
  FellBack,
  SubflowClosed,
  SubflowOpened,
  SubflowPriorityChanged,
} from "./conn_events.ts";
import type { PathControl } from "./path_control.ts";

/** A subflow has ended, and whether this process wanted it. */
export interface PolicySubflowClosed extends SubflowClosed {
  /** Whether it was closed by this process: by `closeSubflow`, or by a policy. */
  asked: boolean;
}

/**
 * What a policy does when something happens. All are called from the event loop, and none has to be there. What a hook throws
 * becomes a decision that failed, and nothing else.
 */
export interface PolicyHooks {
  /** A subflow is established, opened by either side. */
  subflowOpened?(event: SubflowOpened, context: PolicyContext): void;
  /** A subflow has ended, or one that was tried could not be opened. */
  subflowClosed?(event: PolicySubflowClosed, context: PolicyContext): void;
  /** The priority of a subflow was changed, by either side. */
  subflowPriority?(event: SubflowPriorityChanged, context: PolicyContext): void;
  /** The peer announced an address; `context.candidates()` heeds it already. */
  addressAnnounced?(event: AddressAnnounced, context: PolicyContext): void;
  /** The peer withdrew an address. */
  addressWithdrawn?(event: AddressWithdrawn, context: PolicyContext): void;
  /** The connection goes on as plain TCP: there will be no more paths. */
  fallback?(event: FellBack, context: PolicyContext): void;
  /** A policy, this one or another, could not open a path. */
  openFailed?(candidate: PathCandidate, error: unknown, context: PolicyContext): void;
  /** Links, addresses or routes of this host changed. */
  hostChanged?(context: PolicyContext): void;
  /** Called every `interval` ms, and when `context.wake` asked for it. */
  tick?(context: PolicyContext): void;
  /**
   * How often `tick` is called, ms.
   *
   * @default {undefined} only when `context.wake` asks for it
   */
  interval?: number;
  /**
   * Whether any policy may open this path.
   *
   * @returns `true`, or why not, in a person's words.
   */
  mayOpen?(candidate: PathCandidate, context: PolicyContext): true | string;
  /** The policy is stopped, or the connection has ended. */
  detach?(context: PolicyContext): void;
}

/**
 * A path policy: a plain object, which can be attached to any number of connections. What it remembers of one connection is
 * best kept in variables of `attach`, which returns the hooks for just that connection.
 *
 * @example Say what happens, and do nothing
 * ```ts
 * import { connect, listen } from "@mptcp/mptcp";
 * import { definePolicy } from "@mptcp/mptcp/policy";
 *
 * const observer = definePolicy({
 *   name: "observer",
 *   subflowOpened: ({ local, remote }) => console.log(local.hostname, "→", remote.hostname),
 * });
 * using listener = listen({ port: 0 });
 * using conn = await connect({ port: listener.addr.port });
 * using _ = conn.use(observer);
 * ```
 */
export interface Policy extends PolicyHooks {
  /** Under which name its decisions are told. */
  name: string;
  /**
   * Whether it is of no use where it cannot open paths or change priorities: then it is not attached to a connection that is
   * under the kernel's path manager. Else those of its actions fail there, by a decision each.
   *
   * @default {false} but for the ready-made policies
   */
  manages?: boolean;
  /** It is attached to a connection. Hooks that it returns are called besides the policy's own. */
  attach?(context: PolicyContext): PolicyHooks | void;
}

/** What a policy did, or would have done. */
export interface PolicyDecision {
  /** When it was taken, as `Date.now()`. */
  at: number;
  /** How long it took until the outcome was known, ms. */
  took: number;
  /** The policy's name. */
  policy: string;
  /** The connection's local token; `null` where it is plain TCP. */
  token: number | null;
  /**
   * What it is about: `"attach"` the policy and the connection, `"note"` something that was noticed, `"hook"` the policy's own
   * code, the others what was done to a path.
   */
  action: "attach" | "open" | "close" | "setBackup" | "setOption" | "announce" | "withdraw" | "note" | "hook";
  /** Why, in a person's words. */
  reason: string;
  /** `"refused"`: another policy has a say against it. */
  outcome: "done" | "failed" | "refused";
  /** What failed. */
  error?: unknown;
  /** Which policy refused it, and why. */
  refusal?: { policy: string; reason: string };
  /** `Subflow.id` */
  subflow?: number;
  /** Our address. */
  local?: string;
  /** The peer's address. */
  remote?: string;
  /** The interface. */
  interface?: string;
  /** What was set. */
  value?: boolean | number | string;
}

/** Options of `context.open`. */
export interface PolicyOpenOptions {
  /**
   * Use it as a backup only.
   *
   * @default {false}
   */
  backup?: boolean;
  /**
   * Milliseconds for all of it.
   *
   * @default {10000}
   */
  timeout?: number;
}

/**
 * What a policy has to act by. The actions never throw: what becomes of them is a decision, and is returned. A policy that
 * calls the connection's own methods instead leaves no trace of why.
 */
export interface PolicyContext {
  /** The connection. */
  readonly connection: PathControl;
  /** Who began the connection. Servers can seldom open subflows: clients do not listen. They announce addresses instead. */
  readonly side: "client" | "server";
  /** Aborted when the policy is stopped or the connection has ended. */
  readonly signal: AbortSignal;
  /** The clock that `wake` goes by, ms. */
  now(): number;
  /** Asks for a call of `tick` in so many ms. */
  wake(ms: number): void;
  /** The connection's subflows that are established. */
  subflows(): Subflow[];
  /** This host's interfaces and their addresses. */
  interfaces(): HostInterface[];
  /** The addresses that the peer has announced. */
  announced(): Addr[];
  /**
   * The paths that the connection could have by the routing table, its first one before the others: from each of the host's
   * addresses to each of the peer's.
   *
   * @param remotes Addresses of the peer that it did not announce. @default {[]}
   */
  candidates(remotes?: readonly string[]): PathCandidate[];
  /** The paths that policies are opening just now. */
  opening(): PathCandidate[];
  /** Whether the path has an established subflow, or one is being opened. */
  has(candidate: Pick<PathCandidate, "localAddress" | "remoteAddress">): boolean;
  /** Opens a path. @returns The subflow, or `null` where it failed or was refused. */
  open(candidate: PathCandidate, reason: string, options?: PolicyOpenOptions): Promise<Subflow | null>;
  /** Closes a subflow. @returns Whether it worked. */
  close(id: number, reason: string): Promise<boolean>;
  /** Makes a subflow a backup, or a regular one again. @returns Whether it worked. */
  setBackup(id: number, backup: boolean, reason: string): Promise<boolean>;
  /** Sets a socket option of one subflow. @returns Whether it worked. */
  setOption<N extends SubflowOptionName>(id: number, name: N, value: SubflowOptionValue<N>, reason: string): boolean;
  /** Announces an address of this host to the peer. @returns Whether it worked. */
  announce(address: string, reason: string): boolean;
  /** Tells the peer that an address of this host is gone; it closes the subflows there. @returns Whether it worked. */
  withdraw(address: string, reason: string): boolean;
  /** Tells of something that was noticed. */
  note(reason: string, about?: { subflow?: number; local?: string; remote?: string; interface?: string }): void;
}

/** A policy in use. */
export interface PolicyHandle extends Disposable {
  /** The policy. */
  readonly policy: Policy;
  /**
   * What it decides: first what it has decided (the last 256), then what it will. It ends with the policy. Waiting for
   * decisions does not keep the process alive.
   */
  decisions(): AsyncIterableIterator<PolicyDecision>;
  /** Detaches the policy. The paths stay as they are; a second call does nothing. */
  stop(): void;
}

const HOOKS = [
  "attach",
  "subflowOpened",
  "subflowClosed",
  "subflowPriority",
  "addressAnnounced",
  "addressWithdrawn",
  "fallback",
  "openFailed",
  "hostChanged",
  "tick",
  "mayOpen",
  "detach",
] as const;

/**
 * Checks that something is a policy.
 *
 * @throws {TypeError} When it is not.
 * @throws {RangeError} When `interval` is out of range.
 */
export function checkPolicy(policy: Policy): void {
  checkObject("policy", policy);
  const { name, interval, manages } = policy;
  if (typeof name !== "string" || name === "") {
    throw new TypeError(`Cannot use policy name ${show(name)}: it must be a string that is not empty`);
  }
  for (const hook of HOOKS) {
    const given = policy[hook];
    if (given !== undefined && typeof given !== "function") {
      throw new TypeError(`Cannot use ${hook} ${show(given)} of policy "${name}": it must be a function`);
    }
  }
  if (manages !== undefined && typeof manages !== "boolean") {
    throw new TypeError(`Cannot use manages ${show(manages)} of policy "${name}": it must be a boolean`);
  }
  if (interval === undefined) return;
  if (typeof interval !== "number") throw new TypeError(`Cannot use interval ${show(interval)}: it must be a number`);
  if (!(interval >= 10)) throw new RangeError(`Cannot use interval ${interval}: it must be 10 or more milliseconds`);
}
