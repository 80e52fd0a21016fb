/**
 * A path from each address to each address.
 *
 * @module
 */
import { checkInteger } from "../kernel/argument_checks.ts";
import type { Policy, PolicyContext } from "../net/policy.ts";
import { type PathCandidate, pathKey } from "../paths/path_candidates.ts";
import { advertise } from "./advertise.ts";
import { checkRemotes, type RemoteOptions } from "./options.ts";

/** Options of `fullMesh`. */
export interface FullMeshOptions extends RemoteOptions {
  /**
   * At most so many subflows, the initial one included; 1 to 255. The peer has a limit too.
   *
   * @default {9}
   */
  most?: number;
}

/**
 * Uses all paths at once: opens a subflow from each of the host's addresses to each of the peer's that the routing table has
 * a way to, now and when addresses come. What is lost is not opened again by this policy: see `selfHealing`.
 *
 * On a server it announces the host's addresses, so that the client can open paths to them.
 *
 * @throws {TypeError} When an option has the wrong type.
 * @throws {RangeError} When `most` is out of range.
 *
 * @example
 * ```ts ignore
 * import { connect } from "@mptcp/mptcp";
 * import { fullMesh } from "@mptcp/mptcp/policy";
 *
 * using conn = await connect({ hostname: "server.example", port: 8080, paths: "userspace" });
 * conn.use(fullMesh());
 * ```
 */
export function fullMesh(options: FullMeshOptions = {}): Policy {
  const remotes = checkRemotes(options);
  const { most = 9 } = options;
  checkInteger("most", most, 1, 255);
  return {
    name: "fullMesh",
    manages: true,
    attach(context) {
      if (context.side === "server") return advertise(context);
      const mesh = new Mesh(context, remotes, most);
      mesh.review("the connection was made");
      return {
        addressAnnounced: ({ remote }) => mesh.review(`the peer announced ${remote.hostname}`),
        hostChanged: () => mesh.review("the host's addresses or routes changed"),
      };
    },
  };
}

/**
 * How long each try of a path may take, ms: a link that has just come up may lose the first SYN, and the kernel sends the next
 * one only after a second.
 */
const TRIES = [400, 1000, 10_000];

class Mesh {
  readonly #context: PolicyContext;
  readonly #remotes: readonly string[];
  readonly #most: number;
  /** The paths that there could be at the last look: each is tried once for as long as it could be. */
  #tried = new Set<string>();

  constructor(context: PolicyContext, remotes: readonly string[], most: number) {
    this.#context = context;
    this.#remotes = remotes;
    this.#most = most;
  }

  review(why: string): void {
    const context = this.#context;
    const candidates = context.candidates(this.#remotes);
    const keyed = candidates.map((each) => [pathKey(each.localAddress, each.remoteAddress), each] as const);
    const possible = new Set(keyed.map(([key]) => key));
    this.#tried = new Set([...this.#tried].filter((key) => possible.has(key)));
    for (const [key, candidate] of keyed) {
      if (this.#tried.has(key)) continue;
      if (!context.has(candidate)) {
        if (context.subflows().length + context.opening().length >= this.#most) return;
        this.#open(candidate, `full mesh, as ${why}`);
      }
      this.#tried.add(key);
    }
  }

  async #open(candidate: PathCandidate, reason: string, number = 0): Promise<void> {
    const context = this.#context;
    const begun = context.now();
    const timeout = TRIES[number]!;
    if (await context.open(candidate, reason, { timeout }) !== null || context.signal.aborted) return;
    const unanswered = context.now() - begun >= 0.9 * timeout;
    if (unanswered && number + 1 < TRIES.length && !context.has(candidate)) {
      await this.#open(candidate, "full mesh, once more with more time", number + 1);
    }
  }
}
