/** `FtpClient` and servers that know nothing of MPTCP, under mptcpize, over two paths. */
import { assert, assertEquals, assertGreater, fail } from "@std/assert";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Child } from "../child.ts";
import { assertPlainTcp } from "../ecosystem/both_ends.ts";
import type { Daemon } from "../ecosystem/daemon.ts";
import type { Open, Over } from "../ftp/lab_client.ts";
import { type FtpServer, pyftpdlib, vsftpd } from "../ftp/servers.ts";
import { addressOf, type Host, Lab } from "../lab.ts";
import { describe, it } from "../suite.ts";
import { until } from "./until.ts";

const PROGRAM = fileURLToPath(new URL("../ftp/lab_client.ts", import.meta.url));

/**
 * A lab where who listens for data announces its second address, with a port at which the kernel itself takes subflows: data
 * connections have listeners that are bound to one address, and often closed as soon as the connection is there.
 */
async function openLab(mode: "passive" | "active"): Promise<Lab> {
  const lab = await Lab.open({ paths: [{ rateMbit: 100 }, { rateMbit: 100 }], endpoints: false });
  const [host, address, device] = mode === "passive"
    ? [lab.server, addressOf("server", 2), "b2"] as const
    : [lab.client, addressOf("client", 2), "a2"] as const;
  await host.ip(`mptcp endpoint add ${address} dev ${device} port 2000 signal`);
  return lab;
}

const portOf = (address: string) => Number(address.slice(address.lastIndexOf(":") + 1));

/** The sockets of a connection at one host: itself, and its subflows that have carried enough. */
async function socketsOf(host: Host, near: number, far: number, carried: number) {
  const { mptcp, tcp } = await host.ss();
  const connection = mptcp.find(({ local, remote }) => portOf(local) === near && portOf(remote) === far);
  const token = connection?.info["token"];
  const subflows = tcp.filter(({ info }) => token && info["token"]?.includes(`/${token}(`)).filter(({ info }) => {
    return Number(info["bytes_acked"] ?? 0) + Number(info["bytes_received"] ?? 0) >= carried;
  });
  return { connection, subflows, strangers: tcp.filter(({ info }) => !("tcp-ulp-mptcp" in info)) };
}

/** Asserts that a connection is MPTCP with a subflow on each path as both kernels say, and that nothing in the lab is plain TCP. */
async function assertTwoPaths(lab: Lab, { localPort, port, multipath }: Open, carried = 0): Promise<void> {
  assert(multipath, "the client calls it TCP");
  const look = () => {
    return Promise.all([
      socketsOf(lab.client, localPort, port, carried),
      socketsOf(lab.server, port, localPort, carried),
    ]);
  };
  const ends = await until(async () => {
    const now = await look();
    return now.every(({ subflows }) => subflows.length >= 2) && now;
  }).catch(async () => fail(`Not 2 subflows with ${carried} bytes each: ${JSON.stringify(await look())}`));
  for (const { connection, strangers } of ends) {
    assert(connection && !("fallback" in connection.info), "fallen back");
    assertEquals(strangers, []);
  }
}

function begin(lab: Lab, scenario: string, server: FtpServer, daemon: Daemon, tls = false): Child {
  const args = [scenario, addressOf("server", 1), `${daemon.port}`, server.user, tls ? "tls" : "plain"];
  return lab.client.script(PROGRAM, args);
}

async function ending(child: Child): Promise<void> {
  child.endInput();
  const { code, stderr } = await child.ended;
  assertEquals({ code, stderr }, { code: 0, stderr: "" });
}

const SIZE = 12_000_000;

for (const server of [vsftpd, pyftpdlib]) {
  describe(`FtpClient and ${server.name}`, { skip: server.skip }, () => {
    for (const tls of [false, true]) {
      for (const mode of ["passive", "active"] as const) {
        // Both ways and both channels with the one, half of it with the other: each of these takes its time.
        if (server === pyftpdlib && tls === (mode === "active")) continue;
        it(`${mode}${tls ? ", by TLS" : ""}: control and data go over two paths, as both ends say`, async () => {
          await using lab = await openLab(mode);
          await using daemon = await server.start(lab.server, { tls });
          const client = begin(lab, mode, server, daemon, tls);
          const control = await client.json<Open>();
          await assertTwoPaths(lab, control);
          for (let transfer = 0; transfer < 2; transfer++) {
            client.send("go on");
            await assertTwoPaths(lab, await client.json<Open>(), 100_000);
          }
          client.send("go on");
          const { sent, received, names, over } = await client.json<
            { sent: string; received: string; names: string[]; over: Over[] }
          >();
          assertEquals(received, sent);
          const stored = readFileSync(join(daemon.folder, "files/large"));
          assertEquals(createHash("sha256").update(stored).digest("hex"), sent);
          assertEquals(names, [`large ${SIZE}`]);
          assertEquals(over.map(({ kind, isMultipath, fallback }) => [kind, isMultipath, fallback]), [
            ["upload", true, null],
            ["download", true, null],
            ["list", true, null],
          ]);
          assertEquals(over.slice(0, 2).map(({ bytes, subflows }) => [bytes, subflows]), [[SIZE, 2], [SIZE, 2]]);
          assertGreater(over[2]!.bytes, 20);
          await ending(client);
        });
      }
    }

    it("do what FTP is for: directories, resuming, mirroring, progress, abort", async () => {
      await using lab = await Lab.open();
      await using daemon = await server.start(lab.server);
      const client = begin(lab, "everyday", server, daemon);
      assertEquals(await client.json(), {
        size: 100_000,
        resumed: true,
        recent: true,
        pwd: "/a/b ü",
        empty: 0,
        mirror: ["deep", "deep/two", "one"],
        two: "22",
        left: ["a true"],
        none: 550,
        untouched: false,
        progress: SIZE,
        "download aborted": "AbortError",
        "upload aborted": "AbortError",
        "uploaded whole": false,
        closed: false,
        kinds: [true],
      });
      await ending(client);
    });
  });
}

describe("FtpClient and a server without MPTCP", { skip: pyftpdlib.skip }, () => {
  it("fall back to TCP, and tell it", async () => {
    await using lab = await Lab.open();
    await using daemon = await pyftpdlib.start(lab.server, { mptcpize: false });
    const client = begin(lab, "fallback", pyftpdlib, daemon);
    const { control, phase, over } = await client.json<{ control: boolean; phase: string; over: Over[] }>();
    assert(!control);
    assertEquals(phase, "handshake");
    assertEquals(over, [{ kind: "upload", isMultipath: false, bytes: SIZE, subflows: 1, fallback: "handshake" }]);
    await assertPlainTcp(lab, daemon.port, 1);
    client.send("go on");
    assertEquals(await client.json(), { refused: { name: "MptcpError", code: "EOPNOTSUPP" } });
    await ending(client);
  });
});
