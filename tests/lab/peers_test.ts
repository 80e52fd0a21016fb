import { assert, assertEquals } from "@std/assert";
import { addressOf, Lab, labNeeds } from "../lab.ts";
import { type Language, Peer } from "../peers/peer.ts";
import { describe, it } from "../suite.ts";
import { Agent } from "./remote.ts";

const LANGUAGES: readonly (readonly [Language, string | false])[] = [
  ["python", labNeeds("python3")],
  ["c", labNeeds("gcc")],
];
const BYTES = 500_000;

for (const [language, skip] of LANGUAGES) {
  for (const version of [4, 6] as const) {
    const server = addressOf("server", 1, version);

    describe(`A peer in ${language} over IPv${version}`, { skip }, () => {
      it("as a server gets what connect() sends, and both kernels call it MPTCP", async () => {
        await using lab = await Lab.open();
        const peer = await Peer.listen(lab.server, server, { language, behaviour: "echo" });
        const client = Agent.start(lab.client);
        const { seen, sent, back } = await client.run(async ({ connect, send, drain, look }, [hostname, port, bytes]) => {
          using conn = await connect({ hostname, port, mptcp: "require" });
          const back = drain(conn);
          const sent = await send(conn, bytes);
          const seen = look(conn);
          await conn.closeWrite();
          return { seen, sent, back: await back };
        }, [server, peer.port, BYTES] as const);
        const report = await peer.report();
        assertEquals(back, sent);
        assertEquals({ bytes: report.received, sha256: report.receivedSha256 }, sent);
        assertEquals({ bytes: report.sent, sha256: report.sentSha256 }, sent);
        assert(report.mptcp, "the peer's kernel says TCP");
        assert(seen.multipath);
        assertEquals(seen.fallback, null);
        assertEquals([seen.local, seen.remote], [addressOf("client", 1, version), server]);
      });

      it("as a client gets what accept() sends back, and both kernels call it MPTCP", async () => {
        await using lab = await Lab.open();
        const host = Agent.start(lab.server);
        const port = await host.run(({ listen, here, look }, hostname) => {
          const listener = listen({ hostname, port: 0, mptcp: "require" });
          here.later = listener.accept().then(async (conn) => {
            const block = new Uint8Array(65536);
            const seen = look(conn);
            for (let count; (count = await conn.read(block)) !== null;) await conn.write(block.subarray(0, count));
            await conn.closeWrite();
            return seen;
          });
          return listener.addr.port;
        }, server);
        const peer = await Peer.connect(lab.client, server, port, { language, behaviour: "send", bytes: BYTES });
        const report = await peer.report();
        const seen = await host.run(({ here }) => here.later) as { multipath: boolean; local: string; remote: string };
        assert(report.mptcp, "the peer's kernel says TCP");
        assertEquals(report.sent, BYTES);
        assertEquals(report.receivedSha256, report.sentSha256);
        assert(seen.multipath);
        assertEquals([seen.local, seen.remote], [server, addressOf("client", 1, version)]);
      });
    });
  }
}
