/**
 * Connections and their subflows by `ss`, to compare the library with.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { type Host, parseSs, type SocketRow } from "../host.ts";
import type { Agent } from "./remote.ts";

/** What `connections()` tells, in the order of the ports, without what changes by itself. */
export function listed(agent: Agent) {
  return agent.run(({ connections }) =>
    connections().map(({ token, local, remote, state, inode, uid, fallback, info, subflows }) => ({
      token,
      local,
      remote,
      state,
      inode,
      uid,
      fallback,
      further: info.subflows,
      subflows: subflows.map(({ local, remote, localId, remoteId, backup, state, interfaceIndex, cookie }) => ({
        local,
        remote,
        localId,
        remoteId,
        backup,
        state,
        interfaceIndex,
        cookie,
      })).sort((a, b) => a.local.port - b.local.port || a.remote.port - b.remote.port),
    }))
  );
}

/** Rows of `ss`, of MPTCP sockets or of TCP ones. */
async function ss(host: Host, what: "M" | "t"): Promise<SocketRow[]> {
  return parseSs(await host.run("ss", [`-OH${what}nie`]));
}

/** An address and a port as `ss` writes them, but for the interface. */
const written = ({ hostname, port }: { hostname: string; port: number }) =>
  hostname.includes(":") ? `[${hostname}]:${port}` : `${hostname}:${port}`;
/** `ss`'s own writing without the interface, and with IPv4 as such. */
const plain = (address: string) => address.replace(/%[^:\]]+/, "").replace(/\[::ffff:([\d.]+)\]/, "$1");

/** What `listed` gives. */
export type Listed = Awaited<ReturnType<typeof listed>>;

/** Compares all that `connections()` tells with `ss -M` and `ss -t`. */
export async function compareWithSs(host: Host, connections: Listed): Promise<void> {
  const byEnds = (a: readonly unknown[], b: readonly unknown[]) => `${a}` < `${b}` ? -1 : 1;
  const state = (name: string) => name === "ESTAB" ? "ESTABLISHED" : name;
  assertEquals(
    connections.map((each) => [
      each.token,
      written(each.local),
      written(each.remote),
      each.state,
      each.inode,
      each.uid,
      each.fallback,
      each.further,
    ]).sort(byEnds),
    (await ss(host, "M")).map((row) => [
      parseInt(row.info["token"]!, 16),
      plain(row.local),
      plain(row.remote),
      state(row.state),
      Number(row.info["ino"]),
      Number(row.info["uid"] ?? 0),
      "fallback" in row.info,
      Number(row.info["subflows"] ?? 0),
    ]).sort(byEnds),
  );
  const ofSs = (await ss(host, "t")).flatMap((row) => {
    // tcp-ulp-mptcp flags:Jjbec token:31409d09(id:0)/c4c6abbd(id:7), the remote one first
    const ulp = /^[0-9a-f]+\(id:(\d+)\)\/([0-9a-f]+)\(id:(\d+)\)$/.exec(row.info["token"] ?? "");
    if (!ulp) return [];
    return [[
      parseInt(ulp[2]!, 16),
      plain(row.local),
      plain(row.remote),
      state(row.state),
      Number(ulp[3]),
      Number(ulp[1]),
      /b/i.test(row.info["flags"]!),
      parseInt(row.info["sk"]!, 16),
    ]];
  });
  const ours = connections.flatMap(({ token, subflows }) =>
    subflows.map((each) => [
      token,
      written(each.local),
      written(each.remote),
      each.state,
      each.localId,
      each.remoteId,
      each.backup,
      Number(each.cookie), // the agent sends no bigint
    ])
  );
  assertEquals(ours.sort(byEnds), ofSs.sort(byEnds));
}
