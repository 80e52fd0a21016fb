/**
 * Policies at work on one connection: their hooks are called, their actions carried out and told.
 *
 * @module
 */
import { clearTimeout, setTimeout } from "node:timers";
import { MptcpError } from "../kernel/error.ts";
import type { Addr } from "../kernel/sockaddr.ts";
import type { AddressIds } from "../paths/address_ids.ts";
import type { Subflow } from "../paths/connection.ts";
import type { HostInterface } from "../paths/host_view.ts";
import { watchHost } from "../paths/host_watch.ts";
import { type PathCandidate, pathCandidates, pathKey, plain, withRouting } from "../paths/path_candidates.ts";
import { PathManager } from "../paths/path_manager.ts";
import type { ConnEvent, ConnEvents } from "./conn_events.ts";
import type { PathControl } from "./path_control.ts";
import type { Policy, PolicyContext, PolicyDecision, PolicyHooks, PolicyOpenOptions } from "./policy.ts";
import type { PolicyUse } from "./policy_use.ts";

/** What the engine has of a connection, besides what everybody has. */
export interface EngineOwner {
  /** The connection. */
  readonly control: PathControl;
  /** Who began it. */
  readonly side: "client" | "server";
  /** Its events, waiting for which does not keep the process alive. */
  events(): ConnEvents;
  /** The ids of its addresses. */
  ids(): AddressIds;
  /** The addresses that the peer announced. */
  announced(): Addr[];
}

/** Time, and the host; both are others in tests. */
export interface Surroundings {
  now(): number;
  /** Calls back once. @returns What prevents it. */
  after(ms: number, call: () => void): () => void;
  interfaces(): HostInterface[];
  candidates(ends: { local: Addr; remote: Addr }, remotes: readonly Addr[]): PathCandidate[];
  /** Calls back when the host's addresses changed. @returns What ends it. */
  watchHost(changed: () => void): () => void;
}

const OPEN_TIMEOUT = 10_000;
/** How soon a feed of events that failed is begun anew, ms. */
const FEED_PAUSE = 1000;

const REAL: Surroundings = {
  now: () => performance.now(),
  after(ms, call) {
    const timer = setTimeout(call, ms);
    timer.unref();
    return () => clearTimeout(timer);
  },
  interfaces: () => withRouting((routing) => routing.interfaces()),
  candidates: (ends, remotes) => withRouting((routing) => pathCandidates(ends, remotes, routing)),
  watchHost,
};

type About = Pick<PolicyDecision, "subflow" | "local" | "remote" | "interface" | "value">;
type HookName = Exclude<keyof PolicyHooks, "interval" | "mayOpen">;

/** One policy on this connection. */
interface Attachment {
  policy: Policy;
  use: PolicyUse;
  /** The policy itself, and what its `attach` returned. */
  hooks: PolicyHooks[];
  context: PolicyContext;
  abort: AbortController;
  /** When `tick` is due. */
  due: number;
  /** What was refused already, so that it is told once. */
  refused: Set<string>;
  detach: () => void;
}

/** See the module's comment. */
export class PolicyEngine {
  readonly #owner: EngineOwner;
  readonly #surroundings: Surroundings;
  readonly #attachments: Attachment[] = [];
  readonly #opening = new Set<PathCandidate>();
  /** Subflows that this process closes. */
  readonly #asked = new Set<number>();
  #feed: ConnEvents | null = null;
  #unwatch: (() => void) | null = null;
  #cancelTimer: (() => void) | null = null;
  #timerAt = Infinity;
  #token: number | null = null;

  constructor(owner: EngineOwner, surroundings: Surroundings = REAL) {
    this.#owner = owner;
    this.#surroundings = surroundings;
  }

