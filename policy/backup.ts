/**
 * One path for use, the others for the day when it fails.
 *
 * @module
 */
import type { Policy, PolicyContext } from "../net/policy.ts";
import { type PathCandidate, pathKey } from "../paths/path_candidates.ts";
import { advertise } from "./advertise.ts";
import { isNamed, type Where, whereIs } from "./match.ts";
import { checkNames, checkRemotes, type RemoteOptions } from "./options.ts";
import { Retries } from "./retries.ts";

/** Options of `backup`. */
export interface BackupOptions extends RemoteOptions {
  /**
   * Which paths are for use: an interface's name (`*` stands for anything) or an address of the host, or several, or a
   * function that tells.
   *
   * @default {the local address of the connection's first subflow}
   */
  prefer?: string | readonly string[] | ((where: { localAddress: string; interface: string | undefined }) => boolean);
}

/**
 * Sends over the preferred paths only (the first one unless told), and keeps one more path per further address as a backup, which carries nothing until
 * no preferred path works. A preferred path that was lost is tried again and again, and used as soon as it is back.
 *
 * The initial subflow too becomes a backup where it is not on a preferred path, once there is one that is. On a server it
 * announces the host's addresses; which of them is preferred, the client decides.
 *
 * @throws {TypeError} When an option has the wrong type.
 *
 * @example The mobile network only when the other fails
 * ```ts ignore
 * import { connect } from "@mptcp/mptcp";
 * import { backup } from "@mptcp/mptcp/policy";
 *
 * using conn = await connect({ hostname: "server.example", port: 8080, paths: "userspace" });
 * conn.use(backup({ prefer: ["eth*", "wlan*"] }));
 * ```
 */
export function backup(options: BackupOptions = {}): Policy {
  const remotes = checkRemotes(options);
  const { prefer } = options;
  const names = prefer === undefined || typeof prefer === "function" ? undefined : checkNames("prefer", prefer);
  return {
    name: "backup",
    manages: true,
    attach(context) {
      if (context.side === "server") return advertise(context);
      const wanted = names ?? [context.connection.localAddr.hostname];
      const isPreferred = (where: Where) => typeof prefer === "function" ? prefer(where) : isNamed(wanted, where);
      const keeper = new Keeper(context, remotes, isPreferred);
      keeper.review();
      const review = () => keeper.review();
      return {
        subflowOpened: review,
        subflowClosed: review,
        addressAnnounced: review,
        tick: review,
        hostChanged: () => keeper.renew(),
      };
    },
  };
}

class Keeper {
  readonly #context: PolicyContext;
  readonly #remotes: readonly string[];
  readonly #isPreferred: (where: Where) => boolean;
  readonly #retries = new Retries();
  /** Subflows whose priority was set, and to what. */
  readonly #set = new Map<number, boolean>();

  constructor(context: PolicyContext, remotes: readonly string[], isPreferred: (where: Where) => boolean) {
    this.#context = context;
    this.#remotes = remotes;
    this.#isPreferred = isPreferred;
  }

  /** The host has changed: what failed may work. */
  renew(): void {
    this.#retries.reset();
    this.review();
  }

  review(): void {
    const context = this.#context;
    const candidates = context.candidates(this.#remotes);
    for (const candidate of candidates) if (!context.has(candidate)) this.#open(candidate);
    this.#wakeForRetry();
    this.#prioritise();
  }

  #open(candidate: PathCandidate): void {
    const context = this.#context;
    const key = pathKey(candidate.localAddress, candidate.remoteAddress);
    if (!this.#retries.isDue(key, context.now())) return;
    const preferred = this.#isPreferred(candidate);
    this.#retries.tried(key, context.now());
    const why = preferred ? "the preferred path" : "a backup, for when no preferred path works";
    // A preferred path that is away is tried often and briefly, so that its return is noticed.
    context.open(candidate, why, { backup: !preferred, timeout: preferred ? 1000 : 5000 }).then((subflow) => {
      if (subflow === null) this.#retries.tried(key, context.now());
      else this.#retries.succeeded(key);
      this.#wakeForRetry();
    });
  }

  /** Also at every look: a timer may be early, and what it was for not due yet. */
  #wakeForRetry(): void {
    const { now, wake } = this.#context;
    const wait = this.#retries.wait(now());
    if (wait < Infinity) wake(wait + 1);
  }

  /** Makes each subflow what it is to be; the only ones are regular while there is no preferred one. */
  #prioritise(): void {
    const context = this.#context;
    const rows = context.subflows().map((row) => ({ row, preferred: this.#isPreferred(whereIs(row, context)) }));
    if (!rows.some(({ preferred }) => preferred)) return;
    for (const { row: { id, backup }, preferred } of rows) {
      if (backup === undefined || backup === !preferred || this.#set.get(id) === !preferred) continue;
      this.#set.set(id, !preferred);
      context.setBackup(id, !preferred, preferred ? "it is the preferred path" : "there is a preferred path").then(
        (worked) => {
          if (!worked) this.#set.delete(id);
        },
      );
    }
  }
}
