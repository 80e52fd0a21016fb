import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import type { NewSubflow, SubflowClosedEvent, SubflowEstablishedEvent } from "../../mod.ts";
import { addressOf, labNeeds } from "../lab.ts";
import { describe, it } from "../suite.ts";
import { assertFails } from "./assert_fails.ts";
import { endpoint } from "./endpoint_host.ts";
import { compareSubflows, echo, type End, type Ends, mirrored, openEnds, type Place } from "./ends.ts";
import { assertCounted, nstat } from "./nstat.ts";
import { call } from "./path_calls.ts";
import { type Agent, RemoteError } from "./remote.ts";

const skip = labNeeds("python3", "ss", "nstat");

type Side = "client" | "server";

/** How the connection is made, and in which family each side then sees a subflow over IPv4 that the client made. */
const CONNECTIONS = {
  "IPv4": { at: "0.0.0.0", to: addressOf("server", 1) },
  "IPv6": { at: "::", to: addressOf("server", 1, 6) },
  "IPv4 to a server of both": { at: "::", to: addressOf("server", 1) },
  "IPv4 by an IPv6 socket": { at: "0.0.0.0", to: `::ffff:${addressOf("server", 1)}` },
} as const;

/** The events' words for one end of a subflow. */
const told = ({ address, port }: Place) => ({ transport: "tcp" as const, hostname: address, port });

/** Listens, for as long as the agent lives, and tells the port. */
function listenAt(agent: Agent, hostname: string, port: number): Promise<number> {
  return agent.run(({ listen, here }, options) => {
    const listener = listen(options);
    Object.assign(here, { further: [...(here as unknown as { further?: unknown[] }).further ?? [], listener] });
    return listener.addr.port;
  }, { hostname, port });
}

/** What the two ends are told when a subflow is made or closed by `maker`. */
interface Told<T> {
  maker: T;
  peer: T;
}

/** One subflow to be made by one side, and what is special about it. */
interface Plan {
  from: Side;
  local: string;
  remote: string;
  remotePort: number;
  localId: number;
  /** The family of the subflow's socket on the side that makes it, and on the other. */
  families: readonly [4 | 6, 4 | 6];
  more?: Partial<NewSubflow>;
  /** The id under which the peer has its address, where that was announced. */
  remoteId?: number;
}

/** Makes a subflow, compares every attribute of both ends' events, and that it is there on both. */
async function make(ends: Ends, plan: Plan): Promise<Told<SubflowEstablishedEvent>> {
  const { from, localId, families, more = {}, remotePort } = plan;
  const [maker, peer] = from === "client" ? [ends.client, ends.server] : [ends.server, ends.client];
  await call(maker.agent, "createSubflow", {
    token: maker.token,
    localAddress: plan.local,
    localId,
    remoteAddress: plan.remote,
    remotePort,
    ...more,
  });
  const ours = await maker.events.take("subflowEstablished");
  const [, subflow] = await compareSubflows(ends, 2);
  const { local, remote } = from === "client" ? subflow! : mirrored(subflow!);
  assertEquals([local.address, remote], [plan.local, { address: plan.remote, port: remotePort }]);
  const theirs = await peer.events.take("subflowEstablished");
  const device = more.interface === undefined ? undefined : await deviceIndex(maker, more.interface);
  const remoteId = plan.remoteId ?? ours.remoteId;
  const common = { type: "subflowEstablished" as const, backup: false };
  assertEquals(ours, {
    ...common,
    token: maker.token,
    family: families[0],
    local: told(local),
    remote: told(remote),
    localId,
    remoteId,
    ...(device === undefined ? {} : { interfaceIndex: device }),
  });
  assertEquals(theirs, {
    ...common,
    // The wish of the one who makes it: only the peer's events tell of it.
    backup: more.backup ?? false,
    token: peer.token,
    family: families[1],
    local: told(remote),
    remote: told(local),
    localId: remoteId,
    remoteId: localId,
  });
  return { maker: ours, peer: theirs };
}

/** Closes it by one of the two sides, and compares all that both are told. */
async function destroy(
  ends: Ends,
  from: Side,
  { maker, peer }: Told<SubflowEstablishedEvent>,
  by: "maker" | "peer",
): Promise<Told<SubflowClosedEvent>> {
  const sides = from === "client" ? { maker: ends.client, peer: ends.server } : { maker: ends.server, peer: ends.client };
  // As the event names it: also when an IPv6 socket speaks IPv4.
  const event = by === "maker" ? maker : peer;
  const end = ({ hostname: address, port }: typeof event.local) => ({ address, port });
  await call(sides[by].agent, "destroySubflow", {
    token: event.token,
    local: end(event.local),
    remote: end(event.remote),
  });
  const closed = {
    maker: await sides.maker.events.take("subflowClosed"),
    peer: await sides.peer.events.take("subflowClosed"),
  };
  assertEquals(closed.maker, { ...maker, type: "subflowClosed" });
  assertEquals(closed.peer, { ...peer, type: "subflowClosed" });
  await compareSubflows(ends, 1);
  return closed;
}

