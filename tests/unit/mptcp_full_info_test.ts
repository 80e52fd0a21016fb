/** `struct mptcp_full_info` and its two arrays, on what Linux 6.18 answered. */
import { assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { describe, it } from "node:test";
import {
  decodeFullInfoHead,
  decodeSubflowRows,
  encodeFullInfoRequest,
  FULL_INFO_HEAD_SIZE,
  SUBFLOW_INFO_SIZE,
} from "../../kernel/mptcp_full_info.ts";
import { viewOf } from "../../kernel/struct.ts";
import { decodeTcpInfo, TCP_INFO_SIZE } from "../../kernel/tcp_info.ts";
import * as golden from "./golden.ts";

const { V4_FULL_SUBFLOWS, V4_FULL_TCP } = golden;
const addr = (hostname: string, port: number) => ({ transport: "tcp" as const, hostname, port });
const HEAD = { count: 2, subflowStride: SUBFLOW_INFO_SIZE, tcpStride: TCP_INFO_SIZE };

describe("mptcp_full_info", () => {
  it("has the kernel's sizes", () => assertEquals([FULL_INFO_HEAD_SIZE, SUBFLOW_INFO_SIZE], [40, 264]));

  it("encodes a request", () => {
    const head = new Uint8Array(48).fill(0xee);
    encodeFullInfoRequest(head, { capacity: 16, subflowInfo: 0x7f00_0000_1000n, tcpInfo: 0xffff_ffff_ffff_fff8n });
    assertEquals(
      head,
      golden.bytes("*4 18010000 *4 08010000 *4 10000000 00100000007f0000 f8ffffffffffffff eeeeeeeeeeeeeeee"),
    );
    assertThrows(() => encodeFullInfoRequest(new Uint8Array(39), { capacity: 1, subflowInfo: 0n, tcpInfo: 0n }), RangeError);
  });

  it("decodes the head of an answer", () => {
    assertEquals(decodeFullInfoHead(golden.V4_FULL_HEAD), HEAD);
    assertEquals(decodeFullInfoHead(golden.V6_FULL_HEAD), HEAD);
    assertEquals(decodeFullInfoHead(golden.DEAD_FULL_HEAD), { ...HEAD, count: 1 });
  });

  it("decodes at every length of the head what fits", () => {
    for (let length = 0; length <= FULL_INFO_HEAD_SIZE; length++) {
      assertEquals(decodeFullInfoHead(golden.V4_FULL_HEAD.subarray(0, length)), {
        count: length < 20 ? 0 : 2,
        subflowStride: length < 16 ? 0 : 264,
        tcpStride: length < 8 ? 0 : 280,
      });
    }
  });

  it("decodes two IPv4 subflows", () => {
    assertEquals(decodeSubflowRows(HEAD, V4_FULL_SUBFLOWS, V4_FULL_TCP), [
      {
        id: 1,
        local: addr("10.77.0.1", 40000),
        remote: addr("10.77.0.1", 4430),
        tcpInfo: decodeTcpInfo(viewOf(V4_FULL_TCP), 0, 280),
      },
      {
        id: 2,
        local: addr("10.77.0.2", 46689),
        remote: addr("10.77.0.1", 4430),
        tcpInfo: decodeTcpInfo(viewOf(V4_FULL_TCP), 280, 280),
      },
    ]);
  });

  it("decodes two IPv6 subflows", () => {
    const rows = decodeSubflowRows(HEAD, golden.V6_FULL_SUBFLOWS, golden.V6_FULL_TCP);
    assertEquals(
      rows.map(({ id, local, remote, tcpInfo }) => [id, local.hostname, remote, tcpInfo.state, tcpInfo.bytesSent]),
      [
        [1, "fd77::1", addr("fd77::1", 4431), 1, 1000],
        [2, "fd77::2", addr("fd77::1", 4431), 1, 0],
      ],
    );
  });

  it("drops the row of a dead subflow", () => {
    assertEquals(golden.DEAD_FULL_TCP[0], 7);
    assertEquals(decodeSubflowRows({ ...HEAD, count: 1 }, golden.DEAD_FULL_SUBFLOWS, golden.DEAD_FULL_TCP), []);
    const tcp = V4_FULL_TCP.slice();
    tcp[0] = 7;
    assertEquals(decodeSubflowRows(HEAD, V4_FULL_SUBFLOWS, tcp).map(({ id }) => id), [2]);
    tcp[280] = 7;
    assertEquals(decodeSubflowRows(HEAD, V4_FULL_SUBFLOWS, tcp), []);
  });

  it("drops a row without an address", () => {
    const subflows = V4_FULL_SUBFLOWS.slice();
    subflows.fill(0, 8, 10); // the family of the first row's local address
    assertEquals(decodeSubflowRows(HEAD, subflows, V4_FULL_TCP).map(({ id }) => id), [2]);
  });

  it("gives no more rows than both arrays hold", () => {
    for (let length = 0; length <= 528; length++) {
      const rows = decodeSubflowRows({ ...HEAD, count: 50 }, V4_FULL_SUBFLOWS.subarray(0, length), V4_FULL_TCP);
      assertEquals(rows.length, Math.floor(length / 264));
    }
    for (let length = 0; length <= 560; length++) {
      const rows = decodeSubflowRows({ ...HEAD, count: 50 }, V4_FULL_SUBFLOWS, V4_FULL_TCP.subarray(0, length));
      assertEquals(rows.length, Math.floor(length / 280));
    }
  });

  it("gives no more rows than the head counts", () => {
    assertEquals(decodeSubflowRows({ ...HEAD, count: 1 }, V4_FULL_SUBFLOWS, V4_FULL_TCP).length, 1);
    assertEquals(decodeSubflowRows({ ...HEAD, count: 0 }, V4_FULL_SUBFLOWS, V4_FULL_TCP), []);
  });

  it("takes rows of an older kernel, which are shorter", () => {
    // tcp_info of 6.1 has 232 bytes; 1 byte is legal, and enough to tell the dead.
    for (const tcpStride of [232, 8, 1]) {
      const tcp = new Uint8Array(2 * tcpStride);
      for (const index of [0, 1]) tcp.set(V4_FULL_TCP.subarray(index * 280, index * 280 + tcpStride), index * tcpStride);
      const rows = decodeSubflowRows({ ...HEAD, tcpStride }, V4_FULL_SUBFLOWS, tcp);
      assertEquals(rows.map(({ id, tcpInfo }) => [id, tcpInfo.state]), [[1, 1], [2, 1]]);
      assertStrictEquals(rows[0]!.tcpInfo.rcvWnd, undefined);
    }
  });

  it("takes rows of a newer kernel, which are longer", () => {
    const subflows = new Uint8Array(2 * 300);
    for (const index of [0, 1]) subflows.set(V4_FULL_SUBFLOWS.subarray(index * 264, (index + 1) * 264), index * 300);
    const rows = decodeSubflowRows({ ...HEAD, subflowStride: 300 }, subflows, V4_FULL_TCP);
    assertEquals(rows, decodeSubflowRows(HEAD, V4_FULL_SUBFLOWS, V4_FULL_TCP));
  });

  it("survives hostile heads", () => {
    const max = 0xffffffff;
    for (
      const [count, subflowStride, tcpStride] of [[max, 0, 0], [max, 264, 0], [max, 0, 280], [max, max, max], [max, 8, 1]]
    ) {
      const head = { count: count!, subflowStride: subflowStride!, tcpStride: tcpStride! };
      assertEquals(decodeSubflowRows(head, V4_FULL_SUBFLOWS, V4_FULL_TCP), []);
    }
    // A stride that ends within the remote address: no row is whole.
    for (let subflowStride = 0; subflowStride < 144; subflowStride++) {
      assertEquals(decodeSubflowRows({ ...HEAD, count: max, subflowStride }, V4_FULL_SUBFLOWS, V4_FULL_TCP), []);
    }
    assertEquals(
      decodeSubflowRows({ ...HEAD, count: max, subflowStride: 144 }, V4_FULL_SUBFLOWS, V4_FULL_TCP).length <= 2,
      true,
    );
  });

  it("decodes any bytes under any head", () => {
    const stride = fc.oneof(fc.nat(400), fc.nat(0xffffffff));
    const random = fc.uint8Array({ maxLength: 900 });
    fc.assert(fc.property(fc.nat(0xffffffff), stride, stride, random, random, (count, subflowStride, tcpStride, a, b) => {
      const rows = decodeSubflowRows({ count, subflowStride, tcpStride }, a, b);
      assertEquals(rows.length <= count && rows.every(({ tcpInfo }) => tcpInfo.state !== 7), true);
      decodeFullInfoHead(a);
    }));
  });
});
