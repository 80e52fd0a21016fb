import { describe, it } from "node:test";
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { Endpoint, NewEndpoint, PathManager } from "../../mod.ts";
import { Host } from "../host.ts";
import { addressOf, Lab, labNeeds } from "../lab.ts";
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

/** Who may manage the paths of a lab's connections by itself. */
type Side = "client" | "server";

/** A lab with a connection, one of whose ends has its paths managed by the test. */
async function openManaged(side: Side | null, version: 4 | 6 = 4) {
  const lab = await Lab.open({ endpoints: false });
  try {
    const agents = { client: Agent.start(lab.client), server: Agent.start(lab.server) };
    if (side) {
      await lab[side].sysctl("net.mptcp.path_manager", "userspace");
      lab[side].spawn("ip", ["mptcp", "monitor"]); // without a subscriber the kernel refuses joins
      await agents[side].run(async ({ until }) => {
        const { readFileSync } = await import("node:fs");
        const rows = () => readFileSync("/proc/net/netlink", "utf8").split("\n").map((row) => row.trim().split(/\s+/));
        await until(() => rows().some(([, protocol, , groups]) => protocol === "16" && /[1-9a-f]/.test(groups!)));
      });
    }
    const hostname = version === 4 ? "0.0.0.0" : "::";
    const port = await agents.server.run(({ listen, here }, hostname) => {
      here.listener = listen({ hostname, port: 0 });
      here.later = here.listener.accept().then(async (conn) => {
        here.conn = conn;
        const block = new Uint8Array(1000);
        await conn.write(block.subarray(0, (await conn.read(block))!));
        return { token: conn.token };
      });
      return here.listener.addr.port;
    }, hostname);
    const { token, localPort } = await agents.client.run(async ({ connect, here }, options) => {
      const conn = here.conn = await connect({ ...options, mptcp: "require" });
      await conn.write(new Uint8Array(10));
      await conn.read(new Uint8Array(10));
      return { token: conn.token!, localPort: conn.localAddr.port };
    }, { hostname: addressOf("server", 1, version), port });
    const theirs = await agents.server.run(({ here }) => here.later) as { token: number };
    const tokens = { client: token, server: theirs.token };
    return { lab, agents, tokens, port, localPort, [Symbol.asyncDispose]: () => lab[Symbol.asyncDispose]() };
  } catch (error) {
    await lab[Symbol.asyncDispose]();
    throw error;
  }
}

type Command = "createSubflow" | "destroySubflow" | "announce" | "withdraw" | "setBackup";

/** Gives a command for one connection. */
async function command<C extends Command>(agent: Agent, name: C, argument: Parameters<PathManager[C]>[0]): Promise<void> {
  await agent.run(({ PathManager }, { name, argument }) => {
    using paths = PathManager.open();
    Reflect.apply(paths[name], paths, [argument]);
  }, { name, argument } as { name: Command; argument: unknown });
}

/** The subflows of the agent's connection, in the order of their making, as soon as there are that many. */
function subflowsOf(agent: Agent, count: number) {
  return agent.run(async ({ here, until }, count) => {
    const all = await until(() => {
      const now = here.conn.subflows();
      return now.length === count && now.every(({ state }) => state === "ESTABLISHED") && now;
    });
    return all.map(({ local, remote, localId, remoteId, backup }) => ({ local, remote, localId, remoteId, backup }));
  }, count);
}

/** Waits until the last subflow of the agent's connection is a backup, or none. */
function backupBecomes(agent: Agent, backup: boolean) {
  return agent.run(({ here, until }, backup) => until(() => here.conn.subflows().at(-1)!.backup === backup), backup);
}

/** Sends something there and back. */
async function echo({ client, server }: { client: Agent; server: Agent }): Promise<void> {
  const received = server.run(async ({ here }) => {
    const block = new Uint8Array(100_000);
    for (let count = 0; count < block.length;) count += (await here.conn.read(block.subarray(count)))!;
    await here.conn.write(block.subarray(0, 5));
  });
  const count = await client.run(async ({ here, send }) => {
    await send(here.conn, 100_000);
    return await here.conn.read(new Uint8Array(10));
  });
  await received;
  assertEquals(count, 5);
}

