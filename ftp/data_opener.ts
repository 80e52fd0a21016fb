/**
 * Opening data connections, in the ways that FTP has: EPSV and PASV, where this client connects, EPRT and PORT, where the
 * server does.
 *
 * @module
 */
import { FTPError, type FTPResponse } from "basic-ftp";
import type { Socket } from "node:net";
import type { ConnectionOptions, TLSSocket } from "node:tls";
import type { Channel } from "../ffi/mod.ts";
import { hostPort, MptcpError } from "../kernel/error.ts";
import { ipVersion } from "../kernel/ip.ts";
import { Conn } from "../net/conn.ts";
import { withDeadline } from "../net/deadline.ts";
import { dial } from "../net/dial.ts";
import { openListener } from "../net/listen.ts";
import type { Listener } from "../net/listener.ts";
import type { SocketOptions } from "../net/options.ts";
import type { Origin } from "../net/path_control.ts";
import { secure } from "../net/tls.ts";
import { peerAddress } from "../paths/connection.ts";
import type { FtpContext } from "./context.ts";
import { DataConnection, type DataConnectionOwner } from "./data_connection.ts";
import { DataStream } from "./data_stream.ts";
import type { ActiveOptions, FtpClientOptions } from "./options.ts";
import { epsvPort, pasvTarget } from "./replies.ts";
import type { Transfer } from "./transfer.ts";

/** A command by which a data connection comes about. */
type Way = "EPSV" | "PASV" | "EPRT" | "PORT";

/** How many data connections are remembered. */
const REMEMBERED = 1000;

const isLoopback = (address: string): boolean => address === "::1" || address.startsWith("127.");

const isPrivate = (address: string): boolean => /^(10|127|192\.168|172\.(1[6-9]|2\d|3[01]))\./.test(address);

/** See the module's comment. */
export class DataOpener {
  readonly #ftp: FtpContext;
  readonly #sockets: SocketOptions;
  readonly #timeout: number;
  readonly #separateHost: boolean;
  readonly #active: ActiveOptions | null;
  /** The way that has worked with this server. */
  #way: Way | null = null;
  /** One for each data connection, in order. */
  readonly connections: DataConnection[] = [];

  constructor(ftp: FtpContext, sockets: SocketOptions, options: FtpClientOptions) {
    const { active = false, allowSeparateTransferHost = false } = options;
    this.#ftp = ftp;
    this.#sockets = sockets;
    this.#timeout = ftp.timeout;
    this.#separateHost = allowSeparateTransferHost;
    this.#active = active === false ? null : active === true ? {} : active;
  }

  /** Forgets what was learnt of a server. */
  reset(): void {
    this.#way = null;
    this.connections.length = 0;
  }

  /**
   * Makes the data connection of a transfer, or has the server told to make it.
   *
   * @returns The server's answer.
   */
  async prepare(transfer: Transfer): Promise<FTPResponse> {
    const ways: readonly Way[] = this.#way !== null ? [this.#way] : this.#ways();
    for (const [index, way] of ways.entries()) {
      transfer.signal.throwIfAborted();
      try {
        const response = await this.#open(way, transfer);
        this.#way = way;
        return response;
      } catch (error) {
        if (index === ways.length - 1 || !this.#mayTryOn(error, transfer)) throw error;
      }
    }
    throw new Error("unreachable");
  }

  #ways(): readonly Way[] {
    if (this.#active === null) return ["EPSV", "PASV"];
    return ipVersion(this.#announced()) === 6 ? ["EPRT"] : ["EPRT", "PORT"];
  }

  /** Whether another way may work where this one did not: it was refused, not understood, or led nowhere. */
  #mayTryOn(error: unknown, { signal }: Transfer): boolean {
    if (signal.aborted || this.#ftp.ending.aborted) return false;
    return error instanceof FTPError || (error instanceof MptcpError && error.code !== "EOPNOTSUPP");
  }

  async #open(way: Way, transfer: Transfer): Promise<FTPResponse> {
    if (way === "EPRT" || way === "PORT") return await this.#openActive(way, transfer);
    const response = await this.#ftp.request(way);
    const { remote } = this.#ftp.addresses;
    const { host, port } = way === "EPSV"
      ? { host: remote, port: epsvPort(response.message) }
      : pasvTarget(response.message);
    await this.#openPassive(this.#allowedHost(host, remote), port, transfer);
    return response;
  }

  /**
   * The host to connect to for a PASV answer.
   *
   * @throws {MptcpError} When it is another than the server.
   */
  #allowedHost(named: string, server: string): string {
    if (named === server || (isLoopback(named) && isLoopback(server))) return server;
    if (!this.#separateHost) {
      const what = `the server ${server} names another host, ${named}, which is refused as it may be an FTP bounce`;
      throw new MptcpError("EPERM", `Cannot open a data connection: ${what}`, {
        address: named,
        hint: "allowSeparateTransferHost: true takes it",
      });
    }
    // A server behind address translation that does not know its own address.
    return isPrivate(named) && !isPrivate(server) ? server : named;
  }

