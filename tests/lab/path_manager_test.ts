import { describe, it } from "node:test";
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { Endpoint, NewEndpoint, PathManager } from "../../mod.ts";
import { Host } from "../host.ts";
import { labNeeds } from "../lab.ts";
import { namespacePrivilege } from "../needs.ts";
import { assertFails } from "./assert_fails.ts";
import { Agent } from "./remote.ts";
import { unprivileged } from "./unprivileged.ts";

const skip = labNeeds();

/** A host with nothing but a pair of interfaces, and the library in it. */
async function openHost(): Promise<{ host: Host; agent: Agent } & AsyncDisposable> {
  const host = await Host.open("host", namespacePrivilege() !== "root");
  await host.ip("link set lo up", "link add e1 type veth peer name e2");
  return { host, agent: Agent.start(host), [Symbol.asyncDispose]: () => host[Symbol.asyncDispose]() };
}

type Method =
  | "addEndpoint"
  | "removeEndpoint"
  | "flushEndpoints"
  | "setEndpointFlags"
  | "endpoints"
  | "limits"
  | "setLimits";

/** Calls one method of a path manager, which is opened for that and closed after it. */
async function call<M extends Method>(
  agent: Agent,
  method: M,
  ...args: Parameters<PathManager[M]>
): Promise<ReturnType<PathManager[M]>> {
  return await agent.run(({ PathManager }, { method, args }) => {
    using paths = PathManager.open();
    return Reflect.apply(paths[method as "endpoints"], paths, args) as unknown ?? null;
  }, { method, args }) as ReturnType<PathManager[M]>;
}

/** The flags of an endpoint that has none. */
const NO_FLAGS = { signal: false, subflow: false, backup: false, fullmesh: false, implicit: false, laminar: false };
const BITS = { signal: 1, subflow: 2, backup: 4, fullmesh: 8, implicit: 16, laminar: 32 } as const;
type Flag = keyof typeof BITS;
const FLAGS = Object.keys(BITS) as Flag[];

/** An endpoint as the library must tell it. */
function endpoint(id: number, address: string, flags: readonly Flag[] = [], more: Partial<Endpoint> = {}): Endpoint {
  const named = Object.fromEntries(flags.map((flag) => [flag, true]));
  return { id, address, ...NO_FLAGS, ...named, flags: flags.reduce((sum, flag) => sum | BITS[flag], 0), ...more };
}

/** What `ip` says of an endpoint; the version of 2023 does not know `laminar`. */
type Shown = { id: number; address: string; port?: number; dev?: string } & Partial<Record<Flag, boolean>>;

/** The endpoints by `ip mptcp endpoint show`, in the library's words as far as `ip` tells. */
async function shown(host: Host) {
  const text = (await host.run("ip", ["-j", "mptcp", "endpoint", "show"])).trim();
  return (text === "" ? [] : JSON.parse(text) as Shown[]).map(({ id, address, port, dev, ...flags }) => {
    const set = FLAGS.filter((flag) => flag !== "laminar" && flags[flag]);
    return { id, address, port: port || undefined, dev, set };
  });
}

/** The same of what the library tells. */
function told(endpoints: readonly Endpoint[], devices: Readonly<Record<number, string>> = {}) {
  return endpoints.map(({ id, address, port, interfaceIndex, ...flags }) => {
    const set = FLAGS.filter((flag) => flag !== "laminar" && flags[flag]);
    return { id, address, port, dev: interfaceIndex === undefined ? undefined : devices[interfaceIndex], set };
  });
}

/** Compares what the library lists with what `ip` does. */
async function compareWithIp(host: Host, agent: Agent): Promise<Endpoint[]> {
  const links = JSON.parse(await host.run("ip", ["-j", "link", "show"])) as { ifindex: number; ifname: string }[];
  const endpoints = await call(agent, "endpoints");
  assertEquals(told(endpoints, Object.fromEntries(links.map((link) => [link.ifindex, link.ifname]))), await shown(host));
  return endpoints;
}

/** The limits by `ip mptcp limits show`. */
async function shownLimits(host: Host) {
  const text = await host.run("ip", ["mptcp", "limits", "show"]);
  const value = (name: string) => Number(new RegExp(`${name} (\\d+)`).exec(text)?.[1]);
  return { subflows: value("subflows"), addAddrAccepted: value("add_addr_accepted") };
}

