/** One subflow's socket options: set on exactly one of two, as `ss` and the traffic confirm. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { addressOf, type Host, Lab, labNeeds } from "../lab.ts";
import { namespacePrivilege } from "../needs.ts";
import { Peer } from "../peers/peer.ts";
import { describe, it } from "../suite.ts";
import { Agent, RemoteError } from "./remote.ts";
import { unprivileged } from "./unprivileged.ts";

const needs = labNeeds("python3", "ss");
const skip = needs ||
  (namespacePrivilege() === "root" ? false : "eBPF programs can be loaded only with CAP_BPF outside of user namespaces");

/** A client with two subflows to an echoing peer; `here.conn` is the connection. */
async function twoPaths(lab: Lab, host: Host = lab.client): Promise<{ client: Agent; peer: Peer }> {
  const peer = await Peer.listen(lab.server, "0.0.0.0", { behaviour: "echo" });
  const client = Agent.start(host);
  await client.run(async ({ connect, here, until }, target) => {
    here.conn = await connect({ ...target, mptcp: "require", congestion: "reno" });
    await here.conn.write(new Uint8Array(1));
    await here.conn.read(new Uint8Array(1));
    await until(() => here.conn.subflows().length === 2);
  }, { hostname: addressOf("server", 1), port: peer.port });
  return { client, peer };
}

/** The row of `ss -ti` of the subflow from an address. */
async function rowOf(host: Host, address: string): Promise<string> {
  const rows = (await host.run("ss", ["-tOHniem"])).split("\n").filter((row) => row.includes(` ${address}:`));
  assertEquals(rows.length, 1, rows.join("\n"));
  return rows[0]!;
}

