/**
 * A host to try endpoints and limits on, and `ip mptcp` to compare with.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import type { Endpoint } from "../../mod.ts";
import { Host } from "../host.ts";
import { namespacePrivilege } from "../needs.ts";
import { call } from "./path_calls.ts";
import { Agent } from "./remote.ts";

/** A host with nothing but a pair of interfaces, `e1` and `e2`, and the library in it. */
export async function openHost(): Promise<{ host: Host; agent: Agent } & AsyncDisposable> {
  const host = await Host.open("host", namespacePrivilege() !== "root");
  await host.ip("link set lo up", "link add e1 type veth peer name e2");
  return { host, agent: Agent.start(host), [Symbol.asyncDispose]: () => host[Symbol.asyncDispose]() };
}

/** The bits of the flags, under the library's names. */
export const BITS = { signal: 1, subflow: 2, backup: 4, fullmesh: 8, implicit: 16, laminar: 32 } as const;
/** A flag's name. */
export type Flag = keyof typeof BITS;
/** All flags' names. */
export const FLAGS = Object.keys(BITS) as Flag[];

/** An endpoint as the library must tell it. */
export function endpoint(id: number, address: string, set: readonly Flag[] = [], more: Partial<Endpoint> = {}): Endpoint {
  const named = Object.fromEntries(FLAGS.map((flag) => [flag, set.includes(flag)])) as Record<Flag, boolean>;
  return { id, address, ...named, flags: set.reduce((sum, flag) => sum | BITS[flag], 0), ...more };
}

/** What `ip -j` says of an endpoint. Bits that it has no name for are in `rawflags`, in hexadecimal digits. */
type Shown =
  & { id: number; address: string; port?: number; dev?: string; rawflags?: string }
  & Partial<Record<Flag, boolean>>;

/** One endpoint, as far as `ip` and the library both tell it. */
interface Compared {
  id: number;
  address: string;
  port: number | undefined;
  dev: string | undefined;
  flags: number;
}

/** Runs `ip -j`. It says nothing where it has nothing to say. */
async function ipJson<T>(host: Host, ...args: string[]): Promise<T[]> {
  const text = (await host.run("ip", ["-j", ...args])).trim();
  return text === "" ? [] : JSON.parse(text) as T[];
}

function shown({ id, address, port, dev, rawflags = "0", ...named }: Shown): Compared {
  const flags = FLAGS.reduce((sum, flag) => sum | (named[flag] ? BITS[flag] : 0), parseInt(rawflags, 16));
  return { id, address, port, dev, flags };
}

/** The endpoints by `ip mptcp endpoint show`, in its order. */
export async function endpointsByIp(host: Host): Promise<Compared[]> {
  return (await ipJson<Shown>(host, "mptcp", "endpoint", "show")).map(shown);
}

/** Compares every field of what the library lists with what `ip` does, in the same order, and one by one. */
export async function compareWithIp(host: Host, agent: Agent): Promise<Endpoint[]> {
  const links = await ipJson<{ ifindex: number; ifname: string }>(host, "link", "show");
  const devices = new Map(links.map(({ ifindex, ifname }) => [ifindex, ifname]));
  const endpoints = await call(agent, "endpoints");
  const told = endpoints.map(({ id, address, port, interfaceIndex, flags }): Compared => {
    return { id, address, port, dev: interfaceIndex && devices.get(interfaceIndex) || undefined, flags };
  });
  assertEquals(told, await endpointsByIp(host));
  for (const each of endpoints) {
    assertEquals(FLAGS.filter((flag) => each[flag]), FLAGS.filter((flag) => each.flags & BITS[flag]));
    assertEquals(await call(agent, "endpoint", each.id), each);
  }
  return endpoints;
}

/** The limits by `ip mptcp limits show`, which has no JSON for them. */
export async function limitsByIp(host: Host): Promise<{ subflows: number; addAddrAccepted: number }> {
  const text = await host.run("ip", ["mptcp", "limits", "show"]);
  const value = (name: string) => Number(new RegExp(`${name} (\\d+)`).exec(text)?.[1]);
  return { subflows: value("subflows"), addAddrAccepted: value("add_addr_accepted") };
}
