import { assert, assertEquals, assertMatch } from "@std/assert";
import { describe, it } from "node:test";
import { Child } from "../child.ts";
import { runtimeCommand } from "../host.ts";
import { runtime } from "../host/program.ts";
import { answer, RawServer } from "./fetch_kit.ts";
import { fileURLToPath } from "node:url";

const PROGRAM = fileURLToPath(new URL("./fetch_program.ts", import.meta.url));

describe("a process that fetches", () => {
  it("ends by itself, though its connection is kept", async () => {
    using server = new RawServer(() => answer("hello", { "Keep-Alive": "timeout=60" }));
    await using child = new Child(runtimeCommand(PROGRAM, [server.url]));
    assertEquals(JSON.parse(await child.line()), { text: "hello", isMultipath: true });
    const begin = performance.now();
    const { code, stderr } = await child.ended;
    const time = performance.now() - begin;
    assertEquals([code, stderr], [0, ""]);
    assert(time < 3000, `after ${time} ms`); // undici keeps a connection for 4 s
  });

  it("goes to no proxy of its environment, where the runtime's own fetch does", async () => {
    using server = new RawServer(() => answer("hello"));
    const names = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
    const proxies = Object.fromEntries(names.map((name) => [name, "http://127.0.0.1:9"]));
    const none = { NO_PROXY: "", no_proxy: "", NODE_USE_ENV_PROXY: "1" };
    await using child = new Child(runtimeCommand(PROGRAM, [server.url, "own"]), { ...proxies, ...none });
    assertEquals(JSON.parse(await child.line()), { text: "hello", isMultipath: true, theirs: "failed" });
  });

  // Deno alone has permissions.
  if (runtime === "deno") {
    it(
      "gets a missing permission of Deno as it is",
      async () => {
        using server = new RawServer(() => answer("hello"));
        const [deno] = runtimeCommand(PROGRAM);
        const allowed = ["--allow-env", "--allow-read", "--allow-sys", "--no-prompt", "--no-check", "--quiet"];
        await using child = new Child([deno!, "run", ...allowed, PROGRAM, server.url]);
        const { code, stderr } = await child.ended;
        assertEquals(code, 1);
        assertMatch(stderr, /^error: Uncaught .*NotCapable: Requires ffi access/);
        assertEquals(server.requests.length, 0);
      },
    );
  }
});
