import { assert, assertEquals, assertGreater, assertLess } from "@std/assert";
import { addressOf, Lab, labNeeds } from "../lab.ts";
import { Peer } from "../peers/peer.ts";
import { describe, it } from "../suite.ts";
import { assertFails } from "./assert_fails.ts";
import { Agent } from "./remote.ts";

const skip = labNeeds("python3", "nft", "mount");
const V4 = addressOf("server", 1);
const V6 = addressOf("server", 1, 6);
/** The files that these tests resolve names by; the resolver is asked for nothing. */
const HOSTS = { "/etc/hosts": `${V6} both.test\n${V4} both.test\n${V6} six.test\n${V4} four.test\n` };

async function dial(client: Agent, hostname: string, port: number) {
  return await client.run(async ({ connect, look }, options) => {
    const start = performance.now();
    using conn = await connect(options);
    return { ...look(conn), ms: performance.now() - start };
  }, { hostname, port });
}

describe("A name", { skip }, () => {
  it("with one address leads there", async () => {
    await using lab = await Lab.open();
    const peer = await Peer.listen(lab.server, "::", { behaviour: "echo" });
    const client = Agent.start(lab.client, HOSTS);
    assertEquals((await dial(client, "six.test", peer.port)).remote, V6);
    assertEquals((await dial(client, "four.test", peer.port)).remote, V4);
  });

  it("leads to a host without any IPv4", async () => {
    await using lab = await Lab.open({ ipv4: false });
    const peer = await Peer.listen(lab.server, "::", { behaviour: "echo" });
    const client = Agent.start(lab.client, HOSTS);
    const seen = await dial(client, "both.test", peer.port);
    assertEquals([seen.remote, seen.multipath], [V6, true]);
    assert(await peer.connected());
  });

  it("of both families leads over IPv6 where that works", async () => {
    await using lab = await Lab.open();
    const peer = await Peer.listen(lab.server, "::", { behaviour: "echo" });
    const client = Agent.start(lab.client, HOSTS);
    const seen = await dial(client, "both.test", peer.port);
    assertEquals([seen.remote, seen.multipath], [V6, true]);
    assertLess(seen.ms, 250);
  });

  it("of both families leads over IPv4 at once where IPv6 is refused", async () => {
    await using lab = await Lab.open();
    const peer = await Peer.listen(lab.server, "0.0.0.0", { behaviour: "echo" });
    const client = Agent.start(lab.client, HOSTS);
    const seen = await dial(client, "both.test", peer.port);
    assertEquals([seen.remote, seen.multipath], [V4, true]);
    assertLess(seen.ms, 240);
  });

  it("of both families leads over IPv4 after 250 ms where IPv6 is lost", async () => {
    await using lab = await Lab.open();
    await lab.server.filter({ input: ["meta nfproto ipv6 meta l4proto tcp drop"] });
    const peer = await Peer.listen(lab.server, "::", { behaviour: "echo" });
    const client = Agent.start(lab.client, HOSTS);
    const seen = await dial(client, "both.test", peer.port);
    assertEquals([seen.remote, seen.multipath], [V4, true]);
    assertGreater(seen.ms, 240);
    assertLess(seen.ms, 900);
  });

  it("fails with the reasons of both families, where both fail", async () => {
    await using lab = await Lab.open();
    const client = Agent.start(lab.client, HOSTS);
    const error = await assertFails(
      client.run(({ connect }) => connect({ hostname: "both.test", port: 9 })),
      "ECONNREFUSED",
    );
    assert(error.message.includes(V4) && error.message.includes(V6), error.message);
  });
});