describe("Under the userspace path manager", { skip }, () => {
  for (const version of [4, 6] as const) {
    it(`subflows are made, prioritised and closed, over IPv${version}`, async () => {
      await using managed = await openManaged("client", version);
      const { agents: { client, server }, tokens: { client: token }, port, localPort } = managed;
      const [near, far] = [addressOf("client", 2, version), addressOf("server", 2, version)];
      const made = { token, localAddress: near, localId: 3, remoteAddress: far, remotePort: port };
      await command(client, "createSubflow", { ...made, interface: "a2" });
      const [first, second] = await subflowsOf(client, 2);
      assertEquals([first!.localId, first!.remoteId, first!.backup], [0, 0, false]);
      assertEquals([second!.local.hostname, second!.remote.hostname], [near, far]);
      assertEquals([second!.remote.port, second!.localId, second!.backup], [port, 3, false]);
      const [, joined] = await subflowsOf(server, 2);
      assertEquals([joined!.local, joined!.remote], [second!.remote, second!.local]);
      assertEquals([joined!.remoteId, joined!.backup], [3, false]);

      const ends = {
        token,
        local: { address: near, port: second!.local.port },
        remote: { address: far, port },
      };
      for (const backup of [true, false]) {
        await command(client, "setBackup", { ...ends, backup });
        await backupBecomes(client, backup);
        await backupBecomes(server, backup);
      }
      await command(client, "destroySubflow", ends);
      assertEquals(await subflowsOf(client, 1), [first]);
      await subflowsOf(server, 1);

      // A port of one's own needs an id of its own.
      await command(client, "createSubflow", { ...made, localId: 255, localPort: 45678, backup: true });
      const [, third] = await subflowsOf(client, 2);
      assertEquals([third!.local.port, third!.localId, third!.backup], [45678, 255, true]);
      const [, joinedAgain] = await subflowsOf(server, 2);
      assertEquals([joinedAgain!.remoteId, joinedAgain!.backup], [255, true]);

      // The connection outlives its initial subflow.
      const initial = { address: addressOf("client", 1, version), port: localPort };
      const peer = { address: addressOf("server", 1, version), port };
      await command(client, "destroySubflow", { token, local: initial, remote: peer });
      assertEquals(await subflowsOf(client, 1), [third]);
      await subflowsOf(server, 1);
      await echo(managed.agents);
    });
  }

  it("an announced address gets a subflow from the peer, until it is withdrawn", async () => {
    await using managed = await openManaged("server");
    const { agents: { client, server }, tokens: { server: token }, port } = managed;
    await command(server, "announce", { token, address: addressOf("server", 2), id: 5 });
    const [, joined] = await subflowsOf(client, 2);
    assertEquals(joined!.remote, { transport: "tcp", hostname: addressOf("server", 2), port });
    assertEquals(joined!.remoteId, 5);
    const [, accepted] = await subflowsOf(server, 2);
    assertEquals([accepted!.local, accepted!.localId], [joined!.remote, 5]);
    await command(server, "withdraw", { token, id: 5 });
    await subflowsOf(client, 1);
    await subflowsOf(server, 1);

    // The kernel takes joins at another port only by a listener that is bound to just the announced address.
    const otherPort = await server.run(({ listen, here }, hostname) => {
      const listener = listen({ hostname, port: 0 });
      Object.assign(here, { other: listener }); // kept alive
      return listener.addr.port;
    }, addressOf("server", 2));
    await command(server, "announce", { token, address: addressOf("server", 2), id: 6, port: otherPort });
    const [, elsewhere] = await subflowsOf(client, 2);
    assertEquals([elsewhere!.remote.port, elsewhere!.remoteId], [otherPort, 6]);
    await echo(managed.agents);
  });

  it("wrong tokens, ids and addresses are told in the kernel's words", async () => {
    await using managed = await openManaged("client");
    const { agents: { client }, tokens: { client: token }, port, localPort } = managed;
    const near = addressOf("client", 2);
    const made = { token, localAddress: near, localId: 3, remoteAddress: addressOf("server", 2), remotePort: port };
    const ends = { token, local: { address: near, port: 7 }, remote: { address: addressOf("server", 2), port } };
    const wrong = token === 1 ? 2 : 1;
    const fails = async (work: Promise<void>, message: string) => {
      const code = /\((E[A-Z]+)\)$/.exec(message)![1]!;
      assertEquals((await assertFails(work, code)).message, message);
    };
    await fails(
      command(client, "createSubflow", { ...made, token: wrong }),
      "create a subflow failed: invalid token (EINVAL)",
    );
    await fails(
      command(client, "destroySubflow", { ...ends, token: wrong }),
      "destroy a subflow failed: invalid token (EINVAL)",
    );
    await fails(
      command(client, "setBackup", { ...ends, token: wrong, backup: true }),
      "set a subflow's priority failed: invalid token (EINVAL)",
    );
    await fails(
      command(client, "announce", { token: wrong, address: near, id: 1 }),
      "announce an address failed: invalid token (EINVAL)",
    );
    await fails(command(client, "withdraw", { token: wrong, id: 1 }), "withdraw an address failed: invalid token (EINVAL)");
    await fails(
      command(client, "withdraw", { token, id: 7 }),
      "withdraw an address failed: address with id 7 not found (EINVAL)",
    );
    await fails(command(client, "destroySubflow", ends), "destroy a subflow failed: subflow not found (ESRCH)");
    await fails(
      command(client, "setBackup", { ...ends, backup: true }),
      "set a subflow's priority failed: subflow not found (EINVAL)",
    );
    await fails(
      command(client, "createSubflow", { ...made, localAddress: "192.0.2.1" }),
      "create a subflow failed: connect error: -99 (EADDRNOTAVAIL)",
    );
    await fails(
      command(client, "createSubflow", { ...made, localId: 4, remoteAddress: "192.0.2.1" }),
      "create a subflow failed: connect error: -101 (ENETUNREACH)",
    );
    assertStringIncludes(
      (await assertFails(command(client, "createSubflow", { ...made, interface: "none" }), "ENODEV")).message,
      '"none"',
    );
    assertEquals((await subflowsOf(client, 1))[0]!.local.port, localPort);
    // After all that it still can.
    await command(client, "createSubflow", { ...made, localId: 9, localPort: 45678 });
    assertEquals((await subflowsOf(client, 2))[1]!.localId, 9);
    await fails(
      command(client, "createSubflow", { ...made, localId: 10, localPort: 45678 }),
      "create a subflow failed: did not match address and id (EINVAL)",
    );
    await fails(
      command(client, "createSubflow", { ...made, localId: 9, localPort: 45679 }),
      "create a subflow failed: did not match address and id (EINVAL)",
    );
  });

  it("a connection that the kernel manages takes no such command", async () => {
    await using managed = await openManaged(null);
    const { agents: { client }, tokens: { client: token }, port } = managed;
    const address = addressOf("client", 2);
    const remote = { address: addressOf("server", 2), port };
    const work: Promise<void>[] = [
      command(client, "createSubflow", {
        token,
        localAddress: address,
        localId: 1,
        remoteAddress: remote.address,
        remotePort: port,
      }),
      command(client, "destroySubflow", { token, local: { address, port: 7 }, remote }),
      command(client, "announce", { token, address, id: 1 }),
      command(client, "withdraw", { token, id: 1 }),
      command(client, "setBackup", { token, local: { address, port: 7 }, remote, backup: true }),
    ];
    for (const one of work) {
      assertStringIncludes((await assertFails(one, "EINVAL")).message, "userspace PM not selected");
    }
  });
});
