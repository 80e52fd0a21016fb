/**
 * Multipath TCP (RFC 8684) for Deno, Bun and Node: one TCP connection over several network paths at once.
 *
 * `connect` and `listen` are shaped as `Deno.connect` and `Deno.listen`; what they give speaks MPTCP where the kernel and
 * the peer do, and says when and why it does not.
 *
 * @example Connect, and see the paths
 * ```ts
 * import { connect, listen } from "@mptcp/mptcp";
 *
 * using listener = listen({ hostname: "127.0.0.1", port: 0 });
 * using conn = await connect({ hostname: "127.0.0.1", port: listener.addr.port });
 *
 * if (conn.isMultipath()) console.log(conn.subflows().length, "subflow");
 * else console.log("plain TCP:", conn.fallback()?.message);
 * ```
 *
 * @module
 */
export { MptcpError, type MptcpErrorOptions } from "./kernel/error.ts";
export type * from "./kernel/mptcp_event_types.ts";
export type { RawAttribute } from "./kernel/netlink_attributes.ts";
export type { MptcpInfo } from "./kernel/mptcp_info.ts";
export type { Endpoint, EndpointFlags, EndpointInit, EndpointKey, Limits, SubflowEnd } from "./kernel/mptcp_pm.ts";
export type { Addr } from "./kernel/sockaddr.ts";
export type {
  SubflowOption,
  SubflowOptionName,
  SubflowOptionValue,
  SubflowTextOptionName,
} from "./kernel/subflow_option_names.ts";
export type { TcpInfo } from "./kernel/tcp_info.ts";
export { Conn } from "./net/conn.ts";
export type {
  AddressAnnounced,
  AddressWithdrawn,
  ConnectionClosed,
  ConnEvent,
  ConnEvents,
  ConnSubflowEvent,
  FellBack,
  SubflowClosed,
  SubflowOpened,
  SubflowPriorityChanged,
} from "./net/conn_events.ts";
export { connect } from "./net/connect.ts";
export { diagnose, type DiagnoseOptions, type Diagnosis } from "./net/diagnose.ts";
export type { Fallback } from "./net/fallback.ts";
export { listen } from "./net/listen.ts";
export { Listener } from "./net/listener.ts";
export type { OpenSubflowOptions } from "./net/open_subflow.ts";
export { type Origin, PathControl } from "./net/path_control.ts";
export type {
  Policy,
  PolicyContext,
  PolicyDecision,
  PolicyHandle,
  PolicyHooks,
  PolicyOpenOptions,
  PolicySubflowClosed,
} from "./net/policy.ts";
export type { ConnectOptions, ListenOptions, MptcpMode, SocketOptions } from "./net/options.ts";
export { connectTls, type ConnectTlsOptions, listenTls, type ListenTlsOptions, TlsConn } from "./net/tls.ts";
export type { Subflow } from "./paths/connection.ts";
export { counters } from "./paths/counters.ts";
export type { HostInterface } from "./paths/host_view.ts";
export type { PathCandidate } from "./paths/path_candidates.ts";
export type { DiagnosedSubflow, Finding, FindingCode, Severity } from "./paths/diagnosis/finding.ts";
export {
  type Announcement,
  type EndpointsOptions,
  type NewEndpoint,
  type NewSubflow,
  PathManager,
  type SubflowAddress,
} from "./paths/path_manager.ts";
export { connections, type ConnectionSubflow, type MptcpConnection } from "./paths/sockets.ts";
export { type Support, support } from "./paths/support.ts";
export { type OverflowEvent, watch, type WatchOptions } from "./paths/watch.ts";
