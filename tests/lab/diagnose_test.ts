/** Every cause that two hosts can be given, and what `diagnose` makes of it; where its hint has commands, they are followed. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import type { DiagnoseOptions, Diagnosis } from "../../mod.ts";
import { addressOf, type Host, Lab, labNeeds, type LabOptions } from "../lab.ts";
import { Peer } from "../peers/peer.ts";
import { describe, it } from "../suite.ts";
import { Agent } from "./remote.ts";
import { unprivileged } from "./unprivileged.ts";

const skip = labNeeds("python3", "nft");
const SERVER = addressOf("server", 1);
const SYN = "tcp flags & (syn|ack) == syn";
const SYN_ACK = "tcp flags & (syn|ack) == (syn|ack)";
const NO_SYN = "tcp flags & syn == 0";
const STRIP = "reset tcp option mptcp";
const CAPABLE = `${SYN} tcp option mptcp subtype 0`;
const JOIN = `${SYN} tcp option mptcp subtype 1`;

const codes = ({ findings }: Diagnosis) => findings.map(({ code }) => code);
const ways = ({ subflows }: Diagnosis) =>
  subflows.map(({ local, remote, interface: name, state }) => `${local.hostname} ${remote.hostname} ${name} ${state}`);

function diagnose(client: Agent, options: DiagnoseOptions): Promise<Diagnosis> {
  return client.run(({ diagnose }, options) => diagnose(options), options);
}

/** An open port of the server, with somebody behind who waits for data. */
function listen(host: Host, protocol: "mptcp" | "tcp" = "mptcp", address = "0.0.0.0"): Promise<Peer> {
  return Peer.listen(host, address, { behaviour: "sink", protocol });
}

