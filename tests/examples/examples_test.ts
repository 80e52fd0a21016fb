/** The examples, run as a person would. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { Child } from "../child.ts";
import { runtimeCommand } from "../host.ts";
import { support } from "../../mod.ts";
import { addressOf, Lab, labNeeds } from "../lab.ts";

import { ScriptedServer } from "../ftp/scripted_server.ts";
import { CERT, KEY } from "../net/certificate.ts";
import { describe, it } from "../suite.ts";

const path = (name: string) => fileURLToPath(new URL(`../../examples/${name}`, import.meta.url));
const example = (name: string, ...args: string[]) => runtimeCommand(path(name), args);

/** Runs an example to its end. */
async function output(name: string, ...args: string[]): Promise<string> {
  const child = new Child(example(name, ...args));
  const lines = [];
  for await (const line of child) lines.push(line);
  const { code, stderr } = await child.ended;
  assertEquals(code, 0, stderr);
  return lines.join("\n");
}

/** Ends an example as a person at its terminal would. (Deno's own `kill` of a child hides its exit code.) */
async function interrupt(child: Child): Promise<number | null> {
  process.kill(child.pid, "SIGINT");
  return (await child.ended).code;
}

const portOf = async (server: Child) => /port (\d+)/.exec(await server.line())![1]!;

const skip = support().enabled ? false : "no MPTCP here";

describe("examples", { skip }, () => {
  it("listen and connect", async () => {
    await using server = new Child(example("listen.ts"));
    const port = await portOf(server);
    const said = await output("connect.ts", "127.0.0.1", port);
    assertMatch(said, /^hello over several paths\nMPTCP\npath 1: 127\.0\.0\.1 → 127\.0\.0\.1, /);
    assertStringIncludes(await server.line(), "MPTCP");
    assertEquals(await interrupt(server), 0);
  });

  it("tls", async () => {
    const folder = mkdtempSync(join(tmpdir(), "mptcp-example-"));
    try {
      const files = [join(folder, "cert.pem"), join(folder, "key.pem")];
      writeFileSync(files[0]!, CERT);
      writeFileSync(files[1]!, KEY);
      assertEquals(await output("tls.ts", ...files), "a secret, by echo/1");
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("serve and fetch", async () => {
    await using server = new Child(example("serve.ts"));
    const said = await output("fetch.ts", `http://127.0.0.1:${await portOf(server)}/where`);
    assertStringIncludes(said, '"path":"/where"');
    assertStringIncludes(said, '"isMultipath":true');
    assertStringIncludes(said, "MPTCP 1 path(s)");
    assertEquals(await interrupt(server), 0);
  });

  it("ftp", async () => {
    const folder = mkdtempSync(join(tmpdir(), "mptcp-example-"));
    let stored = new Uint8Array();
    using server = await ScriptedServer.start({
      STOR: async (session) => stored = new Uint8Array(await session.receive()),
      RETR: (session) => session.send(stored),
      LIST: (session) => session.send(new TextEncoder().encode("-rw-r--r-- 1 u u 5 Jan 01 2024 file\r\n")),
    });
    try {
      const file = join(folder, "file");
      writeFileSync(file, "hello");
      const said = await output("ftp.ts", "127.0.0.1", `${server.port}`, "u", "p", file);
      assertEquals(readFileSync(`${file}.back`, "utf8"), "hello");
      assertEquals(said.split("\n"), [
        "control: MPTCP",
        "file, 5 bytes",
        "upload: 5 bytes, MPTCP, 1 path(s)",
        "download: 5 bytes, MPTCP, 1 path(s)",
        "list: 37 bytes, MPTCP, 1 path(s)",
      ]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe("examples over two paths", { skip: labNeeds() }, () => {
  it("paths", async () => {
    await using lab = await Lab.open({ endpoints: false });
    const server = lab.server.script(path("listen.ts"));
    const port = await portOf(server);
    const client = lab.client.script(path("paths.ts"), [
      addressOf("server", 1),
      port,
      `${addressOf("client", 2)}=${addressOf("server", 2)}`,
      "192.0.2.77",
    ]);
    const said: string[] = [];
    for await (const line of client) said.push(line);
    const { code, stderr } = await client.ended;
    assertEquals(code, 0, stderr);
    assert(said.includes("subflowOpened 10.0.2.1 → 10.0.2.2"), said.join("\n"));
    assert(said.some((line) => line.startsWith("Cannot open a subflow")), said.join("\n"));
    assert(said.some((line) => line.startsWith("path 2 from 10.0.2.1 carried")), said.join("\n"));
    assertEquals(said.at(-1), "closed");
  });

  it("policy", async () => {
    await using lab = await Lab.open();
    const server = lab.server.script(path("listen.ts"));
    const port = await portOf(server);
    const client = lab.client.script(path("policy.ts"), [addressOf("server", 1), port, "1"]);
    const said: string[] = [];
    for await (const line of client) said.push(line);
    const { code, stderr } = await client.ended;
    assertEquals(code, 0, stderr);
    assert(said.some((line) => line.startsWith("fullMesh: open done 10.0.2.1 10.0.2.2 because full mesh")), said.join("\n"));
    assert(said.some((line) => line.startsWith("10.0.2.1 to 10.0.2.2 carried")), said.join("\n"));
  });
});
