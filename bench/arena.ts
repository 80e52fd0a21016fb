/**
 * Runs one case for one contestant against the C program, and sees to it that what is called MPTCP was MPTCP.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import process from "node:process";
import type { Case, Contestant, Protocol, Service } from "./cases.ts";
import { LineProcess } from "./lines.ts";
import { CONNECTIONS, wrk } from "./wrk.ts";
import type { Measured } from "./meter.ts";
import type { Target } from "./subject.ts";

/** One run's outcome. */
export interface Sample extends Measured {
  round: number;
  case: string;
  contestant: string;
  /** In the case's unit. */
  value: number;
  /** ms per GB, or µs for each of `count`. */
  cpuCost: number;
}

/** What sockets are told where there is no namespace that sets it for all. */
export interface SocketSettings {
  congestion?: string;
  receiveBuffer?: number;
}

const ANSWER_TIMEOUT = 20_000;
/** Services that print a line for each connection. */
const REPORTING: ReadonlySet<Service> = new Set(["sink", "source", "echo"]);

/** How many MPTCP handshakes this namespace's listeners have completed. */
function handshakes(): number {
  const lines = readFileSync("/proc/self/net/netstat", "utf8").split("\n").filter((line) => line.startsWith("MPTcpExt:"));
  const [names = [], values = []] = lines.map((line) => line.split(" "));
  return Number(values[names.indexOf("MPCapableACKRX")] ?? 0);
}

/** See the module's comment. */
export class Arena {
  readonly #peer: string;
  readonly #settings: SocketSettings;
  readonly #servers = new Map<string, { process: LineProcess; port: number }>();
  readonly #workers = new Map<string, LineProcess>();
  #runs = 0;

  /** @param peer The C program. */
  constructor(peer: string, settings: SocketSettings) {
    this.#peer = peer;
    this.#settings = settings;
  }

  /** @throws When the run failed; the next one starts anew. */
  async run(contestant: Contestant, which: Case, round: number, seconds: number): Promise<Sample> {
    try {
      return await this.#run(contestant, which, round, seconds);
    } catch (error) {
      this.#workers.get(contestant.name)?.kill();
      this.#workers.delete(contestant.name);
      const key = `${which.service} ${contestant.protocol}`;
      this.#servers.get(key)?.process.kill();
      this.#servers.delete(key);
      throw error;
    }
  }