/** Does what a hint says: the commands between its backticks, up to the word "or". */
async function follow(host: Host, hint: string, router: string): Promise<void> {
  for (const [, command] of hint.split("; or ")[0]!.matchAll(/`([^`]+)`/g)) {
    const setting = /^sysctl -w (\S+?)=(\S+)$/.exec(command!);
    if (setting) await host.sysctl(setting[1]!.replaceAll("/", "."), setting[2]!);
    else await host.run("sh", ["-c", command!.replace("ROUTER", router)]);
  }
}

interface Cause {
  name: string;
  /** Of the lab. @default {{ endpoints: false }} */
  lab?: LabOptions;
  make(lab: Lab): Promise<unknown>;
  /** What the server speaks. @default {"mptcp"} */
  protocol?: "mptcp" | "tcp";
  /** Where the server listens. @default {"0.0.0.0"} */
  listen?: string;
  options?: Partial<DiagnoseOptions>;
  /** The findings, the first of them the cause. */
  codes: string[];
  /** The verdict, behind the peer's name. */
  verdict: RegExp;
  /** What its hint must say. */
  hint?: RegExp;
  /** Who can do what the hint says, so that there are two paths then. */
  repair?: "client" | "server";
}

const NO_MPTCP = /is reached by plain TCP: /;
const ONE_PATH = /is reached by MPTCP, over one path: /;
const NOT_REACHED = /is not reached: /;
const ENDPOINT = "mptcp endpoint add 10.0.2.1 dev a2 subflow";
/** A way to the server's first address by the second cable, and from a neighbour of it by the first. */
const OTHER_WAY = [
  "addr add 10.0.1.9/32 dev a2",
  "route add 10.0.1.2/32 dev a2 table 100",
  "rule add from 10.0.1.9 table 100",
];

const CAUSES: readonly Cause[] = [
  {
    name: "MPTCP that is switched off",
    lab: { endpoints: true },
    make: ({ client }) => client.sysctl("net.mptcp.enabled", 0),
    codes: ["mptcpDisabled"],
    verdict: NO_MPTCP,
    repair: "client",
  },
  {
    name: "a peer that speaks plain TCP",
    make: () => Promise.resolve(),
    protocol: "tcp",
    codes: ["synAckWithoutOption"],
    verdict: NO_MPTCP,
    hint: /another peer.*ss -lnM/,
  },
  {
    name: "an option that is stripped from the SYN",
    make: ({ server }) => server.filter({ input: [`${SYN} ${STRIP}`] }),
    codes: ["synAckWithoutOption"],
    verdict: /or something on the way removed it/,
    hint: /tcpdump/,
  },
  {
    name: "an option that is stripped from the SYN-ACK",
    make: ({ server }) => server.filter({ output: [`${SYN_ACK} ${STRIP}`] }),
    codes: ["optionStripped"],
    verdict: NO_MPTCP,
    hint: /option 30/,
  },
  {
    name: "an option that this host's own filter takes from what leaves",
    make: ({ client }) => client.filter({ output: [`${SYN} ${STRIP}`] }),
    codes: ["optionRemovedHere"],
    verdict: /takes the MPTCP option out of what leaves/,
    hint: /nft list ruleset/,
  },
  {
    name: "an option that this host's own filter takes from what arrives",
    make: ({ client }) => client.filter({ input: [`${SYN_ACK} ${STRIP}`] }),
    codes: ["optionRemovedHere"],
    verdict: /takes the MPTCP option out of what arrives/,
    hint: /nft list ruleset/,
  },
  {
    name: "an option that is stripped after the handshake",
    make: ({ server }) => server.filter({ input: [`${NO_SYN} ${STRIP}`], output: [`${NO_SYN} ${STRIP}`] }),
    codes: ["optionStrippedLater"],
    verdict: NO_MPTCP,
    hint: /another network/,
  },
  {
    name: "SYNs that are refused for their option",
    make: ({ server }) => server.filter({ input: [`${CAPABLE} reject with tcp reset`] }),
    codes: ["mptcpBlocked"],
    verdict: NOT_REACHED,
    hint: /option 30/,
  },
  {
    name: "a listener that is closed",
    make: () => Promise.resolve(),
    options: { port: 1 },
    codes: ["refused"],
    verdict: NOT_REACHED,
    hint: /ss -ltn 'sport = :1'/,
  },
  {
    name: "a peer that does not answer",
    make: ({ server }) => server.filter({ input: ["drop"] }),
    options: { timeout: 500 },
    codes: ["timedOut"],
    verdict: NOT_REACHED,
    hint: /down/,
  },
  {
    name: "an answer that this host drops",
    make: ({ client }) => client.filter({ input: [`${SYN_ACK} drop`] }),
    options: { timeout: 500 },
    codes: ["answerDropped"],
    verdict: NOT_REACHED,
    hint: /nft list ruleset/,
  },
  {
    name: "a peer to which there is no route",
    make: () => Promise.resolve(),
    options: { hostname: "192.0.2.1" },
    codes: ["noRoute"],
    verdict: NOT_REACHED,
    hint: /ip route get 192\.0\.2\.1/,
  },
  {
    name: "a limit of 0 additional subflows",
    lab: { endpoints: true },
    make: ({ client }) => client.ip("mptcp limits set subflows 0"),
    codes: ["subflowsLimit"],
    verdict: ONE_PATH,
    repair: "client",
  },
  {
    name: "a limit of 0 announced addresses",
    lab: { endpoints: true },
    make: ({ client }) => client.ip("mptcp limits set add_addr_accepted 0"),
    codes: ["addAddrLimit"],
    verdict: /the peer announced 10\.0\.2\.2/,
    repair: "client",
  },
  {
    name: "the peer's limit of 0 additional subflows",
    lab: { endpoints: true },
    make: ({ server }) => server.ip("mptcp limits set subflows 0"),
    codes: ["joinRejected"],
    verdict: ONE_PATH,
    repair: "server",
  },
  {
    name: "paths that nobody opens",
    lab: { endpoints: true },
    make: ({ client }) => client.sysctl("net.mptcp.path_manager", "userspace"),
    codes: ["userspacePathManager"],
    verdict: ONE_PATH,
    hint: /net\.mptcp\.path_manager=kernel/,
  },
  {
    name: "a second address that is no endpoint",
    make: ({ client }) => client.ip("route add default via 10.0.2.2 dev a2"),
    codes: ["noEndpoint"],
    verdict: /nothing tells the kernel to use a second path/,
    repair: "client",
  },
  {
    name: "a second address that is no endpoint and has no route",
    make: () => Promise.resolve(),
    codes: ["noEndpoint"],
    verdict: ONE_PATH,
    hint: /where a2 leads to the peer too/,
    repair: "client",
  },
  {
    name: "a single interface",
    lab: { paths: [{}] },
    make: () => Promise.resolve(),
    codes: ["oneInterface"],
    verdict: ONE_PATH,
    hint: /signal/,
  },
  {
    name: "a peer with allow_join_initial_addr_port=0",
    make: async ({ client, server }) => {
      await server.sysctl("net.mptcp.allow_join_initial_addr_port", 0);
      await client.ip(ENDPOINT);
    },
    codes: ["denyJoinId0"],
    verdict: ONE_PATH,
    hint: /endpoint add ADDRESS dev DEVICE signal.*allow_join_initial_addr_port=1/,
  },
  {
    name: "strict rp_filter",
    make: async ({ client }) => {
      await client.sysctl("net.ipv4.conf.a2.rp_filter", 1);
      await client.ip(ENDPOINT);
    },
    codes: ["strictReversePath"],
    verdict: ONE_PATH,
    repair: "client",
  },
  {
    name: "the peer's strict rp_filter",
    make: async ({ client, server }) => {
      await server.sysctl("net.ipv4.conf.b2.rp_filter", 1);
      await client.ip(...OTHER_WAY, "mptcp endpoint add 10.0.1.9 dev a2 subflow");
    },
    codes: ["joinUnanswered"],
    verdict: ONE_PATH,
    hint: /the peer.*rp_filter/,
  },
  {
    name: "an endpoint without a device",
    make: ({ client }) => client.ip("mptcp endpoint add 10.0.2.1 subflow"),
    codes: ["endpointWithoutDevice", "sameInterface"],
    verdict: /is reached by MPTCP, over 2 paths$/,
    repair: "client",
  },
  {
    name: "an endpoint without a route",
    make: async ({ client, server }) => {
      // As most hosts do: no interface answers for the address of another.
      await server.sysctl("net.ipv4.conf.all.arp_ignore", 1);
      await client.ip(ENDPOINT);
    },
    codes: ["endpointWithoutRoute"],
    verdict: ONE_PATH,
    repair: "client",
  },
  {
    name: "an endpoint whose address this host does not have",
    make: ({ client }) => client.ip("mptcp endpoint add 10.0.9.1 subflow"),
    codes: ["endpointAddressMissing"],
    verdict: ONE_PATH,
    hint: /endpoint delete id 1/,
  },
  {
    name: "an endpoint whose interface is down",
    make: ({ client }) => client.ip(ENDPOINT, "link set a2 down"),
    codes: ["endpointInterfaceDown"],
    verdict: ONE_PATH,
    repair: "client",
  },
  {
    name: "joins that are refused, as the listener is bound to one address",
    lab: { endpoints: true },
    make: () => Promise.resolve(),
    listen: SERVER,
    codes: ["joinRefused"],
    verdict: ONE_PATH,
    hint: /0\.0\.0\.0/,
  },
  {
    name: "joins that lose their option",
    lab: { endpoints: true },
    make: ({ server }) => server.filter({ input: [`${JOIN} ${STRIP}`] }),
    codes: ["joinStripped"],
    verdict: ONE_PATH,
    hint: /option 30/,
  },
  {
    name: "joins that get no answer",
    lab: { endpoints: true },
    make: ({ server }) => server.filter({ input: [`${JOIN} drop`] }),
    options: { wait: 500 },
    codes: ["joinUnanswered"],
    verdict: ONE_PATH,
    hint: /rp_filter/,
  },
  {
    name: "joins whose answer this host drops",
    lab: { endpoints: true },
    make: ({ client }) => client.filter({ input: [`${SYN_ACK} tcp option mptcp subtype 1 drop`] }),
    options: { wait: 500 },
    codes: ["joinAnswerDropped"],
    verdict: ONE_PATH,
    hint: /nft list ruleset/,
  },
];

describe("diagnose", { skip }, () => {
  for (const version of [4, 6] as const) {
    it(`has nothing to say of a healthy peer over IPv${version}, and exchanges nothing`, async () => {
      await using lab = await Lab.open();
      const peer = await listen(lab.server, "mptcp", version === 4 ? "0.0.0.0" : "::");
      const client = Agent.start(lab.client);
      const hostname = addressOf("server", 1, version);
      const found = await diagnose(client, { hostname, port: peer.port });
      assertEquals(found.findings, []);
      assertEquals([found.reachable, found.multipath, found.fallback], [true, true, null]);
      assertMatch(found.verdict, /is reached by MPTCP, over [23] paths$/);
      const [a, b] = [1, 2].map((path) => [addressOf("client", path, version), addressOf("server", path, version)]);
      // An IPv6 connection takes the IPv4 address that is announced too.
      assertEquals(ways(found).filter((way) => version === 4 || way.startsWith("fd")), [
        `${a!.join(" ")} a1 ESTABLISHED`,
        `${b!.join(" ")} a2 ESTABLISHED`,
      ]);
      assert(found.events!.some(({ type }) => type === "subflowEstablished"));
      const { mptcp, sent, received, paths, error } = await peer.report();
      assertEquals([mptcp, sent, received, error, paths.length], [true, 0, 0, null, found.subflows.length]);
    });
  }

  it("has nothing to say where the client's own endpoint opens the second path", async () => {
    await using lab = await Lab.open({ endpoints: false });
    await lab.client.ip(ENDPOINT);
    const peer = await listen(lab.server);
    const found = await diagnose(Agent.start(lab.client), { hostname: SERVER, port: peer.port });
    assertEquals(found.findings, []);
    assertEquals(ways(found)[1], `10.0.2.1 ${SERVER} a2 ESTABLISHED`);
    const { mptcp, sent, received } = await peer.report();
    assertEquals([mptcp, sent, received], [true, 0, 0]);
  });

  for (const cause of CAUSES) {
    const { name, make, protocol, options, repair } = cause;
    it(`names ${name}${repair ? ", and its hint helps" : ""}`, async () => {
      await using lab = await Lab.open(cause.lab ?? { endpoints: false });
      await make(lab);
      const peer = await listen(lab.server, protocol, cause.listen);
      const client = Agent.start(lab.client);
      // A second until the keep-alive, and some for what follows.
      const asked = { hostname: SERVER, port: peer.port, wait: 1500, ...options };
      const found = await diagnose(client, asked);
      assertEquals(codes(found), cause.codes, JSON.stringify([found.findings, found.subflows], null, 1));
      assertMatch(found.verdict, cause.verdict);
      const { hint = "", evidence, severity } = found.findings[0]!;
      if (cause.hint) assertMatch(hint, cause.hint);
      assert(evidence !== undefined || name.startsWith("paths"), "no evidence");
      assertEquals(severity === "error", !found.multipath);
      if (repair === undefined) return;
      await follow(lab[repair], hint, addressOf("server", 2));
      const again = await diagnose(client, asked);
      assertEquals(codes(again), [], JSON.stringify([hint, again.findings, again.subflows], null, 1));
      assertMatch(again.verdict, /is reached by MPTCP, over 2 paths$/);
    });
  }

  it("names SYNs that are lost, then the blackhole timer that this started, and its hint helps", async () => {
    await using lab = await Lab.open();
    await lab.server.filter({ input: [`${CAPABLE} drop`] });
    const peer = await listen(lab.server);
    const other = await listen(lab.server);
    const client = Agent.start(lab.client);
    const lost = await diagnose(client, { hostname: SERVER, port: peer.port });
    assertEquals(codes(lost), ["synLost"]);
    assertMatch(lost.findings[0]!.message, /switched MPTCP off/);
    assert(lost.connectMs > 1000 && !lost.multipath && lost.reachable);

    await lab.server.filter({});
    const timer = await diagnose(client, { hostname: SERVER, port: other.port });
    assertEquals(codes(timer), ["blackholeTimer"]);
    assertMatch(timer.verdict, NO_MPTCP);
    await follow(lab.client, timer.findings[0]!.hint!, "");
    const again = await diagnose(client, { hostname: SERVER, port: other.port });
    assertEquals([codes(again), again.subflows.length], [[], 2]);
  });

  it("takes no more than it needs where SYNs are lost and time is short", async () => {
    await using lab = await Lab.open();
    await lab.server.filter({ input: [`${CAPABLE} drop`] });
    const peer = await listen(lab.server);
    const found = await diagnose(Agent.start(lab.client), { hostname: SERVER, port: peer.port, timeout: 500 });
    assertEquals(codes(found), ["mptcpBlocked"]);
    assertEquals([found.reachable, found.multipath], [false, false]);
  });

  it("finds several causes at once", async () => {
    await using lab = await Lab.open({ endpoints: false });
    await lab.client.ip(
      "mptcp limits set subflows 0",
      "mptcp endpoint add 10.0.9.1 subflow",
      "mptcp endpoint add 10.0.2.1 subflow",
    );
    const peer = await listen(lab.server);
    const found = await diagnose(Agent.start(lab.client), { hostname: SERVER, port: peer.port });
    assertEquals(codes(found), ["subflowsLimit", "endpointAddressMissing", "endpointWithoutDevice"]);
  });

  describe("without privileges", () => {
    const causes: readonly (readonly [name: string, lab: boolean, make: Cause["make"], codes: string[], listen?: string])[] =
      [
        ["a healthy peer", true, () => Promise.resolve(), []],
        ["MPTCP that is switched off", true, ({ client }) => client.sysctl("net.mptcp.enabled", 0), ["mptcpDisabled"]],
        [
          "a stripped option",
          true,
          ({ server }) => server.filter({ output: [`${SYN_ACK} ${STRIP}`] }),
          ["synAckWithoutOption", "lessEvidence"],
        ],
        [
          "a limit of 0",
          true,
          ({ client }) => client.ip("mptcp limits set subflows 0"),
          ["subflowsLimit", "lessEvidence"],
        ],
        ["a refused join", true, () => Promise.resolve(), ["joinRefused", "lessEvidence"], SERVER],
        [
          "a rejected join",
          true,
          ({ server }) => server.ip("mptcp limits set subflows 0"),
          ["joinRejected", "lessEvidence"],
        ],
        [
          "a join that loses its option",
          true,
          ({ server }) => server.filter({ input: [`${JOIN} ${STRIP}`] }),
          ["joinStripped", "lessEvidence"],
        ],
        ["a second address that is no endpoint", false, () => Promise.resolve(), ["noEndpoint", "lessEvidence"]],
        [
          "strict rp_filter",
          false,
          async ({ client }) => {
            await client.sysctl("net.ipv4.conf.a2.rp_filter", 1);
            await client.ip(ENDPOINT);
          },
          ["strictReversePath", "lessEvidence"],
        ],
        [
          "a peer that denies, as far as it shows",
          false,
          async ({ client, server }) => {
            await server.sysctl("net.mptcp.allow_join_initial_addr_port", 0);
            await client.ip(...OTHER_WAY, "mptcp endpoint add 10.0.1.9 subflow");
          },
          ["joinNotTried", "lessEvidence"],
        ],
      ];
    for (const [name, endpoints, make, expected, address] of causes) {
      it(`names ${name}`, async () => {
        await using lab = await Lab.open({ endpoints });
        await make(lab);
        const peer = await listen(lab.server, "mptcp", address);
        const found = await diagnose(Agent.start(unprivileged(lab.client)), {
          hostname: SERVER,
          port: peer.port,
          wait: 1500,
        });
        assertEquals(codes(found), expected, JSON.stringify([found.findings, found.subflows, found.counters], null, 1));
        assertEquals(found.events, null);
      });
    }
  });
});
