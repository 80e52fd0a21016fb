import { assertEquals, assertMatch } from "@std/assert";
import type { Limits } from "../../mod.ts";
import { labNeeds } from "../lab.ts";
import { describe, it } from "../suite.ts";
import { assertFails } from "./assert_fails.ts";
import { limitsByIp, openHost } from "./endpoint_host.ts";
import { call } from "./path_calls.ts";
import { Agent } from "./remote.ts";
import { unprivileged } from "./unprivileged.ts";

const skip = labNeeds();
type Opened = Awaited<ReturnType<typeof openHost>>;

/** What the limits must be now, to this library, to one without privileges, and to `ip`. */
async function check({ host, agent }: Opened, subflows: number, addAddrAccepted: number): Promise<void> {
  const expected = { subflows, addAddrAccepted };
  assertEquals(await call(agent, "limits"), expected);
  assertEquals(await call(Agent.start(unprivileged(host)), "limits"), expected);
  assertEquals(await limitsByIp(host), expected);
}

describe("PathManager.limits() and setLimits()", { skip }, () => {
  it("get and set both, or one", async () => {
    await using lab = await openHost();
    await check(lab, 2, 0);
    await call(lab.agent, "setLimits", { addAddrAccepted: 5 });
    await check(lab, 2, 5);
    await call(lab.agent, "setLimits", { subflows: 7 });
    await check(lab, 7, 5);
    await call(lab.agent, "setLimits", { subflows: 0, addAddrAccepted: 8 });
    await check(lab, 0, 8);
    await call(lab.agent, "setLimits", { subflows: 8, addAddrAccepted: 0 });
    await check(lab, 8, 0);
    await lab.host.ip("mptcp limits set subflows 3 add_addr_accepted 1");
    await check(lab, 3, 1);
  });

  it("keep both when one is beyond the kernel's maximum", async () => {
    await using lab = await openHost();
    await call(lab.agent, "setLimits", { subflows: 3, addAddrAccepted: 1 });
    const excessive: Partial<Limits>[] = [
      { subflows: 9 },
      { addAddrAccepted: 9 },
      { subflows: 9, addAddrAccepted: 2 },
      { subflows: 1, addAddrAccepted: 9 },
      { subflows: 1, addAddrAccepted: 0xffffffff },
    ];
    for (const limits of excessive) {
      const error = await assertFails(call(lab.agent, "setLimits", limits), "EINVAL");
      assertMatch(error.message, /^set the limits failed: limit greater than maximum \(8\) \(EINVAL\)$/);
    }
    await check(lab, 3, 1);
  });

  it("belong to one network namespace, and to no endpoint", async () => {
    await using lab = await openHost();
    await using other = await openHost();
    await call(lab.agent, "setLimits", { subflows: 8, addAddrAccepted: 8 });
    await call(lab.agent, "addEndpoint", { address: "10.0.0.1", subflow: true });
    await call(lab.agent, "removeEndpoint", 1);
    await check(lab, 8, 8);
    await check(other, 2, 0);
    await call(lab.agent, "flushEndpoints");
    // Some kernels forget the accepted addresses then; the library tells what is.
    assertEquals(await call(lab.agent, "limits"), await limitsByIp(lab.host));
    assertEquals((await limitsByIp(lab.host)).subflows, 8);
  });
});
