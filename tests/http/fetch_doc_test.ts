import { assertEquals, assertGreater } from "@std/assert";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { Child } from "../child.ts";
import { runtimeCommand } from "../host.ts";
import { runtime } from "../host/program.ts";
import { CERT } from "../net/certificate.ts";
import { answer, RawServer } from "./fetch_kit.ts";

const TEXT = readFileSync(new URL("../../docs/fetch.md", import.meta.url), "utf8");
const PROGRAMS = [...TEXT.matchAll(/^```ts\n([^]*?)^```$/gm)].map(([, source]) => source!);
const HTTP = new URL("../../http/mod.ts", import.meta.url).href;
const CONFIG = fileURLToPath(new URL("../../deno.json", import.meta.url));

describe("docs/fetch.md", () => {
  it("has only code that is run here", () => {
    assertGreater(PROGRAMS.length, 2);
    assertEquals(TEXT.match(/^```/gm)!.length, 2 * PROGRAMS.length);
  });

  for (const [index, source] of PROGRAMS.entries()) {
    it(`has a program ${index + 1} that works`, async () => {
      using plain = new RawServer(() => answer("hello"));
      using secure = new RawServer(({ body }) => answer(`${body.length}`), { tls: true });
      const folder = mkdtempSync(join(tmpdir(), "mptcp-test-"));
      try {
        const [file, authority] = [join(folder, "program.mts"), join(folder, "ca.pem")];
        writeFileSync(authority, CERT);
        const text = source.replaceAll('"@mptcp/mptcp/http"', JSON.stringify(HTTP)).replaceAll("ca.pem", authority)
          .replaceAll("http://server.example", plain.url).replaceAll("https://server.example", secure.url);
        writeFileSync(file, text);
        const [command, ...args] = runtimeCommand(file);
        // Deno looks for the names of packages beside the program.
        if (runtime === "deno") args.splice(1, 0, `--config=${CONFIG}`);
        await using child = new Child([command!, ...args]);
        const { code, stdout, stderr } = await child.ended;
        assertEquals([code, stderr], [0, ""]);
        assertGreater(stdout.length, 0);
        assertEquals(plain.requests.length + secure.requests.length, 1);
      } finally {
        rmSync(folder, { recursive: true });
      }
    });
  }
});