describe("setSubflowOption", { skip }, () => {
  it("sets the congestion control of one subflow, and ss agrees", async () => {
    await using lab = await Lab.open();
    const { client } = await twoPaths(lab);
    const seen = await client.run(({ here: { conn } }) => {
      conn.setSubflowOption(2, "TCP_CONGESTION", "cubic");
      return [
        conn.getSubflowOption(1, "TCP_CONGESTION"),
        conn.getSubflowOption(2, "TCP_CONGESTION"),
        conn.getSubflowOption(2, 6, 13, 16)[0],
      ];
    });
    assertEquals(seen, ["reno", "cubic", "c".charCodeAt(0)]);
    assertStringIncludes(await rowOf(lab.client, addressOf("client", 1)), " reno ");
    assertStringIncludes(await rowOf(lab.client, addressOf("client", 2)), " cubic ");
  });

  it("sets mark, type of service, priority and timeout of one subflow", async () => {
    await using lab = await Lab.open();
    const { client } = await twoPaths(lab);
    const seen = await client.run(({ here: { conn } }) => {
      const values = {
        SO_MARK: 0x42,
        IP_TOS: 28,
        SO_PRIORITY: 5,
        TCP_USER_TIMEOUT: 1500,
        TCP_NOTSENT_LOWAT: 70_000,
      } as const;
      const names = Object.keys(values) as (keyof typeof values)[];
      const read = (id: number) => names.map((name) => conn.getSubflowOption(id, name));
      const before = read(1);
      for (const name of names) conn.setSubflowOption(2, name, values[name]);
      return { untouched: `${before}` === `${read(1)}`, changed: read(2), tos: conn.getSubflowOption(2, 0, 1) };
    });
    assertEquals(seen, { untouched: true, changed: [0x42, 28, 5, 1500, 70_000], tos: 28 });
    assertStringIncludes(await rowOf(lab.client, addressOf("client", 2)), "fwmark:0x42");
    assert(!(await rowOf(lab.client, addressOf("client", 1))).includes("fwmark"));
  });

  it("paces one path, and the other one carries the rest", async () => {
    await using lab = await Lab.open({ paths: [{ rateMbit: 50 }, { rateMbit: 50 }] });
    const peer = await Peer.listen(lab.server, "0.0.0.0", { behaviour: "sink" });
    const client = Agent.start(lab.client);
    const { seconds, sent, limits } = await client.run(async ({ connect, send, until }, target) => {
      using conn = await connect({ ...target, mptcp: "require" });
      await send(conn, 1000);
      const [, second] = await until(() => conn.subflows().length === 2 && conn.subflows());
      conn.setSubflowOption(second!.id, "SO_MAX_PACING_RATE", 125_000); // bytes a second: a megabit
      const started = performance.now();
      await send(conn, 4 << 20);
      const infos = conn.subflows().map(({ tcpInfo }) => tcpInfo);
      return {
        seconds: (performance.now() - started) / 1000,
        sent: infos.map(({ bytesSent }) => bytesSent!),
        limits: infos.map(({ maxPacingRate }) => Number(maxPacingRate) === 125_000),
      };
    }, { hostname: addressOf("server", 1), port: peer.port });
    assertEquals(limits, [false, true]);
    const most = 125_000 * seconds * 1.1 + 200_000; // what went before counts, too
    assert(sent[1]! < most && sent[0]! > 2 * sent[1]!, `bytes on the two paths in ${seconds} s: ${sent}`);
  });

  it("notices a dead path within the time that it is given", async () => {
    await using lab = await Lab.open();
    const { client } = await twoPaths(lab);
    await client.run(({ here: { conn } }) => {
      conn.setSubflowOption(2, "TCP_USER_TIMEOUT", 500);
      return null;
    });
    await lab.client.ip("link set a2 down");
    const gone = await client.run(async ({ here: { conn }, until }) => {
      const bytes = new Uint8Array(1 << 16);
      for (let turn = 0; turn < 20; turn++) {
        await conn.write(bytes);
        for (let left = bytes.length; left > 0;) left -= (await conn.read(new Uint8Array(left)))!;
      }
      return await until(() => conn.subflows().every(({ id }) => id !== 2), 4000);
    });
    assertEquals(gone, true);
  });

  it("says what cannot be, and changes nothing then", async () => {
    await using lab = await Lab.open();
    const { client } = await twoPaths(lab);
    const attempt = (id: unknown, ...rest: unknown[]) =>
      client.run(({ here: { conn } }, [id, ...rest]) => {
        (conn.setSubflowOption as (...args: unknown[]) => void).call(conn, id, ...rest);
        return null;
      }, [id, ...rest]);
    const cases: [unknown[], string][] = [
      [[100, "IP_TOS", 1], "EINVAL"], // no such subflow
      [[2, "TCP_CONGESTION", "nosuch"], "ENOENT"],
      [[2, 6, 11, 1], "EINVAL"], // TCP_INFO
      [[2, 6, 999, 1], "EINVAL"],
    ];
    for (const [args, code] of cases) {
      const error = await assertRejects(() => attempt(args[0], ...args.slice(1)), RemoteError);
      assertEquals(error.code, code, `${args}: ${error.message}`);
    }
    for (
      const args of [[2, "NO_OPTION", 1], [2, "IP_TOS", "x"], [2, 6, -1, 1], ["2", "IP_TOS", 1], [
        2,
        "TCP_CONGESTION",
        "x".repeat(16),
      ]]
    ) {
      const error = await assertRejects(() => attempt(args[0], ...args.slice(1)), RemoteError);
      assert(["TypeError", "RangeError"].includes(error.name), `${args}: ${error.name} ${error.message}`);
    }
    const sizes = await client.run(({ here: { conn } }) =>
      [0, 65, 1.5].map((size) => {
        try {
          return conn.getSubflowOption(2, 6, 13, size).length;
        } catch (error) {
          return (error as Error).name;
        }
      })
    );
    assertEquals(sizes, ["RangeError", "RangeError", "RangeError"]);
    assertEquals(await client.run(({ here }) => here.conn.getSubflowOption(2, "TCP_CONGESTION")), "reno");
  });

  it("reads without privileges what sock_diag tells, and names those that it lacks for the rest", async () => {
    await using lab = await Lab.open();
    const { client } = await twoPaths(lab, unprivileged(lab.client));
    const seen = await client.run(({ here: { conn } }) => [
      conn.getSubflowOption(2, "TCP_CONGESTION"),
      conn.getSubflowOption(2, "IP_TOS"),
      conn.getSubflowOption(2, "SO_RCVBUF") > 1000,
      conn.getSubflowOption(2, 6, 13, 16).length,
    ]);
    assertEquals(seen, ["reno", 0, true, 16]);
    for (const work of ["get", "set"] as const) {
      const trying = client.run(({ here: { conn } }, work) => {
        if (work === "get") conn.getSubflowOption(2, "TCP_USER_TIMEOUT");
        else conn.setSubflowOption(2, "TCP_USER_TIMEOUT", 1);
      }, work);
      assertEquals((await assertRejects(() => trying, RemoteError, "CAP_BPF")).code, "EPERM");
    }
  });
});
