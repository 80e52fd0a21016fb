/**
 * A client of the proxy, until it has a connection: it tells where to, and is told what became of it. By SOCKS 5 (RFC 1928, with
 * names and passwords by RFC 1929) or by HTTP's CONNECT (RFC 9110); its first byte tells which.
 *
 * @module
 */
import type { Libc } from "../../ffi/mod.ts";
import { EAGAIN, EINTR } from "../../kernel/errno.ts";
import type { Credentials, Refusal } from "./messages.ts";
import type { Handler } from "./poller.ts";
import { HttpConnect } from "./http_connect.ts";
import { Socks5 } from "./socks5.ts";

/** Nobody needs more to tell where to go, bytes. */
const LIMIT = 16 << 10;

/** What became of a wish: a connection, a refusal, or the name of an errno. */
export type Outcome = "connected" | Refusal | `E${string}`;

/** What a step of a protocol leads to. */
export type Step =
  /** More must come. */
  | { then: "more" }
  /** It was answered, and the client goes on. */
  | { then: "reply"; reply: Uint8Array; used: number }
  /** It was answered, and that was it. */
  | { then: "refuse"; reply: Uint8Array }
  /** The client wants to go there. */
  | { then: "connect"; hostname: string; port: number; used: number };

/** A protocol by which clients tell their wishes: pure, bytes to steps. */
export interface ProxyProtocol {
  /** Looks at what has come and is not used. */
  step(bytes: Uint8Array): Step;
  /** The last answer. */
  answer(outcome: Outcome): Uint8Array;
}

/** Told by a greeting. */
export interface GreetingOwner {
  wants(hostname: string, port: number): void;
  /** The client was refused, and told so. */
  refused(): void;
  /** The client is gone. */
  gone(): void;
}

const SOCKS_VERSION = 5;

/** See the module's comment. */
export class Greeting implements Handler {
  readonly fd: number;
  /** When the client's time is up, by the thread's clock. */
  readonly deadline: number;
  readonly #libc: Libc;
  readonly #credentials: Credentials | null;
  readonly #owner: GreetingOwner;
  #protocol: ProxyProtocol | null = null;
  readonly #bytes = new Uint8Array(LIMIT);
  #length = 0;
  #asked = false;
  /** The port of the target. */
  port = 0;

  constructor(libc: Libc, fd: number, credentials: Credentials | null, owner: GreetingOwner, deadline: number) {
    this.#libc = libc;
    this.fd = fd;
    this.#credentials = credentials;
    this.#owner = owner;
    this.deadline = deadline;
  }

  /** What the client has sent beyond its wish. */
  get early(): Uint8Array | null {
    return this.#length === 0 ? null : this.#bytes.slice(0, this.#length);
  }

  /** `Handler` */
  ready(): void {
    // What comes while the target is looked for waits in the kernel.
    while (!this.#asked) {
      const count = this.#libc.recv(this.fd, this.#bytes.subarray(this.#length));
      if (count === -EINTR) continue;
      if (count === -EAGAIN) return;
      if (count <= 0) return this.#owner.gone();
      this.#length += count;
      if (!this.#go()) return;
    }
  }

  /** Tells the client what became of its wish. @returns Whether it could be told. */
  answer(outcome: Outcome): boolean {
    return this.#send(this.#protocol!.answer(outcome));
  }

  /** Goes as far as the bytes lead. @returns Whether to go on reading. */
  #go(): boolean {
    while (this.#length > 0) {
      this.#protocol ??= this.#bytes[0] === SOCKS_VERSION
        ? new Socks5(this.#credentials)
        : new HttpConnect(this.#credentials);
      const step = this.#protocol.step(this.#bytes.subarray(0, this.#length));
      if (step.then === "more") {
        if (this.#length < LIMIT) return true;
        this.#owner.refused();
        return false;
      }
      if (step.then === "refuse") {
        this.#send(step.reply);
        this.#owner.refused();
        return false;
      }
      this.#bytes.copyWithin(0, step.used, this.#length);
      this.#length -= step.used;
      if (step.then === "connect") {
        this.#asked = true;
        this.port = step.port;
        this.#owner.wants(step.hostname, step.port);
        return false;
      }
      if (this.#send(step.reply)) continue;
      this.#owner.gone();
      return false;
    }
    return true;
  }

  /** Answers are small: a client that does not take one at once is up to no good. */
  #send(bytes: Uint8Array): boolean {
    return this.#libc.send(this.fd, bytes) === bytes.length;
  }
}
