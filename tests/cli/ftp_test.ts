/** `mptcp ftp`: addresses, hostile names, and the command with a real server over two paths. */
import { assertEquals, assertGreater, assertMatch, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { describe, it } from "node:test";
import { baseName, ftpAddress, isFtpAddress } from "../../cli/ftp/address.ts";
import { mirrorDown } from "../../cli/ftp/mirror.ts";
import { carriedText, checkName, type Session, visible } from "../../cli/ftp/session.ts";
import type { Ended } from "../child.ts";
import { pyftpdlib, vsftpd } from "../ftp/servers.ts";
import { addressOf, Lab } from "../lab.ts";
import { until } from "../lab/until.ts";
import { mptcp, ran } from "./command_line.ts";
import { PseudoTerminal } from "./terminal.ts";

describe("ftp: addresses", () => {
  it("hosts, ports, users and paths", () => {
    assertEquals(ftpAddress("ftp://ftp.example.org/pub/a%20b"), {
      host: "ftp.example.org",
      port: 21,
      implicit: false,
      user: undefined,
      password: undefined,
      path: "pub/a b",
      shown: "ftp://ftp.example.org/pub/a%20b",
    });
    const { host, port, user, password, path, shown } = ftpAddress("ftps://me:s%40x@[2001:db8::1]:2121/%2Fetc/motd");
    assertEquals([host, port, user, password, path], ["2001:db8::1", 2121, "me", "s@x", "/etc/motd"]);
    assertEquals(shown.includes("s%40x"), false);
    assertEquals(ftpAddress("ftps://h").port, 990);
    assertEquals([baseName("a/b/"), baseName(""), isFtpAddress("FTP://h"), isFtpAddress("ftp:h")], ["b", "", true, false]);
  });

  it("refuses what is none, and what would be another command", () => {
    for (
      const text of [
        "http://h/",
        "ftp://",
        "h",
        "ftp://h/a?b",
        "ftp://h/a#b",
        "ftp://h/%zz",
        "ftp://h/a%0d%0aDELE%20b",
        "ftp://u%00@h/",
      ]
    ) {
      assertThrows(() => ftpAddress(text));
    }
  });

  it("names of a server lead nowhere else, and do nothing to a terminal", async () => {
    for (const name of ["", ".", "..", "a/b", "../x", "a\0b", "a\nb"]) assertThrows(() => checkName(name));
    checkName("...");
    assertEquals(visible("a\x1b[2Jb\u202ec"), "a?[2Jb?c");
    const entry = { name: "../../escaped", size: 1, isDirectory: false, isFile: true };
    const session = { client: { list: () => Promise.resolve([entry]) } } as unknown as Session;
    const folder = mkdtempSync(join(tmpdir(), "ftp-"));
    const options = { resume: false, signal: AbortSignal.timeout(5000), say: () => {} };
    await assertRejects(() => mirrorDown(session, "/", join(folder, "in"), options), Error, "which is no name");
    const loop = {
      client: { list: () => Promise.resolve([{ ...entry, name: "d", isDirectory: true }]) },
    } as unknown as Session;
    await assertRejects(() => mirrorDown(loop, "/", join(folder, "in"), options), Error, "deeper than 64");
    rmSync(folder, { recursive: true });
  });

  it("says by which paths", () => {
    const path = (name: string, bytes: number, share: number) => ({ name, bytes, share });
    const common = { multipath: true, fallback: null };
    assertEquals(carriedText({ ...common, paths: [] }), "nothing was transferred");
    assertEquals(
      carriedText({ ...common, paths: [path("a", 3, 0.75), path("b", 1, 0.25)] }),
      "over 2 paths: 75 % a, 25 % b",
    );
    assertEquals(carriedText({ ...common, paths: [path("a", 3, 1), path("b", 0, 0)] }), "by MPTCP over one path: 100 % a");
    assertEquals(carriedText({ multipath: false, fallback: "why", paths: [path("a", 3, 1)] }), "by plain TCP (why)");
  });
});

describe("ftp: wrong arguments, nobody there", { skip: process.platform !== "linux" && "MPTCP needs Linux" }, () => {
  it("one clear line, and the right code", async () => {
    const wrong = [["ls"], ["del", "ftp://h/"], ["ls", "http://h/"], ["get", "ftp://h/"], ["put", "file"], [
      "mirror",
      "a",
      "b",
    ]];
    await Promise.all(wrong.map(async (args) => {
      const { code, stdout, stderr } = await ran(["ftp", ...args]);
      assertEquals([code, stdout], [2, ""], `${args}: ${stderr}`);
      assertMatch(stderr, /^mptcp ftp: .*\n$/);
    }));
    const nobody = await ran(["ftp", "ls", "ftp://127.0.0.1:1/"]);
    assertEquals([nobody.code, nobody.stdout], [1, ""]);
    assertMatch(nobody.stderr, /^mptcp ftp: .*ECONNREFUSED.*\n$/);
    const none = await ran(["ftp", "ls", "--require", "ftp://127.0.0.1:1/"], { MPTCP_LIBC: "/nonexistent" });
    assertEquals([none.code, none.stdout], [3, ""], none.stderr);
  });
});

const server = pyftpdlib.skip === false ? pyftpdlib : vsftpd;

describe(`ftp: with ${server.name}, over two paths`, { skip: server.skip }, () => {
  it("ls, get, put, mirror, resume, an interruption, a server that goes", async () => {
    await using lab = await Lab.open({ paths: [{ rateMbit: 60 }, { rateMbit: 60 }], endpoints: false });
    await lab.server.ip(`mptcp endpoint add ${addressOf("server", 2)} dev b2 port 2000 signal`);
    const folder = mkdtempSync(join(tmpdir(), "ftp-"));
    const here = (name: string) => join(folder, name);
    try {
      await using daemon = await server.start(lab.server);
      const remote = (name: string) => join(daemon.folder, "files", name);
      const url = (path: string) => `ftp://${addressOf("server", 1)}:${daemon.port}/${path}`;
      const start = (...args: string[]) => {
        const [program, ...rest] = mptcp("ftp", ...args);
        return lab.client.spawn(program!, rest, { MPTCP_FTP_AUTH: `${server.user}:p` });
      };
      const command = async (...args: string[]): Promise<Ended> => {
        await using child = start(...args);
        return await child.ended;
      };
      const content = randomBytes(6_000_000);
      writeFileSync(here("large"), content);

      const put = await command("put", here("large"), url(""));
      assertEquals([put.code, put.stdout], [0, ""], put.stderr);
      assertMatch(
        put.stderr,
        /: 6\.0 MB in [\d.]+ s, [\d.]+ Mbit\/s, over 2 paths: \d+ % 10\.0\.1\.1 to 10\.0\.1\.2, \d+ % 10\.0\.2\.1 to 10\.0\.2\.2\n$/,
      );
      assertEquals(readFileSync(remote("large")).equals(content), true);

      // What does not depend on each other, at once.
      writeFileSync(here("begun"), content.subarray(0, 5_000_000));
      writeFileSync(remote("begun"), content.subarray(0, 4_000_000));
      mkdirSync(here("tree/deep er"), { recursive: true });
      writeFileSync(here("tree/one"), "1");
      writeFileSync(here("tree/deep er/two"), "22");
      const [list, table, got, missing, up, resumed, appended] = await Promise.all([
        command("ls", "--json", url("")),
        command("ls", url("")),
        command("get", "--json", url("large"), here("copy")),
        command("get", url("missing"), here("missing")),
        command("mirror", here("tree"), url("up")),
        command("get", "-c", "--json", url("large"), here("begun")),
        command("put", "-c", here("large"), url("begun")),
      ]);
      const entries = JSON.parse(list.stdout) as { name: string; type: string; size: number }[];
      const large = entries.find(({ name }) => name === "large")!;
      assertEquals([large.type, large.size], ["file", 6_000_000]);
      assertMatch(table.stdout, /^TYPE +SIZE +MODIFIED +NAME\n/);
      assertMatch(table.stdout, /\nfile +6000000 .* large\n/);
      const { bytes, multipath, paths } = JSON.parse(got.stdout) as {
        bytes: number;
        multipath: boolean;
        paths: { share: number }[];
      };
      assertEquals([got.code, bytes, multipath, paths.length], [0, 6_000_000, true, 2]);
      for (const { share } of paths) assertGreater(share, 0.05);
      assertEquals([missing.code, existsSync(here("missing"))], [1, false]);
      assertMatch(missing.stderr, /^mptcp ftp: 550 .*\n$/);
      assertStringIncludes(up.stderr, "2 files, 0 there already");
      assertEquals([JSON.parse(resumed.stdout).resumedAt, JSON.parse(resumed.stdout).bytes], [5_000_000, 1_000_000]);
      assertStringIncludes(appended.stderr, ": 2.0 MB in ");
      for (const file of [here("copy"), here("begun"), remote("begun")]) {
        assertEquals(readFileSync(file).equals(content), true);
      }

      const [again, complete, left, down, output] = await Promise.all([
        command("get", url("large"), here("copy")),
        command("get", "-c", url("large"), here("copy")),
        command("mirror", here("tree"), url("up")),
        command("mirror", "--json", url("up"), here("down")),
        command("get", "-q", url("up/one"), "-"),
      ]);
      assertEquals([output.code, output.stdout, output.stderr], [0, "1", ""]);
      assertEquals(again.code, 1);
      assertStringIncludes(again.stderr, "is there already; --continue goes on with it, --force overwrites it");
      assertStringIncludes(complete.stderr, "is complete");
      assertStringIncludes(left.stderr, "0 files, 2 there already");
      assertEquals([JSON.parse(down.stdout).files, JSON.parse(down.stdout).skipped], [2, 0]);
      assertEquals(readFileSync(here("down/deep er/two"), "utf8"), "22");
      assertEquals(readdirSync(here("down")).sort(), ["deep er", "one"]);

      // On a terminal there is a bar; Ctrl-C in the middle. Then the server goes in the middle.
      writeFileSync(remote("huge"), Buffer.alloc(60_000_000));
      {
        const env = { MPTCP_FTP_AUTH: `${server.user}:p`, TERM: "xterm", LANG: "C.UTF-8" };
        const open = ([program, ...args]: string[]) => lab.client.spawn(program!, args, env);
        await using terminal = new PseudoTerminal(open, mptcp("ftp", "get", url("huge"), here("part")));
        await terminal.until(({ text }) => /█.* \d+ % +[\d.]+ MB +[\d.]+ Mbit\/s +2 paths /.test(text));
        terminal.type("\x03");
        assertEquals(await terminal.ended(), { code: 130, echo: true });
        assertStringIncludes(terminal.text, `--continue goes on with ${here("part")}`);
      }
      await using child = start("get", "--timeout=2", url("huge"), here("lost"));
      await until(() => existsSync(here("lost")) && statSync(here("lost")).size > 200_000, 10_000);
      await daemon[Symbol.asyncDispose]();
      const { code, stderr } = await child.ended;
      assertEquals(code, 1);
      assertMatch(stderr, /^--continue goes on with .*\nmptcp ftp: .*\n$/);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
