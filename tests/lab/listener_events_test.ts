import { assertEquals, assertGreater } from "@std/assert";
import type { PathEvent } from "../../mod.ts";
import { addressOf, Lab, labNeeds } from "../lab.ts";
import { describe, it } from "../suite.ts";
import { EventLog } from "./event_log.ts";
import { call } from "./path_calls.ts";
import { Agent } from "./remote.ts";

const skip = labNeeds("python3");

const at = (hostname: string, port: number) => ({ transport: "tcp" as const, hostname, port });

/** The server of a lab, with an agent that watches. */
async function open(): Promise<{ lab: Lab; agent: Agent; events: EventLog } & AsyncDisposable> {
  const lab = await Lab.open({ endpoints: false });
  const agent = Agent.start(lab.server);
  const events = await EventLog.start(lab.server, agent);
  return { lab, agent, events, [Symbol.asyncDispose]: () => lab[Symbol.asyncDispose]() };
}

/** What was told of the listener at a port. A runtime may call listen() again on what it was given: then twice. */
function typesAt(events: readonly PathEvent[], port: number): string[] {
  const types = events.filter((event) => "local" in event && event.local.port === port).map(({ type }) => type);
  return types.filter((type, index) => type !== types[index - 1]);
}

describe("Listeners' events", { skip }, () => {
  const cases: readonly [what: string, hostname: string, family: 4 | 6, ipv6Only?: boolean][] = [
    ["IPv4", addressOf("server", 2), 4],
    ["all of IPv4", "0.0.0.0", 4],
    ["IPv6", addressOf("server", 2, 6), 6],
    ["all of IPv6 and IPv4", "::", 6],
    ["all of IPv6 alone", "::", 6, true],
  ];
  for (const [what, hostname, family, ipv6Only] of cases) {
    it(`tell where one begins and ends, at ${what}`, async () => {
      await using host = await open();
      const port = await host.agent.run(({ listen, here }, options) => {
        here.listener = listen(options);
        return here.listener.addr.port;
      }, { hostname, port: 0, ...(ipv6Only ? { ipv6Only } : {}) });
      const local = at(hostname, port);
      assertEquals(await host.events.take("listenerCreated", { local }), { type: "listenerCreated", family, local });
      await host.agent.run(({ here }) => here.listener.close());
      assertEquals(await host.events.take("listenerClosed", { local }), { type: "listenerClosed", family, local });
      assertEquals(typesAt(await host.events.compare(), port), ["listenerCreated", "listenerClosed"]);
    });
  }

  it("tell of the kernel's own, for endpoints with a port", async () => {
    await using host = await open();
    for (const version of [4, 6] as const) {
      const local = at(addressOf("server", 2, version), 4433);
      const expected = { family: version, local };
      for (const remove of ["removeEndpoint", "flushEndpoints"] as const) {
        await call(host.agent, "addEndpoint", { address: local.hostname, port: 4433, signal: true, id: 5 });
        assertEquals(await host.events.take("listenerCreated", { local }), { type: "listenerCreated", ...expected });
        await (remove === "removeEndpoint" ? call(host.agent, remove, 5) : call(host.agent, remove));
        assertEquals(await host.events.take("listenerClosed", { local }), { type: "listenerClosed", ...expected });
      }
    }
    // An endpoint that cannot be made leaves none behind.
    await call(host.agent, "addEndpoint", { address: addressOf("server", 1), id: 5 });
    await call(host.agent, "addEndpoint", { address: addressOf("server", 2), port: 81, signal: true, id: 5 }).catch(
      () => {},
    );
    assertEquals(typesAt(await host.events.compare(), 81), ["listenerCreated", "listenerClosed"]);
  });

  it("tell of one whose process was killed, and of none that is no MPTCP", async () => {
    await using host = await open();
    const other = Agent.start(host.lab.server);
    const ports = await other.run(({ listen, here }) => {
      here.listener = listen({ port: 0 });
      const plain = listen({ port: 0, mptcp: "off" });
      Object.assign(here, { plain });
      return [here.listener.addr.port, plain.addr.port];
    });
    await other.kill();
    await host.events.take("listenerClosed", { local: at("0.0.0.0", ports[0]!) });
    const events = await host.events.compare();
    assertEquals(typesAt(events, ports[0]!), ["listenerCreated", "listenerClosed"]);
    assertEquals(typesAt(events, ports[1]!), []);
    assertGreater(events.length, 0);
  });
});