  /** Why a policy cannot do anything for this connection; `null` when it can. */
  #obstacle(policy: Policy): MptcpError | null {
    const { control } = this.#owner;
    const cannot = (why: string, hint: string | undefined) =>
      new MptcpError("EOPNOTSUPP", `Cannot use policy "${policy.name}": ${why}`, { syscall: "use a policy", hint });
    if (!control.isMultipath()) {
      return cannot("the connection is plain TCP and can have only one path", control.fallback()?.message);
    }
    if (!policy.manages || control.pathManager !== "kernel") return null;
    return cannot(
      "the kernel's path manager manages this connection",
      'connect or listen with paths: "userspace" (or under net.mptcp.path_manager=userspace)',
    );
  }

  /** Attaches a policy; one that can do nothing here is told of, and left out. */
  attach(use: PolicyUse): void {
    if (use.isOver) return;
    const { policy } = use;
    const attachment = this.#make(policy, use);
    const { control, side } = this.#owner;
    const why = side === "client" ? "the connection was made" : "the connection was accepted";
    let error: unknown;
    try {
      this.#token = control.token;
      error = this.#obstacle(policy) ?? undefined;
      if (error === undefined) this.#start();
    } catch (thrown) {
      error = thrown; // a connection that has just ended
    }
    if (error !== undefined) return this.#tell(attachment, "attach", why, "failed", { error });
    this.#attachments.push(attachment);
    use.attached(attachment.detach);
    this.#tell(attachment, "attach", why);
    const returned = this.#call(attachment, () => policy.attach?.(attachment.context));
    if (returned) attachment.hooks.push(returned);
    this.#watchHostIfWanted();
    const { now } = this.#surroundings;
    for (const { interval } of attachment.hooks) {
      if (interval !== undefined) attachment.due = Math.min(attachment.due, now() + interval);
    }
    this.#schedule();
  }

  #make(policy: Policy, use: PolicyUse): Attachment {
    const abort = new AbortController();
    const attachment: Attachment = {
      policy,
      use,
      hooks: [policy],
      context: null as unknown as PolicyContext,
      abort,
      due: Infinity,
      refused: new Set(),
      detach: () => this.#detach(attachment),
    };
    attachment.context = this.#contextOf(attachment);
    return attachment;
  }

  /** This process closes a subflow. */
  asked(id: number): void {
    if (this.#attachments.length > 0) this.#asked.add(id);
  }

  /** The connection has ended. */
  ended(): void {
    for (const { detach } of [...this.#attachments]) detach();
  }

  #detach(attachment: Attachment): void {
    const index = this.#attachments.indexOf(attachment);
    if (index < 0) return;
    this.#attachments.splice(index, 1);
    attachment.abort.abort(new DOMException("The policy was stopped", "AbortError"));
    this.#hook(attachment, "detach", (hooks) => hooks.detach?.(attachment.context));
    attachment.use.detached(attachment.detach);
    this.#watchHostIfWanted();
    if (this.#attachments.length > 0) return this.#schedule();
    this.#cancelTimer?.();
    this.#cancelTimer = null;
    this.#timerAt = Infinity;
    this.#feed?.return?.();
    this.#feed = null;
    this.#asked.clear();
  }

  #start(): void {
    if (this.#feed === null) this.#follow(this.#feed = this.#owner.events());
  }

  async #follow(feed: ConnEvents): Promise<void> {
    try {
      for await (const event of feed) {
        if (this.#feed !== feed) return;
        if (event.type === "closed") return this.ended();
        this.#event(event);
      }
    } catch {
      if (this.#feed !== feed) return;
      // The kernel's events failed: begun anew, as the policies go on.
      this.#feed = null;
      this.#surroundings.after(FEED_PAUSE, () => {
        try {
          if (this.#attachments.length > 0) this.#start();
        } catch {
          this.ended();
        }
      });
    }
  }

  #event(event: Exclude<ConnEvent, { type: "closed" }>): void {
    const asked = event.type === "subflowClosed" && event.id !== undefined && this.#asked.delete(event.id);
    for (const attachment of [...this.#attachments]) {
      const { context } = attachment;
      this.#hook(attachment, event.type, (hooks) => {
        if (event.type === "subflowClosed") hooks.subflowClosed?.({ ...event, asked }, context);
        else if (event.type === "subflowOpened") hooks.subflowOpened?.(event, context);
        else if (event.type === "subflowPriority") hooks.subflowPriority?.(event, context);
        else if (event.type === "addressAnnounced") hooks.addressAnnounced?.(event, context);
        else if (event.type === "addressWithdrawn") hooks.addressWithdrawn?.(event, context);
        else hooks.fallback?.(event, context);
      });
    }
  }

  /** Calls one hook of a policy; a policy that was stopped meanwhile has none. */
  #hook(attachment: Attachment, name: HookName, call: (hooks: PolicyHooks) => void): void {
    if (name !== "detach" && !this.#attachments.includes(attachment)) return;
    for (const hooks of attachment.hooks) this.#call(attachment, () => call(hooks));
  }

  /** What a policy throws is told, and goes no further. */
  #call<T>(attachment: Attachment, work: () => T): T | undefined {
    try {
      return work();
    } catch (error) {
      this.#tell(attachment, "hook", "its code threw an error", "failed", { error });
      return undefined;
    }
  }

  #watchHostIfWanted(): void {
    const wanted = this.#attachments.some(({ hooks }) => hooks.some(({ hostChanged }) => hostChanged !== undefined));
    if (!wanted) {
      this.#unwatch?.();
      this.#unwatch = null;
    } else if (this.#unwatch === null) {
      try {
        this.#unwatch = this.#surroundings.watchHost(() => this.#hostChanged());
      } catch (error) {
        this.#tell(this.#attachments[0]!, "note", "changes of the host's addresses cannot be seen", "failed", { error });
      }
    }
  }

  #hostChanged(): void {
    for (const attachment of [...this.#attachments]) {
      this.#hook(attachment, "hostChanged", (hooks) => hooks.hostChanged?.(attachment.context));
    }
  }

  /** One timer for all ticks. */
  #schedule(): void {
    const due = Math.min(...this.#attachments.map((each) => each.due));
    if (due === this.#timerAt) return;
    this.#cancelTimer?.();
    this.#cancelTimer = null;
    this.#timerAt = due;
    if (due === Infinity) return;
    const wait = Math.max(0, due - this.#surroundings.now());
    this.#cancelTimer = this.#surroundings.after(wait, () => this.#tick());
  }

  #tick(): void {
    this.#cancelTimer = null;
    this.#timerAt = Infinity;
    const { now } = this.#surroundings;
    for (const attachment of [...this.#attachments]) {
      if (attachment.due > now() + 1) continue;
      const intervals = attachment.hooks.map(({ interval = Infinity }) => interval);
      attachment.due = now() + Math.min(...intervals);
      this.#hook(attachment, "tick", (hooks) => hooks.tick?.(attachment.context));
    }
    this.#schedule();
  }

  #tell(
    { policy, use }: Attachment,
    action: PolicyDecision["action"],
    reason: string,
    outcome: PolicyDecision["outcome"] = "done",
    about: Partial<PolicyDecision> = {},
  ): void {
    use.decided({ at: Date.now(), took: 0, policy: policy.name, token: this.#token, action, reason, outcome, ...about });
  }

  #contextOf(attachment: Attachment): PolicyContext {
    const { control, side } = this.#owner;
    const surroundings = this.#surroundings;
    const subflows = () => liveSubflows(control);
    return {
      connection: control,
      side,
      signal: attachment.abort.signal,
      now: () => surroundings.now(),
      wake: (ms) => {
        attachment.due = Math.min(attachment.due, surroundings.now() + ms);
        this.#schedule();
      },
      subflows,
      interfaces: () => ask(() => surroundings.interfaces(), []),
      announced: () => this.#owner.announced(),
      candidates: (remotes = []) => {
        const { remoteAddr: remote, localAddr: local } = control;
        const further = remotes.map((hostname) => ({ ...remote, hostname }));
        return ask(() => surroundings.candidates({ local, remote }, [...this.#owner.announced(), ...further]), []);
      },
      opening: () => [...this.#opening],
      has: ({ localAddress, remoteAddress }) => {
        const key = pathKey(localAddress, remoteAddress);
        return [...this.#opening].some((each) => pathKey(each.localAddress, each.remoteAddress) === key) ||
          subflows().some(({ local, remote }) => pathKey(local.hostname, remote.hostname) === key);
      },
      open: (candidate, reason, options) => this.#open(attachment, candidate, reason, options),
      close: (id, reason) => this.#act(attachment, "close", reason, this.#aboutSubflow(id), () => control.closeSubflow(id)),
      setBackup: (id, backup, reason) => {
        const about = { ...this.#aboutSubflow(id), value: backup };
        return this.#act(attachment, "setBackup", reason, about, () => control.setSubflowBackup(id, backup));
      },
      setOption: (id, name, value, reason) => {
        const about = { ...this.#aboutSubflow(id), value: `${name} ${value}` };
        return this.#do(attachment, "setOption", reason, about, () => control.setSubflowOption(id, name, value));
      },
      announce: (address, reason) =>
        this.#do(attachment, "announce", reason, { local: address }, () => this.#announce(address)),
      withdraw: (address, reason) =>
        this.#do(attachment, "withdraw", reason, { local: address }, () => this.#withdraw(address)),
      note: (reason, about = {}) => this.#tell(attachment, "note", reason, "done", about),
    };
  }

  #aboutSubflow(id: number): About {
    const row = liveSubflows(this.#owner.control).find((each) => each.id === id);
    return { subflow: id, ...(row && { local: row.local.hostname, remote: row.remote.hostname }) };
  }

  #do(attachment: Attachment, action: PolicyDecision["action"], reason: string, about: About, work: () => void): boolean {
    if (attachment.abort.signal.aborted) return false;
    try {
      work();
      this.#tell(attachment, action, reason, "done", about);
      return true;
    } catch (error) {
      this.#tell(attachment, action, reason, "failed", { ...about, error });
      return false;
    }
  }

  async #act(
    attachment: Attachment,
    action: PolicyDecision["action"],
    reason: string,
    about: About,
    work: () => Promise<unknown>,
  ): Promise<boolean> {
    const { signal } = attachment.abort;
    if (signal.aborted) return false;
    const [at, begun] = [Date.now(), performance.now()];
    const took = () => Math.round(performance.now() - begun);
    try {
      await work();
      this.#tell(attachment, action, reason, "done", { ...about, at, took: took() });
      return true;
    } catch (error) {
      if (!signal.aborted) this.#tell(attachment, action, reason, "failed", { ...about, at, took: took(), error });
      return false;
    }
  }

  async #open(
    attachment: Attachment,
    candidate: PathCandidate,
    reason: string,
    { backup = false, timeout = OPEN_TIMEOUT }: PolicyOpenOptions = {},
  ): Promise<Subflow | null> {
    const { signal } = attachment.abort;
    if (signal.aborted) return null;
    const { localAddress, remoteAddress, remotePort, interface: name } = candidate;
    const about: About = { local: localAddress, remote: remoteAddress, interface: name, ...(backup && { value: "backup" }) };
    const refusal = this.#refusal(candidate);
    if (refusal !== null) {
      const key = `${pathKey(localAddress, remoteAddress)}|${refusal.policy}|${refusal.reason}`;
      if (!attachment.refused.has(key)) this.#tell(attachment, "open", reason, "refused", { ...about, refusal });
      attachment.refused.add(key);
      return null;
    }
    this.#opening.add(candidate);
    let opened: Subflow | null = null;
    let failure: unknown;
    const worked = await this.#act(attachment, "open", reason, about, async () => {
      try {
        opened = await this.#owner.control.openSubflow({
          localAddress,
          remoteAddress,
          remotePort,
          // Bound to its interface, as the routes may lead elsewhere. Loopback leads to all that is this host's.
          ...(name !== "lo" && { interface: name }),
          backup,
          timeout,
          signal,
        });
        about.subflow = opened.id;
      } catch (error) {
        failure = error;
        throw error;
      } finally {
        this.#opening.delete(candidate);
      }
    });
    if (worked || signal.aborted) return opened;
    for (const each of [...this.#attachments]) {
      this.#hook(each, "openFailed", (hooks) => hooks.openFailed?.(candidate, failure, each.context));
    }
    return null;
  }

  #refusal(candidate: PathCandidate): { policy: string; reason: string } | null {
    for (const attachment of this.#attachments) {
      for (const hooks of attachment.hooks) {
        const answer = this.#call(attachment, () => hooks.mayOpen?.(candidate, attachment.context));
        if (typeof answer === "string") return { policy: attachment.policy.name, reason: answer };
      }
    }
    return null;
  }

  #announce(address: string): void {
    const { control } = this.#owner;
    const token = tokenOf(control);
    using paths = PathManager.open();
    const ids = this.#owner.ids();
    ids.refresh(paths, token, control.subflows());
    const id = ids.idFor(address, 0);
    if (id === null) throw new MptcpError("ERANGE", "Cannot announce: all 255 ids of addresses are in use");
    paths.announce({ token, address: plain(address), id });
    ids.learn(address, 0, id);
  }

  #withdraw(address: string): void {
    const { control } = this.#owner;
    const token = tokenOf(control);
    using paths = PathManager.open();
    const ids = this.#owner.ids();
    ids.refresh(paths, token, control.subflows());
    const id = ids.known(address, 0);
    if (id === null) throw new MptcpError("ENOENT", `Cannot withdraw: ${address} has no id in this connection`);
    paths.withdraw({ token, id });
  }
}

function tokenOf(control: PathControl): number {
  const { token } = control;
  if (token !== null) return token;
  throw new MptcpError("EOPNOTSUPP", "Cannot tell the peer of addresses: the connection is plain TCP");
}

/** The established ones; none when the connection is gone. */
function liveSubflows(control: PathControl): Subflow[] {
  return ask(() => control.subflows().filter(({ id, state }) => id !== 0 && state === "ESTABLISHED"), []);
}

/** What cannot be asked is not known. */
function ask<T>(question: () => T, otherwise: T): T {
  try {
    return question();
  } catch {
    return otherwise;
  }
}
