/**
 * One transfer between the two hosts of a lab, under policies, with a path cut in the middle.
 *
 * @module
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { PolicyDecision } from "../../mod.ts";
import { History } from "../../cli/demo/history.ts";
import type { Sample } from "../../cli/demo/messages.ts";
import { addressOf, Lab } from "../../tests/lab.ts";
import { Agent } from "../../tests/lab/remote.ts";

/** How a path is cut. */
export type Cut = "link down" | "silent drop" | "reset" | "address removed";

/** What is to be done. */
export interface Plan {
  /** The policies, as code; the kit of agents is in scope. */
  policies: readonly string[];
  bytes: number;
  /** Each path, Mbit/s. */
  rate: number;
  /** Which paths are cut, how, when after the first byte and for how long, ms. */
  cut?: { paths: readonly number[]; kind: Cut; after: number; lasts: number };
  /** Whether the server sends, and the client with its policies receives. */
  download?: boolean;
}

/** A policy's decision, as it came from the client. */
export type Told = Omit<PolicyDecision, "error"> & { error?: string };

/** What came of it; all times are `Date.now()`. */
export interface Outcome {
  plan: Plan;
  history: History;
  decisions: Told[];
  /** When the first and the last byte arrived. */
  first: number;
  last: number;
  /** When a path was cut and healed. */
  cut: number | null;
  healed: number | null;
  /** Bytes that each path had carried by its subflows' own counters, just before the cut. */
  before: Record<number, number>;
  /** Times of 20 ms or more in which nothing arrived. */
  pauses: { at: number; ms: number }[];
  /** Whether what arrived is what was sent. */
  intact: boolean;
}

const PORT = 7001;

/** Cuts a path, or puts it back. */
async function set(lab: Lab, kind: Cut, path: number, whole: boolean): Promise<void> {
  // Both hosts get a reset for whatever they send there.
  const rules = (device: string) =>
    whole ? {} : { output: [`oifname "${device}${path}" tcp flags & rst == 0 reject with tcp reset`] };
  if (kind === "link down") await lab.client.ip(`link set a${path} ${whole ? "up" : "down"}`);
  else if (kind === "silent drop") await (whole ? lab.healPath(path) : lab.cutPath(path));
  else if (kind === "reset") {
    await Promise.all([lab.client.filter(rules("a"), `reset${path}`), lab.server.filter(rules("b"), `reset${path}`)]);
  } else await lab.client.ip(`addr ${whole ? "add" : "del"} ${addressOf("client", path)}/24 dev a${path}`);
}

/** Runs it. */
export async function run(plan: Plan): Promise<Outcome> {
  const { rate } = plan;
  await using lab = await Lab.open({ paths: [{ rateMbit: rate }, { rateMbit: rate }] });
  const server = Agent.start(lab.server);
  const client = Agent.start(lab.client);
  await server.run(({ listen, here }, port) => {
    here.listener = listen({ hostname: "0.0.0.0", port, congestion: "cubic" });
    here.later = here.listener.accept().then((conn) => here.conn = conn);
  }, PORT);
  await client.run(async ({ connect, policy, here }, { hostname, port, policies }) => {
    const conn = here.conn = await connect({ hostname, port, paths: "userspace", mptcp: "require", congestion: "cubic" });
    const decisions: unknown[] = [];
    Object.assign(here, { decisions });
    for (const source of policies) {
      const handle = conn.use((0, eval)(`(policy) => ${source}`)(policy));
      (async () => {
        for await (const { error, ...rest } of handle.decisions()) {
          decisions.push({ ...rest, ...(error === undefined ? {} : { error: `${error}` }) });
        }
      })();
    }
  }, { hostname: addressOf("server", 1), port: PORT, policies: plan.policies });
  await server.run(({ here }) => here.later.then(() => null));
  const [sender, receiver] = plan.download ? [server, client] : [client, server];
  const receiving = receiver.run(async ({ here, hash }) => {
    const { conn } = here;
    const digest = hash();
    const buffer = new Uint8Array(1 << 18);
    const pauses: { at: number; ms: number }[] = [];
    let [first, last, bytes] = [0, 0, 0];
    for (;;) {
      const count = await conn.read(buffer);
      if (count === null) break;
      const now = Date.now();
      if (first === 0) first = now;
      else if (now - last >= 20) pauses.push({ at: last, ms: now - last });
      last = now;
      bytes += count;
      digest.update(buffer.subarray(0, count));
    }
    await conn.closeWrite();
    return { first, last, bytes, pauses, sha256: digest.digest("hex") };
  });
  const sending = sender.run(async ({ here, send }, bytes) => {
    const { conn } = here;
    const samples: Sample[] = [];
    const sample = () => {
      const subflows = conn.subflows().map(({ id, local, remote, tcpInfo }) => ({
        id,
        local: local.hostname,
        remote: remote.hostname,
        sent: tcpInfo.bytesSent ?? 0,
        // Segments beyond a hole have arrived as well. TCP counts the SYN for a byte.
        arrived: Math.max(0, (tcpInfo.bytesAcked ?? 0) - 1) + (tcpInfo.sacked ?? 0) * (tcpInfo.sndMss ?? 0),
        rtt: (tcpInfo.rtt ?? 0) / 1000,
        retransmits: tcpInfo.totalRetrans ?? 0,
      }));
      samples.push({ at: Date.now(), subflows });
    };
    const timer = setInterval(sample, 25);
    const { sha256 } = await send(conn, bytes);
    await conn.closeWrite();
    await conn.read(new Uint8Array(1));
    sample();
    clearInterval(timer);
    return { sha256, samples };
  }, plan.bytes);
  const times: Pick<Outcome, "cut" | "healed" | "before"> = { cut: null, healed: null, before: {} };
  const disturb = async () => {
    if (plan.cut === undefined) return;
    const { paths, kind, after, lasts } = plan.cut;
    await sender.run(({ here, until }) => until(() => (here.conn.info()?.bytesAcked ?? 0) > 0));
    await sleep(after);
    const rows = await sender.run(({ look, here }) => look(here.conn).subflows);
    // TCP counts the SYN for a byte.
    for (const { remote, sent } of rows) times.before[Number(remote.split(".")[2])] = Math.max(0, sent - 1);
    times.cut = Date.now();
    for (const path of paths) await set(lab, kind, path, false);
    await sleep(Math.max(0, times.cut + lasts - Date.now()));
    for (const path of paths) await set(lab, kind, path, true);
    times.healed = Date.now();
  };
  const disturbed = disturb();
  const [received, sent] = await Promise.all([receiving, sending]);
  await disturbed;
  const decisions = await client.run(({ here }) => (here as unknown as { decisions: Told[] }).decisions);
  const history = new History();
  for (const sample of sent.samples) history.add(sample);
  return {
    plan,
    history,
    decisions,
    first: received.first,
    last: received.last,
    ...times,
    pauses: received.pauses,
    intact: received.bytes === plan.bytes && received.sha256 === sent.sha256,
  };
}
