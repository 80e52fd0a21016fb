/**
 * A connection, a host and a clock that are not real, for policies to act on.
 *
 * @module
 */
import type { ConnEvent, ConnEvents } from "../../net/conn_events.ts";
import type { PathControl } from "../../net/path_control.ts";
import type { Policy, PolicyDecision, PolicyHandle } from "../../net/policy.ts";
import { PolicyEngine, type Surroundings } from "../../net/policy_engine.ts";
import { PolicyUse } from "../../net/policy_use.ts";
import type { OpenSubflowOptions } from "../../net/open_subflow.ts";
import type { Subflow } from "../../paths/connection.ts";
import type { HostInterface } from "../../paths/host_view.ts";
import type { PathCandidate } from "../../paths/path_candidates.ts";
import { Queue } from "../../paths/queue.ts";
import type { TcpInfo } from "../../kernel/tcp_info.ts";

const addr = (hostname: string, port = 80) => ({ transport: "tcp" as const, hostname, port });

/** Path n of the world: from 10.0.n.1 by eth<n> to 10.0.n.2. */
export const pathOf = (n: number): PathCandidate => ({
  localAddress: `10.0.${n}.1`,
  remoteAddress: `10.0.${n}.2`,
  remotePort: 80,
  interface: `eth${n}`,
});

/** See the module's comment. Attempts end when the test says so, or at once where `works` knows. */
export class World {
  time = 0;
  /** How much too early timers are, ms. */
  early = 0;
  /** Paths that the routing knows. */
  known = new Set([1]);
  /** Interfaces that are up. */
  up = new Set([1, 2, 3]);
  /** Whether attempts over a path succeed; `undefined` leaves them hanging until their timeout. */
  works: (path: number) => boolean | undefined = () => true;
  rows: Subflow[] = [];
  calls: string[] = [];
  /** Whether options of one subflow can be set. */
  tunable = false;
  pathManager: "kernel" | "userspace" = "userspace";
  multipath = true;
  /** Whether subflows that are to be closed are gone already, and the event comes later. */
  goesBefore = false;
  side: "client" | "server" = "client";
  readonly engine: PolicyEngine;
  readonly #events = new Queue<ConnEvent>(() => {});
  readonly #timers = new Set<{ at: number; call: () => void }>();
  readonly #watchers = new Set<() => void>();
  #nextId = 1;

  constructor() {
    this.add(1);
    const world = ((): World => this)(); // for the getters below
    const control = {
      get token() {
        return world.multipath ? 7 : null;
      },
      get pathManager() {
        return world.multipath ? world.pathManager : null;
      },
      localAddr: addr("10.0.1.1", 4000),
      remoteAddr: addr("10.0.1.2"),
      isMultipath: () => world.multipath,
      fallback: () => null,
      subflows: () => [...world.rows],
      openSubflow: (options: OpenSubflowOptions) => world.#open(options),
      closeSubflow(id: number) {
        world.engine.asked(id);
        world.calls.push(`close ${id}`);
        if (world.goesBefore) {
          world.rows = world.rows.filter((row) => row.id !== id);
          return Promise.reject(new Error(`no live subflow has id ${id}`));
        }
        world.lose(id, undefined);
        return Promise.resolve();
      },
      setSubflowBackup(id: number, backup: boolean) {
        world.calls.push(`backup ${id} ${backup}`);
        world.rows = world.rows.map((row) => row.id === id ? { ...row, backup } : row);
        return Promise.resolve();
      },
      setSubflowOption(id: number, name: string, value: number) {
        if (!world.tunable) throw new Error("not allowed");
        world.calls.push(`option ${id} ${name} ${value}`);
      },
    } as unknown as PathControl;
    const surroundings: Surroundings = {
      now: () => this.time,
      after: (ms, call) => {
        const timer = { at: this.time + Math.max(0, ms - this.early), call };
        this.#timers.add(timer);
        return () => this.#timers.delete(timer);
      },
      interfaces: () => [...this.up].map((n) => this.#interface(n)),
      candidates: () => [...this.known].filter((n) => this.up.has(n)).map(pathOf),
      watchHost: (changed) => {
        this.#watchers.add(changed);
        return () => this.#watchers.delete(changed);
      },
    };
    this.engine = new PolicyEngine({
      control,
      get side() {
        return world.side;
      },
      events: () => this.#events as unknown as ConnEvents,
      ids: () => {
        throw new Error("no ids here");
      },
      announced: () => [],
    }, surroundings);
  }

  /** How many timers and watchers there are. */
  get held(): [timers: number, watchers: number] {
    return [this.#timers.size, this.#watchers.size];
  }

  #interface(n: number): HostInterface {
    const addresses = [{ address: `10.0.${n}.1`, family: 4 as const, routed: true }];
    return { index: n, name: `eth${n}`, running: true, loopback: false, addresses, rpFilter: null };
  }

  #open({ localAddress, backup = false, timeout, signal }: OpenSubflowOptions): Promise<Subflow> {
    const path = Number(localAddress!.split(".")[2]);
    this.calls.push(`open ${path}${backup ? " backup" : ""}`);
    const works = this.works(path);
    if (works === true) return Promise.resolve(this.add(path, backup));
    if (works === false) return Promise.reject(new Error("refused"));
    return new Promise((_, reject) => {
      signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
      const end = () => reject(new DOMException("no answer", "TimeoutError"));
      this.#timers.add({ at: this.time + timeout!, call: end });
    });
  }

