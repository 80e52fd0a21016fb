/**
 * Where a proxy's clients may go.
 *
 * @module
 */
import { ipVersion } from "../../kernel/ip.ts";
import { AddressList } from "./address_list.ts";

interface Rule {
  /** Whether a host that is asked for is meant, by its name or by its address. */
  covers(hostname: string, address: string): boolean;
  /** `undefined` for all. */
  port: number | undefined;
}

/** See the module's comment. Without rules everything is allowed. */
export class TargetRules {
  readonly #rules: readonly Rule[];

  /**
   * @param texts Names, `*.name`, addresses or prefixes, each perhaps with `:port`; IPv6 with a port in brackets.
   * @throws {TypeError} When one is none of these.
   */
  constructor(texts: readonly string[]) {
    this.#rules = texts.map(parseRule);
  }

  /** Whether a client may go there. The address is what the name stands for: a rule for addresses cannot be evaded. */
  allow(hostname: string, address: string, port: number): boolean {
    if (this.#rules.length === 0) return true;
    const name = hostname.toLowerCase().replace(/\.$/, "");
    return this.#rules.some((rule) => (rule.port === undefined || rule.port === port) && rule.covers(name, address));
  }
}

function parseRule(text: string): Rule {
  const [, v6, host, digits] = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/.exec(text) ?? [];
  const what = v6 ?? host ?? text;
  const port = digits === undefined ? undefined : Number(digits);
  if (port !== undefined && !(port >= 1 && port <= 65535)) throw wrong(text);
  if (ipVersion(what) !== 0 || what.includes("/")) {
    const list = new AddressList([what]);
    return { covers: (_name, address) => list.has(address), port };
  }
  const pattern = what.toLowerCase();
  if (!/^(\*\.)?[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?$/.test(pattern)) throw wrong(text);
  if (!pattern.startsWith("*.")) return { covers: (name) => name === pattern, port };
  return { covers: (name) => name.endsWith(pattern.slice(1)), port };
}

function wrong(text: string): TypeError {
  return new TypeError(`${JSON.stringify(text)} is no host, no *.domain, no address and no prefix, perhaps with :port`);
}