  async #openPassive(host: string, port: number, transfer: Transfer): Promise<void> {
    const { ending } = this.#ftp;
    const what = `open a data connection to ${hostPort(host, port)}`;
    const signal = AbortSignal.any([transfer.signal, ending]);
    const { channel, origin } = await withDeadline(this.#deadline(signal), what, (signal) => {
      return dial({ ...this.#sockets, hostname: host, port }, signal);
    });
    const stop = new AbortController();
    const opening = withDeadline(this.#deadline(stop.signal), "begin TLS on the data connection", async (signal) => {
      return await this.#conn(channel, origin, signal);
    });
    this.#take(transfer, opening, () => stop.abort());
  }

  async #openActive(way: "EPRT" | "PORT", transfer: Transfer): Promise<FTPResponse> {
    const ftp = this.#ftp;
    const stop = new AbortController();
    const { port, opening } = this.#listen(stop.signal);
    opening.catch(() => {}); // told by the stream, if there comes to be one
    try {
      const address = this.#announced();
      const command = way === "EPRT"
        ? `EPRT |${ipVersion(address) === 6 ? 2 : 1}|${address}|${port}|`
        : `PORT ${[...address.split("."), port >> 8, port & 255].join(",")}`;
      const response = await ftp.request(command);
      transfer.signal.throwIfAborted();
      this.#take(transfer, opening, () => stop.abort());
      return response;
    } catch (error) {
      stop.abort();
      throw error;
    }
  }

  /** The address that the server is told to connect to. */
  #announced(): string {
    return this.#active?.address ?? this.#ftp.addresses.local;
  }

  /** Waits for the server, and for nobody else. */
  #listen(signal: AbortSignal): { port: number; opening: Promise<Conn> } {
    const { local, remote } = this.#ftp.addresses;
    const what = "open a data connection: the server has not connected";
    let taken = false;
    let failed!: (error: unknown) => void;
    const failure = new Promise<never>((_, reject) => failed = reject);
    failure.catch(() => {});
    const options = { ...this.#sockets, hostname: local, port: this.#active?.port ?? 0 };
    const listener: Listener = openListener<Conn>(options, (channel, origin) => {
      const client = channel.remoteAddr?.hostname ?? peerAddress(channel.fd).hostname;
      if (taken || client !== remote) throw new Error("a stranger");
      taken = true;
      const conn = this.#conn(channel, origin, signal);
      if (conn instanceof Promise) conn.catch(failed);
      return conn;
    });
    const accept = async (): Promise<Conn> => {
      for (;;) {
        try {
          return await listener.accept();
        } catch (error) {
          signal.throwIfAborted();
          if (error instanceof MptcpError) throw error;
        }
      }
    };
    const opening = withDeadline(this.#deadline(signal), what, async (signal) => {
      const aborted = new Promise<never>((_, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason), { once: true });
      });
      const accepting = accept();
      try {
        const conn = await Promise.race([accepting, failure, aborted]);
        if (this.#sockets.mptcp !== "require" || conn.isMultipath()) return conn;
        conn.reset();
        const reason = conn.fallback()?.message ?? "the server connected by plain TCP";
        throw new MptcpError("EOPNOTSUPP", `Cannot open a data connection by MPTCP: ${reason}`, { syscall: "accept" });
      } catch (error) {
        accepting.then((conn) => conn.reset(), () => {});
        throw error;
      } finally {
        listener.close();
      }
    });
    return { port: listener.addr.port, opening };
  }

  /** The connection on an open channel: at once, or after the handshake where the control connection speaks TLS. */
  #conn(channel: Channel, origin: Origin, signal: AbortSignal): Conn | Promise<Conn> {
    const ftp = this.#ftp;
    if (!ftp.hasTLS) return new Conn(channel, origin);
    // Servers want to see the session of the control connection again: so nobody else can take the data connection.
    const session = ftp.tlsSessionStore ?? (ftp.socket as TLSSocket).getSession();
    const settings: ConnectionOptions = { ...ftp.tlsOptions, ...(session ? { session } : {}) };
    return secure(channel, origin, settings, signal, (tls) => {
      // A ticket of TLS 1.3 is good for one time.
      tls.on("session", (session) => ftp.tlsSessionStore = session);
    });
  }

  #take(transfer: Transfer, opening: Promise<Conn>, cancel: () => void): void {
    let owner!: DataConnectionOwner;
    const connection = new DataConnection(
      transfer.kind,
      () => stream.bytesRead + stream.bytesWritten,
      (given) => owner = given,
    );
    const stream = new DataStream({ opening, cancel, owner, timeout: this.#timeout });
    this.remember(connection);
    transfer.stream = stream;
    this.#ftp.dataSocket = stream as unknown as Socket;
  }

  /** Adds a data connection to those that are told. */
  remember(connection: DataConnection): void {
    if (this.connections.length >= REMEMBERED) this.connections.shift();
    this.connections.push(connection);
  }

  #deadline(signal: AbortSignal): { signal: AbortSignal; timeout?: number } {
    return this.#timeout > 0 ? { signal, timeout: this.#timeout } : { signal };
  }
}
