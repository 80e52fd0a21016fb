/**
 * Two hosts, joined by one cable or more, that exist only for a test:
 *
 * ```text
 *   client                     server
 *   a1 10.0.1.1 ────────────── b1 10.0.1.2     fd00:1::1 ─ fd00:1::2
 *   a2 10.0.2.1 ────────────── b2 10.0.2.2     fd00:2::1 ─ fd00:2::2   announced to the client
 * ```
 *
 * It needs root or user namespaces, changes nothing outside, and is gone with the test, whatever becomes of that.
 *
 * @module
 */
import { Host } from "./host.ts";
import { namespacePrivilege } from "./needs.ts";

export { Host } from "./host.ts";
export { labNeeds } from "./needs.ts";

/** One cable. (No latency: a token bucket is in every kernel, netem is not.) */
export interface PathOptions {
  /** Megabits per second in each direction. @default {undefined} as fast as the machine can */
  rateMbit?: number;
}

/** What the lab is to be like. */
export interface LabOptions {
  /** The cables. @default {[{}, {}]} */
  paths?: readonly PathOptions[];
  /** Whether the server announces its further addresses, so that connections get a subflow for each. @default {true} */
  endpoints?: boolean;
  /** Whether the hosts have IPv4 addresses. @default {true} */
  ipv4?: boolean;
  /** Whether to do without root. @default {undefined} only where there is no root */
  rootless?: boolean;
}

/** The most that the kernel allows. */
const LIMITS = "mptcp limits set subflows 8 add_addr_accepted 8";

/** The address of a host on a path, counted from 1. */
export function addressOf(host: "client" | "server", path: number, version: 4 | 6 = 4): string {
  const last = host === "client" ? 1 : 2;
  return version === 4 ? `10.0.${path}.${last}` : `fd00:${path}::${last}`;
}

/** The two hosts. */
export class Lab implements AsyncDisposable {
  readonly client: Host;
  readonly server: Host;

  private constructor(client: Host, server: Host) {
    this.client = client;
    this.server = server;
  }

  /** Makes a lab. */
  static async open(options: LabOptions = {}): Promise<Lab> {
    const { rootless = namespacePrivilege() !== "root" } = options;
    const client = await Host.open("client", rootless);
    let server: Host | undefined;
    try {
      server = await Host.open("server", rootless, client);
      const lab = new Lab(client, server);
      await lab.#wire(options);
      return lab;
    } catch (error) {
      await server?.[Symbol.asyncDispose]();
      await client[Symbol.asyncDispose]();
      throw error;
    }
  }

  async #wire({ paths = [{}, {}], endpoints = true, ipv4 = true }: LabOptions): Promise<void> {
    const numbered = paths.map((path, index) => [index + 1, path] as const);
    const versions: (4 | 6)[] = ipv4 ? [4, 6] : [6];
    // A device that gets its addresses before its peer is up may lose IPv6 packets for a second.
    await this.client.ip(...numbered.map(([i]) => `link add a${i} type veth peer name b${i} netns ${this.server.pid}`));
    const raise = (host: Host, device: "a" | "b") =>
      host.ip("link set lo up", ...numbered.map(([i]) => `link set ${device}${i} addrgenmode none up`));
    await raise(this.client, "a");
    await raise(this.server, "b");
    const configure = async (host: Host, side: "client" | "server", device: "a" | "b") => {
      // Addresses without duplicate detection, which would make each unusable for its first second.
      const addresses = numbered.flatMap(([i]) =>
        versions.map((version) =>
          version === 4
            ? `addr add ${addressOf(side, i)}/24 dev ${device}${i}`
            : `addr add ${addressOf(side, i, 6)}/64 dev ${device}${i} nodad`
        )
      );
      const announced = side === "server" && endpoints
        ? numbered.slice(1).flatMap(([i]) =>
          versions.map((version) => `mptcp endpoint add ${addressOf(side, i, version)} dev b${i} signal`)
        )
        : [];
      await host.ip(...addresses, LIMITS, ...announced);
      const shaped = numbered.filter(([, { rateMbit }]) => rateMbit !== undefined).map(([i, { rateMbit }]) =>
        `qdisc add dev ${device}${i} root tbf rate ${rateMbit}mbit burst 32kb latency 30ms`
      );
      if (shaped.length > 0) await host.run("tc", ["-batch", "-"], shaped.join("\n"));
    };
    await Promise.all([configure(this.client, "client", "a"), configure(this.server, "server", "b")]);
  }

  /** Loses every packet on a path, in both directions, without telling anyone: as a cable that is cut far away. */
  async cutPath(path: number): Promise<void> {
    await this.server.filter({ input: [`iifname "b${path}" drop`], output: [`oifname "b${path}" drop`] }, `cut${path}`);
  }

  /** Undoes `cutPath`. */
  async healPath(path: number): Promise<void> {
    await this.server.filter({}, `cut${path}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server[Symbol.asyncDispose]();
    await this.client[Symbol.asyncDispose]();
  }
}
