/** Where policies can be attached, how they go together, and that they leave nothing behind. */
import { assert, assertEquals } from "@std/assert";
import { Program } from "../host/program.ts";
import { addressOf, Lab, labNeeds } from "../lab.ts";
import { describe, it } from "../suite.ts";
import { managed } from "./managed.ts";
import { bothHave, FIRST, paths, SECOND } from "./path_names.ts";
import { Agent } from "./remote.ts";
import { until } from "./until.ts";

const skip = labNeeds();

describe("policies together", { skip }, () => {
  it("open nothing that one of them refuses, and say so once", async () => {
    await using lab = await Lab.open();
    const { client } = await managed(lab);
    await client.run(({ here, policy }) => {
      here.conn.use(policy.interfaces({ deny: "a2" }));
      const told: unknown[] = [];
      Object.assign(here, { told });
      for (const each of [policy.fullMesh(), policy.nSubflows(2), policy.selfHealing()]) {
        (async () => {
          for await (const decision of here.conn.use(each).decisions()) told.push(decision);
        })();
      }
    });
    const refused = async () => {
      const told = await client.run(({ here }) =>
        (here as unknown as { told: { outcome: string; policy: string; refusal: unknown }[] }).told
      );
      return told.filter(({ outcome }) => outcome === "refused");
    };
    await until(async () => (await refused()).length >= 2);
    await lab.client.ip("addr add 10.0.2.50/24 dev a2", "addr del 10.0.2.50/24 dev a2");
    await until(async () => (await paths(client)).length === 2);
    assertEquals(await paths(client), [FIRST, FIRST]); // nSubflows found another way
    const all = (await refused()).filter(({ policy }) => policy === "fullMesh");
    assertEquals(all[0]!.refusal, { policy: "interfaces", reason: "a2 is denied" });
  });

  it("close what is not allowed, as soon as there is something else", async () => {
    await using lab = await Lab.open();
    const { client, server } = await managed(lab);
    await client.run(({ here, policy }) => void here.conn.use(policy.interfaces({ allow: ["a2", "10.0.9.9"] })));
    assertEquals(await paths(client), [FIRST]);
    await client.run(({ here, policy }) => void here.conn.use(policy.fullMesh()));
    await bothHave(client, server, [SECOND]);
  });

  it("add the second path only when the first is slow", async () => {
    await using lab = await Lab.open();
    const { client, server } = await managed(lab);
    const [quiet, slow] = await client.run(async ({ here, policy, until }) => {
      using quiet = here.conn.use(policy.whenSlow({ rttMs: 10_000, forMs: 0 }));
      void quiet;
      await new Promise((resolve) => setTimeout(resolve, 400));
      const before = here.conn.subflows().length;
      here.conn.use(policy.whenSlow({ rttMs: 0.001, forMs: 0 }));
      await until(() => here.conn.subflows().length === 2);
      return [before, here.conn.subflows().length];
    });
    assertEquals([quiet, slow], [1, 2]);
    await bothHave(client, server, [FIRST, SECOND]);
  });
});

