import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { Endpoint, NewEndpoint } from "../../mod.ts";
import { labNeeds } from "../lab.ts";
import { describe, it } from "../suite.ts";
import { assertFails } from "./assert_fails.ts";
import { BITS, compareWithIp, endpoint, endpointsByIp, FLAGS, openHost } from "./endpoint_host.ts";
import { call } from "./path_calls.ts";

const skip = labNeeds();

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
    ["of IPv4 as IPv6 has it", { address: "::ffff:10.0.0.1", subflow: true }, endpoint(1, "::ffff:10.0.0.1", ["subflow"])],
    ["of an address that is not there", { address: "192.0.2.1", signal: true }, endpoint(1, "192.0.2.1", ["signal"])],
  ];
  it("makes one as it is asked for", async () => {
    await using lab = await openHost();
    await lab.host.ip("addr add 10.0.0.1/24 dev e1", "addr add fd00::1/64 dev e1 nodad", "link set e1 up");
    for (const [what, init, expected] of cases) {
      assertEquals(await compareWithIp(lab.host, lab.agent), []);
      assertEquals(await call(lab.agent, "addEndpoint", init), expected, what);
      assertEquals(await compareWithIp(lab.host, lab.agent), [expected], what);
      await call(lab.agent, "flushEndpoints");
    }
  });

  it("takes every combination of flags that the kernel takes, and no other", async () => {
    await using lab = await openHost();
    await lab.host.ip(...Array.from({ length: 8 }, (_, n) => `addr add 10.0.0.${n}/24 dev e1`), "link set e1 up");
    const seen = await lab.agent.run(({ PathManager }) => {
      using paths = PathManager.open();
      const outcomes: [flags: number, port: number, outcome: number | string][] = [];
      let count = 0;
      for (const port of [0, 4433]) {
        for (let flags = 0; flags < 64; flags++) {
          try {
            const added = paths.addEndpoint({ address: `10.0.0.${count}`, flags, ...(port ? { port } : {}) });
            outcomes.push([flags, port, added.flags]);
            count = (count + 1) % 8;
            if (count === 0) paths.flushEndpoints();
          } catch (error) {
            outcomes.push([flags, port, (error as Error).name]);
          }
        }
      }
      paths.flushEndpoints();
      return outcomes;
    });
    const taken = new Set<string>();
    for (const [flags, port, outcome] of seen) {
      const has = (bit: number) => (flags & bit) !== 0;
      const contradiction = has(BITS.implicit) || (has(BITS.signal) && has(BITS.fullmesh)) ||
        (port !== 0 && (!has(BITS.signal) || has(BITS.subflow)));
      assertEquals(outcome, contradiction ? "TypeError" : flags, `flags ${flags}, port ${port}`);
      if (outcome === flags) taken.add(`${flags} ${port}`);
    }
    // What it refuses by itself the kernel would refuse too, as far as `ip` can ask for it.
    for (const port of [0, 4433]) {
      for (let flags = 0; flags < 16; flags++) {
        const words = FLAGS.filter((flag) => (flags & BITS[flag]) !== 0);
        const args = ["mptcp", "endpoint", "add", "10.0.0.1", ...(port ? ["port", `${port}`] : []), ...words];
        const took = await lab.host.run("ip", args).then(() => true, () => false);
        assertEquals(took, taken.has(`${flags} ${port}`), args.join(" "));
        if (took) await lab.host.ip("mptcp endpoint flush");
      }
    }
  });

  it("passes flags on that have no name", async () => {
    await using lab = await openHost();
    const { flags } = await call(lab.agent, "addEndpoint", { address: "10.0.0.1", flags: 0x40 | BITS.subflow });
    // Whether the kernel keeps them is its own affair; it tells ip the same.
    assertEquals(flags & 0x3f, BITS.subflow);
    assertEquals((await endpointsByIp(lab.host)).map((each) => each.flags), [flags]);
  });

  it("binds one to an interface, by its name or its index", async () => {
    await using lab = await openHost();
    const [link] = JSON.parse(await lab.host.run("ip", ["-j", "link", "show", "e2"])) as { ifindex: number }[];
    const interfaceIndex = link!.ifindex;
    const byName = await call(lab.agent, "addEndpoint", { address: "10.0.0.1", interface: "e2", subflow: true });
    assertEquals(byName, endpoint(1, "10.0.0.1", ["subflow"], { interfaceIndex }));
    const byIndex = await call(lab.agent, "addEndpoint", { address: "fd00::1", interfaceIndex });
    assertEquals(byIndex, endpoint(2, "fd00::1", [], { interfaceIndex }));
    assertEquals(await compareWithIp(lab.host, lab.agent), [byName, byIndex]);
    assertEquals((await endpointsByIp(lab.host)).map(({ dev }) => dev), ["e2", "e2"]);

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

  it("says why the kernel refuses", async () => {
    await using lab = await openHost();
    await lab.host.ip("addr add 10.0.0.1/24 dev e1", "link set e1 up");
    const add = (init: NewEndpoint) => call(lab.agent, "addEndpoint", init);
    await add({ address: "10.0.0.1", id: 1 });
    const twice = await assertFails(add({ address: "10.0.0.1" }), "EEXIST");
    assertMatch(twice.message, /^add an endpoint failed: too many addresses or duplicate one: -17 \(EEXIST\)$/);
    assertEquals([twice.errno, twice.syscall], [-17, "add an endpoint"]);
    // It is the same address to the kernel, and with other flags too.
    await assertFails(add({ address: "::ffff:10.0.0.1" }), "EEXIST");
    await assertFails(add({ address: "10.0.0.1", subflow: true, id: 7 }), "EEXIST");
    const sameId = await assertFails(add({ address: "10.0.0.2", id: 1 }), "EBUSY");
    assertStringIncludes(sameId.message, "too many addresses or duplicate one: -16");
    const notOurs = await assertFails(add({ address: "192.0.2.1", signal: true, port: 99 }), "EADDRNOTAVAIL");
    assertStringIncludes(notOurs.message, "(EADDRNOTAVAIL)");
    const port = await lab.agent.run(({ listen, here }) => {
      here.listener = listen({ hostname: "10.0.0.1", port: 0 });
      return here.listener.addr.port;
    });
    // Where the kernel would listen for the endpoint, a program does.
    const taken = await assertFails(add({ address: "10.0.0.1", signal: true, port }), "EADDRINUSE");
    assertStringIncludes(taken.message, "(EADDRINUSE)");
    assertEquals(await compareWithIp(lab.host, lab.agent), [endpoint(1, "10.0.0.1")]);
  });
});

