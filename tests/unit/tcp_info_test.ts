/** `struct tcp_info`, on what Linux 6.18 answered. */
import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { describe, it } from "node:test";
import { viewOf } from "../../kernel/struct.ts";
import { decodeTcpInfo, TCP_INFO_SIZE, type TcpInfo } from "../../kernel/tcp_info.ts";
import { bytes, V4_TCP_INFO } from "./golden.ts";

/** As the C program read it, see golden.ts; what lies behind its header's struct is 0. */
const V4: Required<TcpInfo> = {
  state: 1,
  caState: 0,
  retransmits: 0,
  probes: 0,
  backoff: 0,
  options: 7,
  sndWscale: 10,
  rcvWscale: 10,
  deliveryRateAppLimited: 1,
  fastopenClientFail: 0,
  rto: 204000,
  ato: 40000,
  sndMss: 32768,
  rcvMss: 536,
  unacked: 0,
  sacked: 0,
  lost: 0,
  retrans: 0,
  fackets: 0,
  lastDataSent: 300,
  lastAckSent: 0,
  lastDataRecv: 300,
  lastAckRecv: 300,
  pmtu: 65535,
  rcvSsthresh: 65495,
  rtt: 32,
  rttvar: 17,
  sndSsthresh: 2147483647,
  sndCwnd: 11,
  advmss: 65483,
  reordering: 3,
  rcvRtt: 0,
  rcvSpace: 65495,
  totalRetrans: 0,
  pacingRate: 26733974980,
  maxPacingRate: 2 ** 64,
  bytesAcked: 1001,
  bytesReceived: 500,
  segsOut: 4,
  segsIn: 3,
  notsentBytes: 0,
  minRtt: 13,
  dataSegsIn: 1,
  dataSegsOut: 1,
  deliveryRate: 2520615384,
  busyTime: 0,
  rwndLimited: 0,
  sndbufLimited: 0,
  delivered: 2,
  deliveredCe: 0,
  bytesSent: 1000,
  bytesRetrans: 0,
  dsackDups: 0,
  reordSeen: 0,
  rcvOoopack: 0,
  sndWnd: 65536,
  rcvWnd: 65536,
  rehash: 0,
  totalRto: 0,
  totalRtoRecoveries: 0,
  totalRtoTime: 0,
  receivedCe: 0,
  deliveredE1Bytes: 0,
  deliveredE0Bytes: 0,
  deliveredCeBytes: 0,
  receivedE1Bytes: 0,
  receivedE0Bytes: 0,
  receivedCeBytes: 0,
};

/** The order and sizes of the fields in the kernel's header: the offsets follow, without the table under test. */
const SIZES: readonly (readonly [bytes: number, ...names: (keyof TcpInfo)[]])[] = [
  [1, "state"],
  [1, "caState"],
  [1, "retransmits"],
  [1, "probes"],
  [1, "backoff"],
  [1, "options"],
  [1, "sndWscale", "rcvWscale"],
  [1, "deliveryRateAppLimited", "fastopenClientFail"],
  ...(["rto", "ato", "sndMss", "rcvMss", "unacked", "sacked", "lost", "retrans", "fackets"] as const).map(word),
  ...(["lastDataSent", "lastAckSent", "lastDataRecv", "lastAckRecv", "pmtu", "rcvSsthresh", "rtt"] as const).map(word),
  ...(["rttvar", "sndSsthresh", "sndCwnd", "advmss", "reordering", "rcvRtt", "rcvSpace"] as const).map(word),
  ...(["totalRetrans"] as const).map(word),
  ...(["pacingRate", "maxPacingRate", "bytesAcked", "bytesReceived"] as const).map(long),
  ...(["segsOut", "segsIn", "notsentBytes", "minRtt", "dataSegsIn", "dataSegsOut"] as const).map(word),
  ...(["deliveryRate", "busyTime", "rwndLimited", "sndbufLimited"] as const).map(long),
  ...(["delivered", "deliveredCe"] as const).map(word),
  ...(["bytesSent", "bytesRetrans"] as const).map(long),
  ...(["dsackDups", "reordSeen", "rcvOoopack", "sndWnd", "rcvWnd", "rehash"] as const).map(word),
  [2, "totalRto"],
  [2, "totalRtoRecoveries"],
  ...(["totalRtoTime", "receivedCe", "deliveredE1Bytes", "deliveredE0Bytes", "deliveredCeBytes"] as const).map(word),
  ...(["receivedE1Bytes", "receivedE0Bytes", "receivedCeBytes"] as const).map(word),
];

function word(name: keyof TcpInfo): [number, keyof TcpInfo] {
  return [4, name];
}

function long(name: keyof TcpInfo): [number, keyof TcpInfo] {
  return [8, name];
}

/** The members that end within `length` bytes. */
function namesUpTo(length: number): string[] {
  let end = 0;
  return SIZES.flatMap(([size, ...names]) => (end += size) <= length ? names : []);
}

describe("tcp_info", () => {
  it("is as long as the kernel's", () => assertEquals(TCP_INFO_SIZE, V4_TCP_INFO.length));

  it("decodes the initial subflow", () => assertEquals(decodeTcpInfo(viewOf(V4_TCP_INFO)), V4));

  it("has at every length the fields that fit", () => {
    for (let length = 0; length <= TCP_INFO_SIZE; length++) {
      const names = namesUpTo(length);
      const expected = Object.fromEntries(Object.entries(V4).filter(([name]) => names.includes(name)));
      assertEquals(decodeTcpInfo(viewOf(V4_TCP_INFO), 0, length), expected);
    }
  });

  it("puts every field where the kernel's header has it", () => {
    // Each field in turn has all its bits set, and nothing else.
    let offset = 0;
    for (const [size, ...names] of SIZES) {
      const one = new Uint8Array(TCP_INFO_SIZE).fill(0xff, offset, offset + size);
      const set = Object.entries(decodeTcpInfo(viewOf(one))).filter(([, value]) => value !== 0);
      assertEquals(set.map(([name]) => name).sort(), names.slice().sort());
      if (names.length === 1) assertEquals([names[0], set[0]![1]], [names[0], size === 8 ? 2 ** 64 : 2 ** (8 * size) - 1]);
      offset += size;
    }
    assertEquals(offset, 276); // then 4 bytes of bit fields
  });

  it("splits the bytes of bit fields as a little-endian compiler does", () => {
    const { sndWscale, rcvWscale, deliveryRateAppLimited, fastopenClientFail } = decodeTcpInfo(
      viewOf(bytes("*6 7a 04 *272")),
    );
    assertEquals({ sndWscale, rcvWscale, deliveryRateAppLimited, fastopenClientFail }, {
      sndWscale: 10,
      rcvWscale: 7,
      deliveryRateAppLimited: 0,
      fastopenClientFail: 2,
    });
  });

  it("decodes at a base and at the end of a buffer", () => {
    const buffer = Uint8Array.of(...new Uint8Array(13).fill(0xff), ...V4_TCP_INFO);
    assertEquals(decodeTcpInfo(viewOf(buffer), 13), V4);
    assertThrows(() => decodeTcpInfo(viewOf(buffer), 14, TCP_INFO_SIZE), RangeError);
  });

  it("decodes any bytes", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (given) => {
      assertEquals(Object.keys(decodeTcpInfo(viewOf(given))).sort(), namesUpTo(given.length).sort());
    }));
  });
});
