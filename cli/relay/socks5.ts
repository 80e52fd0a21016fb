/**
 * SOCKS 5 (RFC 1928), its CONNECT only, without authentication or with name and password (RFC 1929).
 *
 * @module
 */
import { formatIPv4, formatIPv6 } from "../../kernel/ip.ts";
import type { Outcome, ProxyProtocol, Step } from "./greeting.ts";
import type { Credentials } from "./messages.ts";
import { sameText } from "./same_text.ts";

const VERSION = 5;
const AUTH_VERSION = 1;
const NO_AUTHENTICATION = 0;
const USER_PASSWORD = 2;
const NO_METHOD = 0xff;
const CONNECT = 1;
const [IPV4, NAME, IPV6] = [1, 3, 4];

// Replies, RFC 1928 section 6
const SUCCEEDED = 0;
const GENERAL_FAILURE = 1;
const NOT_ALLOWED = 2;
const NETWORK_UNREACHABLE = 3;
const HOST_UNREACHABLE = 4;
const REFUSED = 5;
const TTL_EXPIRED = 6;
const UNKNOWN_COMMAND = 7;
const UNKNOWN_ADDRESS_TYPE = 8;

const REPLIES = new Map<Outcome, number>([
  ["connected", SUCCEEDED],
  ["forbidden", NOT_ALLOWED],
  ["unknown", HOST_UNREACHABLE],
  ["ECONNREFUSED", REFUSED],
  ["ENETUNREACH", NETWORK_UNREACHABLE],
  ["EHOSTUNREACH", HOST_UNREACHABLE],
  ["ETIMEDOUT", TTL_EXPIRED],
  ["EPERM", NOT_ALLOWED],
  ["EACCES", NOT_ALLOWED],
]);

/** A reply without an address, which no client needs. */
function reply(code: number): Uint8Array {
  return Uint8Array.of(VERSION, code, 0, IPV4!, 0, 0, 0, 0, 0, 0);
}

const MORE: Step = { then: "more" };

/** See the module's comment. */
export class Socks5 implements ProxyProtocol {
  readonly #credentials: Credentials | null;
  #stage: "methods" | "password" | "request" = "methods";

  constructor(credentials: Credentials | null) {
    this.#credentials = credentials;
  }

  step(bytes: Uint8Array): Step {
    if (this.#stage === "methods") return this.#methods(bytes);
    return this.#stage === "password" ? this.#password(bytes) : this.#request(bytes);
  }

  answer(outcome: Outcome): Uint8Array {
    return reply(REPLIES.get(outcome) ?? GENERAL_FAILURE);
  }

  #methods(bytes: Uint8Array): Step {
    if (bytes.length < 2 || bytes.length < 2 + bytes[1]!) return MORE;
    const used = 2 + bytes[1]!;
    const wanted = this.#credentials === null ? NO_AUTHENTICATION : USER_PASSWORD;
    if (!bytes.subarray(2, used).includes(wanted)) return { then: "refuse", reply: Uint8Array.of(VERSION, NO_METHOD) };
    this.#stage = this.#credentials === null ? "request" : "password";
    return { then: "reply", reply: Uint8Array.of(VERSION, wanted), used };
  }

  #password(bytes: Uint8Array): Step {
    if (bytes.length < 2 || bytes.length < 3 + bytes[1]!) return MORE;
    const userEnd = 2 + bytes[1]!;
    const used = userEnd + 1 + bytes[userEnd]!;
    if (bytes.length < used) return MORE;
    const decoder = new TextDecoder();
    const user = decoder.decode(bytes.subarray(2, userEnd));
    const password = decoder.decode(bytes.subarray(userEnd + 1, used));
    const { user: knownUser, password: knownPassword } = this.#credentials!;
    // Both are compared, whatever the first one gives.
    const right = [sameText(user, knownUser), sameText(password, knownPassword)].every(Boolean) && bytes[0] === AUTH_VERSION;
    if (!right) return { then: "refuse", reply: Uint8Array.of(AUTH_VERSION, 1) };
    this.#stage = "request";
    return { then: "reply", reply: Uint8Array.of(AUTH_VERSION, 0), used };
  }

  #request(bytes: Uint8Array): Step {
    if (bytes.length < 5) return MORE;
    const [version, command, , type, length] = bytes as unknown as number[];
    if (version !== VERSION) return { then: "refuse", reply: reply(GENERAL_FAILURE) };
    if (command !== CONNECT) return { then: "refuse", reply: reply(UNKNOWN_COMMAND) };
    const start = type === NAME ? 5 : 4;
    const end = type === IPV4 ? start + 4 : type === IPV6 ? start + 16 : type === NAME ? start + length! : 0;
    if (end === 0) return { then: "refuse", reply: reply(UNKNOWN_ADDRESS_TYPE) };
    if (bytes.length < end + 2) return MORE;
    const address = bytes.subarray(start, end);
    const hostname = type === IPV4
      ? formatIPv4(address)
      : type === IPV6
      ? formatIPv6(address)
      : new TextDecoder().decode(address);
    const port = bytes[end]! << 8 | bytes[end + 1]!;
    if (hostname === "" || port === 0) return { then: "refuse", reply: reply(GENERAL_FAILURE) };
    return { then: "connect", hostname, port, used: end + 2 };
  }
}
