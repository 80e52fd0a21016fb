/** Events of `mptcp_pm_events`, on what Linux 6.18 sent. */
import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "node:test";
import { MptcpError } from "../../kernel/error.ts";
import { encodeGenlMessage } from "../../kernel/genl.ts";
import { decodeEvent, type PathEvent } from "../../kernel/mptcp_event.ts";
import { decodeMessages } from "../../kernel/netlink.ts";
import { AttributeEncoder } from "../../kernel/netlink_attributes.ts";
import type { Addr } from "../../kernel/sockaddr.ts";
import { bytes } from "./golden.ts";
import * as golden from "./golden_events.ts";
import { fuzzMessages } from "./survives.ts";

const eventOf = (datagram: Uint8Array): PathEvent => decodeEvent(decodeMessages(datagram)[0]!);
const made = (event: number, attributes: AttributeEncoder): PathEvent =>
  eventOf(encodeGenlMessage(28, 0, event, 1, attributes.finish()));
const at = (hostname: string, port: number): Addr => ({ transport: "tcp", hostname, port });

const CLIENT = 0x3733bf3d;
const SERVER = 0x403bd1f4;
const client = { token: CLIENT, family: 4, localId: 0, remoteId: 0 } as const;
const server = { token: SERVER, family: 4, localId: 0, remoteId: 0 } as const;
const listener = at("10.77.0.1", 4430);
const ends = { local: at("10.77.0.1", 40000), remote: listener };
const plain = { serverSide: false, denyJoinId0: false, flags: 0 };
const accepted = { serverSide: true, denyJoinId0: false, flags: 2 };
const join = { ...client, localId: 5, local: at("10.77.0.2", 45001), remote: listener };
const joined = { ...server, remoteId: 5, local: listener, remote: at("10.77.0.2", 45001) };
const bound = { ...client, localId: 8, local: at("10.77.0.3", 34037), remote: listener, interfaceIndex: 1 };
const v6 = { family: 6, local: at("fd77::1", 4431), remote: at("fd77::1", 40001), localId: 0, remoteId: 0 } as const;

const SAMPLES: Record<keyof typeof golden, PathEvent> = {
  EVENT_LISTENER_CREATED: { type: "listenerCreated", family: 4, local: listener },
  EVENT_CREATED_CLIENT: { type: "created", ...client, ...ends, ...plain },
  EVENT_CREATED_SERVER: {
    type: "created",
    ...server,
    local: ends.remote,
    remote: ends.local,
    ...accepted,
  },
  EVENT_ESTABLISHED_SERVER: {
    type: "established",
    ...server,
    local: ends.remote,
    remote: ends.local,
    ...accepted,
  },
  EVENT_SUB_ESTABLISHED: { type: "subflowEstablished", ...join, backup: false },
  EVENT_SUB_ESTABLISHED_SERVER: { type: "subflowEstablished", ...joined, backup: true },
  EVENT_SUB_PRIORITY: { type: "subflowPriority", ...joined, backup: false },
  EVENT_ANNOUNCED: { type: "announced", token: SERVER, remoteId: 6, remote: at("10.77.0.3", 4500) },
  EVENT_REMOVED: { type: "removed", token: SERVER, remoteId: 6 },
  EVENT_SUB_CLOSED: { type: "subflowClosed", ...join, backup: false },
  EVENT_SUB_REFUSED: {
    type: "subflowClosed",
    ...join,
    local: at("10.77.0.2", 36651),
    remote: at("10.77.0.1", 4999),
    backup: false,
    error: { code: "ECONNREFUSED", errno: -111 },
  },
  EVENT_SUB_ESTABLISHED_BOUND: { type: "subflowEstablished", ...bound, backup: false },
  EVENT_SUB_ABORTED: {
    type: "subflowClosed",
    ...bound,
    backup: false,
    error: { code: "ECONNABORTED", errno: -103 },
  },
  EVENT_SUB_RESET: {
    type: "subflowClosed",
    ...server,
    remoteId: 8,
    local: listener,
    remote: at("10.77.0.3", 34037),
    backup: false,
    error: { code: "ECONNRESET", errno: -104 },
    resetReason: { code: 0, meaning: "unspecified" },
    resetFlags: 0,
  },
  EVENT_CLOSED: { type: "closed", token: CLIENT },
  EVENT_LISTENER_CLOSED: { type: "listenerClosed", family: 4, local: listener },
  EVENT_V6_CREATED_SERVER: { type: "created", token: 0xada9b280, ...v6, ...accepted },
  EVENT_V6_ANNOUNCED: { type: "announced", token: 0xaa7d3fbd, remoteId: 4, remote: at("fd77::3", 4431) },
  EVENT_V6_REFUSED: {
    type: "subflowClosed",
    token: 0xada9b280,
    family: 6,
    local: at("fd77::2", 52443),
    remote: at("fd77::1", 40001),
    localId: 3,
    remoteId: 0,
    backup: false,
    interfaceIndex: 1,
    error: { code: "ECONNREFUSED", errno: -111 },
  },
  EVENT_V6_PRIORITY: {
    type: "subflowPriority",
    token: 0xada9b280,
    ...v6,
    remote: at("fd77::2", 57643),
    remoteId: 3,
    backup: false,
  },
  EVENT_V6_LISTENER_ANY: { type: "listenerCreated", family: 6, local: at("::", 4432) },
  EVENT_MAPPED_CREATED: {
    type: "created",
    token: 0x5023e9e8,
    family: 6,
    local: at("10.77.0.1", 4432),
    remote: at("10.77.0.1", 40002),
    localId: 0,
    remoteId: 0,
    ...accepted,
  },
};

