/** The counters of /proc/net/netstat. */
import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { describe, it } from "node:test";
import { parseCounters } from "../../paths/counters.ts";

const NETSTAT = `TcpExt: SyncookiesSent SyncookiesRecv TCPTimeouts
TcpExt: 0 1 2
IpExt: InNoRoutes InOctets
IpExt: 0 98765432109876
MPTcpExt: MPCapableSYNRX MPCapableSYNTX MPCapableFallbackSYNACK MPCurrEstab
MPTcpExt: 3098 3105 12 4
`;

describe("parseCounters", () => {
  it("reads the section of MPTCP", () => {
    assertEquals(parseCounters(NETSTAT), {
      MPCapableSYNRX: 3098,
      MPCapableSYNTX: 3105,
      MPCapableFallbackSYNACK: 12,
      MPCurrEstab: 4,
    });
  });

  it("reads another section", () => {
    assertEquals(parseCounters(NETSTAT, "IpExt"), { InNoRoutes: 0, InOctets: 98765432109876 });
    assertEquals(parseCounters(NETSTAT, "TcpExt"), { SyncookiesSent: 0, SyncookiesRecv: 1, TCPTimeouts: 2 });
  });

  it("is empty on a kernel without the section", () => {
    assertEquals(parseCounters(""), {});
    assertEquals(parseCounters(NETSTAT.split("\n").slice(0, 4).join("\n")), {});
    assertEquals(parseCounters("MPTcpExt: MPCapableSYNRX\n"), {});
  });

  it("takes a missing value for 0", () => {
    assertEquals(parseCounters("MPTcpExt: A B\nMPTcpExt: 1\n"), { A: 1, B: 0 });
  });

  it("reads any table back", () => {
    const names = fc.uniqueArray(fc.stringMatching(/^[A-Za-z][A-Za-z0-9]{0,12}$/), { minLength: 1, maxLength: 80 });
    fc.assert(fc.property(names, fc.array(fc.maxSafeNat(), { minLength: 80, maxLength: 80 }), (keys, values) => {
      const table = Object.fromEntries(keys.map((key, index) => [key, values[index]!]));
      const text = `MPTcpExt: ${Object.keys(table).join(" ")}\nMPTcpExt: ${Object.values(table).join(" ")}\n`;
      assertEquals(parseCounters(`TcpExt: X\nTcpExt: 1\n${text}`), table);
    }));
    fc.assert(fc.property(fc.string(), (text) => void parseCounters(`MPTcpExt: ${text}\nMPTcpExt: ${text}`)));
  });
});
