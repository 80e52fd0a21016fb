/**
 * The FTP client.
 *
 * @module
 */
import { type AccessOptions, Client, type FileInfo, type FTPContext, FTPError, type FTPResponse } from "basic-ftp";
import type { Socket } from "node:net";
import type { Readable, Writable } from "node:stream";
import { connect as connectTls, type ConnectionOptions } from "node:tls";
import { MptcpError } from "../kernel/error.ts";
import { ipVersion } from "../kernel/ip.ts";
import type { SocketControl } from "../node/control.ts";
import { unlessAborted, withDeadline } from "../net/deadline.ts";
import { mptcpOf } from "../node/mptcp_of.ts";
import { socketOptionsOf } from "../node/socket_options.ts";
import { FtpContext } from "./context.ts";
import { DataConnection, type DataKind } from "./data_connection.ts";
import { DataOpener } from "./data_opener.ts";
import { asItIs, explain } from "./errors.ts";
import { checkSink, endSink, openSink, openSource } from "./files.ts";
import {
  checkClientOptions,
  checkTransferOptions,
  type DownloadOptions,
  type FtpClientOptions,
  type TransferOptions,
  type UploadOptions,
} from "./options.ts";
import { Relay } from "./relay.ts";
import { checkTexts } from "./texts.ts";
import { Transfer } from "./transfer.ts";

/** Milliseconds that the server has at most to answer for a transfer that was ended early; then the client is closed. */
const LAST_WORD = 3000;

/**
 * An FTP client whose control connection and data connections are MPTCP, and TCP where MPTCP cannot be had: basic-ftp's
 * `Client` with all of its methods. One call at a time: await each.
 *
 * What the server refuses rejects with an `FTPError`, which has the `code` of its answer and leaves the client usable. After
 * an `MptcpError` or a timeout of the connection `closed` tells whether it is; `access` opens it again.
 *
 * @example
 * ```ts ignore
 * import { FtpClient } from "@mptcp/mptcp/ftp";
 *
 * const client = new FtpClient();
 * try {
 *   await client.access({ host: "ftp.example.org", user: "me", password: "secret", secure: true });
 *   for (const { name, size } of await client.list()) console.log(name, size);
 *   await client.downloadTo("local.iso", "remote.iso");
 *   for (const { kind, isMultipath, bytes } of client.dataConnections) console.log(kind, isMultipath, bytes);
 * } finally {
 *   client.close();
 * }
 * ```
 */
export class FtpClient extends Client implements Disposable {
  readonly #context: FtpContext;
  readonly #opener: DataOpener;
  #host = "localhost";
  #transfer: Transfer | null = null;
  /** Of a whole folder's transfer. */
  #signal: AbortSignal | undefined;