async function deviceIndex({ host }: Pick<End, "host">, name: string): Promise<number> {
  const [link] = JSON.parse(await host.run("ip", ["-j", "link", "show", name])) as { ifindex: number }[];
  return link!.ifindex;
}

async function compareAllEvents(ends: Ends): Promise<void> {
  for (const { events } of [ends.client, ends.server]) await events.compare();
}

describe("PathManager.createSubflow() and destroySubflow()", { skip }, () => {
  const [near, far] = [addressOf("client", 2), addressOf("server", 2)];
  const [near6, far6] = [addressOf("client", 2, 6), addressOf("server", 2, 6)];
  const fromClient: readonly [keyof typeof CONNECTIONS, string, string, readonly [4 | 6, 4 | 6]][] = [
    ["IPv4", near, far, [4, 4]],
    ["IPv6", near6, far6, [6, 6]],
    ["IPv6", near, far, [4, 6]],
    ["IPv4 to a server of both", near, far, [4, 6]],
    ["IPv4 by an IPv6 socket", near, far, [4, 4]],
  ];
  for (const [kind, local, remote, families] of fromClient) {
    const over = local.includes(":") ? "IPv6" : "IPv4";
    it(`from the client, over ${over}, of a connection over ${kind}`, async () => {
      await using ends = await openEnds(CONNECTIONS[kind]);
      const [before, beforeThere] = [await nstat(ends.client.host), await nstat(ends.server.host)];
      const plan: Plan = { from: "client", local, remote, remotePort: ends.port, localId: 23, families };
      // Either side may close it; a new one has the ids of the old, but another port.
      for (const by of ["maker", "peer"] as const) {
        const subflow = await make(ends, plan);
        const entry = endpoint(23, local, ["subflow"]);
        assertEquals(await call(ends.client.agent, "endpoints", { token: ends.client.token }), [entry]);
        await destroy(ends, "client", subflow, by);
      }
      await assertCounted(ends.client.host, before, { MPJoinSynTx: 2, MPJoinSynAckRx: 2, RmSubflow: 1, RmAddrTx: 0 });
      await assertCounted(ends.server.host, beforeThere, { MPJoinSynRx: 2, MPJoinAckRx: 2, RmSubflow: 1, RmAddr: 0 });
      await echo(ends);
      await compareAllEvents(ends);
    });
  }

  const fromServer: readonly [keyof typeof CONNECTIONS, string, string, readonly [4 | 6, 4 | 6]][] = [
    ["IPv4", far, near, [4, 4]],
    ["IPv6", far6, near6, [6, 6]],
    ["IPv6", far, near, [4, 4]],
    ["IPv4 to a server of both", far, near, [4, 4]],
  ];
  for (const [kind, local, remote, families] of fromServer) {
    const over = local.includes(":") ? "IPv6" : "IPv4";
    it(`from the server, over ${over}, of a connection over ${kind}`, async () => {
      await using ends = await openEnds(CONNECTIONS[kind]);
      const { client } = ends;
      const before = await nstat(client.host);
      // The client announces an address and listens there: at the port of its end of the connection, and at another.
      for (const [id, port] of [[7, ends.localPort], [8, 0]] as const) {
        const remotePort = await listenAt(client.agent, remote, port);
        // With IPv6, an address and a port do not fit beside TCP's timestamps.
        const announced = port !== 0 || over === "IPv6" ? {} : { port: remotePort };
        if (port === 0 && over === "IPv6") continue;
        await call(client.agent, "announce", { token: client.token, address: remote, id, ...announced });
        await ends.server.events.take("announced", { remoteId: id });
        const plan: Plan = { from: "server", local, remote, remotePort, localId: 23, families, remoteId: id };
        const by = port === 0 ? "peer" : "maker";
        await destroy(ends, "server", await make(ends, plan), by);
        const withdraw = () => call(client.agent, "withdraw", { token: client.token, id });
        if (by === "maker") {
          await withdraw();
          await ends.server.events.take("removed", { remoteId: id });
        } else {
          // The kernel of the side that closes a subflow forgets its address, as if it had been withdrawn.
          assertStringIncludes((await assertFails(withdraw(), "EINVAL")).message, `address with id ${id} not found`);
        }
      }
      await assertCounted(
        client.host,
        before,
        over === "IPv6" ? { MPJoinSynRx: 1, MPJoinAckRx: 1 } : {
          MPJoinSynRx: 2,
          MPJoinAckRx: 2,
          MPJoinPortSynRx: 1,
          MPJoinPortAckRx: 1,
        },
      );
      await compareAllEvents(ends);
    });
  }

  it("with an interface, a port and a priority of its own", async () => {
    await using ends = await openEnds();
    const plan: Plan = { from: "client", local: near, remote: far, remotePort: ends.port, localId: 255, families: [4, 4] };
    const bound = await make(ends, { ...plan, more: { interface: "a2" } });
    await destroy(ends, "client", bound, "maker");
    const exact = await make(ends, { ...plan, localId: 3, more: { localPort: 45678, backup: true } });
    assertEquals([exact.maker.local.port, exact.peer.backup], [45678, true]);
    const [entry] = await call(ends.client.agent, "endpoints", { token: ends.client.token });
    assertEquals(entry, endpoint(3, near, ["subflow", "backup"], { port: 45678 }));
    await compareAllEvents(ends);
  });

  it("of all subflows there are, one by one, and then of a new one", async () => {
    await using ends = await openEnds();
    const { client } = ends;
    const plan: Plan = { from: "client", local: near, remote: far, remotePort: ends.port, localId: 3, families: [4, 4] };
    const second = await make(ends, plan);
    const initial = {
      token: client.token,
      local: { address: addressOf("client", 1), port: ends.localPort },
      remote: { address: addressOf("server", 1), port: ends.port },
    };
    await call(client.agent, "destroySubflow", initial);
    const closed = await client.events.take("subflowClosed");
    assertEquals([closed.localId, closed.remoteId, closed.local.port], [0, 0, ends.localPort]);
    await ends.server.events.take("subflowClosed");
    await compareSubflows(ends, 1);
    await echo(ends);
    const { local, remote } = second.maker;
    await call(client.agent, "destroySubflow", {
      token: client.token,
      local: { address: near, port: local.port },
      remote: { address: far, port: remote.port },
    });
    for (const { events } of [client, ends.server]) await events.take("subflowClosed");
    await compareSubflows(ends, 0);

    // From the address that the initial one had, under an id of its own.
    await call(client.agent, "createSubflow", {
      token: client.token,
      localAddress: addressOf("client", 1),
      localId: 9,
      remoteAddress: addressOf("server", 1),
      remotePort: ends.port,
    });
    const [third] = await compareSubflows(ends, 1);
    assertEquals([third!.local.address, third!.localId], [addressOf("client", 1), 9]);
    await echo(ends);
    await compareAllEvents(ends);
  });

  it("under id 0 anew, once the initial one is gone, from its address and no other", async () => {
    await using ends = await openEnds();
    const { client, port, localPort } = ends;
    const plan: Plan = { from: "client", local: near, remote: far, remotePort: port, localId: 3, families: [4, 4] };
    await make(ends, plan);
    await call(client.agent, "destroySubflow", {
      token: client.token,
      local: { address: addressOf("client", 1), port: localPort },
      remote: { address: addressOf("server", 1), port },
    });
    for (const { events } of [client, ends.server]) await events.take("subflowClosed", { localId: 0, remoteId: 0 });
    await compareSubflows(ends, 1);
    const create = (localAddress: string) =>
      call(client.agent, "createSubflow", {
        token: client.token,
        localAddress,
        localId: 0,
        remoteAddress: addressOf("server", 1),
        remotePort: port,
      });
    const error = await assertRejects(() => create(near), RemoteError, "Cannot use localId 0 for");
    assertEquals(error.name, "RangeError");
    await create(addressOf("client", 1));
    const [, again] = await compareSubflows(ends, 2);
    assertEquals([again!.local.address, again!.localId, again!.remoteId], [addressOf("client", 1), 0, 0]);
    await echo(ends);
    await compareAllEvents(ends);
  });

  it("that nobody takes, and why", async () => {
    await using ends = await openEnds();
    const { client, server } = ends;
    // A plain TCP listener is there, but knows of no joins.
    const plainPort = await server.agent.run(({ listen, here }, hostname) => {
      const plain = listen({ hostname, port: 0, mptcp: "off" });
      Object.assign(here, { plain });
      return plain.addr.port;
    }, far);
    const made = { token: client.token, localAddress: near, localId: 3, remoteAddress: far };
    const refused = await server.agent.run(({ listen }) => {
      using free = listen({ port: 0 });
      return free.addr.port;
    });
    for (const [remotePort, error] of [[refused, { code: "ECONNREFUSED", errno: -111 }], [plainPort, undefined]] as const) {
      await call(client.agent, "createSubflow", { ...made, remotePort });
      const closed = await client.events.take("subflowClosed");
      assertEquals([closed.remote, closed.localId, closed.error], [
        { transport: "tcp", hostname: far, port: remotePort },
        3,
        error,
      ]);
    }
    await compareSubflows(ends, 1);
    await compareAllEvents(ends);
  });

  it("of wrong tokens, ids and addresses fails in the kernel's words", async () => {
    await using ends = await openEnds();
    const { client: { agent, token }, port } = ends;
    const made = { token, localAddress: near, localId: 3, remoteAddress: far, remotePort: port };
    const subflow = { token, local: { address: near, port: 7 }, remote: { address: far, port } };
    const wrong = token === 1 ? 2 : 1;
    const create = (more: Partial<NewSubflow>) => () => call(agent, "createSubflow", { ...made, ...more });
    const destroy = (more: Partial<typeof subflow>) => () => call(agent, "destroySubflow", { ...subflow, ...more });
    const cases: [() => Promise<void>, string][] = [
      [create({ token: wrong }), "create a subflow failed: invalid token (EINVAL)"],
      [create({ localAddress: "192.0.2.1" }), "create a subflow failed: connect error: -99 (EADDRNOTAVAIL)"],
      [create({ localId: 4, remoteAddress: "192.0.2.1" }), "create a subflow failed: connect error: -101 (ENETUNREACH)"],
      [create({ localAddress: near6, remoteAddress: far6 }), "create a subflow failed: families mismatch (EINVAL)"],
      [destroy({ token: wrong }), "destroy a subflow failed: invalid token (EINVAL)"],
      [destroy({}), "destroy a subflow failed: subflow not found (ESRCH)"],
      [
        destroy({ local: { address: near6, port: 7 }, remote: { address: far6, port } }),
        "destroy a subflow failed: subflow not found (ESRCH)",
      ],
      // The right addresses, and one port that is not.
      [
        destroy({ local: { address: addressOf("client", 1), port: 7 }, remote: { address: addressOf("server", 1), port } }),
        "destroy a subflow failed: subflow not found (ESRCH)",
      ],
    ];
    const expectAll = async (cases: readonly [() => Promise<void>, string][]) => {
      for (const [work, message] of cases) {
        const code = /\((E[A-Z]+)\)$/.exec(message)![1]!;
        assertEquals((await assertFails(work(), code)).message, message);
      }
    };
    await expectAll(cases);
    assertStringIncludes((await assertFails(create({ interface: "none" })(), "ENODEV")).message, '"none"');
    await compareSubflows(ends, 1);

    // After all that it still can.
    await create({ localId: 9, localPort: 45678 })();
    assertEquals((await compareSubflows(ends, 2))[1]!.localId, 9);
    await expectAll([
      [create({ localId: 10, localPort: 45678 }), "create a subflow failed: did not match address and id (EINVAL)"],
      [create({ localId: 9, localPort: 45679 }), "create a subflow failed: did not match address and id (EINVAL)"],
      [
        create({ localAddress: `::ffff:${near}`, localId: 10, localPort: 45678 }),
        "create a subflow failed: did not match address and id (EINVAL)",
      ],
    ]);
    await compareSubflows(ends, 2);
    await compareAllEvents(ends);
  });

  it("refuses addresses of two families before the kernel is asked", async () => {
    await using ends = await openEnds(CONNECTIONS.IPv6);
    const { client: { agent, token }, port } = ends;
    const before = await nstat(ends.client.host);
    const seen = await agent.run(({ PathManager }, { token, near, far6, port }) => {
      using paths = PathManager.open();
      const subflow = { token, local: { address: near, port: 1 }, remote: { address: far6, port } };
      const works = [
        () => paths.createSubflow({ token, localAddress: near, localId: 1, remoteAddress: far6, remotePort: port }),
        () => paths.createSubflow({ token, localAddress: far6, localId: 1, remoteAddress: near, remotePort: port }),
        () => paths.destroySubflow(subflow),
        () => paths.setBackup({ ...subflow, backup: true }),
      ];
      return works.map((work) => {
        try {
          work();
        } catch (error) {
          return `${error}`;
        }
        return "nothing";
      });
    }, { token, near, far6, port });
    for (const text of seen) assertStringIncludes(text, "both must be IPv4, or both IPv6");
    for (const text of seen) assertEquals(text.startsWith("TypeError: "), true);
    await assertCounted(ends.client.host, before, { MPJoinSynTx: 0 });
    await compareSubflows(ends, 1);
  });

  it("is no affair of a connection that the kernel manages", async () => {
    await using ends = await openEnds({ client: "kernel", server: "kernel" });
    const { client: { agent, token }, port } = ends;
    const remote = { address: far, port };
    const works = [
      () =>
        call(agent, "createSubflow", {
          token,
          localAddress: near,
          localId: 1,
          remoteAddress: far,
          remotePort: port,
        }),
      () => call(agent, "destroySubflow", { token, local: { address: near, port: 7 }, remote }),
    ];
    for (const work of works) {
      assertStringIncludes((await assertFails(work(), "EINVAL")).message, "userspace PM not selected");
    }
    await compareSubflows(ends, 1);
  });
});
