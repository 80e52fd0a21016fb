/**
 * The runtime's own sockets, connecting over MPTCP.
 *
 * All that connects by `node:net` goes by one method, `net.Socket.prototype.connect`: TLS, HTTP, and the libraries on them.
 *
 * @module
 */
import { Socket, type TcpSocketConnectOpts } from "node:net";
import { TLSSocket } from "node:tls";
import { runtime, type System } from "../../ffi/mod.ts";
import { MptcpError } from "../../kernel/error.ts";
import { originOf } from "../../net/path_control.ts";
import { connectArguments } from "../connect_arguments.ts";
import { Dialer } from "../dialer.ts";
import { remember } from "../mptcp_of.ts";
import { MptcpSocket } from "../socket.ts";
import { replaceMethod } from "./replace.ts";
import { warn } from "./warn.ts";

/** What `connect` takes, its other ways included. */
type Options = TcpSocketConnectOpts & { path?: unknown; fd?: unknown; socket?: unknown };

/** The options of `connect` that are about the connection, and not about TLS on it. */
const OF_TCP = [
  "port",
  "host",
  "localAddress",
  "localPort",
  "family",
  "hints",
  "lookup",
  "noDelay",
  "keepAlive",
  "keepAliveInitialDelay",
  "autoSelectFamily",
  "autoSelectFamilyAttemptTimeout",
] as const;

/** Whether it is a TCP connection that is to be made: no pipe, no descriptor or stream of somebody else's. */
function dialsTcp({ port, path, fd, socket }: Options): boolean {
  return port !== undefined && port !== null && !path && (fd === undefined || fd === null) && !socket;
}

/** Bun's TLS sockets make their descriptors where nobody can put another one in; but they take a socket to stand on. */
const STANDS_ON_ITSELF = runtime === "bun";

/** What a socket says of its way to a connection, where another one goes that way for it. */
const ON_THE_WAY = ["lookup", "connectionAttempt", "connectionAttemptFailed", "connectionAttemptTimeout", "ready"];

function socketFor(socket: TLSSocket, options: Options): MptcpSocket {
  const target: Record<string, unknown> = {};
  const given = options as unknown as Record<string, unknown>;
  for (const name of OF_TCP) if (given[name] !== undefined) target[name] = given[name];
  const { blockList } = socket as unknown as { blockList?: unknown };
  const below = new MptcpSocket(blockList ? { blockList } as object : {});
  for (const name of ON_THE_WAY) below.on(name, (...values) => socket.emit(name, ...values));
  below.on("error", (error) => void socket.destroy(error));
  below.connect(target as unknown as TcpSocketConnectOpts);
  // An end in the middle of connecting would leave it alone.
  socket.once("close", () => below.destroy());
  // Bun prepares a handle that makes its own connection so; on another one it would hold back the FIN.
  for (const listener of socket.listeners("connect") as (() => void)[]) {
    if (listener.name === "onConnectStart") socket.removeListener("connect", listener);
  }
  return below;
}

/**
 * Makes the runtime's sockets connect over MPTCP.
 *
 * @returns Undoes it; what is connected stays.
 */
export function replaceConnect(host: System): () => void {
  return replaceMethod(Socket.prototype, "connect", (native) =>
    function (this: Socket, ...args) {
      const { options, listener } = connectArguments<Options>(args);
      if (this instanceof MptcpSocket || !dialsTcp(options)) return native.apply(this, args);
      if (STANDS_ON_ITSELF && this instanceof TLSSocket) {
        return native.call(this, { ...options, socket: socketFor(this, options) }, listener);
      }
      const origin = originOf("client", {}, null);
      const begin = (target: TcpSocketConnectOpts) => void native.call(this, target, listener);
      try {
        host.loop.connectSocket(this, options, begin, new Dialer(host, {}, origin));
      } catch (error) {
        if (!(error instanceof MptcpError) || error.code !== "UNSUPPORTED") throw error; // of wrong arguments
        warn(`${error.message}; connections are plain TCP`);
        return native.apply(this, args);
      }
      remember(this, origin);
      return this;
    });
}
