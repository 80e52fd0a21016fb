/**
 * basic-ftp's control connection, over MPTCP, and what it does not see to itself: when the server has answered for a
 * transfer that failed on our side, lines that come in pieces, and servers that speak something else.
 *
 * @module
 */
import { FTPContext, FTPError, type FTPResponse, type ResponseHandler } from "basic-ftp";
import { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import { MptcpError } from "../kernel/error.ts";
import type { SocketOptions } from "../net/options.ts";
import type { SocketControl } from "../node/control.ts";
import { MptcpSocket } from "../node/socket.ts";
import { declaredBytes, quote } from "./replies.ts";

/** What a server may send between two final replies, characters: the rest of a reply, or what is none. */
const UNANSWERED_MAX = 1 << 17;

/** A socket for data, of whatever kind. */
type DataSocket = Socket | TLSSocket;

/** How a transfer ended, as far as the server is concerned. */
interface Pending {
  promise: Promise<FTPResponse | Error>;
  settle: (reply: FTPResponse | Error) => void;
  declared: number | null;
}

function pending(): Pending {
  let settle!: (reply: FTPResponse | Error) => void;
  const promise = new Promise<FTPResponse | Error>((resolve) => settle = resolve);
  return { promise, settle, declared: null };
}

/** Both ends of the control connection. */
export interface Addresses {
  local: string;
  remote: string;
}

/** `::ffff:a.b.c.d` as the IPv4 address that it is. */
const plain = (address: string | undefined): string => address?.replace(/^::ffff:(?=\d+\.\d+\.\d+\.\d+$)/i, "") ?? "";

/** See the module's comment. */
export class FtpContext extends FTPContext {
  readonly #options: SocketOptions;
  readonly #foreign: (socket: DataSocket) => void;
  #control: MptcpSocket | null = null;
  #addresses: Addresses = { local: "", remote: "" };
  #ending = new AbortController();
  #transfer: Pending | null = null;
  #line = "";
  #unanswered = 0;
  #greeted = false;

  /**
   * @param foreign Called for a data connection that was made by `_newSocket`: by a `prepareTransfer` that is not ours.
   */
  constructor(timeout: number, options: SocketOptions, foreign: (socket: DataSocket) => void) {
    super(timeout);
    this.#options = options;
    this.#foreign = foreign;
    this.reset();
  }

  /** The control connection's MPTCP side. */
  get control(): SocketControl {
    return this.#control!.mptcp;
  }

  /** The control connection below TLS. */
  get controlSocket(): MptcpSocket {
    return this.#control!;
  }

  /** The addresses of the control connection, as data connections have the same; empty before it is there. */
  get addresses(): Readonly<Addresses> {
    return this.#addresses;
  }

  /** Aborted when the control connection is closed. */
  get ending(): AbortSignal {
    return this.#ending.signal;
  }

  /** The server's last word on the transfer, when that comes; `null` while none was prepared. */
  get verdict(): Promise<FTPResponse | Error> | null {
    return this.#transfer?.promise ?? null;
  }

  /** Waits for that word no longer than for any answer: basic-ftp's watch is over with the data, and begins only after this. */
  awaitVerdict(): Promise<FTPResponse | Error> | null {
    if (this._task !== undefined) this.socket.setTimeout(this.timeout);
    return this.verdict;
  }

  /** Forgets the last transfer. */
  beginTransfer(): void {
    this.#transfer = null;
  }

  /** The size that the server told for the transfer, if it did. */
  get declared(): number | null {
    return this.#transfer?.declared ?? null;
  }

  /** A new control connection, not connected yet. */
  override reset(): void {
    if (this._task !== undefined) this.close();
    this.#ending.abort(new MptcpError("EBADF", "The FTP client is closed"));
    this.#ending = new AbortController();
    this.#control = null;
    this.#transfer = null;
    this.#greeted = false;
    super.reset();
    this.#unanswered = 0;
  }

  override _newSocket(): Socket {
    // The base's constructor asks before there is anything here; that socket is never connected.
    if (!(#control in this)) return new Socket();
    const socket = new MptcpSocket(this.#options);
    if (this.#control !== null) return socket;
    this.#control = socket;
    // Asked for now, as a socket below TLS does not tell them everywhere.
    socket.once("connect", () => {
      this.#addresses = { local: plain(socket.localAddress), remote: plain(socket.remoteAddress) };
    });
    return socket;
  }

  override get socket(): Socket | TLSSocket {
    return super.socket;
  }

  override set socket(socket: Socket | TLSSocket) {
    super.socket = socket;
    // What came before TLS must not become part of what comes by it.
    if (#line in this) this.#line = "";
  }

  override get dataSocket(): DataSocket | undefined {
    return super.dataSocket;
  }

  override set dataSocket(socket: DataSocket | undefined) {
    super.dataSocket = socket;
    // The base's constructor clears it before there is anything here.
    if (socket === undefined || !(#transfer in this)) return;
    this.#transfer = pending();
    if (socket instanceof Socket) this.#foreign(socket);
  }

  // deno-lint-ignore no-explicit-any -- as basic-ftp has it
  override handle(command: string | undefined, responseHandler: ResponseHandler): Promise<any> {
    // basic-ftp would close the client, and so end what is under way.
    if (this._task !== undefined) {
      const what = "Cannot begin: the FTP client does one thing at a time, and another one is under way";
      return Promise.reject(new MptcpError("EBUSY", what, { hint: "await each call" }));
    }
    return super.handle(command, responseHandler);
  }

  override closeWithError(error: Error): void {
    super.closeWithError(error);
    this.#ending.abort(error);
    this.#settle(error);
  }

  protected override _onControlSocketData(chunk: string): void {
    this.#unanswered += chunk.length;
    const text = this.#line + chunk;
    // basic-ftp takes the beginning of a line for the whole of it.
    const end = text.lastIndexOf("\n") + 1;
    this.#line = text.slice(end);
    if (!this.#greeted && text.trim() !== "") {
      this.#greeted = end > 0;
      // Other protocols, and whatever is longer than a line.
      if (!/^\s*\d{0,3}$|^\s*\d{3}[ \r\n-]/.test(text.slice(0, 64))) {
        const what = `Cannot connect: the server does not speak FTP, it says ${quote(text)}`;
        return this.closeWithError(new MptcpError("EPROTO", what));
      }
    }
    if (end > 0) super._onControlSocketData(text.slice(0, end));
    if (this.#unanswered <= UNANSWERED_MAX) return;
    this.closeWithError(new MptcpError("EMSGSIZE", "The FTP server sends without end, and no answer is in it"));
  }

  protected override _passToHandler(response: Error | FTPResponse): void {
    const code = response instanceof FTPError || !(response instanceof Error) ? response.code : 0;
    if (code >= 200) this.#unanswered = 0;
    if (this.#transfer !== null && (code === 150 || code === 125)) {
      this.#transfer.declared ??= declaredBytes(response.message);
      // basic-ftp would close the client when it finds a data connection that is over already.
      if (this.dataSocket?.destroyed) return super._passToHandler(new Error("The data connection is closed"));
    }
    // 3xx asks for more: RETR after REST.
    if (code >= 400 || (code >= 200 && code < 300)) this.#settle(response);
    super._passToHandler(response);
  }

  #settle(reply: FTPResponse | Error): void {
    this.#transfer?.settle(reply);
  }
}
