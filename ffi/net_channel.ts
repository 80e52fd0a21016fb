/**
 * A channel over `net.Socket`: what Deno's and Node's have in common.
 *
 * Of the socket, the runtimes' channels use what tells of readiness; what is there comes by `recv` into the reader's own
 * buffer. That is level with C, where `data` events cost three to ten times as much CPU. So the stream machinery must not
 * read ahead: its `_read` is replaced on this instance, and `toNode` puts the ordinary one back.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { Socket, type SocketConstructorOpts } from "node:net";
import { SHUT_WR } from "../kernel/constants.ts";
import { check, systemError } from "../kernel/error.ts";
import type { Channel, ChannelOwner } from "./adapter.ts";
import type { Libc } from "./libc.ts";

/** The parts of a `net.Socket` that its type does not show. */
interface Inner {
  _handle: { fd?: number } | null;
  _read(size: number): void;
  push(chunk: Uint8Array | null): boolean;
  readableFlowing: boolean | null;
}

const inner = (socket: Socket): Inner => socket as unknown as Inner;
const prototype = inner(Socket.prototype);

/** See the module's comment. */
export abstract class NetChannel implements Channel {
  owner: ChannelOwner | null = null;
  readonly #libc: Libc;
  #fd: number;
  #socket: Socket | null = null;
  protected keepsAlive = true;
  #ended = false;
  #error: unknown;
  readonly #onError = (error: unknown): void => {
    this.#error = error;
  };
  readonly #onClose = (): void => {
    this.#fd = -1;
    const owner = this.owner;
    this.owner = null;
    owner?.closed(this.#error);
  };

  /**
   * @param fd A connected descriptor, the channel's from now on.
   * @param socket The socket that adopted it already, if one did.
   */
  constructor(libc: Libc, fd: number, socket?: Socket) {
    this.#libc = libc;
    this.#fd = fd;
    if (socket) this.#take(socket);
  }

  get fd(): number {
    const socket = this.#socket;
    // The handle goes in the same moment as the descriptor; the `close` event comes only later.
    return socket !== null && (socket.destroyed || !inner(socket)._handle) ? -1 : this.#fd;
  }

  recv(into: Uint8Array): number {
    return this.#libc.recv(this.fd, into);
  }

  send(bytes: Uint8Array): number {
    return this.#libc.send(this.fd, bytes);
  }

  abstract awaitReadable(): void;

  write(bytes: Uint8Array, done: (error: unknown) => void): void {
    this.adopt().write(bytes, (error) => done(error ?? null));
  }

  closeWrite(done: (error: unknown) => void): void {
    const result = this.#libc.shutdown(this.fd, SHUT_WR);
    this.#ended = true;
    done(result < 0 ? systemError(result, "shutdown") : null);
  }

  close(): void {
    this.owner = null;
    const fd = this.#fd;
    this.#fd = -1;
    if (this.#socket !== null) this.#socket.destroy();
    else if (fd >= 0) this.#libc.close(fd);
  }

  reset(): void {
    this.#libc.resetOnClose(this.fd);
    this.close();
  }

  setRef(ref: boolean): void {
    this.keepsAlive = ref;
    if (this.#socket) ref ? this.#socket.ref() : this.#socket.unref();
  }

  toNode(rest: Uint8Array): Socket {
    if (this.detach()) this.#renew();
    const socket = this.adopt();
    const stream = inner(socket);
    // Not by `delete`: V8 turns an object that has lost a property into a slow one, for all its life.
    stream._read = prototype._read;
    socket.off("error", this.#onError);
    stream.readableFlowing = null; // an accepted socket was paused: it must start by itself when somebody listens
    // Also when it is empty: a push tells the stream machinery that the read it believes to be under way is over.
    stream.push(Buffer.from(rest));
    if (this.#ended) socket.end();
    return socket;
  }

  /** The runtime's socket has the descriptor from now on. */
  protected adopted(_socket: Socket): void {}

  /** Forgets how readiness was told. @returns Whether the socket, because of that, is not fit to be an ordinary one. */
  protected abstract detach(): boolean;

  /**
   * The runtime's socket, made now if there is none.
   *
   * @param options More for its constructor.
   */
  protected adopt(options?: SocketConstructorOpts): Socket {
    if (this.#socket !== null) return this.#socket;
    // `manualStart`: known to both runtimes, though not to the type. Without it the socket would read at once.
    const more = { fd: this.#fd, allowHalfOpen: true, manualStart: true };
    return this.#take(new Socket({ ...options, ...more }));
  }

  /** Puts the connection under another descriptor, for another socket. */
  #renew(): void {
    const fd = check(this.#libc.dup(this.fd), "fcntl");
    const socket = this.#socket!;
    socket.off("close", this.#onClose); // but not `error`: nobody else would hear it
    this.#socket = null;
    this.#fd = fd;
    socket.destroy();
  }

  #take(socket: Socket): Socket {
    this.#socket = socket;
    inner(socket)._read = () => {};
    socket.on("error", this.#onError);
    socket.once("close", this.#onClose);
    if (!this.keepsAlive) socket.unref();
    this.adopted(socket);
    return socket;
  }
}
