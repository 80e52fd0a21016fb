/**
 * The MPTCP side of any socket.
 *
 * @module
 */
import { type Server, Socket } from "node:net";
import { system } from "../ffi/mod.ts";
import { type Origin, originOf } from "../net/path_control.ts";
import { madeAsMptcp } from "../paths/connection.ts";
import { type ControlOwner, SocketControl } from "./control.ts";

interface Known {
  control: SocketControl;
  owner: ControlOwner;
}

const known = new WeakMap<Socket, Known>();

/** What is known of sockets that connect, before anybody has asked for their MPTCP side. */
const origins = new WeakMap<Socket, Origin>();

/** Keeps what is known of a socket's new connection. */
export function remember(socket: Socket, origin: Origin): void {
  known.delete(socket);
  origins.set(socket, origin);
}

/** Gives a socket its MPTCP side; with `member` also as `socket.mptcp`. */
export function control(socket: Socket, origin: Origin, member: boolean): Known {
  let owner!: ControlOwner;
  const made = new SocketControl(socket, origin, (given) => owner = given);
  const result = { control: made, owner };
  known.set(socket, result);
  if (member) Object.defineProperty(socket, "mptcp", { value: made, configurable: true });
  owner.begun();
  return result;
}

const servers = new WeakMap<object, () => Origin | null>();

/** Keeps who knows what is known of the sockets that a server accepts. */
export function rememberServer(server: Server, origin: () => Origin | null): void {
  servers.set(server, origin);
}

/** What a socket that somebody else made tells of its beginning. */
function foundOrigin(socket: Socket, fd: number): Origin {
  const { server } = socket as unknown as { server?: object | null };
  return (server && servers.get(server)?.()) ??
    originOf(server ? "server" : "client", { mptcp: madeAsMptcp(fd) ? "prefer" : "off" }, null);
}

/** A socket that another one stands on, as TLS does. */
function below(socket: Socket): Socket | null {
  const { _parent, mptcp } = socket as unknown as { _parent?: unknown; mptcp?: unknown };
  return !(mptcp instanceof SocketControl) && _parent instanceof Socket ? _parent : null;
}

/**
 * The MPTCP side of a socket of `node:net`, whoever made it: an {@linkcode MptcpSocket}, one that a server of
 * {@linkcode createServer} accepted, one from `conn.toNode()`, a TLS socket on any of these, or one that a program under
 * `mptcpize` made by itself.
 *
 * @param socket A connected socket.
 * @returns `null` when the socket has no descriptor that can be asked: it is not connected, or is a Unix socket.
 *
 * @example
 * ```ts no-assert
 * import { HttpAgent, mptcpOf } from "@mptcp/mptcp/node";
 * import { get } from "node:http";
 *
 * const request = get("http://check.mptcp.dev", { agent: new HttpAgent() }, (response) => {
 *   console.log(mptcpOf(response.socket)?.isMultipath());
 *   response.resume();
 * });
 * request.on("error", (error) => console.error(error.message));
 * ```
 */
export function mptcpOf(socket: Socket): SocketControl | null {
  const lower = below(socket);
  if (lower !== null) return mptcpOf(lower);
  const { mptcp } = socket as unknown as { mptcp?: unknown };
  if (mptcp instanceof SocketControl) return mptcp;
  const found = known.get(socket);
  if (found) return found.control;
  const fd = socket.connecting ? -1 : system()?.loop.descriptorOf(socket) ?? -1;
  if (fd < 0 || !socket.remoteAddress) return null;
  return control(socket, origins.get(socket) ?? foundOrigin(socket, fd), false).control;
}
