/**
 * HTTP's CONNECT (RFC 9110, section 9.3.6), with Basic authentication (RFC 7617) where a password is wanted.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import type { Outcome, ProxyProtocol, Step } from "./greeting.ts";
import type { Credentials } from "./messages.ts";
import { sameText } from "./same_text.ts";

const END = "\r\n\r\n";

const STATUS = new Map<Outcome, string>([
  ["forbidden", "403 Forbidden"],
  ["ETIMEDOUT", "504 Gateway Timeout"],
]);

/** A whole response, after which the connection ends. */
function response(status: string, words: string, ...headers: string[]): Uint8Array {
  const body = `${words}\n`;
  const head = [
    `HTTP/1.1 ${status}`,
    ...headers,
    "Content-Type: text/plain",
    `Content-Length: ${Buffer.byteLength(body)}`,
    "Connection: close",
  ];
  return Buffer.from(`${head.join("\r\n")}${END}${body}`);
}

const refuse = (...args: Parameters<typeof response>): Step => ({ then: "refuse", reply: response(...args) });

/** See the module's comment. */
export class HttpConnect implements ProxyProtocol {
  readonly #credentials: Credentials | null;

  constructor(credentials: Credentials | null) {
    this.#credentials = credentials;
  }

  step(bytes: Uint8Array): Step {
    const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
    const end = text.indexOf(END);
    // What is no HTTP need not be waited for.
    if (!/^[A-Z]{1,20}($| )/.test(text)) return refuse("400 Bad Request", "This is a proxy for HTTP CONNECT and SOCKS 5");
    if (end < 0) return { then: "more" };
    const [line = "", ...headers] = text.slice(0, end).split("\r\n");
    const [, method, authority = ""] = /^([A-Z]+) (\S+) HTTP\/1\.[01]$/.exec(line) ?? [];
    if (method === undefined) return refuse("400 Bad Request", "The request line is broken");
    if (!this.#knows(headers)) {
      return refuse(
        "407 Proxy Authentication Required",
        "A name and a password are needed",
        'Proxy-Authenticate: Basic realm="mptcp proxy", charset="UTF-8"',
      );
    }
    if (method !== "CONNECT") return refuse("405 Method Not Allowed", "This proxy knows CONNECT only", "Allow: CONNECT");
    const [, v6, name, digits] = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(authority) ?? [];
    const port = Number(digits);
    if (!(port >= 1 && port <= 65535)) return refuse("400 Bad Request", "CONNECT needs host:port");
    return { then: "connect", hostname: v6 ?? name!, port, used: end + END.length };
  }

  answer(outcome: Outcome): Uint8Array {
    if (outcome === "connected") return Buffer.from(`HTTP/1.1 200 Connection established${END}`);
    const words = outcome === "forbidden"
      ? "This target is not allowed"
      : outcome === "unknown"
      ? "There is no such host"
      : "The target cannot be reached";
    return response(STATUS.get(outcome) ?? "502 Bad Gateway", words);
  }

  #knows(headers: readonly string[]): boolean {
    if (this.#credentials === null) return true;
    const given = headers.map((line) => /^proxy-authorization:\s*basic\s+([A-Za-z0-9+/=]+)\s*$/i.exec(line)?.[1]);
    const basic = given.find((each) => each !== undefined);
    if (basic === undefined) return false;
    const { user, password } = this.#credentials;
    return sameText(Buffer.from(basic, "base64").toString("utf8"), `${user}:${password}`);
  }
}
