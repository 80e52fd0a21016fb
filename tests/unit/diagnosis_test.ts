/** The judgement of a diagnosis, on evidence that is made up. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import type { AnnouncedEvent, CreatedEvent, PathEvent, SubflowClosedEvent } from "../../kernel/mptcp_event_types.ts";
import type { Addr } from "../../kernel/sockaddr.ts";
import type { SynPacket } from "../../kernel/syn_packet.ts";
import { type Evidence, shellWord } from "../../paths/diagnosis/evidence.ts";
import type { DiagnosedSubflow, Finding } from "../../paths/diagnosis/finding.ts";
import { judge } from "../../paths/diagnosis/judge.ts";
import type { EndpointView, HostInterface, HostView } from "../../paths/host_view.ts";
import type { Support } from "../../paths/support.ts";

const addr = (hostname: string, port: number): Addr => ({ transport: "tcp", hostname, port });
const LOCAL = addr("10.0.1.1", 40000);
const REMOTE = addr("10.0.1.2", 443);

const support: Support = {
  runtime: "node",
  platform: "linux",
  kernel: "6.18.44",
  available: true,
  enabled: true,
  reason: null,
  ipv6: true,
  pathManager: "kernel",
  schedulers: ["default"],
  sysctls: { blackhole_timeout: 1800 },
  limits: { subflows: 2, addAddrAccepted: 0 },
  canManagePaths: true,
  canTuneSubflows: true,
  advice: [],
};

const device = (index: number, name: string, ...addresses: string[]): HostInterface => ({
  index,
  name,
  running: true,
  loopback: name === "lo",
  addresses: addresses.map((address) => ({
    address,
    family: address.includes(":") ? 6 : 4,
    routed: name !== "lo",
  })),
  rpFilter: 0,
});

const host: HostView = {
  interfaces: [device(1, "lo", "127.0.0.1", "::1"), device(2, "a1", "10.0.1.1"), device(3, "a2", "10.0.2.1")],
  limits: { subflows: 2, addAddrAccepted: 2 },
  endpoints: [],
  route: { interfaceIndex: 2, source: "10.0.1.1", gateway: false, local: false },
};

const path = (local: Addr, remote: Addr, state = "ESTABLISHED", name = "a1"): DiagnosedSubflow => ({
  local,
  remote,
  interface: name,
  state,
  backup: false,
});
const SECOND = path(addr("10.0.2.1", 40001), addr("10.0.2.2", 443), "ESTABLISHED", "a2");

/** A healthy peer over two paths. */
const healthy: Evidence = {
  hostname: "peer.example",
  port: 443,
  support,
  failure: null,
  plainConnects: null,
  connectMs: 12,
  ends: { local: LOCAL, remote: REMOTE },
  multipath: true,
  fallback: null,
  waitedMs: 220,
  subflows: [path(LOCAL, REMOTE), SECOND],
  fullyEstablished: true,
  peerEnded: false,
  grown: { MPCapableSYNTX: 1, MPJoinSynTx: 1, MPJoinSynAckRx: 1, AddAddr: 1 },
  countsJoins: true,
  reversePathDrops: 0,
  events: [],
  packets: [],
  host,
  mptcpListener: null,
};
const onePath: Evidence = { ...healthy, subflows: [path(LOCAL, REMOTE)], grown: { MPCapableSYNTX: 1 } };
const plain: Evidence = {
  ...onePath,
  multipath: false,
  fullyEstablished: undefined,
  fallback: { phase: "handshake", code: "MPCapableFallbackSYNACK", message: "…" },
  grown: { MPCapableSYNTX: 1, MPCapableFallbackSYNACK: 1 },
};
const unreachable: Evidence = { ...healthy, ends: null, multipath: false, subflows: [], host: null, plainConnects: false };