  /**
   * Makes a client that is not connected yet.
   *
   * @param options A number stands for `timeout`, as in basic-ftp.
   * @throws {TypeError} When an option has the wrong type.
   * @throws {RangeError} When a number is out of range.
   */
  constructor(options: FtpClientOptions | number = {}) {
    const given = typeof options === "number" ? { timeout: options } : options;
    checkClientOptions(given);
    const { timeout = 30_000, maxListingBytes = 40 << 20, allowSeparateTransferHost = false } = given;
    super(timeout, { maxListingBytes, allowSeparateTransferHost });
    const sockets = socketOptionsOf(given);
    const context = new FtpContext(timeout, sockets, (socket) => this.#foreign(socket));
    (this as { ftp: FTPContext }).ftp = this.#context = context;
    this.#opener = new DataOpener(context, sockets, given);
    this.prepareTransfer = () => this.#opener.prepare(this.#transfer ?? new Transfer("download"));
  }

  /**
   * The control connection's MPTCP side: `isMultipath()`, `subflows()`, `fallback()` and so on. A new one for each connect;
   * of a closed connection it tells what was last.
   */
  get control(): SocketControl {
    return this.#context.control;
  }

  /** Every data connection since `connect` that a transfer has begun on, in order; the last thousand of them. */
  get dataConnections(): readonly DataConnection[] {
    return this.#opener.connections;
  }

  /**
   * Ends the transfer that is under way: it rejects with `reason`, and the client can be used further. The server sees the
   * data connection reset, so it takes no half upload for whole. Without a transfer nothing happens.
   *
   * @param reason @default {a `DOMException` named `AbortError`}
   */
  abort(reason: unknown = new DOMException("The transfer was aborted", "AbortError")): void {
    this.#transfer?.abort(reason);
  }

  /** `close()` */
  [Symbol.dispose](): void {
    this.close();
  }

  /**
   * Connects, without logging in; see {@linkcode FtpClient.access}.
   *
   * @param host @default {"localhost"}
   * @param port @default {21}
   * @returns The server's greeting.
   */
  override connect(host = "localhost", port = 21): Promise<FTPResponse> {
    return this.#explained(() => {
      this.#begin(host);
      return super.connect(host, port);
    });
  }

  /**
   * Connects by TLS from the first byte on (implicit TLS), which is no standard.
   *
   * @param port @default {21}
   * @param tlsOptions Of `tls.connect`.
   */
  override connectImplicitTLS(host = "localhost", port = 21, tlsOptions: ConnectionOptions = {}): Promise<FTPResponse> {
    return this.#explained(() => {
      this.#begin(host);
      const ftp = this.#context;
      ftp.reset();
      const settings = this.#tlsSettings(tlsOptions);
      const below = ftp.controlSocket;
      const greeting = ftp.handle(undefined, (response, task) => {
        if (response instanceof Error) task.reject(response);
        else if (response.code >= 200 && response.code < 300) task.resolve(response);
        else task.reject(new FTPError(response));
      });
      const family = ftp.ipFamily === undefined ? {} : { family: ftp.ipFamily };
      below.connect({ host, port, ...family }, () => {
        // What arrives is TLS's.
        below.removeAllListeners("data");
        const tls = connectTls({ ...settings, socket: below }, () => {
          tls.off("error", failed);
          ftp.socket = tls;
          ftp.tlsOptions = settings;
          tls.setTimeout(ftp.timeout);
        });
        const failed = (error: Error) => ftp.closeWithError(error);
        tls.once("error", failed);
      });
      return greeting;
    });
  }

  #begin(host: string): void {
    checkTexts({ host });
    this.#host = host;
    this.#opener.reset();
  }

  /** The name is sent (SNI) and verified, as every client of today does. */
  #tlsSettings(options: ConnectionOptions): ConnectionOptions {
    const host = options.host ?? this.#host;
    return { ...options, host, ...(options.servername || ipVersion(host) !== 0 ? {} : { servername: host }) };
  }

  /**
   * Goes on by TLS (explicit TLS); data connections too, from `useDefaultSettings` on.
   *
   * @param options Of `tls.connect`, such as `ca` or `rejectUnauthorized`.
   * @param command @default {"AUTH TLS"}
   * @throws {MptcpError} When the handshake fails, with the runtime's code; the client is closed then.
   */
  override useTLS(options: ConnectionOptions = {}, command?: string): Promise<FTPResponse> {
    return this.#explained(async () => {
      const { timeout } = this.ftp;
      // basic-ftp would wait for the handshake for ever.
      const deadline = { signal: this.#context.ending, ...(timeout > 0 ? { timeout } : {}) };
      try {
        return await withDeadline(deadline, "begin TLS", (signal) => {
          return unlessAborted(super.useTLS(this.#tlsSettings(options), command), signal);
        });
      } catch (error) {
        if (!(error instanceof FTPError)) this.ftp.closeWithError(error instanceof Error ? error : new Error(String(error)));
        throw error;
      }
    });
  }

  /**
   * Logs in.
   *
   * @param user @default {"anonymous"}
   * @param password @default {"guest"}
   */
  override login(user?: string, password?: string): Promise<FTPResponse> {
    return this.#explained(() => {
      checkTexts({ user, password });
      return super.login(user, password);
    });
  }

  /**
   * Connects, begins TLS if asked for, logs in, and asks for binary transfers. To be called again after the client was closed.
   *
   * @param options `host`, `port`, `user`, `password`; `secure: true` for explicit TLS, `"implicit"` for implicit TLS, with
   * `secureOptions` of `tls.connect`.
   * @returns The server's greeting.
   * @throws {FTPError} When the server refuses.
   * @throws {MptcpError} When the connection fails.
   */
  override access(options: AccessOptions = {}): Promise<FTPResponse> {
    return this.#explained(() => {
      const { user, password, secureOptions } = options;
      checkTexts({ user, password });
      return super.access({ ...options, ...(secureOptions ? { secureOptions: { ...secureOptions } } : {}) });
    });
  }

  /**
   * Sends any command.
   *
   * @returns The first answer to it.
   */
  override send(command: string, ignoreErrorCodes?: boolean): Promise<FTPResponse> {
    return this.#explained(() => {
      checkTexts({ command });
      return super.send(command, ignoreErrorCodes);
    });
  }

  /** Sends any command; an answer that refuses it is no error. */
  override sendIgnoringError(command: string): Promise<FTPResponse> {
    return this.#explained(() => {
      checkTexts({ command });
      return super.sendIgnoringError(command);
    });
  }

  /** The working directory. */
  override pwd(): Promise<string> {
    return this.#explained(async () => {
      const { message } = await this.send("PWD");
      // A quotation mark within is doubled.
      const quoted = /^\d{3}[ -]"((?:[^"]|"")*)"/.exec(message)?.[1];
      if (quoted) return quoted.replaceAll('""', '"');
      throw new Error(`Can't parse response to command 'PWD': ${message}`);
    });
  }

  /** Changes the working directory. */
  override cd(path: string): Promise<FTPResponse> {
    return this.#onPaths({ path }, () => super.cd(path));
  }

  /** When a file was changed last. */
  override lastMod(path: string): Promise<Date> {
    return this.#onPaths({ path }, async () => {
      const date = await super.lastMod(path);
      if (!Number.isNaN(date.getTime())) return date;
      throw new MptcpError("EPROTO", `Cannot tell when "${path}" was changed: the server's answer has no date`);
    });
  }

  /** A file's size, bytes. */
  override size(path: string): Promise<number> {
    return this.#onPaths({ path }, async () => {
      const size = await super.size(path);
      if (size >= 0) return size;
      throw new MptcpError("EPROTO", `Cannot tell the size of "${path}": the server says ${size}`);
    });
  }

  /** Renames or moves a file. */
  override rename(srcPath: string, destPath: string): Promise<FTPResponse> {
    return this.#onPaths({ srcPath, destPath }, () => super.rename(srcPath, destPath));
  }

  /**
   * Removes a file.
   *
   * @param ignoreErrorCodes @default {false}
   */
  override remove(path: string, ignoreErrorCodes?: boolean): Promise<FTPResponse> {
    return this.#onPaths({ path }, () => super.remove(path, ignoreErrorCodes));
  }

  /** Makes a directory, with all above it, and changes to it. */
  override ensureDir(remoteDirPath: string): Promise<void> {
    return this.#onPaths({ remoteDirPath }, () => super.ensureDir(remoteDirPath));
  }

  /** Removes an empty directory. */
  override removeEmptyDir(path: string): Promise<FTPResponse> {
    return this.#onPaths({ path }, () => super.removeEmptyDir(path));
  }

  /** Removes a directory and everything in it. */
  override removeDir(remoteDirPath: string): Promise<void> {
    return this.#onPaths({ remoteDirPath }, () => super.removeDir(remoteDirPath));
  }

  /**
   * What is in a directory.
   *
   * @param path @default {""} the working directory
   * @throws {MptcpError} `EMSGSIZE` for a listing longer than `maxListingBytes`.
   */
  override list(path = "", options: TransferOptions = {}): Promise<FileInfo[]> {
    return this.#onPaths({ path }, () => {
      checkTransferOptions(options);
      return this.#transferring("list", options.signal, null, () => super.list(path));
    });
  }

  /**
   * Uploads a file, in place of one that is there.
   *
   * @param source A local file's path, or a stream.
   * @returns The server's confirmation that it has the whole.
   * @throws As `access`; and `signal.reason`, or the source's own error.
   */
  override uploadFrom(source: Readable | string, toRemotePath: string, options?: UploadOptions): Promise<FTPResponse> {
    return this.#upload(source, toRemotePath, options, (stream) => super.uploadFrom(stream, toRemotePath));
  }

  /**
   * Uploads to the end of a file: `{ localStart: await client.size(path) }` resumes an upload.
   *
   * @param source A local file's path, or a stream.
   */
  override appendFrom(source: Readable | string, toRemotePath: string, options?: UploadOptions): Promise<FTPResponse> {
    return this.#upload(source, toRemotePath, options, (stream) => super.appendFrom(stream, toRemotePath));
  }

  #upload(
    source: Readable | string,
    toRemotePath: string,
    options: UploadOptions = {},
    send: (stream: Readable) => Promise<FTPResponse>,
  ): Promise<FTPResponse> {
    return this.#onPaths({ toRemotePath }, async () => {
      checkTransferOptions(options);
      const { signal, localStart = 0, localEndInclusive } = options;
      const file = typeof source === "string" ? await openSource(source, localStart, localEndInclusive) : null;
      const relay = Relay.reading(file?.stream ?? source as Readable);
      const work = async () => {
        const response = await send(relay);
        const expected = file?.expected ?? relay.bytes;
        if (relay.bytes === expected) return response;
        const sent = `${relay.bytes} of ${expected} bytes were sent`;
        throw new MptcpError(
          "EIO",
          `Cannot upload "${source}": it changed meanwhile, ${sent}; "${toRemotePath}" is incomplete`,
        );
      };
      return await this.#transferring("upload", signal, relay, work);
    });
  }

  /**
   * Downloads a file.
   *
   * A stream ends only when the server has confirmed that this was the whole; else it is destroyed. A local file is written
   * in place: of a download that fails it has the beginning, for `startAt` to go on from. It is as it was until something comes.
   *
   * @param destination A local file's path, or a stream.
   * @param startAt The byte to begin with, or options.
   * @returns The server's confirmation.
   * @throws As `access`; and `signal.reason`, or the destination's own error; a `RangeError` when the local file has less than
   * `startAt` bytes.
   */
  override downloadTo(
    destination: Writable | string,
    fromRemotePath: string,
    startAt: number | DownloadOptions = 0,
  ): Promise<FTPResponse> {
    const options = typeof startAt === "number" ? { startAt } : startAt;
    return this.#onPaths({ fromRemotePath }, async () => {
      checkTransferOptions(options);
      const { signal, startAt = 0 } = options;
      const file = typeof destination === "string" ? destination : null;
      if (file !== null) await checkSink(file, startAt);
      const to = file === null ? destination as Writable : () => openSink(file, startAt);
      const relay = Relay.to(to, () => this.#confirmed(startAt));
      return await this.#transferring("download", signal, relay, async () => {
        const response = await super.downloadTo(relay, fromRemotePath, startAt);
        this.#checkWhole(startAt);
        await relay.over;
        if (relay.failure !== null) throw relay.failure;
        if (file !== null) await endSink(file, startAt, relay.bytes);
        return response;
      });
    });
  }

  /** Uploads what is in a local folder. */
  override uploadFromDir(localDirPath: string, remoteDirPath?: string, options: TransferOptions = {}): Promise<void> {
    return this.#onPaths({ remoteDirPath }, () => {
      return this.#withSignal(options, () => super.uploadFromDir(localDirPath, remoteDirPath));
    });
  }

  /** Downloads what is in a directory. */
  override downloadToDir(localDirPath: string, remoteDirPath?: string, options: TransferOptions = {}): Promise<void> {
    return this.#onPaths({ remoteDirPath }, () => {
      return this.#withSignal(options, () => super.downloadToDir(localDirPath, remoteDirPath));
    });
  }

  /** Checks what is to become part of a command, then does the work. */
  #onPaths<T>(paths: Readonly<Record<string, unknown>>, work: () => Promise<T>): Promise<T> {
    return this.#explained(() => {
      checkTexts(paths);
      return work();
    });
  }

  async #explained<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw explain(error, this.ftp.timeout);
    }
  }

  async #withSignal(options: TransferOptions, work: () => Promise<void>): Promise<void> {
    checkTransferOptions(options);
    options.signal?.throwIfAborted();
    this.#signal = options.signal;
    try {
      await work();
    } finally {
      this.#signal = undefined;
    }
  }

  /**
   * Does a transfer.
   *
   * @param relay To the local end, which may be why it failed. It is gone afterwards.
   */
  async #transferring<T>(
    kind: DataKind,
    signal: AbortSignal | undefined,
    relay: Relay | null,
    work: () => Promise<T>,
  ): Promise<T> {
    if (this.#transfer !== null) {
      relay?.destroy();
      throw new MptcpError("EBUSY", "Cannot begin a transfer: another one is under way", { hint: "await each call" });
    }
    const transfer = this.#transfer = new Transfer(kind, signal ?? this.#signal);
    this.#context.beginTransfer();
    try {
      transfer.signal.throwIfAborted();
      return await work();
    } catch (error) {
      throw await this.#outcome(transfer, error, relay);
    } finally {
      relay?.destroy();
      await relay?.over;
      transfer.close();
      this.#transfer = null;
    }
  }

  /** Why a transfer failed: what one end did makes errors at the others. */
  async #outcome({ signal, stream }: Transfer, error: unknown, relay: Relay | null): Promise<unknown> {
    const reply = error instanceof FTPError || stream === null ? error : await this.#lastWord(error);
    if (signal.aborted) return asItIs(signal.reason);
    if (relay?.failure) return asItIs(relay.failure);
    const broken = stream?.failure;
    if (broken && reply instanceof FTPError) reply.cause ??= broken;
    return reply instanceof FTPError && broken ? reply : broken ?? error;
  }

  /**
   * Waits for the server's answer to a transfer that has failed on this side, so that it is not taken for that to the next
   * command. Without one the client is closed.
   */
  async #lastWord(error: unknown): Promise<unknown> {
    const ftp = this.#context;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const patience = Math.min(LAST_WORD, ftp.timeout || LAST_WORD);
    const silence = new Promise<null>((resolve) => timer = setTimeout(() => resolve(null), patience));
    const reply = await Promise.race([ftp.verdict, silence]);
    clearTimeout(timer);
    if (reply === null) ftp.closeWithError(error instanceof Error ? error : new Error(String(error)));
    return reply;
  }

  /** Waits until the server has confirmed a download. */
  async #confirmed(startAt: number): Promise<void> {
    const reply = await this.#context.awaitVerdict();
    if (reply === null) throw new MptcpError("ENODATA", "The download has not begun");
    if (reply instanceof Error) throw reply;
    this.#checkWhole(startAt);
  }

  /** A server may tell the size beforehand. With REST some tell the whole file's, some what is left of it. */
  #checkWhole(startAt: number): void {
    const { declared } = this.#context;
    const received = this.#transfer?.stream?.bytesRead;
    if (declared === null || received === undefined || received >= declared - startAt) return;
    throw new MptcpError("ENODATA", `The download is incomplete: of ${declared} bytes ${received + startAt} came`);
  }

  /** A data connection that a `prepareTransfer` of somebody else has made. */
  #foreign(socket: Socket): void {
    const transfer = this.#transfer;
    const count = () => socket.bytesRead + socket.bytesWritten;
    this.#opener.remember(new DataConnection(transfer?.kind ?? "download", mptcpOf(socket), count));
    transfer?.signal.addEventListener("abort", () => socket.destroy(), { once: true });
  }
}
