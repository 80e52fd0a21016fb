/**
 * MPTCP for Node's ecosystem, on all three runtimes: sockets, servers and agents of `node:net`, `node:http` and `node:https`.
 *
 * @module
 */
export { type ConnectionCreated, HttpAgent, type HttpAgentOptions, HttpsAgent, type HttpsAgentOptions } from "./agents.ts";
export { SocketControl } from "./control.ts";
export { mptcpOf } from "./mptcp_of.ts";
export {
  type AcceptedSocket,
  createServer,
  type MptcpListenOptions,
  MptcpServer,
  type MptcpServerOptions,
} from "./server.ts";
export { createConnection, MptcpSocket, type MptcpSocketConnectOptions, type MptcpSocketOptions } from "./socket.ts";
