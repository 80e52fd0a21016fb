/** SYNs and SYN-ACKs, as a packet socket got them in a lab of Linux 6.18 hosts, from the IP header on. */
import { assert, assertEquals } from "@std/assert";
import { describe, it } from "node:test";
import fc from "fast-check";
import { decodeSynPacket, encodeFilterProgram, encodePacketAddress, encodeSynFilter } from "../../kernel/syn_packet.ts";
import { bytes } from "./golden.ts";

const SYN = bytes(`
  45000040 1f854000 40060531 0a000101 0a000102 989ab201 c636fb6e 00000000 b002faf0 16350000 020405b4 0402080a 5eef858e
  00000000 0103030a 1e040101
`);
/** The peer had allow_join_initial_addr_port=0. */
const SYN_ACK = bytes(`
  45000048 00004000 400624ae 0a000102 0a000101 b201989a 8a7c8f8c c636fb6f d012fe88 163d0000 020405b4 0402080a 66cce6d6
  5eef858e 0103030a 1e0c0121 72c91ef6 5a62d032
`);
const JOIN = bytes(`
  45000048 05834000 40061d2b 0a000201 0a000202 e1a1b201 cc1e8afc 00000000 d002faf0 183d0000 020405b4 0402080a fc75c521
  00000000 0103030a 1e0c1001 018e36cd 6ec8d5f6
`);
const JOIN_ACK = bytes(`
  4500004c 00004000 400622aa 0a000202 0a000201 b201e1a1 dedc7739 cc1e8afd e012fe88 18410000 020405b4 0402080a e6dc41c5
  fc75c521 0103030a 1e101001 370832c0 7165359f f1cb5410
`);
const SYN6 = bytes(`
  60058aac 002c0640 fd000001 *11 01 fd000001 *11 02 dd10b201 3dd83a2e 00000000 b002fd20 fa380000 020405a0 0402080a
  5b66bfdf 00000000 0103030a 1e040101
`);
const PLAIN_ACK = bytes(`
  4500003c 00004000 400624ba 0a000102 0a000101 983f8d46 0693e554 4d865fa9 a012fe88 16310000 020405b4 0402080a dc2e46bb
  e89fa4c8 0103030a
`);

/** The packet with bytes in the place of those from an offset on. */
function changed(packet: Uint8Array, at: number, ...values: number[]): Uint8Array {
  const copy = packet.slice();
  copy.set(values, at);
  return copy;
}

const options = (packet: Uint8Array) => decodeSynPacket(packet)?.mptcp;

