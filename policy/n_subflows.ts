/**
 * A fixed number of subflows.
 *
 * @module
 */
import { checkInteger } from "../kernel/argument_checks.ts";
import type { Policy, PolicyContext } from "../net/policy.ts";
import type { Subflow } from "../paths/connection.ts";
import { type PathCandidate, pathKey } from "../paths/path_candidates.ts";
import { advertise } from "./advertise.ts";
import { checkRemotes, type RemoteOptions } from "./options.ts";
import { Retries } from "./retries.ts";

/** Options of `nSubflows`. */
export interface NSubflowsOptions extends RemoteOptions {
  /** Milliseconds for opening one. @default {5000} */
  timeout?: number;
}

/** How long the peer has for announcing addresses before one path gets a second subflow, ms. */
const GRACE = 250;

/**
 * Keeps a connection at so many subflows: over different paths first, then more of them over the same, which helps where each
 * flow is slowed or hashed to one of several links. When one is lost, another is opened.
 *
 * Policies open no more than that together; the program may, and so may the peer.
 *
 * On a server it announces the host's addresses; a limit on how many subflows clients open is theirs.
 *
 * @param n How many, the initial one included: 1 to 64. The peer has a limit too.
 * @throws {TypeError} When an argument has the wrong type.
 * @throws {RangeError} When `n` is out of range.
 */
export function nSubflows(n: number, options: NSubflowsOptions = {}): Policy {
  checkInteger("n", n, 1, 64);
  const remotes = checkRemotes(options);
  const { timeout = 5000 } = options;
  return {
    name: `nSubflows(${n})`,
    manages: true,
    attach(context) {
      if (context.side === "server") return advertise(context);
      const retries = new Retries();
      const begun = context.now();
      // Also at every look: a timer may be early, and what it was for not due yet.
      const wakeForRetry = () => {
        const wait = retries.wait(context.now());
        if (wait < Infinity) context.wake(wait + 1);
      };
      const review = () => {
        const missing = n - context.subflows().length - context.opening().length;
        const repeat = context.now() >= begun + GRACE;
        const isDue = (key: string) => retries.isDue(key, context.now());
        for (const candidate of choosePaths(context, context.candidates(remotes), missing, isDue, repeat)) {
          const key = pathKey(candidate.localAddress, candidate.remoteAddress);
          retries.tried(key, context.now());
          context.open(candidate, `${n} subflows are wanted`, { timeout }).then((subflow) => {
            if (subflow === null) retries.tried(key, context.now());
            else retries.succeeded(key);
            wakeForRetry();
          });
        }
        wakeForRetry();
      };
      review();
      context.wake(GRACE + 5); // timers may be early
      return {
        subflowClosed: review,
        addressAnnounced: review,
        tick: review,
        hostChanged() {
          retries.reset();
          review();
        },
        mayOpen: () => sound(context.subflows()).length + context.opening().length < n || `there are ${n} subflows already`,
      };
    },
  };
}

/** Those that are not in trouble: what is dead may be replaced before it is closed. */
const sound = (rows: readonly Subflow[]) => rows.filter(({ tcpInfo: { retransmits = 0 } }) => retransmits < 2);

/**
 * The paths to open, those that are least used first; a path that is not due is left out.
 *
 * @param repeat Whether a path that is in use may have another subflow.
 */
export function choosePaths(
  context: Pick<PolicyContext, "subflows" | "opening">,
  candidates: readonly PathCandidate[],
  count: number,
  isDue: (key: string) => boolean,
  repeat: boolean,
): PathCandidate[] {
  const used = new Map<string, number>();
  const use = (key: string) => used.set(key, (used.get(key) ?? 0) + 1);
  for (const { local, remote } of context.subflows()) use(pathKey(local.hostname, remote.hostname));
  for (const { localAddress, remoteAddress } of context.opening()) use(pathKey(localAddress, remoteAddress));
  const rows = candidates.map((candidate) => ({ candidate, key: pathKey(candidate.localAddress, candidate.remoteAddress) }))
    .filter(({ key }) => isDue(key));
  const chosen: PathCandidate[] = [];
  while (chosen.length < count && rows.length > 0) {
    const least = rows.reduce((a, b) => (used.get(b.key) ?? 0) < (used.get(a.key) ?? 0) ? b : a);
    if (!repeat && used.has(least.key)) break;
    use(least.key);
    chosen.push(least.candidate);
  }
  return chosen;
}
