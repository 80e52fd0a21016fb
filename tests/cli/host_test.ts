/** The commands that look at a host and change it, beside `ip mptcp`, `ss` and what the library says. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { support } from "@mptcp/mptcp";
import type { Child } from "../child.ts";
import { addressOf, Host, Lab, labNeeds } from "../lab.ts";
import { unprivileged } from "../lab/unprivileged.ts";
import { until } from "../lab/until.ts";
import { namespacePrivilege } from "../needs.ts";
import { describe, it } from "../suite.ts";
import { interrupt, listening, mptcp, type Place, start, startInShell } from "./command.ts";

const skip = labNeeds("ss");

/** A host with an address to have endpoints on. */
async function openHost(): Promise<Host> {
  const host = await Host.open("host", namespacePrivilege() !== "root");
  await host.ip("link set lo up", "link add e1 type veth peer name e2", "addr add 192.0.2.1/24 dev e1", "link set e1 up");
  return host;
}

async function json<T>(args: readonly string[], place: Place): Promise<T> {
  const { code, stdout, stderr } = await mptcp([...args, "--json"], place);
  assertEquals([code, stderr], [0, ""]);
  return JSON.parse(stdout) as T;
}

/** A connection between the hosts of a lab, that lives as long as the input of the two commands. */
async function connected(lab: Lab): Promise<Child[]> {
  const server = startInShell('exec "$@" 2>&1', ["cat", "--listen", ":5000"], lab.server);
  await server.line();
  const client = start(["cat", "--require", `${addressOf("server", 1)}:5000`], lab.client);
  client.send("hello");
  assertEquals(await server.line(), "hello");
  server.send("hello");
  assertEquals(await client.line(), "hello");
  return [client, server];
}

describe("mptcp check", { skip }, () => {
  it("prints the object of support(), and a page for people", async () => {
    const { code, stdout } = await mptcp(["check", "--json"]);
    assertEquals(code, 0);
    assertEquals(JSON.parse(stdout), JSON.parse(JSON.stringify(support())));
    await using host = await openHost();
    await host.ip("mptcp limits set subflows 0 add_addr_accepted 0", "mptcp endpoint add 192.0.2.1 dev e1 subflow");
    const page = await mptcp(["check"], host);
    assertEquals([page.code, page.stderr], [0, ""]);
    assertMatch(page.stdout, /^MPTCP +ready$/m);
    assertMatch(page.stdout, /^endpoints +192\.0\.2\.1 id 1 subflow dev e1$/m);
    assertMatch(page.stdout, /^limits +0 additional subflows, 0 announced addresses accepted$/m);
    assertMatch(page.stdout, /^may manage paths +yes$/m);
    assertStringIncludes(page.stdout, "  ip mptcp limits set subflows 8 #");
    assertMatch((await mptcp(["check"], unprivileged(host))).stdout, /^may manage paths +no \(CAP_NET_ADMIN\)$/m);
  });

  it("ends with 3 where MPTCP is switched off, and says how to switch it on", async () => {
    await using host = await openHost();
    await host.sysctl("net.mptcp.enabled", 0);
    const { code, stdout } = await mptcp(["check"], host);
    assertEquals(code, 3);
    assertMatch(stdout, /^MPTCP +off: /m);
    assertStringIncludes(stdout, "sysctl -w net.mptcp.enabled=1");
    assertEquals((await mptcp(["check", "127.0.0.1:1"], host)).code, 3);
  });

  it("tells of a peer whether it is multipath", async () => {
    await using lab = await Lab.open();
    const { child, port } = await listening(["serve", "--listen", ":0"], lab.server);
    await using _gone = child;
    const target = `${addressOf("server", 1)}:${port}`;
    const good = await mptcp(["check", target, "--json"], lab.client);
    assertEquals(good.code, 0, good.stderr);
    const { multipath, subflows } = JSON.parse(good.stdout);
    assertEquals([multipath, subflows.length], [true, 2]);
    await lab.server.sysctl("net.mptcp.enabled", 0);
    const plain = await listening(["serve", "--tcp", "--listen", ":0"], lab.server);
    await using _plain = plain.child;
    const bad = await mptcp(["check", `${addressOf("server", 1)}:${plain.port}`], lab.client);
    assertEquals(bad.code, 1);
    assertMatch(bad.stdout, /^error \w+: /m);
    const nobody = await mptcp(["check", `${addressOf("server", 1)}:9`], lab.client);
    assertEquals(nobody.code, 1);
    assertMatch(nobody.stdout, /^error refused: /m);
  });
});