describe("SYN packet", () => {
  it("tells its ends and its MPTCP option", () => {
    assertEquals(decodeSynPacket(SYN), {
      source: "10.0.1.1",
      sourcePort: 39066,
      destination: "10.0.1.2",
      destinationPort: 45569,
      ack: false,
      mptcp: "capable",
      version: 1,
      denyJoinId0: false,
    });
    assertEquals(decodeSynPacket(SYN_ACK), {
      source: "10.0.1.2",
      sourcePort: 45569,
      destination: "10.0.1.1",
      destinationPort: 39066,
      ack: true,
      mptcp: "capable",
      version: 1,
      denyJoinId0: true,
    });
    assertEquals([options(JOIN), options(JOIN_ACK)], ["join", "join"]);
    assertEquals(decodeSynPacket(SYN6), {
      source: "fd00:1::1",
      sourcePort: 56592,
      destination: "fd00:1::2",
      destinationPort: 45569,
      ack: false,
      mptcp: "capable",
      version: 1,
      denyJoinId0: false,
    });
  });

  it("tells an option that never was from one that was overwritten", () => {
    assertEquals(options(PLAIN_ACK), "none");
    for (const filler of [0, 1]) {
      assertEquals(options(changed(SYN_ACK, 60, ...Array<number>(12).fill(filler))), "erased");
      assertEquals(options(changed(SYN, 60, ...Array<number>(4).fill(filler))), "erased");
    }
    assertEquals(options(changed(SYN_ACK, 60, 1, 1, 1, 254, 9, 0, 0, 0, 0, 0, 0, 0)), "none");
  });

  it("tells the version of MPTCP, and options that it does not know", () => {
    const old = decodeSynPacket(changed(SYN_ACK, 62, 0x00));
    assertEquals([old?.mptcp, old?.version], ["capable", 0]);
    assertEquals(options(changed(SYN_ACK, 62, 0xf0)), "other");
  });

  it("is nothing else", () => {
    for (
      const packet of [
        bytes("00"),
        SYN.slice(0, 39),
        changed(SYN, 33, 0x10), // an ACK
        changed(SYN, 9, 17), // UDP
        changed(SYN, 6, 0x00, 0x01), // a later fragment
        changed(SYN, 0, 0x55), // a version that does not exist
        changed(SYN, 0, 0x44), // a header that is too short
        new Uint8Array(0),
      ]
    ) {
      assertEquals(decodeSynPacket(packet), null);
    }
  });

  it("survives any bytes", () => {
    const start = fc.constantFrom(SYN, SYN_ACK, JOIN_ACK, SYN6, PLAIN_ACK);
    fc.assert(fc.property(start, fc.array(fc.tuple(fc.nat(100), fc.nat(255))), fc.nat(100), (packet, changes, end) => {
      const copy = packet.slice();
      for (const [at, value] of changes) if (at < copy.length) copy[at] = value;
      const found = decodeSynPacket(copy.subarray(0, end));
      assert(found === null || found.sourcePort <= 65535);
    }));
    fc.assert(fc.property(fc.uint8Array({ maxLength: 128 }), (packet) => void decodeSynPacket(packet)));
  });
});

describe("SYN filter", () => {
  /** Classic BPF, as far as the filter uses it. */
  function run(filter: Uint8Array, packet: Uint8Array): number {
    const view = new DataView(filter.buffer, filter.byteOffset, filter.length);
    let [a, x] = [0, 0];
    for (let at = 0;; at++) {
      const [code, k] = [view.getUint16(8 * at, true), view.getUint32(8 * at + 4, true)];
      const [jt, jf] = [view.getUint8(8 * at + 2), view.getUint8(8 * at + 3)];
      // A load from beyond the packet ends the program, and drops it.
      const load = (offset: number) => packet[offset] ?? NaN;
      if (code === 0x06) return k;
      else if (code === 0x30) a = load(k);
      else if (code === 0x50) a = load(x + k);
      else if (code === 0x28) a = load(k) << 8 | load(k + 1);
      else if (code === 0xb1) x = 4 * (load(k) & 15);
      else if (code === 0x74) a >>= k;
      else if (code === 0x05) at += k;
      else if (code === 0x15) at += a === k ? jt : jf;
      else if (code === 0x45) at += (a & k) !== 0 ? jt : jf;
      else throw new Error(`code ${code}`);
      if (Number.isNaN(a) || Number.isNaN(x)) return 0;
    }
  }

  it("takes what is a SYN packet, and nothing else", () => {
    const filter = encodeSynFilter();
    for (const packet of [SYN, SYN_ACK, JOIN, JOIN_ACK, SYN6, PLAIN_ACK]) assertEquals(run(filter, packet), 128);
    const others = [changed(SYN, 33, 0x10), changed(SYN, 9, 17), changed(SYN, 6, 0, 1), changed(SYN6, 6, 17)];
    for (const packet of [...others, changed(SYN6, 53, 0x10), changed(SYN, 0, 0x55)]) assertEquals(run(filter, packet), 0);
  });

  it("is told to the kernel by its length and its address", () => {
    const program = encodeFilterProgram(encodeSynFilter(), 0x1122334455667788n);
    assertEquals(program, bytes("1100 *6 88776655 44332211"));
    assertEquals(encodePacketAddress(), bytes("1100 0003 *16"));
  });
});
