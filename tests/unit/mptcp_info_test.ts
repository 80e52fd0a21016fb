/** `struct mptcp_info`, on what Linux 6.18 answered. */
import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { describe, it } from "node:test";
import { decodeMptcpInfo, MPTCP_INFO_SIZE, type MptcpInfo } from "../../kernel/mptcp_info.ts";
import { LISTENER_MPTCP_INFO, V4_MPTCP_INFO, V6_MPTCP_INFO } from "./golden.ts";

/** As the C program read it; the sizes and counts are those of the setup, see golden.ts. */
const V4: Required<MptcpInfo> = {
  subflows: 1,
  addAddrSignal: 0,
  addAddrAccepted: 0,
  subflowsMax: 2,
  addAddrSignalMax: 0,
  addAddrAcceptedMax: 2,
  flags: 2,
  token: 2610925845,
  writeSeq: 11835459385154658415n,
  sndUna: 11835459385154658415n,
  rcvNxt: 11085853888036805722n,
  localAddrUsed: 2,
  localAddrMax: 2,
  csumEnabled: 0,
  retransmits: 0,
  bytesRetrans: 0,
  bytesSent: 1000,
  bytesReceived: 500,
  bytesAcked: 1000,
  subflowsTotal: 2,
  endpLaminarMax: 0,
  lastDataSent: 300,
  lastDataRecv: 300,
  lastAckRecv: 300,
};

/** Where each field ends, from the ABI: so a mistake in the table itself shows. */
const ENDS: Record<keyof MptcpInfo, number> = {
  subflows: 1,
  addAddrSignal: 2,
  addAddrAccepted: 3,
  subflowsMax: 4,
  addAddrSignalMax: 5,
  addAddrAcceptedMax: 6,
  flags: 12,
  token: 16,
  writeSeq: 24,
  sndUna: 32,
  rcvNxt: 40,
  localAddrUsed: 41,
  localAddrMax: 42,
  csumEnabled: 43,
  retransmits: 48,
  bytesRetrans: 56,
  bytesSent: 64,
  bytesReceived: 72,
  bytesAcked: 80,
  subflowsTotal: 81,
  endpLaminarMax: 82,
  lastDataSent: 88,
  lastDataRecv: 92,
  lastAckRecv: 96,
};

/** The members of `all` that end within `length` bytes. */
function upTo(all: MptcpInfo, length: number): MptcpInfo {
  return Object.fromEntries(Object.entries(all).filter(([name]) => ENDS[name as keyof MptcpInfo] <= length));
}

describe("mptcp_info", () => {
  it("is as long as the kernel's", () => assertEquals(MPTCP_INFO_SIZE, V4_MPTCP_INFO.length));

  it("decodes a connection of two IPv4 subflows", () => assertEquals(decodeMptcpInfo(V4_MPTCP_INFO), V4));

  it("decodes a connection of two IPv6 subflows", () => {
    const { token, flags, subflows, subflowsTotal, bytesSent, bytesReceived } = decodeMptcpInfo(V6_MPTCP_INFO);
    assertEquals({ token, flags, subflows, subflowsTotal, bytesSent, bytesReceived }, {
      token: 0xc4e104c5,
      flags: 2,
      subflows: 1,
      subflowsTotal: 2,
      bytesSent: 1000,
      bytesReceived: 500,
    });
  });

  it("decodes a listener", () => {
    const values = Object.values(decodeMptcpInfo(LISTENER_MPTCP_INFO));
    assertEquals(values.length, Object.keys(ENDS).length);
    assertEquals(values.every((value) => Number(value) === 0), true);
  });

  it("has at every length the fields that fit", () => {
    for (let length = 0; length <= MPTCP_INFO_SIZE; length++) {
      assertEquals(decodeMptcpInfo(V4_MPTCP_INFO, length), upTo(V4, length));
      assertEquals(decodeMptcpInfo(V4_MPTCP_INFO.subarray(0, length)), upTo(V4, length));
    }
  });

  for (const [version, size] of [["5.9", 40], ["5.12", 48], ["6.5", 80], ["6.8", 88], ["6.10", 96]] as const) {
    it(`decodes what Linux ${version} returns: ${size} bytes of a larger buffer`, () => {
      const buffer = new Uint8Array(256).fill(0xee);
      buffer.set(V4_MPTCP_INFO.subarray(0, size));
      assertEquals(decodeMptcpInfo(buffer, size), upTo(V4, size));
    });
  }

  it("takes more bytes than it knows", () => {
    assertEquals(decodeMptcpInfo(Uint8Array.of(...V4_MPTCP_INFO, ...new Uint8Array(64).fill(0xff))), V4);
  });

  it("never reads behind its bytes", () => {
    assertEquals(decodeMptcpInfo(V4_MPTCP_INFO.subarray(0, 4), 1000), upTo(V4, 4));
    assertThrows(() => decodeMptcpInfo(V4_MPTCP_INFO, -1), RangeError);
  });

  it("decodes any bytes", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 120 }), (bytes) => {
      const info = decodeMptcpInfo(bytes);
      assertEquals(Object.keys(info), Object.keys(upTo(V4, bytes.length)));
    }));
  });
});
