/** Requests and answers of sock_diag, on what Linux 6.18 took and answered. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { describe, it } from "node:test";
import {
  decodeMptcpSocket,
  decodeTcpSocket,
  decodeTcpSocketInfo,
  type MptcpDiagSocket,
  type TcpDiagSocket,
} from "../../kernel/diag_socket.ts";
import { MptcpError } from "../../kernel/error.ts";
import * as diag from "../../kernel/inet_diag.ts";
import { formatIPv4, formatIPv6, isV4Mapped } from "../../kernel/ip.ts";
import { decodeMessages, encodeMessage, setSequence } from "../../kernel/netlink.ts";
import { AttributeEncoder } from "../../kernel/netlink_attributes.ts";
import type { Addr } from "../../kernel/sockaddr.ts";
import type { SubflowDiag } from "../../kernel/subflow_diag.ts";
import { bytes } from "./golden.ts";
import * as golden from "./golden_diag.ts";
import { fuzzMessages } from "./survives.ts";

const at = (hostname: string, port: number): Addr => ({ transport: "tcp", hostname, port });
const mptcp = (datagram: Uint8Array) => decodeMessages(datagram).map(decodeMptcpSocket);
const tcp = (datagram: Uint8Array) => decodeMessages(datagram).map((message) => decodeTcpSocket(message));

/** Exactly the same bytes, the sequence number aside. */
function sameBytes(encoded: Uint8Array, recorded: Uint8Array): void {
  setSequence(encoded, new DataView(recorded.buffer, recorded.byteOffset).getUint32(8, true));
  assertEquals(encoded, recorded);
}

const CLIENT = 0x3733bf3d;
const SERVER = 0x403bd1f4;
/** The subflow that was asked for and destroyed, by what a dump told. */
const BOUND: diag.SocketId = {
  family: 4,
  local: at("10.77.0.3", 34037),
  remote: at("10.77.0.1", 4430),
  interfaceIndex: 1,
  cookie: 0x106cn,
};

describe("sock_diag requests", () => {
  const all8 = [1, 2, 3, 4, 5, 6, 7, 8];

  it("dump MPTCP sockets", () => sameBytes(diag.encodeDumpMptcp(4), golden.MPTCP_REQUEST));
  it("dump MPTCP sockets as ss does", () => {
    sameBytes(diag.encodeDumpMptcp(4, { extensions: [2, 3, 4] }), golden.SS_MPTCP);
  });
  it("dump TCP sockets", () => {
    sameBytes(diag.encodeDumpTcp(4, { states: 1 << 1, extensions: all8 }), golden.TCP_REQUEST);
  });
  it("dump TCP sockets as ss does", () => {
    sameBytes(diag.encodeDumpTcp(4, { states: 0xb37, extensions: [2, 3, 4] }), golden.SS_TCP);
  });
  it("dump IPv6", () => {
    const [v4, v6] = [diag.encodeDumpTcp(4), diag.encodeDumpTcp(6)];
    assertEquals([v4[16], v6[16], v4.length], [2, 10, 72]);
    assertEquals(v6.subarray(17), v4.subarray(17));
  });
  it("ask for one token", () => {
    const recorded = golden.TOKEN_REQUEST.slice();
    assertEquals(recorded[6], 5); // recorded with NLM_F_ACK, which only brings an acknowledgement behind the answer
    recorded[6] = 1;
    sameBytes(diag.encodeGetMptcp(CLIENT), recorded);
    assertEquals(diag.encodeGetMptcp(0xffffffff).slice(64, 72), bytes("ffffffff 00000000"));
  });
  it("ask for one subflow", () => {
    const recorded = golden.EXACT_REQUEST.slice();
    recorded[6] = 1;
    sameBytes(diag.encodeGetTcp(BOUND), recorded);
  });
  it("destroy one subflow, as a dump told it", () => {
    sameBytes(diag.encodeDestroyTcp(BOUND), golden.DESTROY_REQUEST);
    sameBytes(diag.encodeDestroyTcp(tcp(golden.EXACT_REPLY)[0]!), golden.DESTROY_REQUEST);
  });
  it("name an IPv4 connection of an IPv6 socket by mapped addresses", () => {
    const [socket] = tcp(golden.MAPPED_TCP_REPLY);
    assertEquals([socket!.family, socket!.local], [6, at("10.77.0.1", 4432)]);
    assertEquals(diag.encodeGetTcp(socket!).slice(24, 72), golden.MAPPED_TCP_REPLY.slice(20, 68));
  });

  const refused: readonly (readonly [what: string, type: TypeErrorConstructor | RangeErrorConstructor, change: object])[] = [
    ["the wildcard cookie", RangeError, { cookie: 0xffff_ffff_ffff_ffffn }],
    ["a cookie beyond 64 bits", RangeError, { cookie: 2n ** 64n }],
    ["cookie 0", RangeError, { cookie: 0n }],
    ["a negative cookie", RangeError, { cookie: -1n }],
    ["no cookie", TypeError, { cookie: undefined }],
    ["a cookie that is a number", TypeError, { cookie: 1 }],
    ["no interface", TypeError, { interfaceIndex: undefined }],
    ["interface -1", RangeError, { interfaceIndex: -1 }],
    ["a listener, so local port only", RangeError, { remote: at("0.0.0.0", 0) }],
    ["local port 0", RangeError, { local: at("10.77.0.3", 0) }],
    ["a name", TypeError, { local: at("localhost", 1) }],
    ["IPv6 for an IPv4 socket", TypeError, { local: at("fd77::1", 1) }],
    ["a zone", TypeError, { family: 6, local: at("fe80::1%2", 1) }],
    ["family 10", RangeError, { family: 10 }],
  ];
  for (const [what, type, change] of refused) {
    it(`name no socket by ${what}`, () => {
      const id = { ...BOUND, ...change } as diag.SocketId;
      assertThrows(() => diag.encodeDestroyTcp(id), type, "Cannot");
      assertThrows(() => diag.encodeGetTcp(id), type, "Cannot");
    });
  }
  it("refuse other wrong arguments", () => {
    for (const token of [0, -1, 2 ** 32, 1.5]) assertThrows(() => diag.encodeGetMptcp(token), RangeError, "token");
    for (const extension of [0, 9]) assertThrows(() => diag.encodeDumpTcp(4, { extensions: [extension] }), RangeError);
    assertThrows(() => diag.encodeDumpTcp(0 as 4), RangeError, "family");
    assertThrows(() => diag.encodeDumpMptcp(4, { states: -1 }), RangeError, "states");
  });
});

