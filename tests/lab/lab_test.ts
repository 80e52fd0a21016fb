import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { existsSync, readlinkSync } from "node:fs";
import { parseSs } from "../host.ts";
import { addressOf, Lab, labNeeds } from "../lab.ts";
import { rootlessNeeds } from "../needs.ts";
import { Peer } from "../peers/peer.ts";
import { describe, it } from "../suite.ts";
import { Agent } from "./remote.ts";

const skip = labNeeds("python3", "nft", "tc");

describe("A lab", { skip }, () => {
  it("is gone with everything in it when it is disposed of", async () => {
    const pids: number[] = [];
    {
      await using lab = await Lab.open();
      const peer = lab.server.spawn("sleep", ["60"]);
      pids.push(lab.client.pid, lab.server.pid, peer.pid);
      for (const pid of pids) assert(existsSync(`/proc/${pid}`));
      assert(readlinkSync(`/proc/${lab.client.pid}/ns/net`) !== readlinkSync("/proc/self/ns/net"));
    }
    for (const pid of pids) assertEquals(existsSync(`/proc/${pid}`), false);
  });

  it("tells what a command wrote when it fails", async () => {
    await using lab = await Lab.open();
    const error = await lab.client.ip("link set nothing up").then(() => null, (error: Error) => error);
    assertStringIncludes(error!.message, "nothing");
  });

  it("shapes, cuts and heals its paths", async () => {
    await using lab = await Lab.open({ paths: [{ rateMbit: 10 }, {}, {}] });
    assertStringIncludes(await lab.client.run("tc", ["qdisc", "show", "dev", "a1"]), "rate 10Mbit");
    await lab.cutPath(3);
    assertStringIncludes(await lab.server.run("nft", ["list", "ruleset"]), `iifname "b3" drop`);
    await lab.healPath(3);
    assertEquals((await lab.server.run("nft", ["list", "ruleset"])).trim(), "");
  });

  it("leaves out what is not wanted", async () => {
    await using lab = await Lab.open({ paths: [{}, {}], endpoints: false, ipv4: false });
    assertEquals((await lab.server.ip("mptcp endpoint show")).trim(), "");
    assertEquals((await lab.server.run("ip", ["-4", "addr", "show", "dev", "b1"])).trim(), "");
  });

  it("needs no root where users may have namespaces", { skip: rootlessNeeds() }, async () => {
    await using lab = await Lab.open({ rootless: true });
    await lab.client.sysctl("net.mptcp.stale_loss_cnt", 4);
    await lab.cutPath(2);
    const peer = await Peer.listen(lab.server, "0.0.0.0", { behaviour: "sink" });
    const client = Agent.start(lab.client, { "/etc/hosts": `${addressOf("server", 1)} server.test\n` });
    const multipath = await client.run(async ({ connect }, port) => {
      using conn = await connect({ hostname: "server.test", port });
      return conn.isMultipath();
    }, peer.port);
    assert(multipath);
    assert((await peer.report()).mptcp);
  });
});

describe("parseSs()", () => {
  it("reads the addresses and the words with values", () => {
    const [row] = parseSs("ESTAB 0      0      10.0.1.1:4000 10.0.1.2:80 subflows:1 token:6a fully_established\n");
    assertEquals([row?.state, row?.local, row?.remote], ["ESTAB", "10.0.1.1:4000", "10.0.1.2:80"]);
    assertEquals(row?.info, { subflows: "1", token: "6a", "fully_established": "" });
  });
});
