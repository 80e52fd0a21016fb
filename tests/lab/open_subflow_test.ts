/** conn.openSubflow: what it opens, and how it says no. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { addressOf, Lab, labNeeds } from "../lab.ts";
import { describe, it } from "../suite.ts";
import { managed } from "./managed.ts";
import { Agent, RemoteError } from "./remote.ts";
import { unprivileged } from "./unprivileged.ts";

const skip = labNeeds();

describe("openSubflow", { skip }, () => {
  for (const version of [4, 6] as const) {
    it(`opens a second path over IPv${version}, which both kernels know and which carries bytes`, async () => {
      await using lab = await Lab.open({ endpoints: false });
      const { client, server } = await managed(lab, { version });
      const opened = await client.run(async ({ here }, remoteAddress) => {
        const { id, local, remote, localId, backup, state } = await here.conn.openSubflow({ remoteAddress });
        return { id, local: local.hostname, remote: remote.hostname, localId, backup, state };
      }, addressOf("server", 2, version));
      assertEquals(opened, {
        id: 2,
        local: addressOf("client", 2, version), // by the routing
        remote: addressOf("server", 2, version),
        localId: 1,
        backup: false,
        state: "ESTABLISHED",
      });
      const theirs = await server.run(({ here }) => here.conn.subflows().map(({ remote }) => remote.hostname), null);
      assertEquals(theirs, [addressOf("client", 1, version), addressOf("client", 2, version)]);
      assertEquals(await client.run(({ here }) => here.conn.pathManager), "userspace");
      const carried = await client.run(async ({ here, send }) => {
        const back = new Uint8Array(1 << 20);
        const sent = send(here.conn, 4 << 20);
        for (let left = 4 << 20; left > 0;) left -= (await here.conn.read(back))!;
        await sent;
        return here.conn.subflows().map(({ tcpInfo }) => tcpInfo.bytesAcked ?? 0);
      });
      assert(carried.every((bytes) => bytes > 10_000), `acknowledged on each: ${carried}`);
    });
  }

  it("opens several to the same place, from one port and another, and one as a backup", async () => {
    await using lab = await Lab.open({ endpoints: false });
    const { client, server } = await managed(lab);
    const rows = await client.run(async ({ here }, remoteAddress) => {
      await here.conn.openSubflow({ remoteAddress });
      await here.conn.openSubflow({ remoteAddress });
      await here.conn.openSubflow({ remoteAddress, localPort: 5001 });
      await here.conn.openSubflow({ remoteAddress, localPort: 5002, backup: true });
      await here.conn.openSubflow(); // beside the initial one
      return here.conn.subflows().map(({ id, local, localId, backup }) =>
        `${id} ${local.hostname} ${local.port < 5003 && local.port} ${localId} ${backup}`
      );
    }, addressOf("server", 2));
    assertEquals(rows, [
      "1 10.0.1.1 false 0 false",
      "2 10.0.2.1 false 1 false",
      "3 10.0.2.1 false 1 false",
      "4 10.0.2.1 5001 2 false",
      "5 10.0.2.1 5002 3 true",
      "6 10.0.1.1 false 0 false",
    ]);
    const theirs = await server.run(({ here }) => here.conn.subflows().map(({ backup }) => backup), null);
    assertEquals(theirs, [false, false, false, false, true, false]);
  });

  it("resolves names, and takes an interface for the address", async () => {
    await using lab = await Lab.open({ endpoints: false });
    const server = Agent.start(lab.server);
    const client = Agent.start(lab.client, { "/etc/hosts": "10.0.1.2 one.test\n10.0.2.2 two.test\n10.0.2.1 mine.test\n" });
    const port = await server.run(({ listen, here }) => {
      here.listener = listen({ port: 0 });
      here.listener.accept().then((conn) => conn.readable.pipeTo(conn.writable).catch(() => conn.close()));
      return here.listener.addr.port;
    });
    const rows = await client.run(async ({ connect, here }, port) => {
      const conn = here.conn = await connect({ hostname: "one.test", port, paths: "userspace" });
      await conn.openSubflow({ localAddress: "mine.test", remoteAddress: "two.test" });
      await conn.openSubflow({ interface: "a2", remoteAddress: "10.0.2.2" });
      return conn.subflows().map(({ local, remote }) => `${local.hostname} ${remote.hostname}`);
    }, port);
    assertEquals(rows, ["10.0.1.1 10.0.1.2", "10.0.2.1 10.0.2.2", "10.0.2.1 10.0.2.2"]);
    const unknown = client.run(({ here }) => here.conn.openSubflow({ remoteAddress: "nowhere.test" }));
    const error = await assertRejects(() => unknown, RemoteError, "Cannot resolve");
    assert(["ENOTFOUND", "EAI_AGAIN"].includes(error.code!), error.code);
  });

  it("opens back what was closed, the initial one too, with nothing lost", async () => {
    await using lab = await Lab.open({ endpoints: false });
    const { client } = await managed(lab);
    const seen = await client.run(async ({ here: { conn } }, remoteAddress) => {
      const { id } = await conn.openSubflow({ remoteAddress });
      await conn.closeSubflow(1);
      await conn.closeSubflow(id);
      const none = conn.subflows().length;
      const written = conn.write(new Uint8Array([7]));
      const again = await conn.openSubflow({ remoteAddress });
      const initial = await conn.openSubflow({ localAddress: "10.0.1.1" });
      await written;
      const back = new Uint8Array(1);
      await conn.read(back);
      return { none, ids: [again.id, initial.id], localIds: [again.localId, initial.localId], back: back[0] };
    }, addressOf("server", 2));
    assertEquals(seen, { none: 0, ids: [3, 4], localIds: [1, 0], back: 7 });
  });

  it("wakes a connection on which nothing was exchanged", async () => {
    await using lab = await Lab.open({ endpoints: false });
    const { client } = await managed(lab, { idle: true });
    const ids = await client.run(async ({ here }, remoteAddress) => {
      const keepAlive = () => [here.conn.getOption(1, 9), here.conn.getOption(6, 4)];
      const before = keepAlive();
      const { id } = await here.conn.openSubflow({ remoteAddress });
      return { id, before, after: keepAlive() };
    }, addressOf("server", 2));
    assertEquals(ids.id, 2);
    assertEquals(ids.after, ids.before);
  });

  it("opens to a port that the peer announced and listens on, and not to one that it did not", async () => {
    await using lab = await Lab.open({ endpoints: false });
    const { client, server } = await managed(lab, { listen: { paths: "userspace" } });
    const remoteAddress = addressOf("server", 2);
    const remotePort = await server.run(({ here, listen, PathManager }, address) => {
      const listener = listen({ hostname: address, port: 0 });
      const { port } = listener.addr;
      using paths = PathManager.open();
      paths.announce({ token: here.conn.token!, address, id: 9, port });
      return port;
    }, remoteAddress);
    const remote = await client.run(async ({ here }, options) => {
      const events = here.conn.events();
      void events;
      return (await here.conn.openSubflow(options)).remote.port;
    }, { remoteAddress, remotePort });
    assertEquals(remote, remotePort);
    const refused = client.run(({ here }, to) => here.conn.openSubflow(to), { remoteAddress, remotePort: 9 });
    const error = await assertRejects(() => refused, RemoteError, "no listener");
    assertEquals([error.code, error.address, error.port], ["ECONNREFUSED", remoteAddress, 9]);
  });

  it("opens from a server to its client, if that listens", async () => {
    await using lab = await Lab.open({ endpoints: false });
    const { client, server } = await managed(lab, { listen: { paths: "userspace" } });
    const localAddress = addressOf("client", 2);
    const port = await client.run(({ here, listen, PathManager }, address) => {
      here.listener = listen({ hostname: address, port: 0, paths: "userspace" });
      using paths = PathManager.open();
      paths.announce({ token: here.conn.token!, address, id: 3, port: here.listener.addr.port });
      return here.listener.addr.port;
    }, localAddress);
    const opened = await server.run(async ({ here }, to) => {
      const { id, local, remote } = await here.conn.openSubflow(to);
      return [id, local.hostname, remote.hostname, remote.port];
    }, { remoteAddress: localAddress, remotePort: port });
    assertEquals(opened, [2, addressOf("server", 2), localAddress, port]);
    assertEquals(await client.run(({ here, until }) => until(() => here.conn.subflows().length === 2)), true);
  });

  it("tells when the peer's limits refuse", async () => {
    await using lab = await Lab.open({ endpoints: false });
    await lab.server.ip("mptcp limits set subflows 0");
    const { client } = await managed(lab);
    const refused = client.run(
      ({ here }, remoteAddress) => here.conn.openSubflow({ remoteAddress }),
      addressOf("server", 2),
    );
    const error = await assertRejects(() => refused, RemoteError, "refused the join");
    assertEquals(error.code, "ECONNRESET");
    assertEquals(await client.run(({ here }) => here.conn.subflows().length), 1);
  });

  it("passes on why the kernel refuses", async () => {
    await using lab = await Lab.open({ endpoints: false });
    const { client } = await managed(lab);
    const remoteAddress = addressOf("server", 2);
    const open = (options: Record<string, unknown>) =>
      client.run(({ here }, options) => here.conn.openSubflow(options), options);
    const cases: [Record<string, unknown>, string][] = [
      [{ remoteAddress, localAddress: "10.9.9.9" }, "EADDRNOTAVAIL"],
      [{ remoteAddress: "192.0.2.1" }, "ENETUNREACH"],
      [{ remoteAddress: "192.0.2.1", localAddress: "10.0.2.1" }, "ENETUNREACH"],
      [{ remoteAddress, localAddress: "fd00:2::1" }, "EINVAL"],
      [{ remoteAddress, interface: "nosuch0" }, "ENODEV"],
      [{ remoteAddress, remotePort: 9 }, "ECONNREFUSED"],
    ];
    for (const [options, code] of cases) {
      const error = await assertRejects(() => open(options), RemoteError);
      assertEquals(error.code, code, `${JSON.stringify(options)}: ${error.message}`);
    }
    await open({ remoteAddress, localPort: 6000 });
    assertEquals((await assertRejects(() => open({ remoteAddress, localPort: 6000 }), RemoteError)).code, "EADDRINUSE");
    for (const options of [{ localPort: 70000 }, { remoteAddress: "" }, { backup: 1 }, { via: "x" }, { timeout: -1 }]) {
      const error = await assertRejects(() => open(options), RemoteError);
      assert(["TypeError", "RangeError"].includes(error.name), error.name);
    }
  });

  it("can be aborted, and takes back what it began", async () => {
    await using lab = await Lab.open({ endpoints: false });
    const { client } = await managed(lab);
    await lab.client.ip("route add 192.0.2.0/24 via 10.0.2.2"); // where nobody has it, or forwards
    const seen = await client.run(async ({ here }) => {
      const to = { remoteAddress: "192.0.2.1" };
      const outcome = (work: Promise<unknown>) =>
        work.then(() => "opened", (error: Error) => `${error.name} ${error.message}`);
      const stop = new AbortController();
      const aborted = outcome(here.conn.openSubflow({ ...to, signal: stop.signal }));
      await new Promise((resolve) => setTimeout(resolve, 20));
      const during = here.conn.subflows().length;
      stop.abort(new Error("enough"));
      return [
        during,
        await aborted,
        await outcome(here.conn.openSubflow({ ...to, timeout: 50 })),
        await outcome(here.conn.openSubflow({ ...to, signal: AbortSignal.abort(new Error("before")) })),
        here.conn.subflows().length,
      ];
    });
    assertEquals(seen, [
      2,
      "Error enough",
      "TimeoutError Cannot open a subflow: no answer in 50 ms",
      "Error before",
      1,
    ]);
  });

  it("ends when the connection is closed meanwhile", async () => {
    await using lab = await Lab.open({ endpoints: false });
    const { client } = await managed(lab);
    await lab.client.ip("route add 192.0.2.0/24 via 10.0.2.2");
    const outcome = await client.run(async ({ here }) => {
      const opening = here.conn.openSubflow({ remoteAddress: "192.0.2.1" });
      const failed = opening.then(() => "opened", (error: Error & { code: string }) => error.code);
      await new Promise((resolve) => setTimeout(resolve, 20));
      here.conn.close();
      return await failed;
    });
    assertEquals(outcome, "ECONNABORTED");
  });

  it("explains itself under the kernel's path manager, and uses an endpoint when asked to", async () => {
    await using lab = await Lab.open();
    await lab.server.ip("mptcp endpoint flush");
    const { client, server } = await managed(lab, { connect: { paths: "kernel" } });
    assertEquals(await client.run(({ here }) => here.conn.pathManager), "kernel");
    const open = (options: Record<string, unknown>) =>
      client.run(
        ({ here }, options) => here.conn.openSubflow(options).then(({ id, local }) => [id, local.hostname]),
        options,
      );
    const error = await assertRejects(() => open({ localAddress: "10.0.2.1" }), RemoteError, "kernel's path manager");
    assertEquals(error.code, "EOPNOTSUPP");
    const wrong = await assertRejects(() => open({ via: "endpoint", remoteAddress: "10.0.2.2" }), RemoteError);
    assertEquals(wrong.name, "TypeError");
    assertEquals(await open({ localAddress: "10.0.2.1", via: "endpoint" }), [2, "10.0.2.1"]);
    assertEquals(await server.run(({ here }) => here.conn.subflows().length), 2);
    assertStringIncludes(await lab.client.ip("mptcp endpoint show"), "10.0.2.1");
    await lab.client.ip("mptcp limits set subflows 1");
  });

  it("is no use on plain TCP", async () => {
    await using lab = await Lab.open();
    const client = Agent.start(lab.client);
    const opening = client.run(async ({ listen, connect }) => {
      using listener = listen({ hostname: "127.0.0.1", port: 0, mptcp: "off" });
      using conn = await connect({ port: listener.addr.port });
      await conn.openSubflow();
    });
    assertEquals((await assertRejects(() => opening, RemoteError, "plain TCP")).code, "EOPNOTSUPP");
  });

  it("names the privilege that it lacks", async () => {
    await using lab = await Lab.open();
    await lab.client.sysctl("net.mptcp.path_manager", "userspace");
    const server = Agent.start(lab.server);
    const port = await server.run(({ listen, here }) => (here.listener = listen({ port: 0 })).addr.port);
    const client = Agent.start(unprivileged(lab.client));
    const seen = await client.run(async ({ connect, here }, port) => {
      here.conn = await connect({ hostname: "10.0.1.2", port });
      const opening = here.conn.openSubflow({ remoteAddress: "10.0.2.2" });
      return await opening.then(() => "opened", ({ code, message, hint }) => [code, message, hint]);
    }, port);
    assertEquals(seen[0], "EPERM");
    assertStringIncludes(seen[1]!, "CAP_NET_ADMIN");
    assertStringIncludes(seen[2]!, "unshare");
  });
});
