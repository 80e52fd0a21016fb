import { assert, assertEquals, assertGreater } from "@std/assert";
import { addressOf, Lab, labNeeds } from "../lab.ts";
import { type Behaviour, Peer, type PeerOptions } from "../peers/peer.ts";
import { describe, it } from "../suite.ts";
import { assertFails } from "./assert_fails.ts";
import { Agent } from "./remote.ts";

const skip = labNeeds("python3", "nft");
const SERVER = addressOf("server", 1);

/** A peer on the server, and the library on the client with a connection to it under `here.conn`. */
async function connected(lab: Lab, options: PeerOptions): Promise<{ peer: Peer; client: Agent }> {
  const peer = await Peer.listen(lab.server, SERVER, options);
  const client = Agent.start(lab.client);
  await client.run(async ({ connect, here }, options) => {
    here.conn = await connect(options);
  }, { hostname: SERVER, port: peer.port, mptcp: options.protocol === "tcp" ? "prefer" : "require" } as const);
  assertEquals(await peer.connected(), options.protocol !== "tcp");
  return { peer, client };
}

for (const protocol of ["mptcp", "tcp"] as const) {
  describe(`With a peer that speaks ${protocol.toUpperCase()}`, { skip }, () => {
    it("closeWrite() ends one direction, and the other goes on", async () => {
      await using lab = await Lab.open();
      const { peer, client } = await connected(lab, { protocol, behaviour: "sink" });
      const { sent, end } = await client.run(async ({ here, send }) => {
        const sent = await send(here.conn, 10_000);
        await here.conn.closeWrite();
        return { sent, end: await here.conn.read(new Uint8Array(1)) };
      });
      assertEquals(end, null);
      assertEquals((await peer.done()).receivedSha256, sent.sha256);
    });

    it("the peer's FIN ends reading, and writing goes on", async () => {
      await using lab = await Lab.open();
      const { peer, client } = await connected(lab, { protocol, behaviour: "send", bytes: 10_000 });
      const { came, sent } = await client.run(async ({ here, send, drain }) => {
        const came = await drain(here.conn);
        const sent = await send(here.conn, 10_000);
        here.conn.close();
        return { came, sent };
      });
      const report = await peer.done();
      assertEquals(came.sha256, report.sentSha256);
      assertEquals(report.receivedSha256, sent.sha256);
    });

    it("reset() is ECONNRESET there", async () => {
      await using lab = await Lab.open();
      const { peer, client } = await connected(lab, { protocol, behaviour: "sink" });
      const fastCloses = await client.run(async ({ here, until, counters }) => {
        await here.conn.write(new Uint8Array(1000));
        // Its first bytes must be there: MP_FASTCLOSE belongs to a connection that both ends hold for established.
        await until(() => here.conn.subflows()[0]?.tcpInfo.unacked === 0);
        here.conn.reset();
        return await until(() => counters()["MPFastcloseTx"]!, 500).catch(() => 0);
      });
      if (protocol === "mptcp") assertGreater(fastCloses, 0);
      assertEquals((await peer.done()).error, "ECONNRESET");
    });

    it("its reset is ECONNRESET for a pending read, and for what follows", async () => {
      await using lab = await Lab.open();
      const { peer, client } = await connected(lab, { protocol, behaviour: "reset", bytes: 1000 });
      const pending = client.run(async ({ here, drain }) => {
        await here.conn.write(new Uint8Array(1000));
        await drain(here.conn);
      });
      await assertFails(pending, "ECONNRESET");
      await peer.done();
      await assertFails(client.run(({ here }) => here.conn.read(new Uint8Array(1))), "ECONNRESET");
      const code = await client.run(({ here }) =>
        here.conn.write(new Uint8Array(1)).then(() => "none", (error) => error.code as string)
      );
      assert(["EPIPE", "ECONNRESET"].includes(code), code);
    });

    it("its reset at once does no harm", async () => {
      await using lab = await Lab.open();
      const peer = await Peer.listen(lab.server, SERVER, { protocol, behaviour: "reset" });
      const client = Agent.start(lab.client);
      const code = await client.run(async ({ connect, drain }, options) => {
        try {
          using conn = await connect(options);
          await drain(conn);
          return "end";
        } catch (error) {
          return (error as { code: string }).code;
        }
      }, { hostname: SERVER, port: peer.port });
      assertEquals(code, "ECONNRESET");
    });

    it("its death in the middle of a transfer ends writes and reads", async () => {
      await using lab = await Lab.open();
      // Where its MP_FASTCLOSE comes to nothing, the kernel waits this long (60 s at first) for another subflow.
      await lab.client.sysctl("net.mptcp.close_timeout", 1);
      const { peer, client } = await connected(lab, { protocol, behaviour: "echo" });
      const transfer = client.run(({ here, send, drain }) => Promise.all([send(here.conn, 1e9), drain(here.conn)]));
      const outcome = transfer.then(() => "none", (error) => error.code as string);
      await client.run(({ here, until }) => until(() => here.conn.subflows()[0]!.tcpInfo.bytesReceived! > 1_000_000));
      await peer.kill();
      assert(["ECONNRESET", "EPIPE"].includes(await outcome), await outcome);
    });

    it("its silence keeps writes waiting, and close() ends them", async () => {
      await using lab = await Lab.open();
      const { client } = await connected(lab, { protocol, behaviour: "mute" satisfies Behaviour });
      const write = client.run(({ here, send }) => send(here.conn, 1e9));
      const refused = assertFails(write, "EBADF");
      await client.run(async ({ here, until }) => {
        let last = -1;
        // Full: nothing more was acknowledged for a while.
        await until(() => {
          const { bytesAcked } = here.conn.subflows()[0]!.tcpInfo;
          return bytesAcked! > 0 && bytesAcked === last || (last = bytesAcked!, false);
        });
        here.conn.close();
      });
      await refused;
    });
  });
}
