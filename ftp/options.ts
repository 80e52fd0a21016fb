/**
 * The options of `FtpClient` and of its transfers, checked before anything is sent.
 *
 * @module
 */
import { checkBoolean, checkInteger, checkObject, show } from "../kernel/argument_checks.ts";
import { ipVersion } from "../kernel/ip.ts";
import { checkSocketOptions, type SocketOptions } from "../net/options.ts";

/** How the server is to connect to us, in active mode. */
export interface ActiveOptions {
  /**
   * The IP address that is told to the server.
   *
   * @default {undefined} the control connection's own
   */
  address?: string;
  /**
   * The port to listen on, for a firewall that lets only that one in.
   *
   * @default {0} any free one
   */
  port?: number;
}

/** Options of {@linkcode FtpClient}. Those of sockets hold for the control connection and for each data connection. */
export interface FtpClientOptions extends SocketOptions {
  /**
   * Milliseconds that the server may be silent, while an answer or data is awaited; 0 for ever.
   *
   * @default {30000}
   */
  timeout?: number;
  /**
   * Lets the server open the data connections (PORT, EPRT), where it cannot be reached on further ports. It needs to reach
   * this host: no firewall and no address translation between the two, or see {@linkcode ActiveOptions}.
   *
   * @default {false} passive: this client opens them (EPSV, PASV)
   */
  active?: boolean | ActiveOptions;
  /**
   * Follows a PASV answer to another host than the one that the control connection goes to. A server could have this client
   * connect anywhere by that (FTP bounce).
   *
   * @default {false}
   */
  allowSeparateTransferHost?: boolean;
  /**
   * The largest listing to accept, bytes.
   *
   * @default {41943040}
   */
  maxListingBytes?: number;
}

/** Options of every transfer. */
export interface TransferOptions {
  /** Ends the transfer, which then rejects with `signal.reason`; the client can be used further. */
  signal?: AbortSignal;
}

/** Options of `downloadTo`. */
export interface DownloadOptions extends TransferOptions {
  /**
   * The byte of the remote file to begin with, to resume a download; a local file is written from there on too.
   *
   * @default {0}
   */
  startAt?: number;
}

/** Options of `uploadFrom` and `appendFrom`. */
export interface UploadOptions extends TransferOptions {
  /**
   * The byte of the local file to begin with, to resume an upload by `appendFrom`.
   *
   * @default {0}
   */
  localStart?: number;
  /**
   * The last byte of the local file to send.
   *
   * @default {undefined} the file's last
   */
  localEndInclusive?: number;
}

const DELAY_MAX = 2 ** 31 - 1;

/**
 * Checks the constructor's options.
 *
 * @throws {TypeError} When an option has the wrong type.
 * @throws {RangeError} When a number is out of range.
 */
export function checkClientOptions(options: FtpClientOptions): void {
  checkObject("options", options);
  checkSocketOptions(options);
  const { timeout, active, allowSeparateTransferHost, maxListingBytes } = options;
  if (timeout !== undefined) checkInteger("timeout", timeout, 0, DELAY_MAX);
  if (maxListingBytes !== undefined) checkInteger("maxListingBytes", maxListingBytes, 1, Number.MAX_SAFE_INTEGER);
  checkBoolean("allowSeparateTransferHost", allowSeparateTransferHost);
  if (typeof active !== "object" || active === null) return checkBoolean("active", active);
  const { address, port } = active;
  if (port !== undefined) checkInteger("active.port", port, 0, 65535);
  if (address !== undefined && (typeof address !== "string" || ipVersion(address) === 0)) {
    throw new TypeError(`Cannot use active.address ${show(address)}: it must be an IP address`);
  }
}

/**
 * Checks the options of a transfer.
 *
 * @throws {TypeError} When an option has the wrong type.
 * @throws {RangeError} When a number is out of range.
 */
export function checkTransferOptions(options: DownloadOptions & UploadOptions): void {
  checkObject("options", options);
  const { signal, startAt, localStart, localEndInclusive } = options;
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw new TypeError(`Cannot use signal ${show(signal)}: it must be an AbortSignal`);
  }
  for (const [name, value] of Object.entries({ startAt, localStart, localEndInclusive })) {
    if (value !== undefined) checkInteger(name, value, 0, Number.MAX_SAFE_INTEGER);
  }
}
