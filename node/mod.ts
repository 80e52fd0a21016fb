/**
 * MPTCP for Node's ecosystem, on all three runtimes: sockets, servers and agents of `node:net`, `node:http` and `node:https`.
 *
 * @module
 */
export { SocketControl } from "./control.ts";
export { createConnection, MptcpSocket, type MptcpSocketConnectOptions, type MptcpSocketOptions } from "./socket.ts";
