import { assert, assertEquals, assertGreater } from "@std/assert";
import { addressOf, Lab, labNeeds } from "../lab.ts";
import { Peer } from "../peers/peer.ts";
import { describe, it } from "../suite.ts";
import { Agent } from "./remote.ts";
import { compareWithSs, type Listed, listed } from "./ss_oracle.ts";
import { unprivileged } from "./unprivileged.ts";

const skip = labNeeds("ss");

/** Two agents, and how they are to meet. */
interface Meeting {
  client: Agent;
  server: Agent;
  /** Where the client connects to. */
  hostname: string;
  /** Where the server listens. */
  at?: string;
  /** The subflows to wait for, on both ends. @default {1} */
  count?: number;
}

/** Makes a connection, sends a few bytes there and back, and waits until both ends have that many subflows. */
async function meet({ client, server, hostname, at = hostname, count = 1 }: Meeting): Promise<{ port: number }> {
  const port = await server.run(({ listen, here }, hostname) => {
    here.listener = listen({ hostname, port: 0 });
    here.later = here.listener.accept().then(async (conn) => {
      here.conn = conn;
      const block = new Uint8Array(1000);
      await conn.write(block.subarray(0, (await conn.read(block))!));
    });
    return here.listener.addr.port;
  }, at);
  await client.run(async ({ connect, here }, options) => {
    const conn = here.conn = await connect(options);
    await conn.write(new Uint8Array(10));
    await conn.read(new Uint8Array(10));
  }, { hostname, port });
  for (const agent of [server, client]) {
    await agent.run(async ({ here, until }, count) => {
      await here.later;
      await until(() => {
        const now = here.conn.subflows();
        return now.length === count && now.every(({ state }) => state === "ESTABLISHED");
      });
    }, count);
  }
  return { port };
}

