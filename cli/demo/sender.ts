/**
 * The demonstration's client: opens one connection, sends random bytes, and tells several times a second what each subflow
 * has done.
 *
 * @module
 */
import { createHash, randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { type Conn, connect } from "../../mod.ts";
import { confirm, name, REPORT_EVERY, runChild } from "./child.ts";
import type { Sample, SenderMessage, Task } from "./messages.ts";

const CHUNK = 64 * 1024;

async function send(task: Task, tell: (message: SenderMessage) => void): Promise<void> {
  const { bytes: _bytes, pace: _pace, ...options } = task;
  using conn = await connect({ ...options, timeout: 5000 });
  tell({ type: "connected", confirmation: confirm(conn) });
  const sample = () => tell({ type: "sample", sample: sampleOf(conn) });
  sample();
  const timer = setInterval(sample, REPORT_EVERY);
  try {
    const sha256 = await writeAll(conn, task);
    const answered = await readDigest(conn);
    sample();
    tell({ type: "done", sha256, answered, confirmation: confirm(conn) });
    await conn.closeWrite();
  } finally {
    clearInterval(timer);
  }
}

function sampleOf(conn: Conn): Sample {
  const subflows = conn.subflows().map(({ id, local, remote, tcpInfo }) => ({
    id,
    local: name(local),
    remote: name(remote),
    sent: tcpInfo.bytesSent ?? 0,
    // Segments beyond a hole have arrived as well; without them one lost segment looks like a pause of the whole path.
    arrived: (tcpInfo.bytesAcked ?? 0) + (tcpInfo.sacked ?? 0) * (tcpInfo.sndMss ?? 0),
    rtt: (tcpInfo.rtt ?? 0) / 1000,
    retransmits: tcpInfo.totalRetrans ?? 0,
  }));
  return { at: Date.now(), subflows };
}

async function writeAll(conn: Conn, { bytes, pace }: Task): Promise<string> {
  const hash = createHash("sha256");
  const began = performance.now();
  for (let sent = 0; sent < bytes;) {
    const chunk = randomBytes(Math.min(CHUNK, bytes - sent));
    hash.update(chunk);
    await conn.write(chunk);
    sent += chunk.length;
    if (pace === undefined) continue;
    const early = sent / pace * 1000 - (performance.now() - began);
    if (early > 1) await sleep(early);
  }
  return hash.digest("hex");
}

/** What the server says that it received. */
async function readDigest(conn: Conn): Promise<string> {
  const digest = new Uint8Array(32);
  for (let count = 0; count < digest.length;) {
    const more = await conn.read(digest.subarray(count));
    if (more === null) throw new Error("the server ended the connection without an answer");
    count += more;
  }
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

await runChild<SenderMessage>(send);