describe("Endpoints' ids", { skip }, () => {
  it("are one further each time, none twice, and from the beginning after the last", async () => {
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

  // The kernel's own cases: the ids that are asked for, 0 for none, and those that all have in the end.
  const sequences: readonly (readonly [string, number[], number[]])[] = [
    ["go on from one that was asked for", [0, 0, 100, 0, 254, 0, 0, 0], [1, 2, 100, 101, 254, 255, 3, 4]],
    ["wrap around, and pass over those in use", [0, 254, 0, 0, 253, 0, 0, 0], [1, 254, 255, 2, 253, 3, 4, 5]],
  ];
  for (const [what, asked, expected] of sequences) {
    it(what, async () => {
      await using lab = await openHost();
      const got: number[] = [];
      for (const [index, id] of asked.entries()) {
        got.push((await call(lab.agent, "addEndpoint", { address: `10.0.0.${index + 1}`, id })).id);
      }
      assertEquals(got, expected);
      const listed = await compareWithIp(lab.host, lab.agent);
      // In the order of the ids, whenever each was made.
      assertEquals(listed.map(({ id }) => id), [...expected].sort((a, b) => a - b));
      assertEquals(
        listed.map(({ id, address }) => [address, id]).sort(),
        expected.map((id, at) => [`10.0.0.${at + 1}`, id]),
      );
    });
  }

  it("can be any from 1 to 255, and are free again when their endpoint is gone", async () => {
    await using lab = await openHost();
    const ids = await lab.agent.run(({ PathManager }) => {
      using paths = PathManager.open();
      const ids: number[] = [];
      // Eight at a time, as the kernel takes its time to remove some.
      for (let id = 1; id <= 255; id++) {
        if (id % 8 === 0) paths.flushEndpoints();
        ids.push(paths.addEndpoint({ address: `10.0.0.${id}`, id }).id);
      }
      for (let round = 0; round < 3; round++) {
        paths.removeEndpoint(255);
        ids.push(paths.addEndpoint({ address: `10.0.1.${round}`, id: 255 }).id);
      }
      return ids;
    });
    assertEquals(ids, [...Array.from({ length: 255 }, (_, index) => index + 1), 255, 255, 255]);
    const left = await compareWithIp(lab.host, lab.agent);
    assertEquals(left.map(({ id }) => id), [248, 249, 250, 251, 252, 253, 254, 255]);
  });

  it("are given to eight endpoints at most", async () => {
    await using lab = await openHost();
    for (let n = 1; n <= 8; n++) await call(lab.agent, "addEndpoint", { address: `10.0.0.${n}`, signal: true });
    for (const id of [0, 100]) {
      const ninth = await assertFails(call(lab.agent, "addEndpoint", { address: "10.0.0.9", id }), "ERANGE");
      assertStringIncludes(ninth.message, "too many addresses or duplicate one: -34");
    }
    await call(lab.agent, "removeEndpoint", 5);
    assertEquals((await call(lab.agent, "addEndpoint", { address: "10.0.0.9" })).id, 9);
    await assertFails(call(lab.agent, "addEndpoint", { address: "10.0.0.10" }), "ERANGE");
    assertEquals((await compareWithIp(lab.host, lab.agent)).map(({ id }) => id), [1, 2, 3, 4, 6, 7, 8, 9]);
  });
});

describe("PathManager.endpoint()", { skip }, () => {
  it("gives one, whoever made it, and says that another is not there", async () => {
    await using lab = await openHost();
    await lab.host.ip("mptcp endpoint add 10.0.0.4 id 40 dev e1 signal backup");
    const [link] = JSON.parse(await lab.host.run("ip", ["-j", "link", "show", "e1"])) as { ifindex: number }[];
    const expected = endpoint(40, "10.0.0.4", ["signal", "backup"], { interfaceIndex: link!.ifindex });
    assertEquals(await call(lab.agent, "endpoint", 40), expected);
    await call(lab.agent, "removeEndpoint", 40);
    const gone = await assertFails(call(lab.agent, "endpoint", 40), "EINVAL");
    assertMatch(gone.message, /^get an endpoint failed: address not found \(EINVAL\)$/);
  });
});

describe("PathManager.removeEndpoint() and flushEndpoints()", { skip }, () => {
  it("remove one, and all", async () => {
    await using lab = await openHost();
    for (const address of ["10.0.0.1", "fd00::2", "10.0.0.3"]) await call(lab.agent, "addEndpoint", { address });
    await call(lab.agent, "removeEndpoint", 2);
    assertEquals((await compareWithIp(lab.host, lab.agent)).map(({ id }) => id), [1, 3]);
    for (const id of [2, 255]) {
      const gone = await assertFails(call(lab.agent, "removeEndpoint", id), "EINVAL");
      assertMatch(gone.message, /^remove an endpoint failed: address not found \(EINVAL\)$/);
    }
    await lab.host.ip("mptcp endpoint add 10.0.0.4 id 40 signal");
    assertEquals((await compareWithIp(lab.host, lab.agent)).map(({ id }) => id), [1, 3, 40]);
    await call(lab.agent, "removeEndpoint", (await call(lab.agent, "endpoints"))[0]!);
    assertEquals((await compareWithIp(lab.host, lab.agent)).map(({ id }) => id), [3, 40]);
    await call(lab.agent, "flushEndpoints");
    assertEquals(await compareWithIp(lab.host, lab.agent), []);
    await call(lab.agent, "flushEndpoints");
    assertEquals((await call(lab.agent, "addEndpoint", { address: "10.0.0.1" })).id, 1, "ids do not begin anew");
  });

  it("let the same endpoint be made again, and its port be listened at", async () => {
    await using lab = await openHost();
    await lab.host.ip("addr add 10.0.0.1/24 dev e1", "link set e1 up");
    for (const remove of ["removeEndpoint", "flushEndpoints"] as const) {
      const init = { address: "10.0.0.1", signal: true, port: 4433, id: 7 };
      const added = await call(lab.agent, "addEndpoint", init);
      assertEquals(added, endpoint(7, "10.0.0.1", ["signal"], { port: 4433 }));
      await (remove === "removeEndpoint" ? call(lab.agent, remove, 7) : call(lab.agent, remove));
      assertEquals(await compareWithIp(lab.host, lab.agent), []);
      await lab.agent.run(({ listen }) => listen({ hostname: "10.0.0.1", port: 4433 }).close());
    }
  });
});
