import { assert, assertEquals, assertGreater } from "@std/assert";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { FetchResponse, HttpClient } from "../../http/mod.ts";
import type { Child } from "../child.ts";
import { addressOf, type Host, Lab, labNeeds } from "../lab.ts";
import { CERT, KEY } from "../net/certificate.ts";
import { describe, it } from "../suite.ts";
import type { Flow, Kit } from "./kit.ts";
import { Agent } from "./remote.ts";

const skip = labNeeds("python3", "tc", "nft", "ss");

/** A listener that is bound to the address of one path takes no subflow over another. */
const ANY = { 4: "0.0.0.0", 6: "::" } as const;

/** Slow enough for both cables to be needed, and for a cut to come in the middle. */
const SLOW = [{ rateMbit: 50 }, { rateMbit: 50 }];

const HTTP = new URL("../../http/mod.ts", import.meta.url).href;
const SERVER = fileURLToPath(new URL("../peers/http_server.py", import.meta.url));

/** What the agent fetches by, and how far it has come. */
type Here = Kit["here"] & {
  client: HttpClient;
  response: FetchResponse;
  moved: number;
};

/** What Python's server says of a request. */
interface Served extends Flow {
  event: string;
  mptcp: boolean;
  paths: { sent: number; received: number }[];
}

/** What the agent has of a response, and what `response.mptcp` says. */
interface Fetched extends Flow {
  status: number;
  isMultipath: boolean;
  subflows: { remote: string; sent: number; received: number }[];
}

/** Starts Python's HTTP server. */
async function serve(host: Host, address: string, ...pem: string[]): Promise<{ child: Child; port: number }> {
  const child = host.spawn("python3", [SERVER, address, ...pem]);
  return { child, port: (await child.json<{ port: number }>()).port };
}

/** Starts a download or an upload in the agent. `ended` gives what became of it. */
async function begin(agent: Agent, url: string, upload: number, timeout = 20_000): Promise<void> {
  await agent.run(async ({ here }, { url, upload, timeout, HTTP, CERT }) => {
    const { createHash, randomBytes } = await import("node:crypto");
    const { createClient } = await import(HTTP) as typeof import("../../http/mod.ts");
    const state = here as Here;
    state.client = createClient({ mptcp: "require", ...(url.startsWith("https:") ? { caCerts: [CERT] } : {}) });
    state.moved = 0;
    const hash = createHash("sha256");
    const count = (chunk: Uint8Array) => {
      hash.update(chunk);
      state.moved += chunk.length;
    };
    let left = upload;
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        const chunk = randomBytes(Math.min(left, 1 << 16));
        left -= chunk.length;
        count(chunk);
        controller.enqueue(chunk);
        if (left === 0) controller.close();
      },
    }, { highWaterMark: 0 });
    state.later = (async () => {
      const response = state.response = await state.client.fetch(url, {
        timeout,
        ...(upload > 0 ? { method: "PUT", body } : {}),
      });
      for await (const chunk of response.body ?? []) count(chunk);
      const { isMultipath, subflows } = response.mptcp!;
      return {
        status: response.status,
        bytes: state.moved,
        sha256: hash.digest("hex"),
        isMultipath,
        subflows: subflows.map(({ remote, tcpInfo }) => {
          return { remote: remote.hostname, sent: tcpInfo.bytesAcked ?? 0, received: tcpInfo.bytesReceived ?? 0 };
        }),
      };
    })();
  }, { url, upload, timeout, HTTP, CERT });
}

const ended = (agent: Agent) => agent.run(({ here }) => here.later) as Promise<Fetched>;

/** Waits until so many bytes have come, or gone. */
const moved = (agent: Agent, bytes: number) =>
  agent.run(({ here, until }, bytes) => until(() => (here as Here).moved > bytes, 10_000), bytes);

const SIZE = 4_000_000;

