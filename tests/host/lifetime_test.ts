import { assert, assertEquals } from "@std/assert";
import { existsSync } from "node:fs";
import { describe, it } from "node:test";
import { run, runtime } from "./program.ts";

const START = `
  import { connect, listen } from "MPTCP";
  const listener = listen({ hostname: "127.0.0.1", port: 0 });
  const [client, server] = await Promise.all([connect({ port: listener.addr.port }), listener.accept()]);
`;

function endsWith(source: string, expected: string): void {
  const { code, stdout, stderr } = run(source);
  assertEquals([code, stdout.trim(), stderr.trim()], [0, expected, ""]);
}

describe("a process", () => {
  it("ends though connections are idle", () => {
    endsWith(`${START} listener.close(); console.log("idle", client.fd > 0, server.fd > 0);`, "idle true true");
  });

  it("ends when a waiting read is unref'd", () => {
    endsWith(
      `${START} listener.close(); client.unref(); client.read(new Uint8Array(1)); console.log("waiting");`,
      "waiting",
    );
  });

  it("is kept alive by a waiting read", () => {
    endsWith(
      `${START} listener.close(); client.read(new Uint8Array(1)).then((count) => console.log("read", count));
       setTimeout(() => server.write(new Uint8Array(1)), 100).unref();
       setTimeout(() => {}, 50);`,
      // The timer that writes does not keep the process alive: only the read does.
      "read 1",
    );
  });

  it("is kept alive by a waiting accept, and not by an unref'd one", () => {
    endsWith(
      `${START} client.close(); server.close();
       listener.accept().then((conn) => { console.log("accepted"); conn.close(); listener.close(); });
       setTimeout(() => connect({ port: listener.addr.port }).then((conn) => conn.close()), 100).unref();`,
      "accepted",
    );
    endsWith(`${START} listener.unref(); listener.accept(); console.log("unref'd");`, "unref'd");
  });

  it("may be ended by process.exit with everything pending", () => {
    endsWith(
      `${START} import process from "node:process"; listener.accept().catch(() => {}); client.read(new Uint8Array(1));
       console.log("leaving"); process.exit(0);`,
      "leaving",
    );
  });

  it("prints its system calls when MPTCP_DEBUG=ffi", () => {
    const { code, stdout, stderr } = run(`${START} client.close(); server.close(); listener.close();`, {
      MPTCP_DEBUG: "ffi",
    });
    assertEquals([code, stdout], [0, ""]);
    assert(/^mptcp ffi: socket\(2, \d+, 262\) = \d+$/m.test(stderr), stderr);
    assert(/^mptcp ffi: bind\(\d+, \[16\]0200[0-9a-f]+, 16\) = 0/m.test(stderr), stderr);
  });

  it("prints nothing of its own", () => {
    endsWith(`${START} client.close(); server.close(); listener.close();`, "");
  });
});

describe("a host without libc", () => {
  const env = { MPTCP_LIBC: "/nonexistent/libc.so" };

  it("serves and connects by plain TCP, and says why", () => {
    const { code, stdout, stderr } = run(
      `import { connect, listen, support } from "MPTCP";
       const listener = listen({ hostname: "127.0.0.1", port: 0 });
       const accepted = listener.accept();
       const client = await connect({ port: listener.addr.port });
       const server = await accepted;
       const echo = server.readable.pipeTo(server.writable);
       const sending = client.write(new Uint8Array(3000000)).then(() => client.closeWrite());
       let total = 0, count; const buffer = new Uint8Array(65536);
       while ((count = await client.read(buffer)) !== null) total += count;
       await sending; await echo;
       client.setNoDelay(); client.setKeepAlive();
       console.log(JSON.stringify([total, client.isMultipath(), client.fallback()?.phase, client.info(), client.token,
         client.subflows().map((each) => each.id), listener.mptcp, listener.addr.port === client.remoteAddr.port,
         support().enabled, support().reason === client.fallback()?.message]));
       client.close(); listener.close();`,
      env,
    );
    assertEquals([code, stderr], [0, ""]);
    assertEquals(JSON.parse(stdout), [3000000, false, "socket", null, null, [0], false, true, false, true]);
  });

  it("refuses what needs MPTCP", () => {
    const { stdout } = run(
      `import { connect, listen } from "MPTCP";
       for (const attempt of [() => connect({ port: 1, mptcp: "require" }), () => listen({ port: 0, mptcp: "require" })]) {
         try { await attempt(); } catch (error) { console.log(error.name, error.code); }
       }
       try { await connect({ port: 1 }); } catch (error) { console.log(error.name, error.code, error.errno); }`,
      env,
    );
    assertEquals(stdout.trim().split("\n"), [
      "MptcpError UNSUPPORTED",
      "MptcpError UNSUPPORTED",
      "MptcpError ECONNREFUSED -111",
    ]);
  });
});

// Only Deno has such permissions: on the others there is nothing to test, and so nothing to skip.
if (runtime === "deno") {
  describe("Deno's permissions", () => {
    const program = `
    import { connect, listen, support } from "MPTCP";
    const listener = listen({ hostname: "127.0.0.1", port: 0 });
    const [client, server] = await Promise.all([connect({ port: listener.addr.port }), listener.accept()]);
    console.log(client.isMultipath(), support().enabled);
    client.close(); server.close(); listener.close();`;

    it("--allow-ffi with libc's path is all that is needed", () => {
      const libc = ["/lib/x86_64-linux-gnu/libc.so.6", "/lib/aarch64-linux-gnu/libc.so.6", "/lib64/libc.so.6"].find(
        existsSync,
      );
      const { code, stdout, stderr } = run(program, {}, [libc ? `--allow-ffi=${libc}` : "--allow-ffi"]);
      assertEquals([code, stdout.trim(), stderr], [0, "true true", ""]);
    });

    it("names need that of the resolver, and its absence passes through, too", () => {
      const { stdout } = run(
        `import { connect } from "MPTCP";
       try { await connect({ hostname: "localhost", port: 1 }); } catch (error) {
         console.log(error instanceof Deno.errors.NotCapable, /net access to "localhost".*--allow-net/.test(error.message));
       }`,
        {},
        ["--allow-ffi"],
      );
      assertEquals(stdout.trim(), "true true");
    });

    it("a missing one passes through untouched", () => {
      const { stdout } = run(
        `import { connect, listen, support } from "MPTCP";
       try { listen({ port: 0 }); } catch (error) { console.log(error.name, /--allow-ffi/.test(error.message)); }
       try { await connect({ port: 80 }); } catch (error) { console.log(error.name); }
       const { enabled, reason } = support();
       console.log(enabled, /--allow-ffi/.test(reason));`,
        {},
        ["--deny-ffi"],
      );
      assertEquals(stdout.trim().split("\n"), ["NotCapable true", "NotCapable", "false true"]);
    });
  });
}