const syn = (mptcp: SynPacket["mptcp"], from: Addr, to: Addr, ack: boolean, more: Partial<SynPacket> = {}): SynPacket => ({
  source: from.hostname,
  sourcePort: from.port,
  destination: to.hostname,
  destinationPort: to.port,
  ack,
  mptcp,
  ...more,
});
const packets = (out: SynPacket["mptcp"], back: SynPacket["mptcp"], more: Partial<SynPacket> = {}) => [
  syn(out, LOCAL, REMOTE, false),
  syn(back, REMOTE, LOCAL, true, more),
];

const ids = { token: 1, family: 4, localId: 1, remoteId: 1 } as const;
const created: CreatedEvent = {
  ...ids,
  type: "created",
  local: LOCAL,
  remote: REMOTE,
  serverSide: false,
  denyJoinId0: false,
  flags: 0,
};
const announcedTo = (hostname: string): AnnouncedEvent => ({
  type: "announced",
  token: 1,
  remoteId: 1,
  remote: addr(hostname, 443),
});
const closed = (error?: string, more: Partial<SubflowClosedEvent> = {}): SubflowClosedEvent => ({
  ...ids,
  type: "subflowClosed",
  local: SECOND.local,
  remote: SECOND.remote,
  backup: false,
  ...(error === undefined ? {} : { error: { code: error, errno: -1 } }),
  ...more,
});
const opened: PathEvent = { ...ids, type: "subflowEstablished", local: SECOND.local, remote: SECOND.remote, backup: false };

const endpoint = (address: string, more: Partial<EndpointView> = {}): EndpointView => ({
  id: 1,
  address,
  signal: false,
  subflow: true,
  backup: false,
  fullmesh: false,
  implicit: false,
  laminar: false,
  flags: 2,
  freeRoute: { interfaceIndex: 3, gateway: true, local: false },
  routed: true,
  ...more,
});
const withEndpoints = (...endpoints: EndpointView[]): Partial<Evidence> => ({ host: { ...host, endpoints } });

const codes = (evidence: Evidence) => judge(evidence).findings.map(({ code }) => code);

/** Finds one cause, and checks what every finding must have. */
function one(evidence: Evidence, code: Finding["code"], severity: Finding["severity"]): Finding {
  const { findings: all, verdict } = judge(evidence);
  const findings = all.filter(({ code }) => code !== "lessEvidence");
  assertEquals(findings.map((each) => [each.code, each.severity]), [[code, severity]]);
  const [finding] = findings;
  assert(!finding!.message.endsWith("."), finding!.message);
  assertStringIncludes(verdict, "peer.example:443 is ");
  if (!verdict.endsWith(" 2 paths")) assertStringIncludes(verdict, finding!.message);
  return finding!;
}