describe("PathManager.addEndpoint()", { skip }, () => {
  const cases: readonly (readonly [string, NewEndpoint, Endpoint])[] = [
    ["without flags", { address: "10.0.0.1" }, endpoint(1, "10.0.0.1")],
    ["for subflows, over IPv6", { address: "fd00:0::1", subflow: true }, endpoint(1, "fd00::1", ["subflow"])],
    [
      "that is announced with a port",
      { address: "10.0.0.1", signal: true, port: 4433, id: 200 },
      endpoint(200, "10.0.0.1", ["signal"], { port: 4433 }),
    ],
    [
      "that is announced with a port, over IPv6",
      { address: "fd00::1", signal: true, port: 65535 },
      endpoint(1, "fd00::1", ["signal"], { port: 65535 }),
    ],
    [
      "for backup subflows to all addresses",
      { address: "10.0.0.1", subflow: true, backup: true, fullmesh: true },
      endpoint(1, "10.0.0.1", ["subflow", "backup", "fullmesh"]),
    ],
    ["that is both", { address: "10.0.0.1", subflow: true, signal: true }, endpoint(1, "10.0.0.1", ["signal", "subflow"])],
    [
      "with flags by their bits, and one by name",
      { address: "10.0.0.1", flags: 2 | 4, backup: false },
      endpoint(1, "10.0.0.1", ["subflow"]),
    ],
    ["with the highest id", { address: "fd00::1", id: 255 }, endpoint(255, "fd00::1")],
  ];
  for (const [what, init, expected] of cases) {
    it(`makes one ${what}`, async () => {
      await using lab = await openHost();
      await lab.host.ip("addr add 10.0.0.1/24 dev e1", "addr add fd00::1/64 dev e1 nodad", "link set e1 up");
      assertEquals(await call(lab.agent, "addEndpoint", init), expected);
      assertEquals(await compareWithIp(lab.host, lab.agent), [expected]);
    });
  }

  it("binds one to an interface, by its name or its index", async () => {
    await using lab = await openHost();
    const [link] = JSON.parse(await lab.host.run("ip", ["-j", "link", "show", "e2"])) as { ifindex: number }[];
    const interfaceIndex = link!.ifindex;
    const byName = await call(lab.agent, "addEndpoint", { address: "10.0.0.1", interface: "e2", subflow: true });
    assertEquals(byName, endpoint(1, "10.0.0.1", ["subflow"], { interfaceIndex }));
    const byIndex = await call(lab.agent, "addEndpoint", { address: "fd00::1", interfaceIndex });
    assertEquals(byIndex, endpoint(2, "fd00::1", [], { interfaceIndex }));
    assertEquals(await compareWithIp(lab.host, lab.agent), [byName, byIndex]);
    assertEquals((await shown(lab.host)).map(({ dev }) => dev), ["e2", "e2"]);

    const error = await assertFails(call(lab.agent, "addEndpoint", { address: "10.0.0.2", interface: "none" }), "ENODEV");
    assertStringIncludes(error.message, '"none"');
    assertEquals((await compareWithIp(lab.host, lab.agent)).length, 2);
  });

  it("makes a laminar one where the kernel knows that", async () => {
    await using lab = await openHost();
    const added = await call(lab.agent, "addEndpoint", { address: "10.0.0.1", laminar: true, subflow: true });
    // Since Linux 6.18; before, the flag is stored without a meaning.
    assertEquals(added, endpoint(1, "10.0.0.1", ["subflow", "laminar"]));
    assertEquals((await compareWithIp(lab.host, lab.agent))[0], added);
  });

  it("gives the endpoint that it made, not another of that address", async () => {
    await using lab = await openHost();
    await lab.host.ip("addr add 10.0.0.1/24 dev e1", "link set e1 up");
    const added: Endpoint[] = [];
    for (const more of [{ port: 81 }, {}, { port: 82 }]) {
      added.push(await call(lab.agent, "addEndpoint", { address: "10.0.0.1", signal: true, ...more }));
    }
    assertEquals(added.map(({ id, port }) => [id, port]), [[1, 81], [2, undefined], [3, 82]]);
    const long = await call(lab.agent, "addEndpoint", { address: "FD00:0:0::00:1", subflow: true });
    assertEquals([long.id, long.address], [4, "fd00::1"]);
    assertEquals(await compareWithIp(lab.host, lab.agent), [...added, long]);
  });

  it("lets the kernel pick ids: always one further, none twice, and from the beginning after the last", async () => {
    await using lab = await openHost();
    const add = async (address: string, id?: number) =>
      (await call(lab.agent, "addEndpoint", id === undefined ? { address } : { address, id })).id;
    assertEquals([await add("10.0.0.1"), await add("10.0.0.2"), await add("10.0.0.3", 3)], [1, 2, 3]);
    assertEquals(await add("10.0.0.4"), 4, "the id that was taken is not passed over");
    await call(lab.agent, "removeEndpoint", 2);
    assertEquals(await add("10.0.0.5"), 5, "the id of a removed endpoint is used again too soon");
    assertEquals(await add("10.0.0.6", 255), 255);
    assertEquals(await add("10.0.0.7"), 2, "after 255 the free id is not found");
    assertEquals(await add("10.0.0.8", 0), 6, "id 0 does not leave it to the kernel");
    assertEquals((await compareWithIp(lab.host, lab.agent)).map(({ id }) => id), [1, 2, 3, 4, 5, 6, 255]);
  });

  it("says why the kernel refuses", async () => {
    await using lab = await openHost();
    const add = (init: NewEndpoint) => call(lab.agent, "addEndpoint", init);
    await add({ address: "10.0.0.1", id: 1 });
    const twice = await assertFails(add({ address: "10.0.0.1" }), "EEXIST");
    assertMatch(twice.message, /^add an endpoint failed: too many addresses or duplicate one: -17 \(EEXIST\)$/);
    assertEquals([twice.errno, twice.syscall], [-17, "add an endpoint"]);
    const sameId = await assertFails(add({ address: "10.0.0.2", id: 1 }), "EBUSY");
    assertStringIncludes(sameId.message, "too many addresses or duplicate one: -16");
    const notOurs = await assertFails(add({ address: "192.0.2.1", signal: true, port: 99 }), "EADDRNOTAVAIL");
    assertStringIncludes(notOurs.message, "(EADDRNOTAVAIL)");
    for (let n = 2; n <= 8; n++) await add({ address: `10.0.0.${n}`, id: n });
    const ninth = await assertFails(add({ address: "10.0.0.9" }), "ERANGE");
    assertStringIncludes(ninth.message, "too many addresses or duplicate one: -34");
    assertEquals((await compareWithIp(lab.host, lab.agent)).length, 8);
  });
});