describe("fetch over two paths", { skip }, () => {
  for (const upload of [0, SIZE]) {
    for (const version of [4, 6] as const) {
      it(`${upload ? "uploads" : "downloads"} by both, over IPv${version}, as both ends count`, async () => {
        await using lab = await Lab.open({ paths: SLOW, ipv4: version === 4 });
        const { child, port } = await serve(lab.server, ANY[version]);
        const agent = Agent.start(lab.client);
        const address = addressOf("server", 1, version);
        const host = version === 6 ? `[${address}]` : address;
        await begin(agent, `http://${host}:${port}/${SIZE}`, upload);
        const [fetched, served] = [await ended(agent), await child.json<Served>()];
        assertEquals([fetched.status, fetched.bytes, served.event], [upload ? 204 : 200, SIZE, "done"]);
        assertEquals([fetched.sha256, served.bytes], [served.sha256, SIZE]);

        const way = upload ? "sent" : "received";
        assertEquals(fetched.isMultipath, true);
        assertEquals(
          fetched.subflows.map(({ remote }) => remote).sort(),
          [1, 2].map((i) => addressOf("server", i, version)),
        );
        for (const subflow of fetched.subflows) assertGreater(subflow[way], 100_000);
        assertEquals([served.mptcp, served.paths.length], [true, 2]);
        for (const path of served.paths) assertGreater(path[upload ? "received" : "sent"], 100_000);

        // The connection is kept: both kernels have it.
        for (const end of [lab.client, lab.server]) {
          const { mptcp } = await end.ss();
          assertEquals(mptcp.map(({ info }) => info["subflows"]), ["1"], "one further subflow");
        }
        await agent.run(({ here }) => (here as Here).client.close());
      });
    }
  }

  it("downloads by both below TLS", async () => {
    const folder = mkdtempSync(join(tmpdir(), "mptcp-lab-"));
    try {
      const pem = join(folder, "server.pem");
      writeFileSync(pem, CERT + KEY);
      await using lab = await Lab.open({ paths: SLOW });
      const { child, port } = await serve(lab.server, ANY[4], pem);
      // The certificate is for "localhost".
      const agent = Agent.start(lab.client, { "/etc/hosts": `${addressOf("server", 1)} localhost\n` });
      await begin(agent, `https://localhost:${port}/${SIZE}`, 0);
      const [fetched, served] = [await ended(agent), await child.json<Served>()];
      assertEquals([fetched.bytes, fetched.sha256], [SIZE, served.sha256]);
      assertEquals([fetched.isMultipath, fetched.subflows.length, served.mptcp], [true, 2, true]);
      for (const { received } of fetched.subflows) assertGreater(received, 100_000);
      for (const { sent } of served.paths) assertGreater(sent, 100_000);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  for (const [cut, upload] of [[1, 0], [2, 0], [1, SIZE]] as const) {
    it(`${upload ? "uploads" : "downloads"} the whole though path ${cut} is cut in the middle`, async () => {
      await using lab = await Lab.open({ paths: SLOW });
      const { child, port } = await serve(lab.server, ANY[4]);
      const agent = Agent.start(lab.client);
      await begin(agent, `http://${addressOf("server", 1)}:${port}/${SIZE}`, upload);
      await moved(agent, 1_500_000);
      await lab.cutPath(cut);
      const fetched = await ended(agent);
      assertEquals([fetched.status, fetched.bytes, fetched.isMultipath], [upload ? 204 : 200, SIZE, true]);
      // What is cut off is not acknowledged: the server's word comes with what the other path has carried.
      const served = await child.json<Served>();
      assertEquals([served.bytes, served.sha256, served.mptcp], [SIZE, fetched.sha256, true]);
      assert(fetched.subflows.some(({ remote }) => remote === addressOf("server", 3 - cut)));
    });
  }

  it("fails clearly, and in time, when all paths are cut", async () => {
    await using lab = await Lab.open({ paths: SLOW });
    const { port } = await serve(lab.server, ANY[4]);
    const agent = Agent.start(lab.client);
    await begin(agent, `http://${addressOf("server", 1)}:${port}/${5 * SIZE}`, 0, 2000);
    await moved(agent, 1_500_000);
    await Promise.all([lab.cutPath(1), lab.cutPath(2)]);
    const error = await ended(agent).catch((error) => error);
    assertEquals([error.name, error.message], [
      "TimeoutError",
      "Cannot fetch: no further bytes of the response in 2000 ms",
    ]);
  });
});