describe("mptcp_pm_events", () => {
  for (const [name, event] of Object.entries(SAMPLES)) {
    it(`decodes ${name}`, () => assertEquals(eventOf(golden[name as keyof typeof golden]), event));
  }

  it("decodes a subflow of another capture", () => {
    assertEquals(
      eventOf(bytes(`
        74000000 1c000000 *8 0b010000 08000100 19884805 06000200 02000000 08000500 0a000201 08000700 0a000202 06000900
        88170000 06000a00 a8cf0000 05000300 01000000 05000400 01000000 05000b00 00000000 05000c00 68000000 08001000
        00000000 08001100 00000000
      `)),
      {
        type: "subflowClosed",
        token: 0x05488819,
        family: 4,
        local: at("10.0.2.1", 34839),
        remote: at("10.0.2.2", 43215),
        localId: 1,
        remoteId: 1,
        backup: false,
        error: { code: "ECONNRESET", errno: -104 },
        resetReason: { code: 0, meaning: "unspecified" },
        resetFlags: 0,
      },
    );
  });

  const path = () =>
    new AttributeEncoder().u32(1, 7).u16(2, 2).bytes(5, Uint8Array.of(192, 0, 2, 1)).bytes(7, Uint8Array.of(192, 0, 2, 2))
      .be16(9, 1).be16(10, 2).u8(3, 3).u8(4, 4);
  const common = { token: 7, family: 4, local: at("192.0.2.1", 1), remote: at("192.0.2.2", 2), localId: 3, remoteId: 4 };

  it("tells the server's side as older kernels and as newer ones do, and DENY_JOIN_ID0", () => {
    const created = (attributes: AttributeEncoder) => {
      const { serverSide, denyJoinId0, flags } = made(1, attributes) as PathEvent & { type: "created" };
      return [serverSide, denyJoinId0, flags];
    };
    assertEquals(created(path().u8(18, 1)), [true, false, 0]);
    assertEquals(created(path().u8(18, 0).u16(13, 1)), [false, true, 1]);
    assertEquals(created(path().u16(13, 0x8002)), [true, false, 0x8002]);
  });

  it("has words for the reasons of a reset", () => {
    const reason = (code: number) => (made(11, path().u32(16, code).u32(17, 1)) as PathEvent & { type: "subflowClosed" });
    assertEquals([reason(3).resetReason, reason(3).resetFlags], [{ code: 3, meaning: "administratively prohibited" }, 1]);
    assertEquals(reason(6).resetReason!.meaning, "middlebox interference");
    assertEquals(reason(200).resetReason, { code: 200, meaning: "reason 200" });
  });

  it("has an error and a timeout on other events too, and no interface 0", () => {
    assertEquals(made(10, path().u8(11, 1).u8(12, 113).u32(14, 9).s32(15, 0)), {
      type: "subflowEstablished",
      ...common,
      backup: true,
      error: { code: "EHOSTUNREACH", errno: -113 },
      timeout: 9,
    } as PathEvent);
    assertEquals(made(3, new AttributeEncoder().u32(1, 7).u32(14, 5)), { type: "closed", token: 7, timeout: 5 });
    assertEquals(made(11, path().u8(12, 0)), { type: "subflowClosed", ...common, backup: false } as PathEvent);
  });

  it("passes over attributes that it does not know", () => {
    assertEquals(made(7, new AttributeEncoder().u32(1, 7).u8(4, 2).u32(99, 1)), { type: "removed", token: 7, remoteId: 2 });
  });

  it("keeps an event that it does not know, with all attributes", () => {
    assertEquals(made(42, new AttributeEncoder().u32(1, 7).nested(40, (nest) => nest.u8(1, 2))), {
      type: "unknown",
      event: 42,
      token: 7,
      attributes: [
        { type: 1, bytes: Uint8Array.of(7, 0, 0, 0) },
        { type: 40, bytes: Uint8Array.of(5, 0, 1, 0, 2, 0, 0, 0) },
      ],
    });
    assertEquals(made(255, new AttributeEncoder().u8(1, 7)), {
      type: "unknown",
      event: 255,
      attributes: [{ type: 1, bytes: Uint8Array.of(7) }],
    });
  });

  it("keeps an event that lacks what it always had", () => {
    const complete: [number, AttributeEncoder][] = [
      [1, new AttributeEncoder().u32(1, 7)],
      [2, new AttributeEncoder()],
      [3, new AttributeEncoder()],
      [6, new AttributeEncoder().u32(1, 7).u8(4, 1)],
      [7, new AttributeEncoder().u32(1, 7)],
      [10, new AttributeEncoder().u32(1, 7).u8(4, 1).be16(10, 1).bytes(7, new Uint8Array(4))],
      [15, new AttributeEncoder().be16(9, 1)],
    ];
    for (const [event, attributes] of complete) assertEquals(made(event, attributes).type, "unknown");
  });

  it("refuses attributes that are too short", () => {
    for (const attributes of [new AttributeEncoder().u8(1, 1), path().bytes(5, new Uint8Array(3)), path().u8(9, 1)]) {
      assertEquals(assertThrows(() => made(10, attributes), MptcpError).code, "EBADMSG");
    }
  });

  it("survives any change and any cut", () => fuzzMessages(Object.values(golden), decodeEvent));
});