/** What the agent's own connection tells of itself. */
function own(agent: Agent) {
  return agent.run(async ({ here: { conn } }) => {
    const { readlinkSync } = await import("node:fs");
    return {
      token: conn.token,
      local: conn.localAddr,
      remote: conn.remoteAddr,
      inode: Number(/^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/self/fd/${conn.fd}`))![1]),
      subflows: conn.subflows().map(({ local, remote, localId, remoteId, backup, state }) => ({
        local,
        remote,
        localId,
        remoteId,
        backup,
        state,
      })).sort((a, b) => a.local.port - b.local.port || a.remote.port - b.remote.port),
    };
  });
}

/** Compares the one connection of a list with what its holder tells. */
async function compareWithOwn(agent: Agent, connections: Listed): Promise<void> {
  assertEquals(connections.length, 1);
  const [{ token, local, remote, inode, subflows }] = connections as [Listed[number]];
  const bare = subflows.map(({ local, remote, localId, remoteId, backup, state }) => ({
    local,
    remote,
    localId,
    remoteId,
    backup,
    state,
  }));
  assertEquals({ token, local, remote, inode, subflows: bare }, await own(agent));
}

/** The next lines of `ip mptcp monitor` until one tells of a subflow; its ids. */
async function joinedBy(monitor: AsyncIterable<string>): Promise<{ localId: number; remoteId: number }> {
  for await (const line of monitor) {
    const ids = /^\[SF_ESTABLISHED\].* remid=(\d+) locid=(\d+)/.exec(line);
    if (ids) return { localId: Number(ids[2]), remoteId: Number(ids[1]) };
  }
  throw new Error("The monitor ended");
}

describe("connections()", { skip }, () => {
  for (const version of [4, 6] as const) {
    it(`tells what the holders of a connection and ss tell, over IPv${version}`, async () => {
      await using lab = await Lab.open({ endpoints: false });
      if (version === 6) await lab.client.ip("route add fd00:1::/64 via fd00:2::2 dev a2 metric 2048");
      await lab.client.ip(`mptcp endpoint add ${addressOf("client", 2, version)} dev a2 id 7 subflow backup`);
      const [client, server] = [Agent.start(lab.client), Agent.start(lab.server)];
      // A process that holds no connection, and may do nothing.
      const observers = [Agent.start(unprivileged(lab.client)), Agent.start(unprivileged(lab.server))] as const;
      const hostname = addressOf("server", 1, version);
      const { port } = await meet({ client, server, hostname, at: version === 4 ? "0.0.0.0" : "::", count: 2 });

      for (
        const [host, holder, observer] of [[lab.client, client, observers[0]], [lab.server, server, observers[1]]] as const
      ) {
        const connections = await listed(observer);
        await compareWithOwn(holder, connections);
        await compareWithSs(host, connections);
        assertEquals(await listed(holder), connections);
        assertEquals(connections.map(({ fallback, further, state }) => [fallback, further, state]), [[
          false,
          1,
          "ESTABLISHED",
        ]]);
      }
      const ids = async (agent: Agent) => {
        const [{ subflows }] = await listed(agent) as [Listed[number]];
        const initial = subflows.findIndex((each) => [each.local, each.remote].some(isFirst));
        const [first, second] = initial === 0 ? subflows : subflows.toReversed();
        return [first!.localId, first!.remoteId, first!.backup, second!.localId, second!.remoteId, second!.backup];
      };
      const isFirst = ({ hostname }: { hostname: string }) => hostname === addressOf("client", 1, version);
      assertEquals(await ids(client), [0, 0, false, 7, 0, true]);
      assertEquals(await ids(server), [0, 0, false, 0, 7, true]);
      const [link] = JSON.parse(await lab.client.run("ip", ["-j", "link", "show", "a2"])) as { ifindex: number }[];
      const bound = (await listed(client))[0]!.subflows.map(({ interfaceIndex }) => interfaceIndex);
      assertEquals(bound.sort((a, b) => a - b), [0, link!.ifindex]);
      assertEquals((await listed(client))[0]!.remote, { transport: "tcp", hostname, port });
    });
  }

  it("tells the ids that events tell, of endpoints on either side", async () => {
    await using lab = await Lab.open({ endpoints: false });
    await lab.client.ip(`mptcp endpoint add ${addressOf("client", 2)} id 21 subflow`);
    await lab.server.ip(`mptcp endpoint add ${addressOf("server", 2)} id 42 signal`);
    const [client, server] = [Agent.start(lab.client), Agent.start(lab.server)];
    const monitors = [lab.client.spawn("ip", ["mptcp", "monitor"]), lab.server.spawn("ip", ["mptcp", "monitor"])] as const;
    for (const agent of [client, server]) {
      await agent.run(async ({ until }) => {
        const { readFileSync } = await import("node:fs");
        const rows = () => readFileSync("/proc/net/netlink", "utf8").split("\n").map((row) => row.trim().split(/\s+/));
        await until(() => rows().some(([, protocol, , groups]) => protocol === "16" && /[1-9a-f]/.test(groups!)));
      });
    }
    await meet({ client, server, hostname: addressOf("server", 1), at: "0.0.0.0", count: 3 });
    for (const [host, agent, monitor] of [[lab.client, client, monitors[0]], [lab.server, server, monitors[1]]] as const) {
      const connections = await listed(agent);
      await compareWithOwn(agent, connections);
      await compareWithSs(host, connections);
      const events = [await joinedBy(monitor), await joinedBy(monitor)];
      const pairs = connections[0]!.subflows.map(({ localId, remoteId }) => `${localId} ${remoteId}`).sort();
      assertEquals(pairs, ["0 0", ...events.map(({ localId, remoteId }) => `${localId} ${remoteId}`)].sort());
      const named = new Set(connections[0]!.subflows.flatMap(({ localId, remoteId }) => [localId, remoteId]));
      assert(named.has(21) && named.has(42), `${[...named]}`);
    }
  });

  it("tells IPv4 peers of an IPv6 listener as IPv4", async () => {
    await using lab = await Lab.open({ endpoints: false });
    await lab.client.ip(`mptcp endpoint add ${addressOf("client", 2)} id 7 subflow`);
    const [client, server] = [Agent.start(lab.client), Agent.start(lab.server)];
    await meet({ client, server, hostname: addressOf("server", 1), at: "::", count: 2 });
    const connections = await listed(server);
    await compareWithOwn(server, connections);
    await compareWithSs(lab.server, connections);
    const [{ remote, subflows }] = connections as [Listed[number]];
    assertEquals(remote.hostname, addressOf("client", 1));
    assertEquals(
      new Set(subflows.map(({ remote, remoteId }) => `${remote.hostname} ${remoteId}`)),
      new Set([`${addressOf("client", 1)} 0`, `${addressOf("client", 2)} 7`]),
    );
    const families = await lab.server.ss();
    assertEquals(families.mptcp.map(({ remote }) => remote.startsWith("[::ffff:")), [true]);
  });

  it("tells of a fallback", { skip: skip || labNeeds("nft", "ss") }, async () => {
    await using lab = await Lab.open({ endpoints: false });
    const [client, server] = [Agent.start(lab.client), Agent.start(lab.server)];
    // The client asks for MPTCP and hears nothing of it; the server was never asked.
    await lab.server.filter({ input: ["reset tcp option mptcp"], output: ["reset tcp option mptcp"] });
    await meet({ client, server, hostname: addressOf("server", 1) });
    const connections = await listed(client);
    await compareWithSs(lab.client, connections);
    assertEquals(connections.map(({ fallback, state }) => [fallback, state]), [[true, "ESTABLISHED"]]);
    assertEquals(await client.run(({ here: { conn } }) => conn.isMultipath()), false);
    assertEquals((await own(client)).subflows.map(({ localId, remoteId, backup }) => [localId, remoteId, backup]), [[
      undefined,
      undefined,
      undefined,
    ]]);
    assertEquals(await listed(server), []);
  });

  it("tells what waits in the queues", { skip: skip || labNeeds("nft", "python3") }, async () => {
    await using lab = await Lab.open({ endpoints: false });
    const [client, server] = [Agent.start(lab.client), Agent.start(lab.server)];
    // A peer that does not read; a runtime may do so before it is asked to.
    const peer = await Peer.listen(lab.server, addressOf("server", 1), { behaviour: "mute" });
    const queues = (agent: Agent) =>
      agent.run(({ connections }) => connections().map(({ receiveQueue, sendQueue }) => [receiveQueue, sendQueue])[0]!);
    await client.run(async ({ connect, here, until }, options) => {
      const conn = here.conn = await connect(options);
      await conn.write(new Uint8Array(1300));
      await until(() => conn.info()!.sndUna === conn.info()!.writeSeq);
    }, { hostname: addressOf("server", 1), port: peer.port });
    assertEquals(await queues(client), [0, 0]);
    const [waiting] = await queues(server);
    assertGreater(waiting!, 1299);
    const [, shown] = (await lab.server.run("ss", ["-OHMn"])).trim().split(/\s+/);
    assertEquals(waiting, Number(shown));
    await lab.server.filter({ input: ["drop"] });
    await client.run(({ here: { conn } }) => conn.write(new Uint8Array(5000)));
    assertEquals(await queues(client), [0, 5000]);
  });

  it("decodes a subflow's TCP when it is looked at", async () => {
    await using lab = await Lab.open({ endpoints: false });
    const [client, server] = [Agent.start(lab.client), Agent.start(lab.server)];
    await meet({ client, server, hostname: addressOf("server", 1) });
    const seen = await client.run(({ connections, here: { conn } }) => {
      const [{ subflows: [subflow] }] = connections() as unknown as [{ subflows: [{ tcpInfo: Record<string, number> }] }];
      // What was listed does not change with what happens later.
      const before = { ...conn.subflows()[0]!.tcpInfo } as Record<string, unknown>;
      const lazy = typeof Object.getOwnPropertyDescriptor(subflow, "tcpInfo")!.get === "function";
      const { tcpInfo } = subflow;
      const same = tcpInfo === subflow.tcpInfo;
      const fields = ["state", "sndMss", "pmtu", "bytesAcked", "bytesReceived", "segsIn", "sndCwnd"];
      const differing = fields.filter((name) => tcpInfo[name] !== before[name] || tcpInfo[name] === undefined);
      return { lazy, same, differing, acked: Number(tcpInfo["bytesAcked"]), state: tcpInfo["state"] };
    });
    assertGreater(seen.acked, 9);
    assertEquals(seen, { lazy: true, same: true, differing: [], acked: seen.acked, state: 1 });
  });

  it("lists 300 connections completely, and none that is closed", async () => {
    await using lab = await Lab.open({ endpoints: false });
    const [client, server] = [Agent.start(lab.client), Agent.start(lab.server)];
    const count = 300;
    const port = await server.run(({ listen, here }, { hostname, count }) => {
      here.listener = listen({ hostname, port: 0, backlog: count });
      const accept = async () => {
        const conns = [];
        while (conns.length < count) conns.push(await here.listener.accept());
        Object.assign(here, { conns });
        return conns.map(({ token }) => token);
      };
      here.later = accept();
      return here.listener.addr.port;
    }, { hostname: addressOf("server", 1), count });
    const ours = await client.run(async ({ connect, here }, { count, ...options }) => {
      const conns: Awaited<ReturnType<typeof connect>>[] = [];
      while (conns.length < count) conns.push(await connect(options));
      Object.assign(here, { conns });
      return conns.map(({ token, localAddr }) => ({ token, port: localAddr.port }));
    }, { hostname: addressOf("server", 1), port, count });
    const theirs = await server.run(({ here }) => here.later) as number[];

    const seen = await listed(client);
    const byToken = (a: { token: number | null }, b: { token: number | null }) => a.token! - b.token!;
    assertEquals(
      seen.map(({ token, local }) => ({ token, port: local.port })).sort(byToken),
      [...ours].sort(byToken) as { token: number; port: number }[],
    );
    assertEquals(new Set(seen.map(({ subflows }) => subflows.length)), new Set([1]));
    assert(seen.every(({ local, subflows }) => subflows[0]!.local.port === local.port));
    await compareWithSs(lab.client, seen);
    const seenThere = await listed(server);
    assertEquals(seenThere.map(({ token }) => token).sort(), theirs.sort());

    await client.run(async ({ here, connections, until }) => {
      const { conns } = here as unknown as { conns: { close(): void }[] };
      for (const conn of conns.splice(1)) conn.close();
      await until(() => connections().filter(({ state }) => state === "ESTABLISHED").length === 1);
    });
  });

  it("tells nothing where there is nothing", async () => {
    await using lab = await Lab.open({ endpoints: false });
    const client = Agent.start(unprivileged(lab.client));
    assertEquals(
      await client.run(({ connections, listen }) => {
        // Neither a listener nor plain TCP is an MPTCP connection.
        using _listener = listen({ hostname: "127.0.0.1", port: 0 });
        return connections();
      }),
      [],
    );
  });
});

describe("A subflow's ids and priority", { skip }, () => {
  it("are asked for when they are looked at, and not told when it is gone", async () => {
    await using lab = await Lab.open({ endpoints: false });
    await lab.client.ip(`mptcp endpoint add ${addressOf("client", 2)} dev a2 id 7 subflow backup`);
    const [client, server] = [Agent.start(unprivileged(lab.client)), Agent.start(lab.server)];
    await meet({ client, server, hostname: addressOf("server", 1), count: 2 });
    assertEquals(
      await client.run(({ here }) => {
        const [first, second] = here.conn.subflows();
        // Asked now, and kept for good; another snapshot of it is asked later.
        const seen = [second!.localId, second!.remoteId, second!.backup, first!.localId, first!.backup];
        Object.assign(here, { asked: second, unasked: here.conn.subflows()[1] });
        return seen;
      }),
      [7, 0, true, 0, false],
    );
    await lab.client.ip("mptcp endpoint delete id 7");
    assertEquals(
      await client.run(async ({ here, until }) => {
        await until(() => here.conn.subflows().length === 1);
        const { asked, unasked } = here as unknown as Record<"asked" | "unasked", { localId?: number; backup?: boolean }>;
        return [asked.localId, asked.backup, unasked.localId === undefined, unasked.backup === undefined];
      }),
      [7, true, true, true],
    );
  });

  it("follow a change of the endpoint", async () => {
    await using lab = await Lab.open({ endpoints: false });
    await lab.client.ip(`mptcp endpoint add ${addressOf("client", 2)} id 7 subflow`);
    const [client, server] = [Agent.start(lab.client), Agent.start(lab.server)];
    await meet({ client, server, hostname: addressOf("server", 1), count: 2 });
    for (const backup of [true, false]) {
      await client.run(({ PathManager }, backup) => {
        using paths = PathManager.open();
        paths.setEndpointFlags(7, { backup });
      }, backup);
      for (const agent of [client, server]) {
        await agent.run(({ here, until }, backup) => until(() => here.conn.subflows()[1]!.backup === backup), backup);
        const [{ subflows }] = await listed(agent) as [Listed[number]];
        assertEquals(subflows.filter((each) => each.backup).length, backup ? 1 : 0);
      }
    }
  });
});
