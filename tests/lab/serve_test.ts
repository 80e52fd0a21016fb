/** `serve` where there are two paths: large bodies go over both, as the kernels of both ends count. */
import { describe, it } from "node:test";
import { assertEquals, assertGreater } from "@std/assert";
import type * as http from "../../http/mod.ts";
import { WAYS } from "../http/ways.ts";
import type * as ways from "../http/ways.ts";
import { addressOf, type Host, Lab, labNeeds } from "../lab.ts";
import { Agent } from "./remote.ts";
import { until } from "./until.ts";

/** Slow enough for both cables to be needed. */
const SLOW = [{ rateMbit: 50 }, { rateMbit: 50 }];
const TOTAL = 4_000_000;
/** What each path must have carried at least. */
const SHARE = 100_000;

/** What the agents do not have by themselves. */
const MODULE = new URL("../../http/mod.ts", import.meta.url).href;
const WAYS_MODULE = new URL("../http/ways.ts", import.meta.url).href;

/** What a handler was told of the connection. */
interface Told {
  remote: string;
  multipath: boolean;
  /** When all but the last chunk was taken: local addresses, and what each has sent. */
  subflows: { local: string; sent: number }[];
  /** The whole body's. */
  sha256: string;
}

/** A server whose bodies hold back their last chunk until `release`. */
interface Holding {
  server: http.HttpServer;
  release(): void;
  /** What the handler was told, once all but the last chunk was taken. */
  told: Promise<Told>;
}

/** Begins to serve. @returns The port. */
function startServer(agent: Agent, way: string): Promise<number> {
  return agent.run(async ({ here }, { module, way, total }) => {
    const { WAYS } = await import(module) as typeof ways;
    const { createHash, randomBytes } = await import("node:crypto");
    const [, start] = WAYS.find(([name]) => name === way)!;
    const holding = here as unknown as Holding;
    const go = Promise.withResolvers<void>();
    const told = Promise.withResolvers<Told>();
    holding.release = go.resolve;
    holding.told = told.promise;
    holding.server = await start((_, info) => {
      const hash = createHash("sha256");
      const { isMultipath: multipath, remoteAddr } = info;
      const last = randomBytes(1000);
      let left = total - last.length;
      return new Response(
        new ReadableStream({
          async pull(controller) {
            const chunk = left > 0 ? randomBytes(Math.min(left, 1 << 16)) : last;
            hash.update(chunk);
            if (left <= 0) {
              const subflows = info.subflows().map(({ local, tcpInfo }) => {
                return { local: local.hostname, sent: tcpInfo.bytesAcked ?? 0 };
              });
              told.resolve({ remote: remoteAddr.hostname, multipath, subflows, sha256: hash.digest("hex") });
              await go.promise;
            }
            left -= chunk.length;
            controller.enqueue(new Uint8Array(chunk));
            if (chunk === last) controller.close();
          },
        }),
        { headers: { "content-length": `${total}` } },
      );
    }, { hostname: "0.0.0.0" });
    return holding.server.addr.port;
  }, { module: WAYS_MODULE, way, total: TOTAL });
}

/** What the handler was told; the body is held back still. */
const told = (agent: Agent): Promise<Told> => agent.run(({ here }) => (here as unknown as Holding).told);

const release = (agent: Agent): Promise<void> => agent.run(({ here }) => (here as unknown as Holding).release());

/** Ends the server in order. */
const shutdown = (agent: Agent): Promise<void> => agent.run(({ here }) => (here as unknown as Holding).server.shutdown());

/**
 * What the kernel of a host counts for each of the server's addresses, in `field`; nothing as long as it knows no second subflow
 * of the connection.
 */