describe("PathManager.removeEndpoint() and flushEndpoints()", { skip }, () => {
  it("remove one, and all", async () => {
    await using lab = await openHost();
    for (const address of ["10.0.0.1", "fd00::2", "10.0.0.3"]) await call(lab.agent, "addEndpoint", { address });
    await call(lab.agent, "removeEndpoint", 2);
    assertEquals((await compareWithIp(lab.host, lab.agent)).map(({ id }) => id), [1, 3]);
    const gone = await assertFails(call(lab.agent, "removeEndpoint", 2), "EINVAL");
    assertMatch(gone.message, /^remove an endpoint failed: address not found \(EINVAL\)$/);
    await lab.host.ip("mptcp endpoint add 10.0.0.4 id 40 signal");
    assertEquals((await compareWithIp(lab.host, lab.agent)).map(({ id }) => id), [1, 3, 40]);
    await call(lab.agent, "flushEndpoints");
    assertEquals(await compareWithIp(lab.host, lab.agent), []);
    await call(lab.agent, "flushEndpoints");
    assertEquals((await call(lab.agent, "addEndpoint", { address: "10.0.0.1" })).id, 1, "ids do not begin anew");
  });
});

describe("PathManager.setEndpointFlags()", { skip }, () => {
  it("changes the flags that are given, by id and by address, and leaves the other as it is", async () => {
    await using lab = await openHost();
    await lab.host.ip("addr add 10.0.0.2/24 dev e1", "link set e1 up");
    await call(lab.agent, "addEndpoint", { address: "10.0.0.1", subflow: true });
    await call(lab.agent, "addEndpoint", { address: "fd00::1", subflow: true, fullmesh: true });
    // In this order the kernel finds the one without a port first, for whatever port.
    await call(lab.agent, "addEndpoint", { address: "10.0.0.2", signal: true, id: 4 });
    await call(lab.agent, "addEndpoint", { address: "10.0.0.2", signal: true, id: 3, port: 99 });
    await call(lab.agent, "addEndpoint", { address: "::ffff:10.0.0.9", subflow: true, id: 5 });
    const steps: readonly (readonly [...Parameters<PathManager["setEndpointFlags"]>, number, Flag[]])[] = [
      [1, { backup: true }, 1, ["subflow", "backup"]],
      [1, { fullmesh: true }, 1, ["subflow", "backup", "fullmesh"]],
      [{ id: 1 }, { backup: false }, 1, ["subflow", "fullmesh"]],
      [1, {}, 1, ["subflow", "fullmesh"]],
      [{ address: "10.0.0.1" }, { backup: true, fullmesh: false }, 1, ["subflow", "backup"]],
      [{ address: "FD00:0::1" }, { backup: true }, 2, ["subflow", "backup", "fullmesh"]],
      [{ address: "fd00::1" }, { fullmesh: false }, 2, ["subflow", "backup"]],
      [{ address: "10.0.0.2", port: 99 }, { backup: true }, 3, ["signal", "backup"]],
      [{ address: "10.0.0.2" }, { backup: true }, 4, ["signal", "backup"]],
      [{ address: "10.0.0.2", port: 99 }, { backup: false }, 3, ["signal"]],
      [{ address: "::ffff:10.0.0.9" }, { backup: true }, 5, ["subflow", "backup"]],
    ];
    const expected = new Map<number, Flag[]>([
      [1, ["subflow"]],
      [2, ["subflow", "fullmesh"]],
      [3, ["signal"]],
      [4, ["signal"]],
      [5, ["subflow"]],
    ]);
    for (const [key, flags, id, set] of steps) {
      await call(lab.agent, "setEndpointFlags", key, flags);
      expected.set(id, set);
      const now = await compareWithIp(lab.host, lab.agent);
      const seen = now.map((each) => [each.id, FLAGS.filter((flag) => each[flag])]);
      assertEquals(seen, [...expected], `after ${JSON.stringify([key, flags])}`);
    }
  });

  it("says why the kernel refuses", async () => {
    await using lab = await openHost();
    await call(lab.agent, "addEndpoint", { address: "10.0.0.1", signal: true });
    const change = (...args: Parameters<PathManager["setEndpointFlags"]>) => call(lab.agent, "setEndpointFlags", ...args);
    for (const key of [9, { address: "10.0.0.9" }, { address: "10.0.0.1", port: 5 }]) {
      const error = await assertFails(change(key, { backup: true }), "EINVAL");
      assertMatch(error.message, /^change an endpoint failed: address not found \(EINVAL\)$/);
    }
    const mesh = await assertFails(change(1, { fullmesh: true }), "EINVAL");
    assertStringIncludes(mesh.message, "invalid addr flags");
    assertEquals(await compareWithIp(lab.host, lab.agent), [endpoint(1, "10.0.0.1", ["signal"])]);
  });
});

