/** `struct mptcp_subflow_data` and the rows of the two older options, on what Linux 6.18 answered. */
import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { describe, it } from "node:test";
import { decodeSubflowRows } from "../../kernel/mptcp_full_info.ts";
import { viewOf } from "../../kernel/struct.ts";
import { decodeSubflowData, encodeSubflowData, SUBFLOW_ADDRS_SIZE, SUBFLOW_DATA_SIZE } from "../../kernel/subflow_data.ts";
import * as golden from "./golden.ts";

const { V4_TCPINFO, V4_SUBFLOW_ADDRS } = golden;

/** An answer with another head. */
function withHead(answer: Uint8Array, head: { start?: number; count?: number; stride?: number }): Uint8Array {
  const copy = answer.slice();
  const view = viewOf(copy);
  if (head.start !== undefined) view.setUint32(0, head.start, true);
  if (head.count !== undefined) view.setUint32(4, head.count, true);
  if (head.stride !== undefined) view.setUint32(12, head.stride, true);
  return copy;
}

describe("mptcp_subflow_data", () => {
  it("has the kernel's sizes", () => assertEquals([SUBFLOW_DATA_SIZE, SUBFLOW_ADDRS_SIZE], [16, 256]));

  it("encodes a request", () => {
    const buffer = new Uint8Array(20).fill(0xee);
    encodeSubflowData(buffer, 280);
    assertEquals(buffer, golden.bytes("10000000 *8 18010000 eeeeeeee"));
    assertThrows(() => encodeSubflowData(new Uint8Array(15), 280), RangeError);
  });

  it("decodes the same rows as MPTCP_FULL_INFO", () => {
    const head = { count: 2, subflowStride: 264, tcpStride: 280 };
    const rows = decodeSubflowRows(head, golden.V4_FULL_SUBFLOWS, golden.V4_FULL_TCP);
    assertEquals(rows.length, 2);
    assertEquals(decodeSubflowData(V4_TCPINFO, V4_SUBFLOW_ADDRS), rows);
  });

  it("drops the row of a dead subflow", () => {
    assertEquals(golden.DEAD_TCPINFO[16], 7);
    assertEquals(decodeSubflowData(golden.DEAD_TCPINFO, golden.DEAD_SUBFLOW_ADDRS), []);
    const infos = V4_TCPINFO.slice();
    infos[16] = 7;
    assertEquals(decodeSubflowData(infos, V4_SUBFLOW_ADDRS).map(({ id, local }) => [id, local.hostname]), [[
      2,
      "10.77.0.2",
    ]]);
  });

  it("leaves out what only one of the two calls saw", () => {
    assertEquals(decodeSubflowData(withHead(V4_TCPINFO, { count: 1 }), V4_SUBFLOW_ADDRS).length, 1);
    assertEquals(decodeSubflowData(V4_TCPINFO, withHead(V4_SUBFLOW_ADDRS, { count: 1 })).length, 1);
    assertEquals(decodeSubflowData(withHead(V4_TCPINFO, { count: 0 }), V4_SUBFLOW_ADDRS), []);
  });

  it("decodes at every length the whole rows", () => {
    for (let length = 0; length <= V4_TCPINFO.length; length++) {
      const rows = decodeSubflowData(V4_TCPINFO.subarray(0, length), V4_SUBFLOW_ADDRS);
      assertEquals(rows.length, Math.max(0, Math.floor((length - 16) / 280)));
    }
    for (let length = 0; length <= V4_SUBFLOW_ADDRS.length; length++) {
      const rows = decodeSubflowData(V4_TCPINFO, V4_SUBFLOW_ADDRS.subarray(0, length));
      assertEquals(rows.length, Math.max(0, Math.floor((length - 16) / 256)));
    }
  });

  it("takes rows of an older kernel, which are shorter", () => {
    const infos = new Uint8Array(16 + 2 * 232);
    infos.set(V4_TCPINFO.subarray(0, 16));
    for (const index of [0, 1]) infos.set(V4_TCPINFO.subarray(16 + index * 280, 16 + index * 280 + 232), 16 + index * 232);
    const rows = decodeSubflowData(withHead(infos, { stride: 232 }), V4_SUBFLOW_ADDRS);
    assertEquals(rows.map(({ tcpInfo }) => [tcpInfo.state, tcpInfo.sndWnd, tcpInfo.rcvWnd]), [
      [1, 65536, undefined],
      [1, 65536, undefined],
    ]);
  });

  it("takes a longer head of a newer kernel", () => {
    const infos = Uint8Array.of(...V4_TCPINFO.subarray(0, 16), 1, 2, 3, 4, 5, 6, 7, 8, ...V4_TCPINFO.subarray(16));
    assertEquals(
      decodeSubflowData(withHead(infos, { start: 24 }), V4_SUBFLOW_ADDRS),
      decodeSubflowData(V4_TCPINFO, V4_SUBFLOW_ADDRS),
    );
  });

  it("survives hostile heads", () => {
    const max = 0xffffffff;
    const heads = [{ stride: 0 }, { stride: max }, { start: 0 }, { start: 15 }, { start: max }, { start: 10_000 }];
    for (const head of heads) {
      assertEquals(decodeSubflowData(withHead(V4_TCPINFO, { count: max, ...head }), V4_SUBFLOW_ADDRS), []);
      assertEquals(decodeSubflowData(V4_TCPINFO, withHead(V4_SUBFLOW_ADDRS, { count: max, ...head })), []);
    }
    assertEquals(
      decodeSubflowData(withHead(V4_TCPINFO, { count: max }), withHead(V4_SUBFLOW_ADDRS, { count: max })).length,
      2,
    );
    // A stride that ends before the remote address does: no row is whole.
    for (let stride = 0; stride < 136; stride++) {
      assertEquals(decodeSubflowData(V4_TCPINFO, withHead(V4_SUBFLOW_ADDRS, { count: max, stride })), []);
    }
  });

  it("decodes any bytes under any head", () => {
    const random = fc.uint8Array({ minLength: 16, maxLength: 900 });
    const head = fc.record({ start: fc.nat(64), count: fc.nat(0xffffffff), stride: fc.nat(400) });
    fc.assert(fc.property(random, head, random, head, (infos, infoHead, addresses, addressHead) => {
      const rows = decodeSubflowData(withHead(infos, infoHead), withHead(addresses, addressHead));
      assertEquals(rows.every(({ tcpInfo }) => tcpInfo.state !== 7), true);
    }));
    fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), fc.uint8Array({ maxLength: 64 }), (a, b) => {
      decodeSubflowData(a, b);
    }));
  });
});
