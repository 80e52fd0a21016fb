import { spawnSync } from "node:child_process";
import process from "node:process";
import { assert, assertEquals, assertGreater, assertRejects } from "@std/assert";
import { addressOf, Lab, labNeeds } from "../lab.ts";
import { MOD, runtime } from "../host/program.ts";
import { describe, it } from "../suite.ts";
import { Agent } from "./remote.ts";

const skip = labNeeds();

describe("watch", { skip }, () => {
  it("tells of a connection and of its second path, on both ends", async () => {
    await using lab = await Lab.open();
    const server = Agent.start(lab.server);
    const client = Agent.start(lab.client);
    const port = await server.run(({ listen, here, watch }) => {
      const events: unknown[] = [];
      const watching = watch();
      here.listener = listen({ port: 0 });
      here.later = (async () => {
        for await (const event of watching) {
          events.push(event);
          if (event.type === "closed") break;
        }
        return events;
      })();
      here.listener.accept().then(async (conn) => {
        here.conn = conn;
        await conn.readable.pipeTo(conn.writable).catch(() => conn.close());
      });
      return here.listener.addr.port;
    });
    const { events, token, ends } = await client.run(async ({ connect, watch, until, drain }, options) => {
      const events = [];
      const watching = watch();
      const conn = await connect({ ...options, mptcp: "require" });
      const { token } = conn;
      await conn.write(new Uint8Array(1));
      for await (const event of watching) {
        events.push(event);
        if (event.type === "subflowEstablished") break;
      }
      const ends = (await until(() => conn.subflows().length === 2 && conn.subflows()))
        .map(({ local, remote, localId, remoteId, backup }) => ({ local, remote, localId, remoteId, backup }));
      // An orderly end: the kernel tells of none when a connection was reset.
      await conn.closeWrite();
      await drain(conn);
      conn.close();
      return { events, token, ends };
    }, { hostname: addressOf("server", 1), port });

    const types = events.map(({ type }) => type);
    for (const type of ["created", "established", "announced", "subflowEstablished"]) {
      assert(types.includes(type as typeof types[number]), `no "${type}" in ${types}`);
    }
    for (const event of events) if ("token" in event) assertEquals(event.token, token, event.type);
    const joined = events.find((event) => event.type === "subflowEstablished")!;
    assert(joined.type === "subflowEstablished");
    const { local, remote, localId, remoteId, backup } = joined;
    assertEquals(ends[1], { local, remote, localId, remoteId, backup });

    const theirs = await server.run(({ here }) => here.later) as { type: string; serverSide?: boolean }[];
    const theirTypes = theirs.map(({ type }) => type);
    for (const type of ["listenerCreated", "created", "established", "subflowEstablished", "closed"]) {
      assert(theirTypes.includes(type), `no "${type}" in ${theirTypes}`);
    }
    assertEquals(theirs.find(({ type }) => type === "created")?.serverSide, true);
  });

  it("ends by abort, by break, and leaves no descriptor", async () => {
    await using lab = await Lab.open();
    const host = Agent.start(lab.client);
    const counts = await host.run(async ({ watch, listen, until }) => {
      const { readdirSync } = await import("node:fs");
      const open = () => readdirSync("/proc/self/fd").length;
      const once = async (signal?: AbortSignal) => {
        const watching = watch(signal ? { signal } : {});
        listen({ port: 0 }).close();
        let seen = 0;
        for await (const event of watching) {
          if (event.type !== "listenerCreated") continue;
          seen++;
          break;
        }
        return seen;
      };
      await once();
      const before = open();
      for (let round = 0; round < 5; round++) await once();
      const controller = new AbortController();
      const waiting = watch({ signal: controller.signal }).next();
      controller.abort();
      const { done } = await waiting;
      const aborted = await watch({ signal: AbortSignal.abort() }).next();
      return { done, aborted: aborted.done, before, after: await until(() => open() <= before && open()) };
    }, null);
    assertEquals([counts.done, counts.aborted], [true, true]);
    assertEquals(counts.after, counts.before);
  });

  it("tells when events were lost, and goes on", async () => {
    await using lab = await Lab.open();
    const host = Agent.start(lab.client);
    const { lost, later } = await host.run(async ({ watch, listen }) => {
      const watching = watch();
      // Without a turn of the event loop in between nobody reads them, and the kernel's queue fills.
      for (let count = 0; count < 10_000; count++) listen({ port: 0 }).close();
      let lost = 0;
      for await (const event of watching) {
        if (event.type !== "overflow") continue;
        lost = event.lost;
        break;
      }
      const again = watch();
      listen({ port: 0 }).close();
      const { value } = await again.next();
      again.return!();
      return { lost, later: value.type as string };
    }, null);
    assertGreater(lost, 0);
    assertEquals(later, "listenerCreated");
  });

  it("needs the privilege, and says which", () => {
    const program = `import { watch } from ${JSON.stringify(MOD)};
      try { watch(); } catch (error) { console.log(error.name, error.code, error.message); }`;
    const flags = runtime === "deno"
      ? ["eval", "--no-check", program]
      : runtime === "bun"
      ? ["-e", program]
      : ["--input-type=module", "-e", program];
    // Another user namespace than the one that owns the network namespace: all capabilities, and none that counts.
    const { stdout, stderr } = spawnSync("unshare", ["-Ur", process.execPath, ...flags], { encoding: "utf8" });
    assert(stdout.startsWith("MptcpError EPERM"), stdout + stderr);
    assert(stdout.includes("CAP_NET_ADMIN") && stdout.includes("unshare -Urn"), stdout);
  });

  it("refuses wrong arguments", async () => {
    await using lab = await Lab.open();
    const host = Agent.start(lab.client);
    await assertRejects(
      () => host.run(({ watch }) => void watch({ signal: "x" as unknown as AbortSignal }), null),
      Error,
      "must be an AbortSignal",
    );
  });
});
