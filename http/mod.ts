/**
 * HTTP over MPTCP: `fetch` and `serve`.
 *
 * @module
 */
export type { UpgradedWebSocket } from "../ffi/mod.ts";
export type { TcpInfo } from "../kernel/tcp_info.ts";
export type { Addr } from "../kernel/sockaddr.ts";
export type { Fallback } from "../net/fallback.ts";
export type { ListenOptions, MptcpMode, SocketOptions } from "../net/options.ts";
export type { Subflow } from "../paths/connection.ts";
export {
  closeIdle,
  type ConnectionOptions,
  createClient,
  fetch,
  type FetchInit,
  type FetchOptions,
  type FetchResponse,
  type HttpClient,
  type ResponsePaths,
} from "./fetch.ts";
export {
  FastResponse,
  HttpServer,
  serve,
  type ServeHandler,
  ServeInfo,
  type ServeOptions,
  upgradeWebSocket,
  type UpgradeWebSocketOptions,
} from "./serve.ts";