async function countedBy(host: Host, port: number, field: string): Promise<Map<string, number>> {
  const { mptcp, tcp } = await host.ss();
  const hasPort = ({ local, remote }: { local: string; remote: string }) =>
    local.endsWith(`:${port}`) || remote.endsWith(`:${port}`);
  if (!(Number(mptcp.find(hasPort)?.info["subflows"]) > 0)) return new Map();
  const counts = new Map<string, number>();
  for (const row of tcp.filter(hasPort)) {
    const address = (host.name === "server" ? row.local : row.remote).replace(/:\d+$|[[\]]|::ffff:|%\w+/g, "");
    counts.set(address, (counts.get(address) ?? 0) + Number(row.info[field] ?? 0));
  }
  return counts;
}

/** Sees to it that both kernels have counted a share on both paths. */
async function bothPaths(lab: Lab, port: number): Promise<void> {
  for (const [host, field] of [[lab.server, "bytes_acked"], [lab.client, "bytes_received"]] as const) {
    await until(async () => {
      const counts = await countedBy(host, port, field);
      return [1, 2].every((path) => (counts.get(addressOf("server", path)) ?? 0) > SHARE);
    }, 10_000);
  }
}

const sha256sum = (url: string, ...before: string[]): [string, string[]] => [
  "sh",
  ["-c", `"$@" | sha256sum`, "sh", ...before, "curl", "-sS", "--max-time", "20", url],
];

for (const [way] of WAYS) {
  describe(`serve on two paths, ${way}`, () => {
    it("sends a large body to fetch over both", { skip: labNeeds("tc", "ss") }, async () => {
      await using lab = await Lab.open({ paths: SLOW });
      const server = Agent.start(lab.server);
      const client = Agent.start(lab.client);
      const port = await startServer(server, way);
      const url = `http://${addressOf("server", 1)}:${port}/`;
      const fetching = client.run(async (_kit, { module, url }) => {
        const { fetch } = await import(module) as typeof http;
        const { createHash } = await import("node:crypto");
        const response = await fetch(url, { mptcp: "require" });
        const body = new Uint8Array(await response.arrayBuffer());
        return {
          multipath: response.mptcp?.isMultipath,
          bytes: body.length,
          sha256: createHash("sha256").update(body).digest("hex"),
        };
      }, { module: MODULE, url });
      const { remote, multipath, subflows, sha256 } = await told(server);
      await bothPaths(lab, port);
      await release(server);
      assertEquals(await fetching, { multipath: true, bytes: TOTAL, sha256 });
      assertEquals([remote, multipath], [addressOf("client", 1), true]);
      assertEquals(subflows.map(({ local }) => local), [addressOf("server", 1), addressOf("server", 2)]);
      for (const { sent } of subflows) assertGreater(sent, 0);
      await shutdown(server);
    });

    it("sends a large body to curl under mptcpize over both", {
      skip: labNeeds("tc", "ss", "curl", "mptcpize"),
    }, async () => {
      await using lab = await Lab.open({ paths: SLOW });
      const server = Agent.start(lab.server);
      const port = await startServer(server, way);
      const url = `http://${addressOf("server", 1)}:${port}/`;
      const curl = lab.client.run(...sha256sum(url, "mptcpize", "run"));
      const { remote, multipath, sha256 } = await told(server);
      await bothPaths(lab, port);
      await release(server);
      assertEquals((await curl).split(" ")[0], sha256);
      assertEquals([remote, multipath], [addressOf("client", 1), true]);
      await shutdown(server);
    });

    it("serves curl over plain TCP, and says so", { skip: labNeeds("ss", "curl") }, async () => {
      await using lab = await Lab.open();
      const server = Agent.start(lab.server);
      const port = await startServer(server, way);
      const curl = lab.client.run(...sha256sum(`http://${addressOf("server", 1)}:${port}/`));
      const { remote, multipath, subflows, sha256 } = await told(server);
      const { mptcp: theirs } = await lab.client.ss();
      assertEquals(theirs, []);
      const { mptcp: ours } = await lab.server.ss();
      assertEquals(ours, []);
      await release(server);
      assertEquals((await curl).split(" ")[0], sha256);
      assertEquals([remote, multipath], [addressOf("client", 1), false]);
      assertEquals(subflows.map(({ local }) => local), [addressOf("server", 1)]);
      await shutdown(server);
    });
  });
}