describe("PathManager.limits() and setLimits()", { skip }, () => {
  it("get and set both, or one", async () => {
    await using lab = await openHost();
    const check = async (subflows: number, addAddrAccepted: number) => {
      assertEquals(await call(lab.agent, "limits"), { subflows, addAddrAccepted });
      assertEquals(await shownLimits(lab.host), { subflows, addAddrAccepted });
    };
    await check(2, 0);
    await call(lab.agent, "setLimits", { addAddrAccepted: 5 });
    await check(2, 5);
    await call(lab.agent, "setLimits", { subflows: 8 });
    await check(8, 5);
    await call(lab.agent, "setLimits", { subflows: 0, addAddrAccepted: 8 });
    await check(0, 8);
    await lab.host.ip("mptcp limits set subflows 3 add_addr_accepted 1");
    await check(3, 1);
    for (const limits of [{ subflows: 9 }, { addAddrAccepted: 9 }, { subflows: 1, addAddrAccepted: 0xffffffff }]) {
      const error = await assertFails(call(lab.agent, "setLimits", limits), "EINVAL");
      assertMatch(error.message, /^set the limits failed: limit greater than maximum \(8\) \(EINVAL\)$/);
    }
    await check(3, 1);
  });
});

describe("PathManager", { skip }, () => {
  it("refuses wrong arguments by itself", async () => {
    await using lab = await openHost();
    const seen = await lab.agent.run(({ PathManager }) => {
      using paths = PathManager.open();
      paths.addEndpoint({ address: "10.0.0.1", subflow: true });
      const closed = PathManager.open();
      closed.close();
      // deno-lint-ignore no-explicit-any
      type Any = any;
      const end = { address: "10.0.0.1", port: 1 };
      const made = { token: 1, localAddress: "10.0.0.1", localId: 1, remoteAddress: "10.0.0.2", remotePort: 1 };
      const cases: [expected: string, work: (paths: Any) => unknown][] = [
        ["TypeError", (paths) => paths.addEndpoint()],
        ["TypeError", (paths) => paths.addEndpoint(null)],
        ["TypeError", (paths) => paths.addEndpoint({})],
        ["TypeError", (paths) => paths.addEndpoint("10.0.0.2")],
        ["TypeError", (paths) => paths.addEndpoint({ address: "host.test" })],
        ["TypeError", (paths) => paths.addEndpoint({ address: "10.0.0.256" })],
        ["TypeError", (paths) => paths.addEndpoint({ address: "fe80::1%e1" })],
        ["TypeError", (paths) => paths.addEndpoint({ address: "10.0.0.2", id: "1" })],
        ["RangeError", (paths) => paths.addEndpoint({ address: "10.0.0.2", id: 256 })],
        ["RangeError", (paths) => paths.addEndpoint({ address: "10.0.0.2", id: -1 })],
        ["RangeError", (paths) => paths.addEndpoint({ address: "10.0.0.2", id: 1.5 })],
        ["RangeError", (paths) => paths.addEndpoint({ address: "10.0.0.2", id: NaN })],
        ["RangeError", (paths) => paths.addEndpoint({ address: "10.0.0.2", signal: true, port: 65536 })],
        ["RangeError", (paths) => paths.addEndpoint({ address: "10.0.0.2", signal: true, port: 0 })],
        ["RangeError", (paths) => paths.addEndpoint({ address: "10.0.0.2", interfaceIndex: 0 })],
        ["RangeError", (paths) => paths.addEndpoint({ address: "10.0.0.2", flags: 2 ** 32 })],
        ["TypeError", (paths) => paths.addEndpoint({ address: "10.0.0.2", interface: 3 })],
        ["TypeError", (paths) => paths.addEndpoint({ address: "10.0.0.2", backup: 1 })],
        ["TypeError", (paths) => paths.addEndpoint({ address: "10.0.0.2", implicit: true })],
        ["TypeError", (paths) => paths.addEndpoint({ address: "10.0.0.2", signal: true, fullmesh: true })],
        ["TypeError", (paths) => paths.addEndpoint({ address: "10.0.0.2", fullmesh: true })],
        ["TypeError", (paths) => paths.addEndpoint({ address: "10.0.0.2", subflow: true, port: 9 })],
        ["TypeError", (paths) => paths.removeEndpoint()],
        ["TypeError", (paths) => paths.removeEndpoint(0)],
        ["TypeError", (paths) => paths.removeEndpoint("1")],
        ["RangeError", (paths) => paths.removeEndpoint(256)],
        ["TypeError", (paths) => paths.setEndpointFlags()],
        ["TypeError", (paths) => paths.setEndpointFlags(1)],
        ["TypeError", (paths) => paths.setEndpointFlags(1, null)],
        ["TypeError", (paths) => paths.setEndpointFlags(1, { backup: "yes" })],
        ["TypeError", (paths) => paths.setEndpointFlags({}, { backup: true })],
        ["TypeError", (paths) => paths.setEndpointFlags({ id: 1, address: "10.0.0.1" }, { backup: true })],
        ["TypeError", (paths) => paths.setEndpointFlags({ address: "nowhere" }, { backup: true })],
        ["TypeError", (paths) => paths.setEndpointFlags({ address: 1 }, { backup: true })],
        ["TypeError", (paths) => paths.setEndpointFlags("1", { backup: true })],
        ["RangeError", (paths) => paths.setEndpointFlags(0, { backup: true })],
        ["RangeError", (paths) => paths.setEndpointFlags({ address: "10.0.0.1", port: -1 }, { backup: true })],
        ["TypeError", (paths) => paths.setLimits()],
        ["TypeError", (paths) => paths.setLimits({})],
        ["TypeError", (paths) => paths.setLimits({ subflows: "2" })],
        ["RangeError", (paths) => paths.setLimits({ subflows: -1 })],
        ["RangeError", (paths) => paths.setLimits({ addAddrAccepted: 0.5 })],
        ["TypeError", (paths) => paths.createSubflow()],
        ["TypeError", (paths) => paths.createSubflow({ ...made, token: undefined })],
        ["RangeError", (paths) => paths.createSubflow({ ...made, token: 0 })],
        ["RangeError", (paths) => paths.createSubflow({ ...made, localId: 256 })],
        ["RangeError", (paths) => paths.createSubflow({ ...made, localPort: 65536 })],
        ["RangeError", (paths) => paths.createSubflow({ ...made, remotePort: 0 })],
        ["TypeError", (paths) => paths.createSubflow({ ...made, remoteAddress: "fd00::1" })],
        ["TypeError", (paths) => paths.createSubflow({ ...made, localAddress: "here" })],
        ["TypeError", (paths) => paths.createSubflow({ ...made, backup: 1 })],
        ["TypeError", (paths) => paths.createSubflow({ ...made, interface: 1 })],
        ["TypeError", (paths) => paths.destroySubflow()],
        ["TypeError", (paths) => paths.destroySubflow({ token: 1, local: end })],
        ["TypeError", (paths) => paths.destroySubflow({ token: 1, local: { address: "10.0.0.1" }, remote: end })],
        ["TypeError", (paths) => paths.announce()],
        ["RangeError", (paths) => paths.announce({ token: 1, address: "10.0.0.1", id: 0 })],
        ["TypeError", (paths) => paths.announce({ token: 1, id: 1 })],
        ["RangeError", (paths) => paths.announce({ token: 1, address: "10.0.0.1", id: 1, port: 0 })],
        ["TypeError", (paths) => paths.withdraw({ token: 1 })],
        ["RangeError", (paths) => paths.withdraw({ token: -1, id: 1 })],
        ["TypeError", (paths) => paths.setBackup({ token: 1, local: end, remote: end, backup: "no" })],
      ];
      const wrong: string[] = [];
      // A closed one fails at once, if it is reached: so nothing was asked of the kernel.
      for (const [state, manager] of [["open", paths], ["closed", closed]] as const) {
        for (const [expected, work] of cases) {
          let seen = "nothing";
          try {
            work(manager);
          } catch (error) {
            seen = `${error}`;
          }
          if (!seen.startsWith(`${expected}: `)) wrong.push(`${state}: ${work}: ${seen}`);
        }
      }
      return { wrong, endpoints: paths.endpoints().length };
    });
    assertEquals(seen, { wrong: [], endpoints: 1 });
  });

  it("can be read without privileges, and says which one a change needs", async () => {
    await using lab = await openHost();
    await call(lab.agent, "addEndpoint", { address: "10.0.0.1", subflow: true });
    const user = Agent.start(unprivileged(lab.host));
    assertEquals(await call(user, "endpoints"), [endpoint(1, "10.0.0.1", ["subflow"])]);
    assertEquals(await call(user, "limits"), { subflows: 2, addAddrAccepted: 0 });
    assertEquals(await user.run(({ PathManager }) => PathManager.open().mode), "kernel");
    const changes: readonly (readonly [string, Promise<unknown>])[] = [
      [
        "add an endpoint … `sudo ip mptcp endpoint add 10.0.0.2 dev e1 …`",
        call(user, "addEndpoint", { address: "10.0.0.2", interface: "e1" }),
      ],
      ["remove an endpoint … `sudo ip mptcp endpoint delete id 1`", call(user, "removeEndpoint", 1)],
      ["flush the endpoints … `sudo ip mptcp endpoint flush`", call(user, "flushEndpoints")],
      ["change an endpoint … `sudo ip mptcp endpoint change id 1 …`", call(user, "setEndpointFlags", 1, { backup: true })],
      [
        "change an endpoint … `sudo ip mptcp endpoint change 10.0.0.1 …`",
        call(user, "setEndpointFlags", { address: "10.0.0.1" }, { backup: true }),
      ],
      ["set the limits … `sudo ip mptcp limits set …`", call(user, "setLimits", { subflows: 1 })],
      [
        "withdraw an address … run the program in",
        user.run(({ PathManager }) => PathManager.open().withdraw({ token: 1, id: 1 })),
      ],
    ];
    for (const [words, change] of changes) {
      const error = await assertFails(change, "EPERM");
      const [what, command] = words.split(" … ");
      assertStringIncludes(error.message, `Cannot ${what}: CAP_NET_ADMIN is needed over this network namespace; `);
      assertStringIncludes(error.message, command!);
      assertStringIncludes(error.message, "`unshare -Urn …`");
      assertEquals([error.syscall, error.errno], [what, -1]);
    }
    assertEquals(await compareWithIp(lab.host, lab.agent), [endpoint(1, "10.0.0.1", ["subflow"])]);
    assertEquals((await shownLimits(lab.host)).subflows, 2);
  });

  it("leaves no descriptor behind, and is of no use after close()", async () => {
    await using lab = await openHost();
    const seen = await lab.agent.run(async ({ PathManager, connections }) => {
      const { readdirSync } = await import("node:fs");
      const count = () => readdirSync("/proc/self/fd").length;
      PathManager.open().close();
      const before = count();
      for (let n = 0; n < 20; n++) {
        using paths = PathManager.open();
        paths.limits();
        connections();
      }
      const paths = PathManager.open();
      const during = count();
      paths.close();
      paths.close();
      paths[Symbol.dispose]();
      const after = count();
      const end = { address: "10.0.0.1", port: 1 };
      const uses: Record<string, () => unknown> = {
        endpoints: () => paths.endpoints(),
        limits: () => paths.limits(),
        addEndpoint: () => paths.addEndpoint({ address: "10.0.0.1" }),
        removeEndpoint: () => paths.removeEndpoint(1),
        flushEndpoints: () => paths.flushEndpoints(),
        setEndpointFlags: () => paths.setEndpointFlags(1, {}),
        setLimits: () => paths.setLimits({ subflows: 1 }),
        announce: () => paths.announce({ token: 1, address: "10.0.0.1", id: 1 }),
        withdraw: () => paths.withdraw({ token: 1, id: 1 }),
        destroySubflow: () => paths.destroySubflow({ token: 1, local: end, remote: end }),
      };
      const codes = Object.entries(uses).map(([name, use]) => {
        try {
          use();
        } catch (error) {
          const { name: kind, code, message } = error as { name: string; code: string; message: string };
          return `${kind} ${code} ${/: it is closed$/.test(message)}`;
        }
        return `${name} works`;
      });
      return { more: during - before, left: after - before, codes: [...new Set(codes)], mode: paths.mode };
    });
    assertEquals(seen, { more: 1, left: 0, codes: ["MptcpError EBADF true"], mode: "kernel" });
  });

  it("tells who manages the paths of connections that begin now", async () => {
    await using lab = await openHost();
    const mode = () => lab.agent.run(({ PathManager }) => PathManager.open().mode);
    assertEquals(await mode(), "kernel");
    await lab.host.sysctl("net.mptcp.path_manager", "userspace");
    assertEquals(await mode(), "userspace");
    await using other = await openHost();
    assertEquals(await other.agent.run(({ PathManager }) => PathManager.open().mode), "kernel");
    await lab.host.sysctl("net.mptcp.path_manager", "kernel");
    assertEquals(await mode(), "kernel");
  });
});
