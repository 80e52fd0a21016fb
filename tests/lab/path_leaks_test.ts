/** Nothing is left behind by what watches and manages paths: no descriptor, no timer, no subscription. */
import { assert, assertEquals } from "@std/assert";
import { Program } from "../host/program.ts";
import { addressOf, Lab, labNeeds } from "../lab.ts";
import { describe, it } from "../suite.ts";
import { managed } from "./managed.ts";

const skip = labNeeds();

describe("managing paths leaves nothing behind", { skip }, () => {
  it("no descriptor, however it ends", async () => {
    await using lab = await Lab.open({ endpoints: false });
    await lab.client.ip("route add 192.0.2.0/24 via 10.0.2.2");
    const { client, server, port } = await managed(lab);
    await server.run(({ here }) => {
      (async () => {
        for await (const conn of here.listener) conn.readable.pipeTo(conn.writable).catch(() => conn.close());
      })();
    });
    const counts = await client.run(async ({ connect, here }, { target, remoteAddress }) => {
      const { readdirSync } = await import("node:fs");
      here.conn.close();
      const round = async () => {
        const conn = await connect({ ...target, paths: "userspace" });
        const events = [conn.events(), conn.events()];
        await conn.write(new Uint8Array(1));
        await conn.read(new Uint8Array(1));
        const { id } = await conn.openSubflow({ remoteAddress });
        await conn.openSubflow({ remoteAddress: "192.0.2.1", timeout: 5 }).catch(() => {});
        await conn.openSubflow({ remoteAddress, remotePort: 9 }).catch(() => {});
        await conn.setSubflowBackup(id, true);
        await conn.closeSubflow(id);
        await events[0]!.return!();
        const hanging = conn.openSubflow({ remoteAddress: "192.0.2.1" }).catch(() => {});
        conn.close();
        await hanging;
        for await (const event of events[1]!) if (event.type === "closed") break;
      };
      for (let turn = 0; turn < 3; turn++) await round(); // the runtime makes its own first
      const before = readdirSync("/proc/self/fd").length;
      for (let turn = 0; turn < 15; turn++) await round();
      return [before, readdirSync("/proc/self/fd").length];
    }, { target: { hostname: addressOf("server", 1), port }, remoteAddress: addressOf("server", 2) });
    assert(counts[1]! <= counts[0]! + 2, `descriptors: ${counts}`);
  });

  it("no process that lives on", async () => {
    await using lab = await Lab.open({ endpoints: false });
    const { port } = await managed(lab);
    using program = new Program(`import { connect } from "MPTCP";
      const conn = await connect({ hostname: "${addressOf("server", 1)}", port: ${port}, paths: "userspace" });
      conn.unref();
      conn.events(); // that nobody reads
      console.log("end");`);
    const child = lab.client.script(program.file);
    assertEquals(await child.line(), "end");
    assertEquals((await child.ended).code, 0);
  });
});
