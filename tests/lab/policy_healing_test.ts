/** Paths that are lost and come back, over real paths, each seen from both ends. */
import { assert, assertEquals } from "@std/assert";
import { Lab, labNeeds } from "../lab.ts";
import { describe, it } from "../suite.ts";
import { managed } from "./managed.ts";
import { bothHave, FIRST, paths, SECOND } from "./path_names.ts";
import type { Agent } from "./remote.ts";
import { until } from "./until.ts";

const skip = labNeeds("nft");

/** Both paths, kept alive. */
async function healing(lab: Lab): Promise<{ client: Agent; server: Agent }> {
  const ends = await managed(lab);
  await ends.client.run(({ here, policy }) => {
    here.conn.use(policy.fullMesh());
    const told: unknown[] = [];
    Object.assign(here, { told });
    (async () => {
      for await (const each of here.conn.use(policy.selfHealing()).decisions()) told.push(each);
    })();
  });
  await bothHave(ends.client, ends.server, [FIRST, SECOND]);
  return ends;
}

/** What selfHealing has decided so far: `action outcome: reason`. */
async function told(client: Agent): Promise<string[]> {
  const all = await client.run(({ here }) =>
    (here as unknown as { told: { action: string; outcome: string; reason: string }[] }).told
  );
  return all.map(({ action, outcome, reason }) => `${action} ${outcome}: ${reason}`);
}

/** Sends that much, gets it back, and compares. */
function exchange(client: Agent, bytes: number): Promise<boolean> {
  return client.run(async ({ here }, bytes) => {
    const sent = new Uint8Array(bytes).map((_, index) => index * 7 >> 3);
    const back = new Uint8Array(bytes);
    const writing = here.conn.write(sent);
    for (let count = 0; count < bytes;) count += (await here.conn.read(back.subarray(count)))!;
    await writing;
    return back.every((byte, index) => byte === sent[index]);
  }, bytes);
}

const reset = (device: string) => ({ output: [`oifname "${device}" tcp flags & rst == 0 reject with tcp reset`] });

describe("selfHealing", { skip }, () => {
  it("opens again what was reset, and not what was closed on purpose", async () => {
    await using lab = await Lab.open();
    const { client, server } = await healing(lab);
    await server.run(async ({ here }) => {
      await here.conn.closeSubflow(here.conn.subflows().find(({ local }) => local.hostname === "10.0.2.2")!.id);
    });
    await until(async () => (await told(client)).some((each) => each === "open done: it was lost"));
    await bothHave(client, server, [FIRST, SECOND]);
    await client.run(async ({ here }) => {
      await here.conn.closeSubflow(here.conn.subflows().find(({ local }) => local.hostname === "10.0.2.1")!.id);
    });
    const count = (await told(client)).length;
    assert(await exchange(client, 1000));
    await new Promise((resolve) => setTimeout(resolve, 500)); // for what is not to happen
    assertEquals(await paths(client), [FIRST]);
    assertEquals((await told(client)).slice(count).filter((each) => each.startsWith("open")), []);
  });

  it("leaves a link that is down, and returns to it", async () => {
    await using lab = await Lab.open();
    const { client, server } = await healing(lab);
    await lab.client.ip("link set a1 down");
    await bothHave(client, server, [SECOND]);
    assert(
      (await told(client)).some((each) => each === "close done: the link a1 is down" || each.startsWith("withdraw done")),
    );
    assert(await exchange(client, 100_000));
    await lab.client.ip("link set a1 up");
    await bothHave(client, server, [FIRST, SECOND]);
    assert(await exchange(client, 100_000));
  });

  it("takes the interface's new address when the old one goes", async () => {
    await using lab = await Lab.open();
    const { client, server } = await managed(lab);
    await client.run(async ({ here, policy }) => {
      await here.conn.openSubflow({ localAddress: "10.0.2.1", remoteAddress: "10.0.2.2" });
      here.conn.use(policy.selfHealing());
    });
    await bothHave(client, server, [FIRST, SECOND]);
    await lab.client.ip("addr del 10.0.2.1/24 dev a2", "addr add 10.0.2.99/24 dev a2");
    await bothHave(client, server, [FIRST, "10.0.2.99 → 10.0.2.2"]);
    assert(await exchange(client, 100_000));
  });

  it("finds a path that is silently dead by its counters, and opens it when it has healed", async () => {
    await using lab = await Lab.open({ paths: [{ rateMbit: 50 }, { rateMbit: 50 }] });
    const { client } = await healing(lab);
    await client.run(({ here }) => {
      const conn = here.conn;
      const stop = new AbortController();
      Object.assign(here, { stop });
      const block = new Uint8Array(1 << 16);
      (async () => {
        while (!stop.signal.aborted) await conn.write(block);
      })();
      (async () => {
        while (!stop.signal.aborted) await conn.read(new Uint8Array(1 << 16));
      })();
    });
    await until(async () => (await client.run(({ here }) => here.conn.info()!.bytesAcked ?? 0)) > 300_000);
    const cut = Date.now();
    await lab.cutPath(2);
    await until(async () => (await told(client)).some((each) => /^(withdraw|close) done: .*silent|ETIMEDOUT/.test(each)));
    const noticed = Date.now() - cut;
    assert(noticed < 3000, `noticed after ${noticed} ms`); // on a machine that is busy with other tests
    await lab.healPath(2);
    await until(async () => (await paths(client)).includes(SECOND));
    await client.run(({ here }) => (here as unknown as { stop: AbortController }).stop.abort());
  });

  it("survives the loss of all paths, and loses no byte", async () => {
    await using lab = await Lab.open();
    const { client, server } = await healing(lab);
    await Promise.all([lab.client.filter({ output: [...reset("a1").output, ...reset("a2").output] })]);
    const exchanged = exchange(client, 200_000);
    exchanged.catch(() => {}); // told below, unless something else is told first
    await until(async () => (await paths(client)).length === 0);
    await lab.client.filter({});
    assertEquals(await exchanged, true);
    await bothHave(client, server, [FIRST, SECOND]);
    assert((await told(client)).some((each) => each.startsWith("note done: lost: ECONNRESET")));
  });

  it("keeps the last path, dead or not", async () => {
    await using lab = await Lab.open({ paths: [{}] });
    const { client } = await managed(lab);
    await client.run(({ here, policy }) => {
      const told: unknown[] = [];
      Object.assign(here, { told });
      (async () => {
        for await (const each of here.conn.use(policy.selfHealing()).decisions()) told.push(each);
      })();
    });
    await lab.cutPath(1);
    const exchanged = exchange(client, 10_000);
    exchanged.catch(() => {}); // told below, unless something else is told first
    await until(async () => (await told(client)).some((each) => each.includes("the only path seems dead, and is kept")));
    const left = await client.run(({ look, here }) => look(here.conn).subflows);
    assertEquals(left.filter(({ state }) => state === "ESTABLISHED").map(({ id }) => id), [1]);
    await lab.healPath(1);
    assertEquals(await exchanged, true);
  });

  it("is found to hold up where eBPF is not allowed", async () => {
    await using lab = await Lab.open({ rootless: true });
    const { client, server } = await healing(lab);
    await until(async () => (await told(client)).some((each) => each.includes("by their counters alone")));
    await lab.client.ip("link set a2 down");
    await bothHave(client, server, [FIRST]);
  });
});
