/** What the libraries before this one promised and tested, told with this one's calls. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { addressOf, Lab, labNeeds } from "../lab.ts";
import { describe, it } from "../suite.ts";
import { managed } from "./managed.ts";
import { Agent, RemoteError } from "./remote.ts";
import { without } from "./unprivileged.ts";

const skip = labNeeds();

describe("simpler-mptcp-api and go-mptcp-api", { skip }, () => {
  it("open five of which three succeed, list four, tell tuples, close two, and these are gone", async () => {
    await using lab = await Lab.open({ endpoints: false });
    const server = Agent.start(lab.server);
    const target = { hostname: addressOf("server", 1), port: 0 };
    target.port = await server.run(({ listen, here }) => {
      here.listener = listen({ port: 0 });
      here.listener.accept().then((conn) => (here.conn = conn).readable.pipeTo(conn.writable).catch(() => conn.close()));
      return here.listener.addr.port;
    });
    // The privileged port is refused to who lacks that one capability.
    const client = Agent.start(without(lab.client, "net_bind_service"));
    await client.run(async ({ connect, here }, target) => {
      here.conn = await connect({ ...target, paths: "userspace" });
      await here.conn.write(new Uint8Array(1));
      await here.conn.read(new Uint8Array(1));
    }, target);
    const open = (options: Record<string, unknown>) =>
      client.run(({ here }, options) => here.conn.openSubflow(options).then(({ id }) => id), options);
    const remoteAddress = addressOf("server", 1);

    // open_sub, OpenSub
    const ids = [
      await open({ localAddress: addressOf("client", 1), localPort: 64001, remoteAddress }),
      await open({ localAddress: addressOf("client", 2), localPort: 64002, remoteAddress: addressOf("server", 2) }),
      await open({ localAddress: "::", remoteAddress }),
    ];
    assert(ids.every((id) => id > 0));
    const privileged = await assertRejects(() => open({ localPort: 10, remoteAddress }), RemoteError);
    assertEquals(privileged.code, "EACCES");
    await assertRejects(() => open({ remoteAddress: "no-such-host.invalid" }), RemoteError, "Cannot resolve");

    // get_sub_ids, GetSubIDS
    const listed = await client.run(({ here }) => here.conn.subflows().map(({ id }) => id));
    assertEquals(listed.length, 4);
    assertEquals(new Set(listed), new Set([1, ...ids]));

    // get_sub_tuple, GetSubTuple: both ends with their ports, and the priority
    const tuples = await client.run(({ here }) =>
      here.conn.subflows().map(({ local, remote, backup }) => ({ local, remote, backup }))
    );
    for (const { local, remote, backup } of tuples) {
      assert(local.port > 0 && remote.port === target.port, JSON.stringify({ local, remote }));
      assertEquals(backup, false);
    }
    assertEquals(tuples[1]!.local, { transport: "tcp", hostname: addressOf("client", 1), port: 64001 });
    assertEquals(tuples[2]!.local, { transport: "tcp", hostname: addressOf("client", 2), port: 64002 });
    assertEquals(await client.run(({ here }) => here.conn.subflows().find(({ id }) => id === 100) ?? null), null);

    // close_sub, CloseSub
    const close = (id: number) => client.run(({ here }, id) => here.conn.closeSubflow(id), id);
    await close(ids[0]!);
    await close(ids[1]!);
    assertEquals((await assertRejects(() => close(100), RemoteError)).code, "EINVAL");
    const left = await client.run(({ here }) => here.conn.subflows().map(({ id }) => id));
    assertEquals(left, [1, ids[2]]);
    // The other end agrees, and the connection still carries bytes.
    const theirs = await server.run(({ here, until }) => until(() => here.conn.subflows().length === 2));
    assertEquals(theirs, true);
    const back = await client.run(async ({ here }) => {
      await here.conn.write(new Uint8Array([42]));
      const byte = new Uint8Array(1);
      await here.conn.read(byte);
      return byte[0];
    });
    assertEquals(back, 42);
  });

  it("duplicate a subflow by its tuple with another source port", async () => {
    await using lab = await Lab.open({ endpoints: false });
    const { client } = await managed(lab);
    const ports = await client.run(async ({ here: { conn } }) => {
      const [{ local, remote }] = conn.subflows() as [ReturnType<typeof conn.subflows>[0]];
      const twin = await conn.openSubflow({
        localAddress: local.hostname,
        localPort: 64003,
        remoteAddress: remote.hostname,
        remotePort: remote.port,
      });
      return [twin.local.port, twin.local.hostname === local.hostname, conn.subflows().length];
    });
    assertEquals(ports, [64003, true, 2]);
  });
});

describe("mptcplib", { skip }, () => {
  for (const version of [4, 6] as const) {
    it(`transfers over IPv${version}, counts the subflows, and knows an MPTCP socket from another`, async () => {
      await using lab = await Lab.open();
      const server = Agent.start(lab.server);
      const client = Agent.start(lab.client);
      const ports = await server.run(({ listen, here, drain }) => {
        here.listener = listen({ hostname: "::", port: 0 });
        const plain = listen({ hostname: "::", port: 0, mptcp: "off" });
        here.later = Promise.all([here.listener, plain].map(async (listener) => {
          using conn = await listener.accept();
          return { ...await drain(conn), multipath: conn.isMultipath() };
        }));
        return [here.listener.addr.port, plain.addr.port];
      });
      const sent = await client.run(async ({ connect, send, support }, { hostname, ports }) => {
        const results = [];
        for (const port of ports) {
          using conn = await connect({ hostname, port });
          const { sha256, bytes } = await send(conn, 300_000);
          results.push({ sha256, bytes, multipath: conn.isMultipath(), some: conn.subflows().length >= 1 });
          await conn.closeWrite();
          await conn.read(new Uint8Array(1));
        }
        return { results, enabled: support().enabled };
      }, { hostname: addressOf("server", 1, version), ports });
      assertEquals(sent.enabled, true);
      assertEquals(sent.results.map(({ multipath, some }) => [multipath, some]), [[true, true], [false, true]]);
      const received = await server.run(({ here }) => here.later) as { sha256: string; bytes: number; multipath: boolean }[];
      assertEquals(
        received,
        sent.results.map(({ sha256, bytes, multipath }) => ({ bytes, sha256, multipath })),
      );
    });
  }

  it("falls back to TCP on a host without MPTCP", async () => {
    await using lab = await Lab.open();
    await lab.client.sysctl("net.mptcp.enabled", 0);
    const client = Agent.start(lab.client);
    const seen = await client.run(async ({ listen, connect, support }) => {
      using listener = listen({ port: 0 });
      using conn = await connect({ port: listener.addr.port });
      const refusal = await connect({ port: listener.addr.port, mptcp: "require" }).catch((error) => error);
      const hint = [refusal.code, /sysctl/.test(refusal.hint), refusal.message.split("sysctl").length];
      return [support().enabled, listener.mptcp, conn.isMultipath(), conn.fallback()!.phase, ...hint];
    });
    assertEquals(seen, [false, false, false, "socket", "ENOPROTOOPT", true, 2]);
  });
});
