import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { assertEquals, assertGreater } from "@std/assert";
import { runtimeCommand } from "../host.ts";
import { MOD } from "../host/program.ts";
import { labNeeds } from "../lab.ts";
import { describe, it } from "../suite.ts";
import { openHost } from "./endpoint_host.ts";

/** The programs of the document, also those that must not run in anybody's own namespace. */
const TEXT = readFileSync(new URL("../../docs/path-manager.md", import.meta.url), "utf8");
const PROGRAMS = [...TEXT.matchAll(/^```ts.*\n([^]*?)^```$/gm)].map(([, source]) => source!);

describe("docs/path-manager.md", { skip: labNeeds() }, () => {
  it("has only code that is run here", () => {
    assertGreater(PROGRAMS.length, 2);
    assertEquals(TEXT.match(/^```/gm)!.length, 2 * PROGRAMS.length);
  });

  for (const [index, source] of PROGRAMS.entries()) {
    it(`has a program ${index + 1} that works`, async () => {
      await using lab = await openHost();
      const folder = mkdtempSync(join(tmpdir(), "mptcp-test-"));
      try {
        const file = join(folder, "program.mts");
        writeFileSync(file, source.replaceAll('"@mptcp/mptcp"', JSON.stringify(MOD)));
        const [command, ...args] = runtimeCommand(file);
        const { code, stdout, stderr } = await lab.host.spawn(command!, args).ended;
        assertEquals(code, 0, stderr);
        assertGreater(stdout.length, 0);
      } finally {
        rmSync(folder, { recursive: true });
      }
    });
  }
});
