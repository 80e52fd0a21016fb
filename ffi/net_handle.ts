/**
 * The native handles of `net.Socket` on Node and Deno, on which its connection attempts run.
 *
 * `net.Socket` does the lookup, tries the addresses in turn, times the attempts and makes the errors; each attempt is a
 * handle of its own, of which it calls `bind` or `bind6`, then `connect` or `connect6`. Those four are replaced on the handle,
 * so that all of the rest stays the runtime's own.
 *
 * @module
 */
import { Socket } from "node:net";
import { MptcpError } from "../kernel/error.ts";

/** What the runtime gives to a handle's `connect`. */
export interface ConnectRequest {
  oncomplete?: (status: number, handle: Handle, request: ConnectRequest, readable: boolean, writable: boolean) => void;
}

/** The name that `getsockname` fills in. */
export interface SocketName {
  address?: string;
  family?: string;
  port?: number;
}

/** The parts of a handle in use here. Results are 0 or `-errno`. */
export interface Handle {
  /** Node's only. */
  readonly fd?: number;
  /** Of TLS: the handle that TLS stands on. */
  readonly _parent?: Handle | null;
  /** Deno's only: a duplicate of the descriptor, the caller's to close. */
  fdForIpc?(): number;
  /** Takes a descriptor over. */
  open(fd: number): number;
  bind(address: string, port?: number): number;
  bind6(address: string, port?: number, flags?: number): number;
  connect(request: ConnectRequest, address: string, port: number): number;
  connect6(request: ConnectRequest, address: string, port: number): number;
  getsockname(name: SocketName): number;
  close(done?: () => void): void;
  ref(): void;
  unref(): void;
}

/** The error where a runtime's sockets are not those that this file knows; a plain TCP connection would pass for one of ours. */
export function unknownSockets(): MptcpError {
  return new MptcpError("UNSUPPORTED", "Cannot connect a net.Socket by MPTCP: this version of the runtime is not known", {
    hint: "connect() and conn.toNode() work everywhere",
  });
}

type Hook = (handle: Handle) => void;

/** The sockets that connect by descriptors of ours, and what is to be done with each of their handles. */
const hooks = new WeakMap<Socket, Hook>();
const hooked = new WeakSet<Handle>();

/** `_handle` as the runtime defines it. */
const inherited = Object.getOwnPropertyDescriptor(Socket.prototype, "_handle");

/** The socket's handle, `null` without one: of a TLS socket that stands on itself, the one below TLS. */
export function handleOf(socket: Socket): Handle | null {
  return transportOf(ownHandle(socket));
}

function ownHandle(socket: Socket): Handle | null {
  return (socket as unknown as { _handle: Handle | null })._handle;
}

function transportOf(handle: Handle | null): Handle | null {
  return handle?._parent ?? handle;
}

/** What Deno's handles of TLS took over from the one below when they were made. */
const TAKEN = ["bind", "bind6", "connect", "connect6", "getsockname", "ref", "unref"] as const;

function apply(socket: Socket, handle: Handle | null): void {
  const hook = hooks.get(socket);
  const transport = transportOf(handle);
  if (hook === undefined || handle === null || transport === null || hooked.has(transport)) return;
  hooked.add(transport);
  hook(transport);
  if (transport === handle) return;
  for (const name of TAKEN) {
    if (Object.hasOwn(handle, name)) Object.defineProperty(handle, name, { value: transport[name].bind(transport) });
  }
}

/** One pair of functions for all sockets, so that they stay alike to the engine. */
const accessor = {
  get(this: Socket): Handle | null {
    return inherited!.get!.call(this);
  },
  set(this: Socket, handle: Handle | null): void {
    inherited!.set!.call(this, handle);
    apply(this, handle);
  },
  enumerable: false,
  configurable: true,
};

/**
 * Calls `hook` for the handle that the socket has, and for each that it gets.
 *
 * @returns Whether this runtime has handles that can be hooked.
 */
export function onHandles(socket: Socket, hook: Hook): boolean {
  if (!inherited?.set) return false;
  hooks.set(socket, hook);
  if (!Object.hasOwn(socket, "_handle")) Object.defineProperty(socket, "_handle", accessor);
  apply(socket, ownHandle(socket));
  return true;
}