  async #run(contestant: Contestant, which: Case, round: number, seconds: number): Promise<Sample> {
    const before = handshakes();
    const { protocol } = contestant;
    const accepting = which.name === "accept";
    const measured = which.service === "wrk"
      ? await this.#serve(contestant, which.name, seconds)
      : accepting && contestant.kind !== "C"
      ? await this.#accept(contestant, seconds)
      : await this.#connect(contestant, which, seconds);
    const { bytes, count } = measured;
    // The kernel counts a handshake that an overfull listener put off in a later run: only most of them tell.
    const mptcp = measured.mptcp ?? (handshakes() - before) * 2 > count;
    if (mptcp !== (protocol === "mptcp")) throw new Error(`${contestant.name} used ${mptcp ? "MPTCP" : "plain TCP"}`);
    const per = which.unit === "Gbit/s"
      ? { value: bytes * 8 / measured.seconds / 1e9, cpuCost: measured.cpu * 1e3 / (bytes / 1e9) }
      : {
        value: which.unit === "µs" ? measured.seconds * 1e6 / count : count / measured.seconds,
        cpuCost: measured.cpu * 1e6 / count,
      };
    return { round, case: which.name, contestant: contestant.name, ...per, ...measured };
  }

  /** The contestant connects to a service of the C program. */
  async #connect(contestant: Contestant, { name, service }: Case, seconds: number): Promise<Measured> {
    const { process: server, port } = await this.#server(service, contestant.protocol);
    const target = { hostname: this.#address(), port, ...this.#settings };
    const client = contestant.kind === "C"
      ? await this.#client(name, contestant.protocol, target, seconds)
      : await this.#ask(contestant, { run: name, target, seconds });
    if (!REPORTING.has(service)) return client;
    const seen = await server.next<Measured>(ANSWER_TIMEOUT);
    if (service !== "sink") return { ...client, mptcp: seen.mptcp! };
    // Sent is what has arrived; the CPU is the sender's.
    return { ...seen, cpu: client.cpu };
  }

  /** The C program's clients connect to the contestant; they count, the CPU is the contestant's. */
  async #accept(contestant: Contestant, seconds: number): Promise<Measured> {
    const worker = await this.#worker(contestant);
    worker.send(JSON.stringify({ run: "accept", target: {}, seconds }));
    const { port } = await worker.next<{ port: number }>(ANSWER_TIMEOUT);
    const clients = await this.#client("accept", contestant.protocol, { hostname: this.#address(), port }, seconds);
    worker.send("stop");
    const { cpu } = await worker.next<Measured>(ANSWER_TIMEOUT);
    return { ...clients, cpu };
  }

  /** `wrk` connects to the contestant and counts; the CPU is the contestant's. */
  async #serve(contestant: Contestant, run: string, seconds: number): Promise<Measured> {
    const worker = await this.#worker(contestant);
    worker.send(JSON.stringify({ run, target: {}, seconds }));
    const { port, error } = await worker.next<{ port: number; error?: string }>(ANSWER_TIMEOUT);
    if (error !== undefined) throw new Error(error);
    const before = handshakes();
    const counted = await wrk(contestant.protocol, `http://${this.#address()}:${port}/`, seconds);
    const mptcp = (handshakes() - before) * 2 > CONNECTIONS;
    worker.send("stop");
    const { cpu } = await worker.next<Measured>(ANSWER_TIMEOUT);
    return { ...counted, mptcp, cpu };
  }

  async #client(run: string, protocol: Protocol, target: Target, seconds: number): Promise<Measured> {
    const args = ["client", run, protocol, target.hostname, `${target.port}`, `${seconds}`];
    const client = new LineProcess([this.#peer, ...args, ...this.#peerSettings()], process.env);
    try {
      return await client.next<Measured>(ANSWER_TIMEOUT);
    } finally {
      client.kill();
    }
  }

  async #ask(contestant: Contestant, command: unknown): Promise<Measured> {
    const worker = await this.#worker(contestant);
    worker.send(JSON.stringify(command));
    const answer = await worker.next<Measured & { error?: string }>(ANSWER_TIMEOUT);
    if (answer.error !== undefined) throw new Error(answer.error);
    return answer;
  }

  async #worker({ name, command }: Contestant): Promise<LineProcess> {
    let worker = this.#workers.get(name);
    if (worker === undefined) {
      this.#workers.set(name, worker = new LineProcess(command, process.env));
      await worker.next(ANSWER_TIMEOUT);
    }
    return worker;
  }

  async #server(service: Service, protocol: Protocol): Promise<{ process: LineProcess; port: number }> {
    const key = `${service} ${protocol}`;
    let server = this.#servers.get(key);
    if (server === undefined) {
      const child = new LineProcess([this.#peer, "serve", service, protocol, ...this.#peerSettings()], process.env);
      server = { process: child, ...await child.next<{ port: number }>(ANSWER_TIMEOUT) };
      this.#servers.set(key, server);
    }
    return server;
  }

  #peerSettings(): string[] {
    const { congestion = "", receiveBuffer = 0 } = this.#settings;
    return [congestion, `${receiveBuffer}`];
  }

  /** Another address for each run: connections of the runs before still hold their ports. */
  #address(): string {
    const run = ++this.#runs;
    return `127.${1 + (run >> 14 & 63)}.${run >> 7 & 127}.${1 + (run & 127)}`;
  }

  close(): void {
    for (const worker of this.#workers.values()) worker.kill();
    for (const { process: server } of this.#servers.values()) server.kill();
  }
}