  /** A subflow is there. */
  add(path: number, backup = false): Subflow {
    const { localAddress, remoteAddress } = pathOf(path);
    const row: Subflow = {
      id: this.#nextId++,
      local: addr(localAddress, 4000 + this.#nextId),
      remote: addr(remoteAddress),
      localId: path,
      remoteId: path,
      backup,
      state: "ESTABLISHED",
      tcpInfo: {},
    };
    this.rows.push(row);
    const { id, local, remote, localId, remoteId } = row;
    this.#events.push({ type: "subflowOpened", id, local, remote, localId, remoteId, backup });
    return row;
  }

  /** A subflow is gone; with an errno's name it was lost. */
  lose(id: number, code: string | undefined): void {
    const row = this.rows.find((each) => each.id === id);
    if (row === undefined) return;
    this.vanish(id);
    const { local, remote, localId, remoteId } = row;
    const error = code === undefined ? {} : { error: { errno: 104, code } };
    this.#events.push({ type: "subflowClosed", id, local, remote, localId, remoteId, ...error });
  }

  /** A subflow is gone, and nobody has told yet. */
  vanish(id: number): void {
    this.rows = this.rows.filter((row) => row.id !== id);
  }

  /** Counters of a subflow. */
  info(id: number, tcpInfo: TcpInfo): void {
    this.rows = this.rows.map((row) => row.id === id ? { ...row, tcpInfo } : row);
  }

  /** The host has changed. */
  async changed(): Promise<void> {
    for (const watcher of [...this.#watchers]) watcher();
    await this.settle();
  }

  /** Any event. */
  async tell(event: ConnEvent): Promise<void> {
    this.#events.push(event);
    await this.settle();
  }

  /** Attaches a policy, and collects its decisions. */
  use(policy: Policy): { handle: PolicyHandle; decisions: PolicyDecision[] } {
    const handle = new PolicyUse(policy);
    const decisions: PolicyDecision[] = [];
    (async () => {
      for await (const decision of handle.decisions()) decisions.push(decision);
    })();
    this.engine.attach(handle);
    handle.noMore();
    return { handle, decisions };
  }

  /** Lets promises go on. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < 30; turn++) await Promise.resolve();
  }

  /** Lets time pass, timer by timer. */
  async pass(ms: number): Promise<void> {
    await this.settle();
    const end = this.time + ms;
    for (;;) {
      const next = [...this.#timers].sort((a, b) => a.at - b.at)[0];
      if (next === undefined || next.at > end) break;
      this.#timers.delete(next);
      this.time = Math.max(this.time, next.at);
      next.call();
      await this.settle();
    }
    this.time = end;
  }

  /** The calls since the last look. */
  take(): string[] {
    return this.calls.splice(0);
  }
}
