/**
 * What the kernels of both ends say of a library's connections, by `ss` alone.
 *
 * @module
 */
import { assert, assertEquals, assertGreater } from "@std/assert";
import type { SocketRow } from "../host.ts";
import type { Lab } from "../lab.ts";
import { until } from "../lab/until.ts";
import type { Told } from "./clients/stage.ts";

/** What to expect beyond MPTCP. */
export interface Expected {
  /** The least number of subflows of each connection. @default {2} one for each path of a lab as it is by default */
  subflows?: number;
  /** The least number of bytes that each of them has carried, both directions together. @default {0} */
  carried?: number;
}

/** A lab, or one with its ends changed over for what the server has begun. */
export type Hosts = Pick<Lab, "client" | "server">;

/** The sockets of one end that belong to a port of the server. */
interface End {
  connections: SocketRow[];
  /** TCP sockets: subflows, and what is no part of any connection. */
  tcp: SocketRow[];
}

const portOf = (address: string) => Number(address.slice(address.lastIndexOf(":") + 1));

/** The tokens of a subflow's connection, which `ss` prints as `token:REMOTE(id:0)/LOCAL(id:0)`. */
function tokensOf({ info }: SocketRow): { local: number; remote: number } | null {
  const [, remote, local] = /^([0-9a-f]+)\(id:\d+\)\/([0-9a-f]+)\(id:\d+\)$/.exec(info["token"] ?? "") ?? [];
  return "tcp-ulp-mptcp" in info && remote && local
    ? { local: Number.parseInt(local, 16), remote: Number.parseInt(remote, 16) }
    : null;
}

const carriedBy = ({ info }: SocketRow) => Number(info["bytes_acked"] ?? 0) + Number(info["bytes_received"] ?? 0);

async function look(lab: Hosts, port: number): Promise<{ client: End; server: End }> {
  const [ours, theirs] = await Promise.all([lab.client.ss(), lab.server.ss()]);
  const open = ({ state }: SocketRow) => state === "ESTAB";
  const toServer = (row: SocketRow) => open(row) && portOf(row.remote) === port;
  const atServer = (row: SocketRow) => open(row) && portOf(row.local) === port;
  return {
    client: { connections: ours.mptcp.filter(toServer), tcp: ours.tcp.filter(toServer) },
    server: { connections: theirs.mptcp.filter(atServer), tcp: theirs.tcp.filter(atServer) },
  };
}

/**
 * Asserts that a library's connections to a port are MPTCP on both ends, that there are no others, and that no other TCP
 * socket goes there.
 *
 * @param told What the client says of them.
 */
export async function assertMultipath(
  lab: Hosts,
  port: number,
  told: readonly Told[],
  expected: Expected = {},
): Promise<void> {
  const { subflows = 2, carried = 0 } = expected;
  assertGreater(told.length, 0, "the client says nothing of any connection");
  for (const each of told) assert(each.multipath, `the client calls a connection TCP: ${JSON.stringify(told)}`);
  // Subflows come after the connection, and the two ends do not learn of them at the same time; nor of a connection's end.
  const seen = await until(async () => {
    const now = await look(lab, port);
    const enough = [now.client, now.server].every(({ connections, tcp }) =>
      connections.length === told.length && connections.every(({ info }) => {
        const token = Number.parseInt(info["token"]!, 16);
        return tcp.filter((row) => tokensOf(row)?.local === token && carriedBy(row) >= carried).length >= subflows;
      })
    );
    return enough && now;
  }).catch(async () => {
    throw new Error(
      `Not ${told.length} connections, each of ${subflows} subflows with ${carried} bytes: ${
        JSON.stringify(await look(lab, port))
      }`,
    );
  });
  const { client, server } = seen;

  const localPorts = told.map(({ localPort }) => localPort).sort();
  assertEquals(client.connections.map(({ local }) => portOf(local)).sort(), localPorts, "the client's kernel knows others");
  assertEquals(
    server.connections.map(({ remote }) => portOf(remote)).sort(),
    localPorts,
    "the server's kernel knows others",
  );
  for (const { info } of [...client.connections, ...server.connections]) assert(!("fallback" in info), "fallen back");

  // The two ends of one connection, each by the token that its kernel has given it.
  const pairs = new Map<number, number>();
  for (const { localPort, token } of told) {
    const ours = client.connections.find(({ local }) => portOf(local) === localPort)!;
    const theirs = server.connections.find(({ remote }) => portOf(remote) === localPort)!;
    const [near, far] = [ours, theirs].map(({ info }) => Number.parseInt(info["token"]!, 16)) as [number, number];
    if (token !== undefined) assertEquals(token, near, "the client's token is not the kernel's");
    pairs.set(near, far);
  }
  assertSubflowsOnly("client", client.tcp, pairs);
  assertSubflowsOnly("server", server.tcp, new Map([...pairs].map(([near, far]) => [far, near])));
}

/** Asserts that every TCP socket is a subflow of a connection of which both ends are known. */
function assertSubflowsOnly(end: string, sockets: readonly SocketRow[], pairs: ReadonlyMap<number, number>): void {
  for (const row of sockets) {
    const tokens = tokensOf(row);
    assert(tokens && pairs.has(tokens.local), `plain TCP on the ${end}: ${row.local} to ${row.remote}`);
    // The kernel keeps the other end's token of additional subflows only.
    if (tokens.remote !== 0) assertEquals(tokens.remote, pairs.get(tokens.local), `another connection's, on the ${end}`);
  }
}

/** Asserts that there are connections to a port, and that each is plain TCP on both ends. */
export async function assertPlainTcp(lab: Lab, port: number, count: number): Promise<void> {
  const { client, server } = await look(lab, port);
  const mptcp = [...client.connections, ...server.connections].filter(({ info }) => !("fallback" in info));
  assertEquals(mptcp, []);
  assertEquals([client.tcp.length, server.tcp.length], [count, count]);
  // A client that has fallen back has a subflow still, as the kernel calls it; what it talks to has none.
  assertEquals(server.tcp.filter((row) => tokensOf(row) !== null), []);
}