/** What the attributes of a plain answer say, on this machine. */
const common = { timer: 0, expires: 0, retransmits: 0, uid: 0, interfaceIndex: 0, mark: 0, cgroupId: 1n };
const flags = {
  initial: false,
  join: false,
  backupRemote: false,
  backupLocal: false,
  fullyEstablished: true,
  connected: true,
  mapValid: false,
};

describe("sock_diag answers", () => {
  it("are MPTCP sockets", () => {
    const sockets = mptcp(golden.MPTCP_REPLY);
    const [client, server, listener] = sockets.map(({ mptcpInfo: _, ...rest }) => rest);
    const shared = { ...common, family: 4, state: 1, receiveQueue: 0, sendQueue: 0 } as const;
    const ends = { local: at("10.77.0.1", 40000), remote: at("10.77.0.1", 4430) };
    assertEquals(client, { ...shared, ...ends, cookie: 0x1063n, inode: 0x5eeac2 } as MptcpDiagSocket);
    assertEquals(server, {
      ...shared,
      local: ends.remote,
      remote: ends.local,
      cookie: 0x1064n,
      inode: 0x5eeac4,
    } as MptcpDiagSocket);
    assertEquals(listener, {
      ...shared,
      state: 10,
      local: ends.remote,
      remote: at("0.0.0.0", 0),
      cookie: 0x1065n,
      inode: 0x5eeac0,
      sendQueue: 5,
    } as MptcpDiagSocket);
    assertEquals(sockets.map(({ mptcpInfo }) => [mptcpInfo!.token, mptcpInfo!.flags, mptcpInfo!.subflowsTotal]), [
      [CLIENT, 2, 2],
      [SERVER, 2, 2],
      [0, 0, 0],
    ]);
  });

  it("are the socket of a token", () => assertEquals(mptcp(golden.TOKEN_REPLY), mptcp(golden.MPTCP_REPLY).slice(0, 1)));

  it("are TCP sockets with all that the kernel tells", () => {
    const [passive, server, client, active] = tcp(golden.TCP_REPLY);
    const { tcpInfo, subflow, ...rest } = client!;
    assertEquals(rest, {
      ...common,
      family: 4,
      state: 1,
      local: at("10.77.0.1", 40000),
      remote: at("10.77.0.1", 4430),
      cookie: 0x1068n,
      inode: 0x5eeac2,
      receiveQueue: 0,
      sendQueue: 0,
      tos: 0,
      memory: {
        receiveAllocated: 0,
        receiveBuffer: 131072,
        sendAllocated: 0,
        sendBuffer: 0x3c1e00,
        forwardAllocated: 3259,
        sendQueued: 0,
        options: 0,
        backlog: 0,
        drops: 0,
      },
      congestion: "bbr",
      ulp: "mptcp",
    } as TcpDiagSocket);
    assertEquals([tcpInfo!.state, tcpInfo!.sndMss, tcpInfo!.bytesSent, tcpInfo!.rto], [1, 32768, 11, 208000]);
    assertEquals(subflow, {
      ...flags,
      tokenLocal: CLIENT,
      tokenRemote: 0,
      idLocal: 0,
      idRemote: 0,
      flags: 0xc3,
      initial: true,
      relativeWriteSeq: 12,
      mapSeq: 0x5a0ca27e1d9d7f28n,
      mapSubflowSeq: 1,
      ssnOffset: 0x967337a1,
      mapLength: 5,
    });
    const { tokenLocal, tokenRemote, idLocal, idRemote, join, initial } = active!.subflow!;
    assertEquals([tokenLocal, tokenRemote, idLocal, idRemote, join, initial], [CLIENT, SERVER, 5, 0, true, false]);
    assertEquals([server!.subflow!.tokenLocal, server!.subflow!.initial], [SERVER, true]);
    assertEquals([passive!.subflow!.tokenLocal, passive!.subflow!.idRemote, passive!.subflow!.join], [SERVER, 5, true]);
    assertEquals([active!.inode, client!.inode], Array(2).fill(mptcp(golden.MPTCP_REPLY)[0]!.inode));
  });

  it("are TCP sockets without what needs privileges", () => {
    const sockets = tcp(golden.TCP_UNPRIVILEGED);
    assertEquals(
      sockets.map(({ mark, congestion, memory }) => [mark, congestion, memory]),
      Array(4).fill([undefined, undefined, undefined]),
    );
    assertEquals(sockets[3]!.subflow, {
      ...flags,
      tokenLocal: CLIENT,
      tokenRemote: SERVER,
      idLocal: 5,
      idRemote: 0,
      flags: 0xcc,
      join: true,
    });
  });

  it("are one subflow that is bound to an interface", () => {
    const [socket, ...more] = tcp(golden.EXACT_REPLY);
    assertEquals(more, []);
    const { family, local, remote, interfaceIndex, cookie } = socket!;
    assertEquals({ family, local, remote, interfaceIndex, cookie }, BOUND);
  });

  it("are IPv6", () => {
    assertEquals(mptcp(golden.V6_MPTCP_REPLY).map(({ family, local, remote, state }) => [family, local, remote, state]), [
      [6, at("fd77::1", 4431), at("fd77::1", 40001), 1],
      [6, at("fd77::1", 40001), at("fd77::1", 4431), 1],
      [6, at("fd77::1", 4431), at("::", 0), 10],
    ]);
    assertEquals(
      tcp(golden.V6_TCP_REPLY).map(({ local, interfaceIndex, subflow }) => [local, interfaceIndex, subflow!.idLocal]),
      [
        [at("fd77::1", 40001), 0, 0],
        [at("fd77::1", 4431), 0, 0],
        [at("fd77::2", 57643), 1, 3],
        [at("fd77::1", 4431), 0, 0],
      ],
    );
  });

  it("are listeners, whose TCP side is no subflow", () => {
    const [listener] = tcp(golden.LISTEN_TCP_REPLY);
    assertEquals([listener!.state, listener!.local, listener!.ulp, listener!.subflow], [
      10,
      at("::", 4432),
      "mptcp",
      undefined,
    ]);
  });

  it("are connections that fell back", () => {
    const [client] = mptcp(golden.FALLBACK_MPTCP_REPLY);
    assertEquals([client!.mptcpInfo!.flags, client!.mptcpInfo!.token], [1, 0xc7e01738]);
    const [plain, fallback] = tcp(golden.FALLBACK_TCP_REPLY);
    assertEquals([plain!.ulp, plain!.subflow], [undefined, undefined]);
    const { flags, fullyEstablished, initial, tokenLocal } = fallback!.subflow!;
    assertEquals([flags, fullyEstablished, initial, tokenLocal], [0x82, false, true, 0xc7e01738]);
  });

  it("have their tcp_info at once or later", () => {
    for (const message of decodeMessages(golden.TCP_REPLY)) {
      const { tcpInfo, ...rest } = decodeTcpSocket(message);
      assertEquals(decodeTcpSocket(message, false), rest);
      assertEquals(decodeTcpSocketInfo(message), tcpInfo);
    }
    const { bytes, view, start } = decodeMessages(golden.TCP_REPLY)[0]!;
    const bare = { type: 20, flags: 0, sequence: 0, portId: 0, bytes, view, start, end: start + 72 };
    assertEquals([decodeTcpSocketInfo(bare), decodeTcpSocket(bare).tcpInfo], [undefined, undefined]);
  });

  const made = (attributes: AttributeEncoder) => {
    const head = golden.TCP_REPLY.slice(16, 88);
    return tcp(encodeMessage(20, 0, head, attributes.finish()))[0]!;
  };

  it("know every flag of a subflow", () => {
    const subflow = (bits: number) =>
      made(new AttributeEncoder().nested(19, (ulp) => ulp.nested(3, (nest) => nest.u32(8, bits)))).subflow!;
    const named: [number, keyof SubflowDiag][] = [
      [0, "initial"],
      [1, "initial"],
      [2, "join"],
      [3, "join"],
      [4, "backupRemote"],
      [5, "backupLocal"],
      [6, "fullyEstablished"],
      [7, "connected"],
      [8, "mapValid"],
    ];
    const none = subflow(0);
    for (const [bit, name] of named) {
      assertEquals(subflow(1 << bit), { ...none, flags: 1 << bit, [name]: true });
    }
    assertEquals(subflow(0x80000000), { ...none, flags: 0x80000000 });
  });

  it("have other attributes, known and unknown", () => {
    const socket = made(
      new AttributeEncoder().u8(6, 0x2e).u32(15, 0x42).u8(200, 1).nested(19, (ulp) => ulp.cstring(1, "tls")),
    );
    assertEquals([socket.trafficClass, socket.mark, socket.ulp, socket.subflow], [0x2e, 0x42, "tls", undefined]);
  });

  it("are refused when cut off, or of another family", () => {
    const refuse = (message: Uint8Array) => {
      for (const decode of [tcp, mptcp]) assertEquals(assertThrows(() => decode(message), MptcpError).code, "EBADMSG");
    };
    refuse(encodeMessage(20, 0, golden.TCP_REPLY.slice(16, 84)));
    refuse(encodeMessage(20, 0, new Uint8Array(72)));
    refuse(encodeMessage(20, 0));
  });

  it("survive any change and any cut", () => {
    fuzzMessages([golden.MPTCP_REPLY, golden.V6_MPTCP_REPLY], decodeMptcpSocket);
    fuzzMessages(
      [golden.TCP_REPLY, golden.TCP_UNPRIVILEGED, golden.MAPPED_TCP_REPLY],
      (message) => decodeTcpSocket(message),
    );
    fuzzMessages([golden.TCP_REPLY], decodeTcpSocketInfo);
  });

  it("name the socket that they tell: decoded, encoded, decoded", () => {
    const v4 = fc.uint8Array({ minLength: 4, maxLength: 4 });
    const v6 = fc.uint8Array({ minLength: 16, maxLength: 16 });
    const hostnames = fc.oneof(
      fc.tuple(v4, v4).map(([a, b]) => [4, formatIPv4(a), formatIPv4(b)] as const),
      fc.tuple(v6, v6).map(([a, b]) => [6, formatIPv6(a), formatIPv6(b)] as const),
      fc.tuple(v4, v4).map(([a, b]) => [6, formatIPv4(a), formatIPv4(b)] as const),
    );
    const port = fc.integer({ min: 1, max: 65535 });
    const cookies = fc.bigInt(1n, 2n ** 64n - 2n);
    fc.assert(fc.property(hostnames, port, port, fc.nat(0x7fffffff), cookies, (names, a, b, interfaceIndex, cookie) => {
      const [family, local, remote] = names;
      const id: diag.SocketId = { family, local: at(local, a), remote: at(remote, b), interfaceIndex, cookie };
      const request = diag.encodeDestroyTcp(id);
      // The reply has the same struct inet_diag_sockid, 4 bytes earlier.
      const reply = encodeMessage(20, 0, request.slice(16, 20), request.slice(24, 72), new Uint8Array(20));
      const [socket] = tcp(reply);
      assertEquals({ ...socket!, ...id }, socket!);
      assertEquals(diag.encodeDestroyTcp(socket!), request);
      assert(family === 4 || isV4Mapped(request, 28) === !local.includes(":") || local.startsWith("::ffff:"));
    }));
  });
});

describe("sock_diag speed", () => {
  it("decodes 1000 connections of 2 subflows in well under 20 ms, once warm", () => {
    const repeat = (datagram: Uint8Array, count: number) =>
      Array.from({ length: count / 50 }, () => {
        const first = datagram.slice(0, new DataView(datagram.buffer, datagram.byteOffset).getUint32(0, true));
        return Uint8Array.from(Array(50).fill([...first]).flat());
      });
    const connections = repeat(golden.MPTCP_REPLY, 1000);
    const subflows = repeat(golden.TCP_UNPRIVILEGED, 2000);
    const times: number[] = [];
    for (let round = 0; round < 20; round++) {
      const start = performance.now();
      let count = 0;
      for (const datagram of connections) count += mptcp(datagram).length;
      for (const datagram of subflows) {
        for (const message of decodeMessages(datagram)) count += decodeTcpSocket(message, false).state;
      }
      times.push(performance.now() - start);
      assertEquals(count, 3000);
    }
    // The least of many: the machine may be busy with other things.
    const least = Math.min(...times);
    assert(least < 20, `${least.toFixed(1)} ms`);
  });
});
