/** connect and listen with `paths`: who manages a connection, and that the host is left as it was. */
import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { addressOf, Lab, labNeeds } from "../lab.ts";
import { rootlessNeeds } from "../needs.ts";
import { describe, it } from "../suite.ts";
import { managed } from "./managed.ts";
import { Agent, RemoteError } from "./remote.ts";
import { withReadOnlySysctls } from "./unprivileged.ts";

const skip = labNeeds();
const SYSCTL = "/proc/sys/net/mptcp/path_manager";

describe("paths", { skip }, () => {
  for (const host of ["kernel", "userspace"] as const) {
    it(`chooses for a client alone, on a host that says "${host}"`, async () => {
      await using lab = await Lab.open({ endpoints: false });
      const { client, port } = await managed(lab);
      await lab.client.sysctl("net.mptcp.path_manager", host);
      const seen = await client.run(async ({ connect, here, PathManager }, target) => {
        void here;
        const found = [];
        for (const paths of ["userspace", "kernel", undefined, "userspace"] as const) {
          using conn = await connect({ ...target, ...(paths && { paths }) });
          using manager = PathManager.open();
          // The kernel's own word: it has commands for the connections of programs alone.
          let managed = "userspace";
          try {
            manager.withdraw({ token: conn.token!, id: 200 });
          } catch (error) {
            if ((error as { detail?: string }).detail?.includes("not selected")) managed = "kernel";
          }
          found.push(`${paths} ${conn.pathManager} ${managed} ${manager.mode}`);
        }
        return found;
      }, { hostname: addressOf("server", 1), port });
      assertEquals(seen, [
        `userspace userspace userspace ${host}`,
        `kernel kernel kernel ${host}`,
        `undefined ${host} ${host} ${host}`,
        `userspace userspace userspace ${host}`,
      ]);
    });
  }

  it("chooses for a listener's connections as long as it listens, and takes the first client's joins", async () => {
    await using lab = await Lab.open({ endpoints: false });
    const mode = async () => (await lab.server.run("cat", [SYSCTL])).trim();
    const { client, server } = await managed(lab, { listen: { paths: "userspace" } });
    assertEquals(await mode(), "userspace");
    assertEquals(await server.run(({ here }) => here.conn.pathManager), "userspace");
    await client.run(({ here }, to) => here.conn.openSubflow(to).then(() => null), {
      remoteAddress: addressOf("server", 2),
    });
    assertEquals(await server.run(({ here, until }) => until(() => here.conn.subflows().length === 2)), true);
    const others = await server.run(async ({ connect, listen, here }) => {
      // Meanwhile what asks for nothing gets what the host said before.
      using plain = await connect({ port: here.listener.addr.port });
      const manager = plain.pathManager;
      const refused = (() => {
        try {
          return listen({ port: 0, paths: "kernel" }).close();
        } catch (error) {
          return (error as { code: string }).code;
        }
      })();
      using second = listen({ port: 0, paths: "userspace" });
      void second;
      here.listener.close();
      return [manager, refused];
    });
    assertEquals(others, ["kernel", "EBUSY"]);
    assertEquals(await mode(), "kernel");
    assertEquals(await server.run(({ here }) => here.conn.pathManager), "userspace");
  });

  it("leaves the host as it was when the socket cannot be made, and when the process ends with an open listener", async () => {
    await using lab = await Lab.open({ endpoints: false });
    const mode = async () => (await lab.client.run("cat", [SYSCTL])).trim();
    const client = Agent.start(lab.client);
    await client.run(({ listen }) => {
      try {
        listen({ port: 0, paths: "userspace", congestion: "nosuch" });
      } catch {
        return; // as it should
      }
      throw new Error("no error");
    });
    assertEquals(await mode(), "kernel");
    await lab.client.sysctl("net.mptcp.enabled", 0);
    const fallback = await client.run(({ listen, here }) => {
      here.listener = listen({ port: 0, paths: "userspace" });
      return here.listener.fallback()!.code;
    });
    assertEquals(fallback, "ENOPROTOOPT");
    assertEquals(await mode(), "userspace");
    await client.end();
    assertEquals(await mode(), "kernel");
  });

  it("takes turns with other processes", async () => {
    await using lab = await Lab.open({ endpoints: false });
    const { server, port } = await managed(lab);
    await server.run(({ here }) => {
      (async () => {
        for await (const conn of here.listener) conn.closeWrite();
      })();
    });
    const agents = [Agent.start(lab.client), Agent.start(lab.client)];
    const counts = await Promise.all(
      agents.map((agent, index) =>
        agent.run(async ({ connect, PathManager }, { index, ...target }) => {
          const wrong: string[] = [];
          for (let turn = 0; turn < 60; turn++) {
            const paths = (turn + index) % 2 ? "kernel" : "userspace";
            using conn = await connect({ ...target, paths });
            using manager = PathManager.open();
            try {
              manager.withdraw({ token: conn.token!, id: 200 });
            } catch (error) {
              const kernel = (error as { detail?: string }).detail?.includes("not selected") ?? false;
              if (kernel !== (paths === "kernel")) wrong.push(`${turn} ${paths}`);
            }
          }
          return wrong.join();
        }, { index, hostname: addressOf("server", 1), port })
      ),
    );
    assertEquals(counts, ["", ""]);
    assertEquals((await lab.client.run("cat", [SYSCTL])).trim(), "kernel");
  });

  it("says what it needs, and needs nothing for what the host says anyway", async () => {
    await using lab = await Lab.open({ endpoints: false });
    const { port } = await managed(lab);
    const client = Agent.start(withReadOnlySysctls(lab.client));
    const connecting = (paths: "kernel" | "userspace") =>
      client.run(async ({ connect }, options) => {
        using conn = await connect(options);
        return conn.pathManager;
      }, { hostname: addressOf("server", 1), port, paths });
    assertEquals(await connecting("kernel"), "kernel");
    const error = await assertRejects(() => connecting("userspace"), RemoteError);
    assertEquals(error.code, "EROFS"); // as in a container; without the right to write it is EACCES
    assertStringIncludes(error.message, "CAP_NET_ADMIN");
    const listening = client.run(({ listen }) => listen({ port: 0, paths: "userspace" }).close());
    assertStringIncludes((await assertRejects(() => listening, RemoteError)).message, "userspace path manager");
    const wrong = client.run(({ connect }, port) => connect({ port, paths: "mine" as "kernel" }).then(() => null), port);
    assertEquals((await assertRejects(() => wrong, RemoteError)).name, "TypeError");
  });

  it("needs no root where user namespaces are to be had", { skip: rootlessNeeds() }, async () => {
    await using lab = await Lab.open({ endpoints: false, rootless: true });
    const { client, server } = await managed(lab, { listen: { paths: "userspace" } });
    const seen = await client.run(async ({ here: { conn } }, to) => {
      const events = conn.events();
      const { id } = await conn.openSubflow(to);
      await conn.setSubflowBackup(id, true);
      await conn.closeSubflow(id);
      conn.close();
      const types = [];
      for await (const { type } of events) types.push(type);
      return [conn.fd, events.source, ...types];
    }, { remoteAddress: addressOf("server", 2) });
    assertEquals(seen, [-1, "netlink", "subflowOpened", "subflowPriority", "subflowClosed", "closed"]);
    assertEquals(await server.run(({ here }) => here.conn.fd >= -1), true);
  });
});
