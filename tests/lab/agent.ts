/**
 * Runs in a host of a lab, as the library must be where the network is: does what the tests send it, function by function.
 * `remote.ts` is its other half, and explains.
 */
import { createHash, randomBytes } from "node:crypto";
import process from "node:process";
import type { Conn } from "../../mod.ts";
import * as mptcp from "../../mod.ts";
import * as policy from "../../policy/mod.ts";
import type { Answer, Flow, Kit, Request, Seen } from "./kit.ts";
import { until } from "./until.ts";

const BLOCK = 1 << 16;

/** Writes that many bytes, no block like another, and says what they were. */
async function send(conn: Conn, bytes: number): Promise<Flow> {
  const hash = createHash("sha256");
  const block = randomBytes(BLOCK);
  for (let number = 0, left = bytes; left > 0; number++) {
    block.writeUInt32LE(number);
    const part = block.subarray(0, Math.min(left, BLOCK));
    hash.update(part);
    left -= await conn.write(part);
  }
  return { bytes, sha256: hash.digest("hex") };
}

/** Reads to the end of the stream, and says what came. */
async function drain(conn: Conn): Promise<Flow> {
  const hash = createHash("sha256");
  const block = new Uint8Array(BLOCK);
  for (let bytes = 0;;) {
    const count = await conn.read(block);
    if (count === null) return { bytes, sha256: hash.digest("hex") };
    hash.update(block.subarray(0, count));
    bytes += count;
  }
}

/** What the library says of a connection. */
function look(conn: Conn): Seen {
  return {
    multipath: conn.isMultipath(),
    fallback: conn.fallback(),
    local: conn.localAddr.hostname,
    remote: conn.remoteAddr.hostname,
    subflows: conn.subflows().map(({ id, local, remote, state, tcpInfo }) => ({
      id,
      local: local.hostname,
      remote: remote.hostname,
      state,
      sent: tcpInfo.bytesAcked ?? 0,
      received: tcpInfo.bytesReceived ?? 0,
    })),
  };
}

const kit: Kit = { ...mptcp, policy, here: {} as Kit["here"], hash: () => createHash("sha256"), send, drain, look, until };

async function answer({ id, source, argument }: Request): Promise<Answer> {
  try {
    const work = (0, eval)(`(${source})`) as (kit: Kit, argument: unknown) => unknown;
    return { id, value: await work(kit, argument) };
  } catch (error) {
    const { name, message, code, errno, syscall, address, port, stack } = error as Error & Record<string, unknown>;
    return { id, error: { name, message, code, errno, syscall, address, port, stack } as NonNullable<Answer["error"]> };
  }
}

function tell(result: Answer): void {
  process.stdout.write(`${JSON.stringify(result, (_, value) => typeof value === "bigint" ? Number(value) : value)}\n`);
}

let partial = "";
process.stdin.setEncoding("utf8");
process.stdin.on("data", (text: string) => {
  const lines = (partial + text).split("\n");
  partial = lines.pop()!;
  // Side by side: a test may look at a connection while another request is busy with it.
  for (const line of lines) answer(JSON.parse(line) as Request).then(tell);
});
process.stdin.on("end", () => process.exit(0));
