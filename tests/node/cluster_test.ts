/** Servers in the workers of a cluster, where Node takes descriptors for those of the primary. */
import { assertEquals } from "@std/assert";
import { describe, it } from "node:test";
import { run, runtime } from "../host/program.ts";

const NODE = JSON.stringify(new URL("../../node/mod.ts", import.meta.url).href);
const AUTO = JSON.stringify(new URL("../../node/auto.ts", import.meta.url).href);

/** A primary that connects to its worker; `listening` is what the worker does, and it ends in a `port`. */
function cluster(listening: string, first: string): string {
  return `
    ${first}
    import { connect, listen } from "MPTCP";
    import cluster from "node:cluster";
    import { once } from "node:events";
    import process from "node:process";
    if (cluster.isWorker) {
      ${listening}
      process.send(port);
    } else {
      const worker = cluster.fork();
      const [port] = await once(worker, "message");
      const conn = await connect({ port, timeout: 5000 });
      const count = await conn.read(new Uint8Array(9));
      console.log(conn.isMultipath(), count);
      conn.close();
      worker.kill();
    }
  `;
}

describe("in a cluster's worker", () => {
  const expected = [0, "true 5", ""];

  /** @param first What both processes begin with. */
  function serves(listening: string, first = ""): void {
    const { code, stdout, stderr } = run(cluster(listening, first));
    assertEquals([code, stdout.trim(), stderr], expected);
  }

  it("listen accepts by MPTCP", () => {
    serves(`
      const listener = listen({ port: 0 });
      const { port } = listener.addr;
      listener.accept().then((conn) => conn.write(new Uint8Array(5)));
    `);
  });

  it("createServer accepts by MPTCP, or says that it cannot", () => {
    if (runtime === "deno") {
      const { stdout } = run(`
        import cluster from "node:cluster";
        import { createServer } from ${NODE};
        if (cluster.isPrimary) cluster.fork();
        else {
          createServer().listen(0).on("error", (error) => {
            console.log(error.code, error.name);
            process.exit();
          });
        }
      `);
      return assertEquals(stdout.trim(), "EOPNOTSUPP MptcpError");
    }
    serves(`
      const { createServer } = await import(${NODE});
      const server = createServer((socket) => socket.end("hello")).listen(0, "127.0.0.1");
      await once(server, "listening");
      const { port } = server.address();
    `);
  });

  for (const exclusive of runtime === "deno" ? [false] : [true, false]) {
    it(`servers of the runtime do under auto, by ${exclusive ? "a port of their own" : "the cluster's port"}`, () => {
      serves(
        `
        const { createServer } = await import("node:net");
        const server = createServer((socket) => socket.end("hello"));
        server.listen({ port: 0, host: "127.0.0.1", exclusive: ${exclusive} });
        await once(server, "listening");
        const { port } = server.address();
      `,
        `import ${AUTO};`,
      );
    });
  }
});