describe("judge", () => {
  it("has nothing to say of a healthy peer", () => {
    assertEquals(judge(healthy), { verdict: "peer.example:443 is reached by MPTCP, over 2 paths", findings: [] });
  });

  describe("of a peer that is not reached", () => {
    const failure = (code: string, syscall = "connect") => ({ code, message: `${syscall} failed`, syscall });
    const cases: readonly (readonly [string, Partial<Evidence>, Finding["code"]])[] = [
      ["an unknown name", { failure: failure("ENOTFOUND", "getaddrinfo") }, "nameUnknown"],
      ["a resolver that fails", { failure: failure("EAI_AGAIN", "getaddrinfo") }, "nameUnknown"],
      ["a closed port", { failure: failure("ECONNREFUSED") }, "refused"],
      ["a reset", { failure: failure("ECONNRESET") }, "reset"],
      ["no answer", { failure: failure("TimeoutError") }, "timedOut"],
      ["no answer, as the kernel says", { failure: failure("ETIMEDOUT") }, "timedOut"],
      ["no route", { failure: failure("EHOSTUNREACH") }, "noRoute"],
      ["a wrong local address", { failure: failure("EADDRNOTAVAIL", "bind") }, "localAddressUnusable"],
      ["another error", { failure: failure("ENOBUFS") }, "connectFailed"],
      ["a refusal of MPTCP alone", { failure: failure("ECONNREFUSED"), plainConnects: true }, "mptcpBlocked"],
      ["no answer to MPTCP alone", { failure: failure("TimeoutError"), plainConnects: true }, "mptcpBlocked"],
      ["an answer that this host drops", {
        failure: failure("TimeoutError"),
        packets: packets("capable", "capable"),
      }, "answerDropped"],
    ];
    for (const [name, more, code] of cases) {
      it(`names ${name}`, () => {
        const finding = one({ ...unreachable, ...more }, code, "error");
        assertStringIncludes(finding.evidence!, more.failure!.code);
        if (code !== "connectFailed") assert(finding.hint);
      });
    }

    it("takes no answer to another for the peer's", () => {
      const others = [syn("capable", LOCAL, REMOTE, false), syn("capable", REMOTE, addr("10.0.1.1", 40009), true)];
      assertEquals(codes({ ...unreachable, failure: failure("TimeoutError"), packets: others }), ["timedOut"]);
    });

    it("does not put a name into a shell as it is", () => {
      const hostname = "x; rm -rf '/'";
      const { findings: [finding] } = judge({ ...unreachable, hostname, failure: failure("ENOTFOUND", "getaddrinfo") });
      assertStringIncludes(finding!.hint!, `getent ahosts 'x; rm -rf '\\''/'\\'''`);
      assertEquals(["a.example", "fe80::1%eth0", "$(x)", "`x`", ""].map(shellWord), [
        "a.example",
        "fe80::1%eth0",
        "'$(x)'",
        "'`x`'",
        "''",
      ]);
    });
  });

  describe("of a connection by plain TCP", () => {
    const socket = (code: string) => ({ fallback: { phase: "socket" as const, code, message: "the reason" } });
    const grown = (...names: string[]) => ({ grown: Object.fromEntries(names.map((name) => [name, 1])) });
    const cases: readonly (readonly [string, Partial<Evidence>, Finding["code"], RegExp])[] = [
      ["MPTCP that is switched off", socket("ENOPROTOOPT"), "mptcpDisabled", /sysctl -w net\.mptcp\.enabled=1/],
      ["a kernel before MPTCP", socket("EINVAL"), "kernelWithoutMptcp", /uname/],
      ["a kernel without MPTCP", socket("EPROTONOSUPPORT"), "kernelWithoutMptcp", /5\.6/],
      ["a security policy", socket("EACCES"), "socketForbidden", /seccomp/],
      ["the blackhole timer", grown("MPCapableSYNTXDisabled"), "blackholeTimer", /blackhole_timeout=1800/],
      ["lost SYNs", grown("MPCapableSYNTX", "MPCapableSYNTXDrop"), "synLost", /option 30/],
      [
        "lost SYNs that start the timer",
        grown("MPCapableSYNTXDrop", "Blackhole"),
        "synLost",
        /blackhole_timeout=1800/,
      ],
      ["a SYN-ACK without the option", { packets: null }, "synAckWithoutOption", /check\.mptcp\.dev.*ss -lnM.*tcpdump/],
      ["the same, seen on the wire", { packets: packets("capable", "none") }, "synAckWithoutOption", /another peer/],
      ["an erased option", { packets: packets("capable", "erased") }, "optionStripped", /option 30/],
      [
        "a filter of this host, inwards",
        { packets: packets("capable", "capable", { version: 1 }) },
        "optionRemovedHere",
        /nft/,
      ],
      ["a filter of this host, outwards", { packets: packets("erased", "none") }, "optionRemovedHere", /nft/],
      ["an old version", { packets: packets("capable", "capable", { version: 0 }) }, "peerVersion", /8684/],
      ["a plain listener of this host", { mptcpListener: false }, "peerWithoutMptcp", /mptcpize/],
    ];
    for (const [name, more, code, hint] of cases) {
      it(`names ${name}`, () => {
        const finding = one({ ...plain, packets: [], ...more }, code, "error").hint;
        assertMatch(finding!, hint);
      });
    }

    it("says what it can where the kernel counts nothing", () => {
      const fallback = { phase: "handshake" as const, code: "UNKNOWN", message: "…" };
      assertEquals(codes({ ...plain, fallback, grown: {} }), ["synAckWithoutOption"]);
    });

    it("passes on a rare cause, and one of a host without FFI", () => {
      const fallback = { phase: "handshake" as const, code: "MD5SigFallback", message: "signatures leave no room" };
      assertEquals(one({ ...plain, fallback, grown: { MD5SigFallback: 1 } }, "fallback", "error").message, fallback.message);
      const none = { ...plain, ...socket("UNSUPPORTED"), events: null, packets: null };
      assertEquals(
        one({ ...none, support: { ...support, available: false } }, "unsupported", "error").message,
        "the reason",
      );
    });

    it("names a fallback after the handshake", () => {
      const fallback = {
        phase: "established" as const,
        code: "MPCapableDataFallback",
        message: "no option in the first data",
      };
      assertStringIncludes(one({ ...plain, fallback }, "optionStrippedLater", "error").message, fallback.message);
    });

    it("warns that the counters may be another connection's", () => {
      const both = { MPCapableSYNTXDisabled: 1, MPCapableFallbackSYNACK: 1 };
      assertEquals(codes({ ...plain, grown: both }), ["blackholeTimer", "otherConnections"]);
      assertEquals(codes({ ...plain, grown: { MPCapableFallbackSYNACK: 2 } }), ["synAckWithoutOption", "otherConnections"]);
    });

    it("does not take the packets of another connection for its own", () => {
      const other = packets("capable", "erased").map((packet) => ({ ...packet, sourcePort: packet.sourcePort + 1 }));
      assertEquals(codes({ ...plain, packets: other }), ["synAckWithoutOption"]);
    });
  });

  describe("of a connection with one path", () => {
    const limited = (subflows: number, addAddrAccepted: number) => ({
      host: { ...host, limits: { subflows, addAddrAccepted } },
    });
    const a2 = { interfaceIndex: 3 };
    const cases: readonly (readonly [string, Partial<Evidence>, Finding["code"], Finding["severity"], RegExp])[] = [
      ["no endpoint", {}, "noEndpoint", "warning", /endpoint add 10\.0\.2\.1 dev a2 subflow/],
      ["the connection's own endpoint", withEndpoints(endpoint("10.0.1.1")), "noEndpoint", "warning", /10\.0\.2\.1/],
      [
        "one interface",
        { host: { ...host, interfaces: host.interfaces.slice(0, 2) } },
        "oneInterface",
        "info",
        /signal/,
      ],
      ["a limit of 0", limited(0, 0), "subflowsLimit", "warning", /limits set subflows 8/],
      [
        "announced addresses that are not taken",
        { ...limited(2, 0), events: [announcedTo("10.0.2.2")] },
        "addAddrLimit",
        "warning",
        /add_addr_accepted 8/,
      ],
      [
        "the same, known by counters",
        { ...limited(2, 0), events: null, grown: { AddAddr: 1 } },
        "addAddrLimit",
        "warning",
        /add_addr_accepted 8/,
      ],
      [
        "the userspace path manager",
        { support: { ...support, pathManager: "userspace" } },
        "userspacePathManager",
        "warning",
        /path_manager=kernel/,
      ],
      ["a peer that denies", { events: [{ ...created, denyJoinId0: true }] }, "denyJoinId0", "warning", /signal/],
      [
        "the same, seen on the wire",
        { packets: packets("capable", "capable", { denyJoinId0: true }) },
        "denyJoinId0",
        "warning",
        /allow_join_initial_addr_port=1/,
      ],
      ["an endpoint of no address", withEndpoints(endpoint("10.0.9.1")), "endpointAddressMissing", "warning", /delete id 1/],
      [
        "an endpoint without a device",
        withEndpoints(endpoint("10.0.2.1", { freeRoute: { interfaceIndex: 2, gateway: false, local: false } })),
        "endpointWithoutDevice",
        "warning",
        /add 10\.0\.2\.1 dev a2 subflow.*rule add from 10\.0\.2\.1/,
      ],
      [
        "an endpoint without a route",
        withEndpoints(endpoint("10.0.2.1", { ...a2, routed: false })),
        "endpointWithoutRoute",
        "warning",
        /route add default via ROUTER dev a2/,
      ],
      [
        "an endpoint of a lost device",
        withEndpoints(endpoint("10.0.2.1", { interfaceIndex: 9 })),
        "endpointInterfaceDown",
        "warning",
        /delete/,
      ],
      [
        "an idle connection",
        { ...withEndpoints(endpoint("10.0.2.1", a2)), fullyEstablished: false },
        "notFullyEstablished",
        "info",
        /subflows\(\)/,
      ],
      ["nothing that was tried", withEndpoints(endpoint("10.0.2.1", a2)), "joinNotTried", "warning", /root/],
      ["a refused join", { events: [closed("ECONNREFUSED")] }, "joinRefused", "warning", /0\.0\.0\.0/],
      ["a join without an answer", { events: [closed("ETIMEDOUT")] }, "joinUnanswered", "warning", /rp_filter/],
      ["an unreachable address", { events: [closed("EHOSTUNREACH")] }, "joinUnreachable", "warning", /route/],
      ["a join that is reset", { events: [opened, closed("ECONNRESET")] }, "joinReset", "warning", /firewall/],
      ["a join that the peer closes", { events: [opened, closed()] }, "joinRejected", "warning", /limits set subflows/],
      ["a join without its option", { events: [closed()] }, "joinStripped", "warning", /option 30/],
      [
        "a join answered by another",
        { events: [closed()], grown: { MPJoinSynAckHMacFailure: 1 } },
        "joinHmacFailure",
        "warning",
        /signal/,
      ],
      [
        "a join that waits",
        { subflows: [path(LOCAL, REMOTE), { ...SECOND, state: "SYN_SENT" }] },
        "joinUnanswered",
        "warning",
        /ping/,
      ],
      [
        "a join whose answer is dropped here",
        {
          subflows: [path(LOCAL, REMOTE), { ...SECOND, state: "SYN_SENT" }],
          packets: [syn("join", SECOND.remote, SECOND.local, true)],
        },
        "joinAnswerDropped",
        "warning",
        /nft/,
      ],
      ["a join that was not sent", { grown: { MPJoinSynTxBindErr: 1 } }, "joinNotSent", "warning", /ip address/],
      ["a peer that ends it", { peerEnded: true }, "peerClosed", "info", /service/],
    ];
    for (const [name, more, code, severity, hint] of cases) {
      it(`names ${name}`, () => assertMatch(one({ ...onePath, ...more }, code, severity).hint!, hint));
    }

    it("names an interface that is down", () => {
      const interfaces = host.interfaces.map((each) => each.name === "a2" ? { ...each, running: false } : each);
      const view = { ...host, interfaces, endpoints: [endpoint("10.0.2.1", a2)] };
      assertMatch(one({ ...onePath, host: view }, "endpointInterfaceDown", "warning").hint!, /ip link set a2 up/);
    });

    it("names strict reverse path filtering, and takes a join that waits for its effect", () => {
      const interfaces = host.interfaces.map((each) => each.name === "a2" ? { ...each, rpFilter: 1 } : each);
      const strict = endpoint("10.0.2.1", { ...a2, freeRoute: { interfaceIndex: 2, gateway: false, local: false } });
      const evidence = { ...onePath, host: { ...host, interfaces, endpoints: [strict] } };
      const waiting = {
        ...evidence,
        subflows: [path(LOCAL, REMOTE), { ...SECOND, state: "SYN_SENT" }],
        reversePathDrops: 2,
      };
      assertMatch(one(evidence, "strictReversePath", "warning").hint!, /net\/ipv4\/conf\/a2\/rp_filter=2/);
      assertStringIncludes(one(waiting, "strictReversePath", "warning").evidence!, "IPReversePathFilter grew by 2");
      const ruled = { ...strict, freeRoute: { interfaceIndex: 3, gateway: true, local: false } };
      assertEquals(codes({ ...onePath, host: { ...host, interfaces, endpoints: [ruled] } }), ["joinNotTried"]);
    });

    it("does not mind the way to an address that the peer denies", () => {
      const wrong = endpoint("10.0.2.1", { freeRoute: { interfaceIndex: 2, gateway: false, local: false } });
      const events = [{ ...created, denyJoinId0: true }];
      assertEquals(codes({ ...onePath, ...withEndpoints(wrong), events }), ["denyJoinId0"]);
      assertEquals(codes({ ...onePath, ...withEndpoints(wrong), events: [...events, announcedTo("10.0.2.2")] }), [
        "endpointWithoutDevice",
      ]);
    });

    it("knows that this very host needs one path", () => {
      const local = { ...host, route: { interfaceIndex: 1, gateway: false, local: true } };
      assertEquals(one({ ...onePath, host: local }, "sameHost", "info").hint, undefined);
      assertEquals(codes({ ...onePath, host: { ...local, limits: { subflows: 0, addAddrAccepted: 0 } } }), [
        "subflowsLimit",
      ]);
    });

    it("counts announced addresses of the connection's family only", () => {
      const limits = { subflows: 2, addAddrAccepted: 0 };
      const evidence = { ...onePath, host: { ...host, limits }, events: [announcedTo("fd00:2::2")] };
      assertEquals(codes(evidence), ["noEndpoint"]);
    });

    it("tells by counters what events are not there to tell", () => {
      const unseen = (grown: Record<string, number>) => codes({ ...onePath, events: null, grown });
      assertEquals(unseen({ MPJoinSynTx: 1 }), ["joinRefused", "lessEvidence"]);
      assertEquals(unseen({ MPJoinSynTx: 1, MPRstTx: 1 }), ["joinStripped", "lessEvidence"]);
      assertEquals(unseen({ MPJoinSynTx: 1, MPJoinSynAckRx: 1, MPRstTx: 1 }), ["joinRejected", "lessEvidence"]);
      assertEquals(unseen({ MPJoinSynTx: 1, MPJoinSynAckRx: 1, MPJoinSynAckHMacFailure: 1 }), [
        "joinHmacFailure",
        "lessEvidence",
      ]);
      assertEquals(unseen({}), ["noEndpoint", "lessEvidence"]);
    });

    it("does not recommend an interface by which no route leads to the peer", () => {
      const bridge = device(4, "docker0", "172.17.0.1");
      bridge.addresses[0]!.routed = false;
      const with3 = { ...host, interfaces: [...host.interfaces, bridge] };
      const { hint } = one({ ...onePath, host: with3 }, "noEndpoint", "warning");
      assertEquals(hint, "`ip mptcp endpoint add 10.0.2.1 dev a2 subflow`");
      const without = { ...host, interfaces: [...host.interfaces.slice(0, 2), bridge] };
      assertMatch(
        one({ ...onePath, host: without }, "noEndpoint", "info").hint!,
        /^where docker0 leads to the peer too, .*table 100/,
      );
    });

    it("recommends one address of each interface", () => {
      const many = device(3, "a2", "10.0.2.1", "10.0.2.7");
      const view = { ...host, interfaces: [host.interfaces[0]!, device(2, "a1", "10.0.1.1", "10.0.1.7"), many] };
      assertEquals(one({ ...onePath, host: view }, "noEndpoint", "warning").hint?.match(/endpoint add/g)?.length, 1);
    });

    it("waits with a judgement on the peer until it may have announced", () => {
      assertEquals(codes({ ...onePath, fullyEstablished: false }), ["notFullyEstablished"]);
      assertEquals(codes({ ...onePath, fullyEstablished: undefined }), ["noEndpoint"]);
    });

    it("does not claim to know what an older kernel does not tell", () => {
      const silent = { ...onePath, ...withEndpoints(endpoint("10.0.2.1", a2)), events: null, countsJoins: false };
      assertMatch(one(silent, "joinNotTried", "warning").message, /this kernel tells only/);
      assertMatch(one({ ...silent, fullyEstablished: undefined }, "notFullyEstablished", "info").message, /does not tell/);
    });

    it("reports several causes", () => {
      const endpoints = [endpoint("10.0.9.1"), endpoint("10.0.2.1", { id: 2, routed: false, interfaceIndex: 3 })];
      const view = { ...host, endpoints, limits: { subflows: 0, addAddrAccepted: 0 } };
      assertEquals(codes({ ...onePath, host: view }), ["subflowsLimit", "endpointAddressMissing", "endpointWithoutRoute"]);
    });
  });

  describe("of several paths", () => {
    it("still names what is wrong with an endpoint", () => {
      const evidence = { ...healthy, ...withEndpoints(endpoint("10.0.9.1")) };
      assertEquals(one(evidence, "endpointAddressMissing", "warning").code, "endpointAddressMissing");
      assertEquals(judge(evidence).verdict, "peer.example:443 is reached by MPTCP, over 2 paths");
    });

    it("says that they share an interface", () => {
      const shared = [path(LOCAL, REMOTE), { ...SECOND, interface: "a1" }];
      assertMatch(one({ ...healthy, subflows: shared }, "sameInterface", "info").hint!, /endpoint add/);
      assertEquals(codes({ ...healthy, subflows: shared.map((each) => ({ ...each, interface: null })) }), []);
    });

    it("minds no limit and no denial", () => {
      const view = { ...host, limits: { subflows: 1, addAddrAccepted: 0 } };
      const events = [{ ...created, denyJoinId0: true }, announcedTo("10.0.3.2")];
      assertEquals(codes({ ...healthy, host: view, events }), []);
    });

    it("minds no endpoint whose path stands", () => {
      const bound = endpoint("10.0.2.1", { interfaceIndex: 3, routed: false });
      assertEquals(codes({ ...healthy, ...withEndpoints(bound) }), []);
    });
  });

  it("says what it could not look at, last", () => {
    const { findings } = judge({ ...onePath, packets: null, events: null });
    assertEquals(findings.map(({ code }) => code), ["noEndpoint", "lessEvidence"]);
    assertMatch(findings[1]!.message, /CAP_NET_ADMIN.*CAP_NET_RAW/);
    const seen = (more: Partial<Evidence>, evidence: Evidence) =>
      codes({ ...evidence, packets: null, events: null, ...more });
    assertEquals(seen({}, plain), ["synAckWithoutOption", "lessEvidence"]);
    const failure = { code: "ETIMEDOUT", message: "…", syscall: "connect" };
    assertEquals(seen({ failure }, unreachable), ["timedOut", "lessEvidence"]);
    // Where nothing more could be told:
    assertEquals(seen({}, healthy), []);
    assertEquals(seen({ failure: { ...failure, code: "ECONNREFUSED" } }, unreachable), ["refused"]);
    assertEquals(seen({ fallback: { phase: "socket", code: "ENOPROTOOPT", message: "…" } }, plain), ["mptcpDisabled"]);
  });

  it("does without a view of the host", () => {
    assertEquals(codes({ ...onePath, host: null, fullyEstablished: undefined }), ["notFullyEstablished"]);
    assertEquals(codes({ ...onePath, host: null, support: { ...support, limits: null } }), ["joinNotTried"]);
    assertEquals(codes({ ...plain, host: null }), ["synAckWithoutOption"]);
  });

  it("writes IPv6 peers as people do", () => {
    assertMatch(judge({ ...healthy, hostname: "2001:db8::1" }).verdict, /^\[2001:db8::1\]:443 is reached/);
  });
});

describe("docs/diagnosis.md", () => {
  it("lists every cause, and no other", () => {
    const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");
    const all = [...read("paths/diagnosis/finding.ts").matchAll(/^ {2}\| "([a-z]\w+)"/gim)].map(([, code]) => code!);
    const listed = [...read("docs/diagnosis.md").matchAll(/^\| `(\w+)`/gm)].map(([, code]) => code!);
    const causes = all.filter((code) => !["error", "warning", "info"].includes(code));
    assert(causes.length > 40);
    assertEquals(listed.sort(), causes.sort());
  });
});
