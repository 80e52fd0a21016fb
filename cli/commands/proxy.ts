/**
 * `mptcp proxy`: takes programs that know HTTP CONNECT or SOCKS 5 to wherever they want, over several paths.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import process from "node:process";
import { parseListen } from "../frame/address.ts";
import { type Command, type Context, JSON_OPTION, UsageError } from "../frame/command.ts";
import { RELAY_OPTIONS } from "./forward.ts";

const LOOPBACK = ["127.0.0.0/8", "::1"];
const PROTOCOLS = ["tcp", "mptcp"] as const;
type Protocol = typeof PROTOCOLS[number];

export const proxy: Command = {
  name: "proxy",
  summary: "HTTP CONNECT and SOCKS 5 for programs of this machine, out by MPTCP",
  usage: "[options] LISTEN",
  about: `LISTEN is address:port, :port for all addresses, or a port of 127.0.0.1; port 0 takes a free one. Clients of other
machines are refused unless --allow names them: an open proxy is found and misused within hours. One port serves both
protocols. The password may stand in the environment, where other users do not see it: MPTCP_PROXY_AUTH=USER:PASSWORD.`,
  options: [
    {
      name: "allow",
      value: "PREFIX",
      summary: "serve clients from there: an address, or one with /bits",
      many: true,
      otherwise: LOOPBACK.join(", "),
    },
    {
      name: "only",
      value: "HOST[:PORT]",
      summary: "connect to these targets only; *.example.com names all below, a prefix all addresses in it",
      many: true,
      otherwise: "all",
    },
    { name: "auth", value: "USER:PASSWORD", summary: "ask clients for a name and a password" },
    { name: "auth-file", value: "FILE", summary: "the same, out of a file's first line" },
    { name: "from", value: "PROTOCOL", summary: "what to listen by", choices: PROTOCOLS, otherwise: "mptcp" },
    { name: "to", value: "PROTOCOL", summary: "what to connect by", choices: PROTOCOLS, otherwise: "mptcp" },
    ...RELAY_OPTIONS,
    { ...JSON_OPTION, summary: "print lines of JSON: the address, and at the end the counters" },
  ],
  operands: [1, 1],
  examples: [
    ["mptcp proxy 1080", "then: curl --proxy socks5h://127.0.0.1:1080 https://example.com/"],
    ["mptcp proxy 1080 --only '*.example.com:443'", "to these hosts only"],
    ["MPTCP_PROXY_AUTH=me:secret mptcp proxy :1080 --allow 192.0.2.0/24", "for a network"],
  ],
  async run(context) {
    const { operands, options } = context;
    const listen = parseListen(operands[0]!);
    const { AddressList } = await import("../relay/address_list.ts");
    const { TargetRules } = await import("../relay/target_rules.ts");
    const allow = options.list("allow").length > 0 ? [...options.list("allow")] : LOOPBACK;
    new AddressList(allow); // throws for what is none
    const rules = new TargetRules(options.list("only"));
    const credentials = credentialsOf(context);
    const { resolve } = await import("../../net/resolve.ts");
    const { runRelay } = await import("../relay/run.ts");
    return await runRelay(context, {
      listen,
      from: (options.text("from") ?? "mptcp") as Protocol,
      to: (options.text("to") ?? "mptcp") as Protocol,
      target: null,
      allow,
      credentials,
      resolve: async (hostname, port) => {
        const addresses = (await resolve(hostname)).map(({ address }) => address);
        const allowed = addresses.filter((address) => rules.allow(hostname, address, port));
        return allowed.length > 0 ? allowed : "forbidden";
      },
    });
  },
};

function credentialsOf({ options }: Context): { user: string; password: string } | null {
  const file = options.text("auth-file");
  if (file !== undefined && options.given("auth")) throw new UsageError("--auth and --auth-file exclude each other");
  const text = file === undefined ? options.text("auth") ?? process.env["MPTCP_PROXY_AUTH"] : firstLine(file);
  if (text === undefined || text === "") return null;
  const colon = text.indexOf(":");
  if (colon < 1) throw new UsageError("the name and the password must be of the form USER:PASSWORD");
  return { user: text.slice(0, colon), password: text.slice(colon + 1) };
}

function firstLine(file: string): string {
  try {
    return readFileSync(file, "utf8").split("\n")[0]!.trimEnd();
  } catch (error) {
    throw new UsageError(`--auth-file ${JSON.stringify(file)} cannot be read: ${(error as { code?: string }).code}`);
  }
}
