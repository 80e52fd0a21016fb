/**
 * A policy in use: its decisions, and the connections that it is attached to.
 *
 * @module
 */
import { Queue } from "../paths/queue.ts";
import type { Policy, PolicyDecision, PolicyHandle } from "./policy.ts";

/** How many decisions are kept for those who ask late. */
const KEPT = 256;

/** See the module's comment. */
export class PolicyUse implements PolicyHandle {
  readonly policy: Policy;
  readonly #kept: PolicyDecision[] = [];
  readonly #readers = new Set<Queue<PolicyDecision>>();
  readonly #detachers = new Set<() => void>();
  readonly #onStop: () => void;
  /** Whether there may be more connections. */
  #open = true;
  #over = false;

  /** @param onStop Called once, when it is stopped. */
  constructor(policy: Policy, onStop: () => void = () => {}) {
    this.policy = policy;
    this.#onStop = onStop;
  }

  /** Whether it was stopped. */
  get isOver(): boolean {
    return this.#over;
  }

  /** Tells a decision. */
  decided(decision: PolicyDecision): void {
    if (this.#over) return;
    this.#kept.push(decision);
    if (this.#kept.length > KEPT) this.#kept.shift();
    for (const reader of this.#readers) reader.push(decision);
  }

  /** One more connection has the policy. */
  attached(detach: () => void): void {
    this.#detachers.add(detach);
  }

  /** A connection has it no longer. */
  detached(detach: () => void): void {
    this.#detachers.delete(detach);
    this.#endIfDone();
  }

  /** There will be no more connections. */
  noMore(): void {
    this.#open = false;
    this.#endIfDone();
  }

  decisions(): AsyncIterableIterator<PolicyDecision> {
    const reader: Queue<PolicyDecision> = new Queue<PolicyDecision>(() => this.#readers.delete(reader));
    for (const decision of this.#kept) reader.push(decision);
    if (this.#over) reader.close();
    else this.#readers.add(reader);
    return reader;
  }

  stop(): void {
    if (this.#over) return;
    this.#open = false;
    for (const detach of [...this.#detachers]) detach();
    this.#endIfDone();
  }

  [Symbol.dispose](): void {
    this.stop();
  }

  #endIfDone(): void {
    if (this.#over || this.#open || this.#detachers.size > 0) return;
    this.#over = true;
    this.#onStop();
    for (const reader of [...this.#readers]) reader.close();
  }
}
