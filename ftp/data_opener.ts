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
import { unlessAborted, withDeadline } from "../net/deadline.ts";
import { dial } from "../net/dial.ts";
import { openListener } from "../net/listen.ts";
import type { SocketOptions } from "../net/options.ts";
import type { Origin } from "../net/path_control.ts";
import { secure } from "../net/tls.ts";
import { isMptcp, peerAddress } from "../paths/connection.ts";
import type { FtpContext } from "./context.ts";
import { DataConnection, type DataConnectionOwner } from "./data_connection.ts";
import { DataStream } from "./data_stream.ts";
import type { ActiveOptions, FtpClientOptions } from "./options.ts";
import { epsvPort, pasvTarget } from "./replies.ts";
import type { Transfer } from "./transfer.ts";

/** A command by which a data connection comes about. */
type Way = "EPSV" | "PASV" | "EPRT" | "PORT";

/** A connection without anybody who uses it yet. */
interface Link {
  channel: Channel;
  origin: Origin;
}

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
    const what = `open a data connection to ${hostPort(host, port)}`;
    const either = AbortSignal.any([transfer.signal, this.#ftp.ending]);
    const link = await withDeadline(this.#deadline(either), what, (signal) => {
      return dial({ ...this.#sockets, hostname: host, port }, signal);
    });
    const stop = new AbortController();
    const plain = this.#ftp.hasTLS ? null : new Conn(link.channel, link.origin);
    let opened = false;
    // By an orderly end the server would take nothing for the whole of a file.
    stop.signal.addEventListener("abort", () => opened || (plain ?? link.channel).reset());
    this.#take(transfer, stop, async () => {
      opened = true;
      return plain ?? await this.#secured(link, stop.signal);
    });
  }

  async #openActive(way: "EPRT" | "PORT", transfer: Transfer): Promise<FTPResponse> {
    const stop = new AbortController();
    const { port, accept } = this.#listen(stop.signal);
    try {
      const address = this.#announced();
      const command = way === "EPRT"
        ? `EPRT |${ipVersion(address) === 6 ? 2 : 1}|${address}|${port}|`
        : `PORT ${[...address.split("."), port >> 8, port & 255].join(",")}`;
      const response = await this.#ftp.request(command);
      transfer.signal.throwIfAborted();
      this.#take(transfer, stop, async () => {
        const link = await accept();
        return this.#ftp.hasTLS ? await this.#secured(link, stop.signal) : new Conn(link.channel, link.origin);
      });
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

  /**
   * Listens for the server, and for nobody else.
   *
   * @param signal Ends the listening: no sooner, as the server's further subflows join at the listener.
   */
  #listen(signal: AbortSignal): { port: number; accept: () => Promise<Link> } {
    const { local, remote } = this.#ftp.addresses;
    let arrived!: (link: Link) => void;
    let failed!: (error: unknown) => void;
    const arrival = new Promise<Link>((resolve, reject) => [arrived, failed] = [resolve, reject]);
    let taken = false;
    const options = { ...this.#sockets, hostname: local, port: this.#active?.port ?? 0 };
    const listener = openListener<Conn>(options, (channel, origin) => {
      const client = channel.remoteAddr?.hostname ?? peerAddress(channel.fd).hostname;
      if (taken || client !== remote) throw new Error("a stranger");
      taken = true;
      arrived({ channel, origin });
      return new Promise(() => {}); // it is not the listener's any more
    });
    signal.addEventListener("abort", () => listener.close());
    const next = (): void => {
      // A stranger ends only the call.
      listener.accept().catch((error) => error instanceof MptcpError || signal.aborted ? failed(error) : next());
    };
    const accept = () => {
      next();
      const what = "open a data connection: the server has not connected";
      return withDeadline(this.#deadline(signal), what, async (ended) => {
        const link = await unlessAborted(arrival, ended);
        if (this.#sockets.mptcp !== "require" || isMptcp(link.channel.fd)) return link;
        const why = "the server connected by plain TCP";
        throw new MptcpError("EOPNOTSUPP", `Cannot open a data connection by MPTCP: ${why}`, { syscall: "accept" });
      }).catch((error) => {
        arrival.then(({ channel }) => channel.reset(), () => {});
        throw error;
      });
    };
    return { port: listener.addr.port, accept };
  }

  /** Begins TLS, as the control connection has it. */
  async #secured({ channel, origin }: Link, signal: AbortSignal): Promise<Conn> {
    const ftp = this.#ftp;
    if (channel.fd < 0) throw new MptcpError("ECONNRESET", "TLS handshake failed: the server closed the data connection");
    // Servers want to see the session of the control connection again: so nobody else can take the data connection.
    const session = ftp.tlsSessionStore ?? (ftp.socket as TLSSocket).getSession();
    const settings: ConnectionOptions = { ...ftp.tlsOptions, ...(session ? { session } : {}) };
    return await withDeadline(this.#deadline(signal), "begin TLS on the data connection", (signal) => {
      return secure(channel, origin, settings, signal, (tls) => {
        // A ticket of TLS 1.3 is good for one time.
        tls.on("session", (session) => ftp.tlsSessionStore = session);
      });
    });
  }

  #take(transfer: Transfer, stop: AbortController, open: () => Promise<Conn>): void {
    const opened = (conn: Conn): DataConnectionOwner => {
      let owner!: DataConnectionOwner;
      const count = () => stream.bytesRead + stream.bytesWritten;
      this.remember(new DataConnection(transfer.kind, conn, count, (given) => owner = given));
      return owner;
    };
    const stream = new DataStream({ open, opened, stop, timeout: this.#timeout });
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
