/**
 * TLS over MPTCP: the runtime's own TLS on our connections.
 *
 * @module
 */
import type { Socket } from "node:net";
import { clearTimeout, setTimeout } from "node:timers";
import { connect as connectTlsSocket, type ConnectionOptions, type SecureContext, TLSSocket } from "node:tls";
import { type Channel, type Flow, runtime, StreamChannel, system } from "../ffi/mod.ts";
import { hostPort, MptcpError } from "../kernel/error.ts";
import { ipVersion } from "../kernel/ip.ts";
import { Conn } from "./conn.ts";
import { withDeadline } from "./deadline.ts";
import { connectingTo, dial } from "./dial.ts";
import { BACKLOG, openListener } from "./listen.ts";
import type { Origin } from "./path_control.ts";
import type { Listener } from "./listener.ts";
import { checkConnectOptions, checkListenOptions, type ConnectOptions, type ListenOptions } from "./options.ts";
import { secureContext } from "./tls_certificate.ts";
import { ChannelStream } from "./tls_stream.ts";

/** Options of `connectTls`. */
export interface ConnectTlsOptions extends ConnectOptions {
  /**
   * Certificates of authorities to trust besides the runtime's own, as PEM texts.
   *
   * @default {[]}
   */
  caCerts?: string[];
  /**
   * Application protocols to offer, the preferred first, such as `["h2", "http/1.1"]`.
   *
   * @default {[]}
   */
  alpnProtocols?: string[];
  /**
   * The name that the server's certificate must be for, and that is sent to it (SNI).
   *
   * @default {hostname}
   */
  serverName?: string;
  /** Our own certificate, PEM, where the server asks for one. */
  cert?: string;
  /** The key of `cert`, PEM. */
  key?: string;
}

/** Options of `listenTls`. */
export interface ListenTlsOptions extends ListenOptions {
  /** The certificate, PEM, followed by the chain if there is one. */
  cert: string;
  /** The key of `cert`, PEM. */
  key: string;
  /**
   * Application protocols to accept, the preferred first.
   *
   * @default {[]}
   */
  alpnProtocols?: string[];
  /**
   * Milliseconds that a client has for its handshake; then it is disconnected.
   *
   * @default {30000}
   */
  handshakeTimeout?: number;
}

/**
 * A connection whose bytes are encrypted. `info()`, `subflows()` and the like are about the connection below, `closeWrite()`
 * is TLS's own end (close_notify).
 */
export class TlsConn extends Conn {
  /** The application protocol that both agreed on; `null` when there is none. */
  readonly alpnProtocol: string | null;

  /**
   * Made by `connectTls` and by the listener of `listenTls`.
   *
   * @param channel The decrypted bytes.
   * @param origin Where the connection comes from.
   * @param control The channel below.
   * @param alpnProtocol What was agreed on.
   */
  constructor(channel: Channel, origin: Origin, control: Channel, alpnProtocol: string | null) {
    super(channel, origin, control);
    this.alpnProtocol = alpnProtocol;
  }
}

/** What TLS stands on, and how its stream is stopped and started. */
interface Ground {
  socket: Socket;
  flow?: Flow;
}

function groundOf(channel: Channel): Ground {
  if (runtime !== "deno" || channel instanceof StreamChannel) return { socket: channel.toNode(new Uint8Array(0)) };
  const stream = new ChannelStream(channel);
  return { socket: stream as unknown as Socket, flow: stream.flow };
}

const drain = new Uint8Array(1 << 16);

/** Milliseconds that a connection waits for its peer's end after the close. */
const LINGER = 2000;

/** Milliseconds between two looks whether the kernel has room. */
const ROOM_INTERVAL = 5;

/** The decrypted bytes of a connection. */
class TlsChannel extends StreamChannel {
  readonly #ground: Ground;
  readonly #below: Channel;

  constructor(tls: TLSSocket, ground: Ground, below: Channel) {
    super(tls, ground.flow);
    this.#ground = ground;
    this.#below = below;
  }

  override closeWrite(done: (error: unknown) => void): void {
    this.#whenRoom(() => super.closeWrite(done));
  }