describe("policies of others", { skip }, () => {
  it("a listener's are those of all its connections, until they are stopped", async () => {
    await using lab = await Lab.open({ endpoints: false });
    const server = Agent.start(lab.server);
    const client = Agent.start(lab.client);
    const port = await server.run(({ listen, here, policy }) => {
      here.listener = listen({ hostname: "0.0.0.0", port: 0, paths: "userspace" });
      const handle = here.listener.use(policy.fullMesh());
      const told: unknown[] = [];
      Object.assign(here, { told, handle });
      here.later = (async () => {
        for await (const { action, outcome, local, token } of handle.decisions()) {
          told.push([action, outcome, local, token !== null]);
        }
        return told;
      })();
      (async () => {
        for await (const conn of here.listener) conn.readable.pipeTo(conn.writable).catch(() => conn.close());
      })();
      return here.listener.addr.port;
    });
    const counts = await client.run(async ({ connect, policy, until }, target) => {
      const open = async (further: number) => {
        const conn = await connect({ ...target, paths: "userspace" });
        conn.use(policy.fullMesh());
        await conn.write(new Uint8Array(1));
        await conn.read(new Uint8Array(1));
        await until(() => conn.subflows().length > further);
        return conn;
      };
      const conns = [await open(1), await open(1)];
      const counts = conns.map((conn) => conn.subflows().length);
      for (const conn of conns) conn.close();
      return counts;
    }, { hostname: addressOf("server", 1), port });
    assertEquals(counts, [2, 2]);
    await server.run(({ here }) => (here as unknown as { handle: { stop(): void } }).handle.stop());
    const told = await server.run(({ here }) => here.later) as unknown[][];
    assertEquals(told.filter(([action]) => action === "announce"), [
      ["announce", "done", "10.0.2.2", true],
      ["announce", "done", "10.0.2.2", true],
    ]);
  });

  it("a process's are those of all that begins, by connect and by sockets of node:net", async () => {
    await using lab = await Lab.open();
    const { client, port } = await managed(lab);
    const told = await client.run(async ({ connect, policy, here }, { node, ...target }) => {
      const { createConnection } = await import(node) as typeof import("../../node/mod.ts");
      here.conn.close();
      const names: string[] = [];
      const handle = policy.usePolicy(policy.definePolicy({
        name: "witness",
        attach: ({ side, connection }) => void names.push(`${side} ${connection.remoteAddr.port}`),
      }));
      using first = await connect({ ...target, paths: "userspace" });
      const socket = createConnection({ host: target.hostname, port: target.port, paths: "userspace" });
      await new Promise((resolve, reject) => socket.once("connect", resolve).once("error", reject));
      socket.destroy();
      handle.stop();
      using second = await connect({ ...target, paths: "userspace" });
      const decisions = [];
      for await (const { action, outcome } of handle.decisions()) decisions.push(`${action} ${outcome}`);
      return { names, decisions, open: [first.fd >= 0, second.fd >= 0] };
    }, { hostname: addressOf("server", 1), port, node: new URL("../../node/mod.ts", import.meta.url).href });
    const names = [`client ${port}`, `client ${port}`];
    assertEquals(told, { names, decisions: ["attach done", "attach done"], open: [true, true] });
  });

  it("what a policy throws goes no further than its decisions", async () => {
    await using lab = await Lab.open();
    const { client } = await managed(lab);
    const told = await client.run(async ({ here, policy }) => {
      const handle = here.conn.use(policy.definePolicy({
        name: "clumsy",
        interval: 10,
        attach: () => {
          throw new Error("at once");
        },
        tick: (context) => {
          handle.stop();
          context.note("said too late");
          throw new Error("later");
        },
      }));
      const all = [];
      for await (const { action, outcome, error } of handle.decisions()) all.push(`${action} ${outcome} ${error ?? ""}`);
      await here.conn.write(new Uint8Array(1));
      return [all, await here.conn.read(new Uint8Array(1))];
    });
    assertEquals(told, [["attach done ", "hook failed Error: at once"], 1]);
  });
});

describe("policies leave nothing behind", { skip }, () => {
  it("no descriptor, however they end", async () => {
    await using lab = await Lab.open();
    const { client, server, port } = await managed(lab);
    await server.run(({ here }) => {
      (async () => {
        for await (const conn of here.listener) conn.readable.pipeTo(conn.writable).catch(() => conn.close());
      })();
    });
    const counts = await client.run(async ({ connect, here, policy, until }, target) => {
      const { readdirSync } = await import("node:fs");
      here.conn.close();
      const round = async (stopped: boolean) => {
        const conn = await connect({ ...target, paths: "userspace" });
        const handles = [policy.fullMesh(), policy.selfHealing(), policy.nSubflows(3), policy.backup({ prefer: "a2" })]
          .map((each) => conn.use(each));
        await conn.write(new Uint8Array(1));
        await conn.read(new Uint8Array(1));
        if (stopped) { for (const handle of handles) handle.stop(); }
        else conn.close();
        for (const handle of handles) for await (const _ of handle.decisions());
        conn.close();
      };
      for (let turn = 0; turn < 4; turn++) await round(turn % 2 === 0);
      const before = readdirSync("/proc/self/fd").length;
      for (let turn = 0; turn < 12; turn++) await round(turn % 2 === 0);
      // Runtimes close some descriptors a moment later.
      await until(() => readdirSync("/proc/self/fd").length <= before + 2).catch(() => {});
      return [before, readdirSync("/proc/self/fd").length];
    }, { hostname: addressOf("server", 1), port });
    assert(counts[1]! <= counts[0]! + 2, `descriptors: ${counts}`);
  });

  it("no process that lives on", async () => {
    await using lab = await Lab.open();
    const { port } = await managed(lab);
    using program = new Program(`import { connect } from "MPTCP";
      import { fullMesh, selfHealing, usePolicy } from "${new URL("../../policy/mod.ts", import.meta.url).href}";
      usePolicy(fullMesh());
      const conn = await connect({ hostname: "${addressOf("server", 1)}", port: ${port}, paths: "userspace" });
      conn.unref();
      const handle = conn.use(selfHealing());
      handle.decisions().next();
      console.log("end");`);
    const child = lab.client.script(program.file);
    assertEquals(await child.line(), "end");
    assertEquals((await child.ended).code, 0);
  });
});
