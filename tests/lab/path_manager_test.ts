import { assertEquals, assertStringIncludes } from "@std/assert";
import { labNeeds } from "../lab.ts";
import { describe, it } from "../suite.ts";
import { assertFails } from "./assert_fails.ts";
import { compareWithIp, endpoint, limitsByIp, openHost } from "./endpoint_host.ts";
import { call } from "./path_calls.ts";
import { Agent } from "./remote.ts";
import { unprivileged } from "./unprivileged.ts";

const skip = labNeeds();

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
        ["TypeError", (paths) => paths.addEndpoint({ address: "10.0.0.2", subflow: true, port: 9 })],
        ["TypeError", (paths) => paths.endpoint()],
        ["TypeError", (paths) => paths.endpoint("1")],
        ["RangeError", (paths) => paths.endpoint(0)],
        ["RangeError", (paths) => paths.endpoint(256)],
        ["RangeError", (paths) => paths.endpoint(1, { token: 0 })],
        ["TypeError", (paths) => paths.endpoint(1, 1)],
        ["TypeError", (paths) => paths.endpoints(1)],
        ["TypeError", (paths) => paths.endpoints({ token: "1" })],
        ["RangeError", (paths) => paths.endpoints({ token: 2 ** 32 })],
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
    assertEquals(await call(user, "endpoint", 1), endpoint(1, "10.0.0.1", ["subflow"]));
    assertEquals(await call(user, "limits"), { subflows: 2, addAddrAccepted: 0 });
    assertEquals(await user.run(({ PathManager }) => PathManager.open().mode), "kernel");
    const end = { address: "10.0.0.1", port: 1 };
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
      ["announce an address … run the program in", call(user, "announce", { token: 1, address: "10.0.0.1", id: 1 })],
      ["withdraw an address … run the program in", call(user, "withdraw", { token: 1, id: 1 })],
      [
        "create a subflow … run the program in",
        call(user, "createSubflow", {
          token: 1,
          localAddress: end.address,
          localId: 1,
          remoteAddress: "10.0.0.2",
          remotePort: 1,
        }),
      ],
      ["destroy a subflow … run the program in", call(user, "destroySubflow", { token: 1, local: end, remote: end })],
      [
        "set a subflow's priority … run the program in",
        call(user, "setBackup", { token: 1, local: end, remote: end, backup: true }),
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
    assertEquals((await limitsByIp(lab.host)).subflows, 2);
  });

  it("leaves no descriptor behind, and is of no use after close()", async () => {
    await using lab = await openHost();
    const seen = await lab.agent.run(async ({ PathManager, connections }) => {
      const { readdirSync, readlinkSync } = await import("node:fs");
      const target = (fd: string) => {
        try {
          return readlinkSync(`/proc/self/fd/${fd}`);
        } catch {
          return ""; // the one that listed the folder
        }
      };
      // Sockets only: the runtime has files of its own, for a while.
      const count = () => readdirSync("/proc/self/fd").filter((fd) => target(fd).startsWith("socket:")).length;
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
        endpoint: () => paths.endpoint(1),
        limits: () => paths.limits(),
        addEndpoint: () => paths.addEndpoint({ address: "10.0.0.1" }),
        removeEndpoint: () => paths.removeEndpoint(1),
        flushEndpoints: () => paths.flushEndpoints(),
        setEndpointFlags: () => paths.setEndpointFlags(1, {}),
        setLimits: () => paths.setLimits({ subflows: 1 }),
        announce: () => paths.announce({ token: 1, address: "10.0.0.1", id: 1 }),
        withdraw: () => paths.withdraw({ token: 1, id: 1 }),
        createSubflow: () =>
          paths.createSubflow({ token: 1, localAddress: "10.0.0.1", localId: 1, remoteAddress: "10.0.0.2", remotePort: 1 }),
        destroySubflow: () => paths.destroySubflow({ token: 1, local: end, remote: end }),
        setBackup: () => paths.setBackup({ token: 1, local: end, remote: end, backup: true }),
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