  /**
   * Says goodbye (close_notify) and closes. What lies unread in the kernel is thrown away first, session tickets as a rule:
   * a close with unread bytes is a reset, which could overtake what was written last.
   */
  override close(): void {
    this.owner = null;
    const { socket } = this;
    if (socket.destroyed || socket.writableLength > 0) return this.#end();
    if (socket.writableFinished) return this.#linger();
    this.#whenRoom(() => {
      socket.once("finish", () => {
        while (this.#below.recv(drain) > 0);
        this.#end();
      }).end();
    });
  }

  /**
   * Our end was told before: waits a while for the peer's, as a peer that answers it after the close would meet a reset, and
   * some then take what they have read for broken.
   */
  #linger(): void {
    const { socket } = this;
    if (socket.readableEnded) return this.#end();
    const timer = setTimeout(() => this.#end(), LINGER);
    timer.unref();
    socket.once("close", () => clearTimeout(timer)).once("end", () => this.#end());
    socket.removeAllListeners("data").resume();
    this.#ground.flow?.resume();
  }

  override reset(): void {
    this.owner = null;
    this.#below.reset();
    this.#end();
  }

  override setRef(ref: boolean): void {
    super.setRef(ref);
    // A TLS socket on a stream of ours has no handle to let go of.
    if (this.#ground.flow) this.#below.setRef(ref);
  }

  /**
   * Bun sends its close_notify once, and not again where the kernel has no room for it: the peer then takes the stream for one
   * that was cut off (Bun 1.4).
   */
  #whenRoom(then: () => void): void {
    if (runtime !== "bun" || (system()?.libc.isWritable(this.#below.fd) ?? true)) then();
    else setTimeout(() => this.#whenRoom(then), ROOM_INTERVAL);
  }

  #end(): void {
    this.socket.destroy();
    this.#ground.socket.destroy();
    this.#below.close();
  }
}

/** The other end, as far as errors shall name it. */
type Peer = Pick<ConnectionOptions, "host" | "port">;

/** Waits until the handshake is over, and closes everything when it fails. */
function handshake(
  tls: TLSSocket,
  event: "secureConnect" | "secure",
  ground: Ground,
  channel: Channel,
  signal: AbortSignal,
  peer: Peer = {},
): Promise<StreamChannel> {
  return new Promise((resolve, reject) => {
    const end = () => {
      signal.removeEventListener("abort", abort);
      tls.off("error", failed).off("end", closed).off("close", closed).off(event, secure);
    };
    const fail = (error: unknown) => {
      end();
      tls.on("error", () => {}); // it may have more than one to say
      tls.destroy();
      channel.close();
      reject(error);
    };
    const abort = () => fail(signal.reason);
    const failed = (error: unknown) => fail(tlsError(error, peer));
    const closed = () => failed({ code: "ECONNRESET", message: "the peer closed the connection" });
    const secure = () => {
      end();
      resolve(new TlsChannel(tls, ground, channel));
    };
    if (signal.aborted) return abort();
    signal.addEventListener("abort", abort, { once: true });
    // Half-open as it is, the stream does not close by itself when the peer has gone.
    tls.once("error", failed).once("end", closed).once("close", closed).once(event, secure);
  });
}

/** The runtimes' TLS errors, with the code that they have and a hint for the common ones. */
export function tlsError(error: unknown, { host, port }: Peer = {}): MptcpError {
  const { code = "EPROTO", message = String(error) } = error as { code?: string; message?: string };
  let hint: string | undefined;
  if (/self.?signed|UNABLE_TO_(VERIFY|GET_ISSUER)|UnknownIssuer|unknown ca/i.test(`${code} ${message}`)) {
    hint = "pass the authority's certificate in caCerts";
  } else if (/ALTNAME|NotValidForName|hostname/i.test(`${code} ${message}`)) {
    hint = "pass the name that the certificate is for in serverName";
  } else if (/EXPIRED/i.test(`${code} ${message}`)) {
    hint = "the certificate is no longer valid; the server needs a new one";
  }
  const peer = host === undefined ? "" : ` with ${port === undefined ? host : hostPort(host, port)}`;
  const options = { syscall: "connect", address: host, port, hint, cause: error instanceof Error ? error : undefined };
  return new MptcpError(code, `TLS handshake${peer} failed: ${message}`, options);
}

const NO_PROTOCOL: readonly unknown[] = [false, null, undefined, ""];

function protocolOf(tls: TLSSocket): string | null {
  return NO_PROTOCOL.includes(tls.alpnProtocol) ? null : tls.alpnProtocol as string;
}

const contexts = new Map<string, SecureContext>();

/** A context that trusts more authorities. Kept: it takes milliseconds to read the runtime's own list. */
function trusting(caCerts: readonly string[], cert: string | undefined, key: string | undefined): SecureContext {
  const id = JSON.stringify([caCerts, cert, key]);
  let context = contexts.get(id);
  if (context === undefined) {
    context = secureContext("connect by TLS", { cert, key }, caCerts);
    if (contexts.size >= 32) contexts.clear();
    contexts.set(id, context);
  }
  return context;
}

/**
 * Lets a connected channel go on by TLS, as its client.
 *
 * @param settings Of `tls.connect`; errors name its `host` and `port`.
 * @param signal Ends the handshake.
 * @param made Called with the runtime's TLS socket, before the handshake.
 * @throws When the handshake fails, as `connectTls`; the channel is closed then.
 */
export async function secure(
  channel: Channel,
  origin: Origin,
  settings: ConnectionOptions,
  signal: AbortSignal,
  made: (tls: TLSSocket) => void = () => {},
): Promise<TlsConn> {
  const ground = groundOf(channel);
  try {
    // `allowHalfOpen` is documented, though the type lacks it.
    const tls = connectTlsSocket({ ...settings, socket: ground.socket, allowHalfOpen: true } as ConnectionOptions);
    made(tls);
    const secured = await handshake(tls, "secureConnect", ground, channel, signal, settings);
    return new TlsConn(secured, origin, channel, protocolOf(tls));
  } catch (error) {
    channel.close();
    origin.listening?.[Symbol.dispose]();
    throw error;
  }
}

/**
 * Connects to a server by TLS over MPTCP. The certificate is verified.
 *
 * @throws {TypeError} As `connect` does; and when one of `cert` and `key` is without the other.
 * @throws {MptcpError} As `connect` does; `EINVAL` when one of the certificates cannot be read; and with the runtime's code
 * (such as `"DEPTH_ZERO_SELF_SIGNED_CERT"`) when the handshake fails.
 */
export async function connectTls(options: ConnectTlsOptions): Promise<TlsConn> {
  checkConnectOptions(options);
  checkTexts("caCerts", options.caCerts);
  checkTexts("alpnProtocols", options.alpnProtocols);
  const { hostname = "127.0.0.1", caCerts = [], alpnProtocols = [], cert, key } = options;
  const serverName = options.serverName ?? (ipVersion(hostname) === 0 ? hostname : "");
  for (const [name, value] of Object.entries({ serverName, cert, key })) {
    if (value !== undefined && typeof value !== "string") throw new TypeError(`Cannot use ${name}: it must be a string`);
  }
  if ((cert === undefined) !== (key === undefined)) throw new TypeError("Cannot connect: cert and key go together");
  return await withDeadline(options, connectingTo(options), async (signal) => {
    const settings = {
      host: hostname,
      port: options.port,
      secureContext: trusting(caCerts, cert, key),
      ...(serverName === "" ? {} : { servername: serverName }),
      ...(alpnProtocols.length === 0 ? {} : { ALPNProtocols: alpnProtocols }),
    };
    const { channel, origin } = await dial(options, signal);
    return await secure(channel, origin, settings, signal);
  });
}

/**
 * Listens for TLS connections over MPTCP. `accept` gives a connection when its handshake is over; a client whose handshake
 * fails or takes too long is disconnected, and the others do not wait for it. As many handshakes as `backlog` allows are made
 * before anybody accepts.
 *
 * @throws {MptcpError} As `listen` does; and `EINVAL` when `cert` or `key` cannot be read, or do not belong together.
 */
export function listenTls(options: ListenTlsOptions): Listener<TlsConn> {
  checkListenOptions(options);
  checkTexts("alpnProtocols", options.alpnProtocols);
  const { cert, key, alpnProtocols = [], handshakeTimeout = 30_000 } = options;
  if (typeof cert !== "string" || typeof key !== "string") {
    throw new TypeError("Cannot listen: cert and key must be PEM texts");
  }
  if (typeof handshakeTimeout !== "number") throw new TypeError("Cannot use handshakeTimeout: it must be a number");
  const context = secureContext("listen by TLS", { cert, key });
  return openListener<TlsConn>(options, async (channel, origin) => {
    const stop = new AbortController();
    const timer = setTimeout(
      () => stop.abort(new DOMException("TLS handshake took too long", "TimeoutError")),
      handshakeTimeout,
    );
    try {
      const ground = groundOf(channel);
      const tls = new TLSSocket(
        ground.socket,
        {
          isServer: true,
          secureContext: context,
          allowHalfOpen: true,
          ...(alpnProtocols.length === 0 ? {} : { ALPNProtocols: alpnProtocols }),
        } as ConstructorParameters<typeof TLSSocket>[1],
      );
      const secured = await handshake(tls, "secure", ground, channel, stop.signal);
      return new TlsConn(secured, origin, channel, protocolOf(tls));
    } finally {
      clearTimeout(timer);
    }
  }, options.backlog ?? BACKLOG);
}

function checkTexts(name: string, value: unknown): void {
  if (value === undefined) return;
  if (!Array.isArray(value) || value.some((each) => typeof each !== "string")) {
    throw new TypeError(`Cannot use ${name}: it must be an array of strings`);
  }
}
