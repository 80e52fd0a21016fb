/**
 * Path policies: when to open which path of a connection, and why. Plain objects with hooks on a connection's events, for one
 * connection (`conn.use`), all of a listener (`listener.use`) or all of a process (`usePolicy`).
 *
 * @example Two paths over the only interface there is, and why they were opened
 * ```ts no-assert
 * import { connect, listen } from "@mptcp/mptcp";
 * import { definePolicy, nSubflows } from "@mptcp/mptcp/policy";
 *
 * using listener = listen({ port: 0 });
 * using conn = await connect({ port: listener.addr.port });
 * if (conn.pathManager === "userspace") {
 *   const policy = conn.use(nSubflows(2));
 *   for await (const { action, outcome, reason } of policy.decisions()) console.log(action, outcome, reason);
 * } else {
 *   conn.use(definePolicy({ name: "observer", subflowOpened: console.log }));
 * }
 * ```
 *
 * @module
 */
export type { Addr } from "../kernel/sockaddr.ts";
export type {
  AddressAnnounced,
  AddressWithdrawn,
  ConnSubflowEvent,
  FellBack,
  SubflowClosed,
  SubflowOpened,
  SubflowPriorityChanged,
} from "../net/conn_events.ts";
export type {
  Policy,
  PolicyContext,
  PolicyDecision,
  PolicyHandle,
  PolicyHooks,
  PolicyOpenOptions,
  PolicySubflowClosed,
} from "../net/policy.ts";
export { usePolicy } from "../net/process_policies.ts";
export type { Subflow } from "../paths/connection.ts";
export type { HostInterface } from "../paths/host_view.ts";
export type { PathCandidate } from "../paths/path_candidates.ts";
export { backup, type BackupOptions } from "./backup.ts";
export { definePolicy } from "./define_policy.ts";
export { fullMesh, type FullMeshOptions } from "./full_mesh.ts";
export { interfaces, type InterfacesOptions } from "./interfaces.ts";
export { nSubflows, type NSubflowsOptions } from "./n_subflows.ts";
export type { RemoteOptions } from "./options.ts";
export { selfHealing, type SelfHealingOptions } from "./self_healing.ts";
export { whenSlow, type WhenSlowOptions } from "./when_slow.ts";
