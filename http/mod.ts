/**
 * HTTP over MPTCP: `fetch` and `serve`.
 *
 * @module
 */
export type { TcpInfo } from "../kernel/tcp_info.ts";
export type { Addr } from "../kernel/sockaddr.ts";
export type { MptcpMode, SocketOptions } from "../net/options.ts";
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