describe("mptcp endpoint and limits", { skip }, () => {
  it("do what ip mptcp sees", async () => {
    await using host = await openHost();
    const seen = async () => (await host.ip("mptcp endpoint show")).trim().split("\n").map((line) => line.trim());
    const done = async (...args: string[]) => {
      const { code, stdout, stderr } = await mptcp(["endpoint", ...args], host);
      assertEquals([code, stdout], [0, ""], stderr);
    };
    await done("add", "192.0.2.1", "--subflow", "--dev", "e1");
    await done("add", "2001:db8::1", "--signal", "--id", "7");
    assertEquals(await seen(), ["192.0.2.1 id 1 subflow dev e1", "2001:db8::1 id 7 signal"]);
    await done("set", "1", "--backup");
    assertEquals((await seen())[0], "192.0.2.1 id 1 subflow backup dev e1");
    await done("set", "192.0.2.1", "--no-backup", "--fullmesh");
    assertEquals((await seen())[0], "192.0.2.1 id 1 subflow fullmesh dev e1");
    const list = await json<{ id: number; address: string; fullmesh: boolean }[]>(["endpoint"], host);
    assertEquals(list.map(({ id, address, fullmesh }) => [id, address, fullmesh]), [[1, "192.0.2.1", true], [
      7,
      "2001:db8::1",
      false,
    ]]);
    const { stdout } = await mptcp(["endpoint", "list"], host);
    assertEquals(stdout.split("\n").slice(0, 2), [
      "ID  ADDRESS      FLAGS             INTERFACE",
      "1   192.0.2.1    subflow fullmesh  e1",
    ]);
    await done("del", "2001:db8::1");
    assertEquals((await seen()).length, 1);
    await done("flush");
    assertEquals(await seen(), [""]);

    assertEquals(await json(["limits", "--subflows", "5"], host), { subflows: 5, addAddrAccepted: 0 });
    assertMatch(await host.ip("mptcp limits show"), /add_addr_accepted 0 subflows 5/);
  });

  it("say in one line what the kernel refuses", async () => {
    await using host = await openHost();
    const failures: [string[], number, RegExp][] = [
      [["endpoint", "add", "nonsense"], 2, /nonsense/],
      [["endpoint", "add", "192.0.2.1", "--dev", "none"], 1, /"none"/],
      [["endpoint", "del", "9"], 1, /not found/],
      [["endpoint", "del", "192.0.2.99"], 1, /no endpoint with address 192\.0\.2\.99/],
      [["limits", "--subflows", "99"], 1, /limit greater than maximum/],
      [["endpoint", "set", "1", "--signal"], 2, /takes no --signal/],
      [["endpoint", "flush", "1"], 2, /takes no argument/],
    ];
    for (const [args, expected, words] of failures) {
      const { code, stdout, stderr } = await mptcp(args, host);
      assertEquals([code, stdout], [expected, ""], stderr);
      assertMatch(stderr, words);
      assertMatch(stderr, /^mptcp \w+: .+\n$/);
    }
    for (const args of [["endpoint", "add", "192.0.2.1"], ["limits", "--subflows", "1"], ["monitor"]]) {
      const { code, stdout, stderr } = await mptcp(args, unprivileged(host));
      assertEquals([code, stdout], [1, ""]);
      assertMatch(stderr, /^mptcp \w+: .*(EPERM|CAP_NET_ADMIN).*\n$/);
    }
  });
});

describe("mptcp connections, subflows, monitor, counters", { skip }, () => {
  it("show a connection of two paths as both kernels have it, from its beginning to its end", async () => {
    await using lab = await Lab.open();
    await lab.server.sysctl("net.mptcp.add_addr_timeout", 1); // where an announcement is lost, another follows soon
    const events = startInShell('exec "$@" 2>&1', ["monitor", "--json"], lab.client);
    const growing = startInShell(
      'exec "$@" 2>&1',
      ["counters", "--watch", "--json", "--interval", "0.1", "MPJoin"],
      lab.client,
    );
    await events.line();
    await growing.line();
    const ends = await connected(lab);
    const [row] = await until(async () => {
      const { mptcp } = await lab.client.ss();
      return Number(mptcp[0]?.info["subflows"]) === 1 && mptcp;
    });

    type Listed = {
      token: number;
      state: string;
      remote: { hostname: string };
      subflows: { remote: { hostname: string } }[];
    };
    const [found] = await json<Listed[]>(["connections"], lab.client);
    assertEquals([found!.state, found!.token.toString(16)], ["ESTABLISHED", row!.info["token"]]);
    const remotes = found!.subflows.map(({ remote }) => remote.hostname).sort();
    assertEquals(remotes, [addressOf("server", 1), addressOf("server", 2)]);
    const token = found!.token.toString(16).padStart(8, "0");
    const table = (await mptcp(["connections"], lab.client)).stdout.split("\n");
    assertMatch(table[1]!, new RegExp(`^${token}  ESTABLISHED  10\\.0\\.1\\.1:\\d+ +10\\.0\\.1\\.2:5000  2 `));

    const { stdout } = await mptcp(["subflows", token], lab.client);
    assertEquals(stdout.trim().split("\n").length, 3);
    const [one] = await json<{ token: number; subflows: { tcpInfo: { rtt: number } }[] }[]>(["subflows", token], lab.client);
    assert(one!.subflows.every(({ tcpInfo }) => tcpInfo.rtt > 0));
    assertEquals((await mptcp(["subflows", "1"], lab.client)).code, 1);

    for (const end of ends) end.endInput();
    const types: string[] = [];
    for (let type = ""; type !== "closed"; types.push(type)) {
      const event = await events.json<{ type: string; token: number; time: string }>();
      type = event.type;
      if (type.startsWith("listener")) continue;
      assertEquals(event.token, found!.token);
    }
    assertEquals(types.filter((type) => type === "created" || type === "subflowEstablished").length, 2, types.join());
    assertEquals((await growing.json<Record<string, number>>())["MPJoinSynTx"], 1);
    for (const child of [events, growing]) assertEquals((await interrupt(child)).code, 130);

    const all = await json<Record<string, number>>(["counters"], lab.client);
    assert(all["MPCapableSYNTX"]! >= 1);
    assertEquals((await mptcp(["counters", "nonsense"], lab.client)).code, 1);
  });

  it("are silent on standard output where there is nothing, and say so to people", async () => {
    await using host = await openHost();
    for (const command of ["connections", "subflows", "endpoint"]) {
      const { code, stdout, stderr } = await mptcp([command], host);
      assertEquals([code, stdout], [0, ""]);
      assertMatch(stderr, /^There is no /);
      assertEquals(await json([command], host), []);
    }
  });
});
