/**
 * What MPTCP adds to a socket of Node's kind.
 *
 * @module
 */
import type { Socket } from "node:net";
import { system } from "../ffi/mod.ts";
import type { Addr } from "../kernel/sockaddr.ts";
import type { ConnEvents } from "../net/conn_events.ts";
import type { OpenSubflowOptions } from "../net/open_subflow.ts";
import { type Origin, PathControl } from "../net/path_control.ts";
import type { Policy, PolicyHandle } from "../net/policy.ts";
import { localAddress, peerAddress, type Subflow } from "../paths/connection.ts";

/** What only the socket's maker may tell its control. */
export interface ControlOwner {
  /** The socket is connected. */
  begun(): void;
  /** The socket closes its descriptor next. */
  ending(): void;
}

/**
 * The MPTCP side of a socket: the part of `Conn` that is about paths and not about bytes.
 *
 * Before the socket is connected `fd` is -1 and the calls throw an `MptcpError` with code `"EBADF"`. After an
 * `MptcpSocket` is closed `isMultipath()`, `info()` and `subflows()` say what they would have said last; on Bun, which closes
 * the descriptor by itself when both sides have ended, only if it was destroyed before that.
 */
export class SocketControl extends PathControl {
  readonly #socket: Socket;
  #local: Addr | null = null;
  #remote: Addr | null = null;
  #watching = false;
  #ending = false;

  /**
   * Sockets have one as `socket.mptcp`, or by `mptcpOf(socket)`.
   *
   * @param keep Gets what only the socket's maker may call.
   */
  constructor(socket: Socket, origin: Origin, keep: (owner: ControlOwner) => void = () => {}) {
    super(origin);
    this.#socket = socket;
    keep({
      begun: () => {
        if (origin.paths === "userspace") this.#watchEnd();
        this.begun();
      },
      ending: () => {
        this.#ending = true;
        try {
          if (this.fd >= 0) this.keepLastWords();
        } catch {
          // a kernel that does not answer any more
        }
        this.#ending = false;
      },
    });
  }

  /** The descriptor; -1 while not connected, and on hosts without FFI. It stays the socket's: do not close it. */
  override get fd(): number {
    if (this.#socket.connecting) return -1;
    return system()?.loop.descriptorOf(this.#socket, this.#ending) ?? -1;
  }

  /** Whether it can be asked: connected, and not destroyed. */
  protected override get isOpen(): boolean {
    const { connecting, destroyed, pending } = this.#socket;
    return !connecting && !destroyed && !pending;
  }

  /** Our end: of the initial subflow, also when that is gone. */
  override get localAddr(): Addr {
    const { fd } = this;
    if (fd >= 0) return this.#local ??= localAddress(fd);
    const { localAddress: hostname = "", localPort: port = 0 } = this.#socket;
    return this.#local ?? { transport: "tcp", hostname, port };
  }

  /** The peer's end of the initial subflow. */
  override get remoteAddr(): Addr {
    const { fd } = this;
    if (fd >= 0) return this.#remote ??= peerAddress(fd);
    const { remoteAddress: hostname = "", remotePort: port = 0 } = this.#socket;
    return this.#remote ?? { transport: "tcp", hostname, port };
  }

  /** As `Conn.openSubflow`. */
  override openSubflow(options?: OpenSubflowOptions): Promise<Subflow> {
    this.#watchEnd();
    return super.openSubflow(options);
  }

  /** As `Conn.events`; they end with the socket. */
  override events(): ConnEvents {
    this.#watchEnd();
    return super.events();
  }

  /** As `Conn.use`; the policy ends with the socket. */
  override use(policy: Policy): PolicyHandle {
    this.#watchEnd();
    return super.use(policy);
  }

  /** What lasts as long as the connection ends with the socket. */
  #watchEnd(): void {
    if (this.#watching) return;
    this.#watching = true;
    this.#socket.once("close", () => this.ended(this.#socket.errored ?? undefined));
  }
}
