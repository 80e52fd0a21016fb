import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { PathManager } from "../../mod.ts";
import { labNeeds } from "../lab.ts";
import { describe, it } from "../suite.ts";
import { assertFails } from "./assert_fails.ts";
import { compareWithIp, endpoint, type Flag, FLAGS, openHost } from "./endpoint_host.ts";
import { call } from "./path_calls.ts";

const skip = labNeeds();

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
      [1, { fullmesh: false }, 1, ["subflow"]],
      [1, { backup: true, fullmesh: true }, 1, ["subflow", "backup", "fullmesh"]],
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

  it("does not lose what ip has changed meanwhile, nor an interface, nor a flag without a name", async () => {
    await using lab = await openHost();
    const [link] = JSON.parse(await lab.host.run("ip", ["-j", "link", "show", "e1"])) as { ifindex: number }[];
    const bound = { interfaceIndex: link!.ifindex };
    await call(lab.agent, "addEndpoint", { address: "10.0.0.1", subflow: true, laminar: true, interface: "e1" });
    await lab.host.ip("mptcp endpoint change id 1 fullmesh");
    await call(lab.agent, "setEndpointFlags", 1, { backup: true });
    assertEquals(await compareWithIp(lab.host, lab.agent), [
      endpoint(1, "10.0.0.1", ["subflow", "backup", "fullmesh", "laminar"], bound),
    ]);
    await lab.host.ip("mptcp endpoint change id 1 nobackup nofullmesh");
    assertEquals(await compareWithIp(lab.host, lab.agent), [endpoint(1, "10.0.0.1", ["subflow", "laminar"], bound)]);
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
