/** What becomes of `serve` where the runtime is not as it is known: it serves by the portable way, and says so. */
import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import process from "node:process";
import { describe, it } from "node:test";
import type { Libc } from "../../ffi/mod.ts";
import { system } from "../../ffi/mod.ts";
import { serve } from "../../http/mod.ts";
import { askFirst } from "../../http/serve/first_request.ts";
import type { Steps } from "../../http/serve/runtime_engine.ts";
import { EPOLL_CTL_ADD, SO_PROTOCOL } from "../../kernel/constants.ts";
import { readText } from "../../paths/proc.ts";
import { openAtLast, openDescriptors } from "../net/pair.ts";
import { RawClient } from "./raw_client.ts";
import { startWith } from "./ways.ts";

const EPERM = -1;

/** The libc of this host, with some calls exchanged. */
function libcWith(calls: Partial<Libc>): Libc {
  const { libc } = system()!;
  return new Proxy(libc, {
    get(target, name) {
      const own = calls[name as keyof Libc];
      if (own !== undefined) return own;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

const hides = (wanted: RegExp) => (path: string) => wanted.test(path) ? null : readText(path);

const broken: readonly (readonly [title: string, steps: () => Partial<Steps>, reason: string])[] = [
  ["descriptors cannot be counted", () => ({ readText: hides(/status/) }), "0 listeners were found"],
  ["what epoll was told is not to be read", () => ({ readText: hides(/fdinfo/) }), "does not watch its listener by epoll"],
  ["dup3 is not allowed", () => ({ libc: libcWith({ dup3: () => EPERM }) }), "dup3 failed (EPERM)"],
  [
    "epoll does not take the listener",
    () => {
      const epollCtl: Libc["epollCtl"] = (epoll, operation, fd, event) =>
        operation === EPOLL_CTL_ADD ? EPERM : system()!.libc.epollCtl(epoll, operation, fd, event);
      return { libc: libcWith({ epollCtl }) };
    },
    "epoll_ctl failed (EPERM)",
  ],
  [
    "epoll forgets what it was told",
    () => ({ libc: libcWith({ epollCtl: (...args) => args[1] === EPOLL_CTL_ADD ? 0 : system()!.libc.epollCtl(...args) }) }),
    "epoll does not watch the listener as the runtime's was watched",
  ],
  [
    "the kernel does not confirm the listener",
    () => ({ libc: libcWith({ getInt: (...args) => args[2] === SO_PROTOCOL ? -92 : system()!.libc.getInt(...args) }) }),
    "the kernel does not confirm",
  ],
  [
    "the first request gets another answer",
    () => ({ askFirst: (addr, _word, tls) => askFirst(addr, "something-else", tls) }),
    'did not answer its first request: it answered "HTTP/1.1 503',
  ],
  [
    "nobody answers the first request",
    () => ({ askFirst: (addr, word, tls) => askFirst({ ...addr, port: 1 }, word, tls) }),
    "did not answer its first request",
  ],
];

/** The warnings that come while something is done. */
async function warnings(work: () => Promise<void>): Promise<(string | undefined)[]> {
  const codes: (string | undefined)[] = [];
  const note = (warning: Error & { code?: string }) => codes.push(warning.code);
  process.on("warning", note);
  try {
    await work();
    await new Promise((resolve) => setTimeout(resolve, 0)); // they come with the next turn of the loop
  } finally {
    process.off("warning", note);
  }
  return codes;
}

const withTakeover = system()!.http !== null;

describe("serve falls back to relaying", () => {
  if (!withTakeover) {
    it("never where Node's server takes our socket as it is", async () => {
      await using server = await serve(() => new Response(""), { port: 0, hostname: "127.0.0.1" });
      assertEquals([server.mode, server.reason], ["native", null]);
    });
    return;
  }
  for (const [title, steps, reason] of broken) {
    it(`when ${title}`, async () => {
      const round = async () => {
        await using server = await startWith(steps(), (_, info) => Response.json(info.isMultipath), { mptcp: "require" });
        assertEquals([server.mode, server.mptcp], ["portable", true]);
        assertStringIncludes(server.reason!, reason);
        using client = await RawClient.open(server, { mptcp: "require" });
        assertEquals((await client.ask("GET /")).body, "true");
        client.conn.close();
      };
      assertEquals(await warnings(round), ["MPTCP_SERVE_PORTABLE"]);
      const before = openDescriptors();
      await round();
      assertEquals(await openAtLast(openDescriptors, before), before);
    });
  }

  it("but not when something else is wrong", async () => {
    const failing = () => Promise.reject(new Error("not a matter of the runtime"));
    const start = startWith({ askFirst: failing }, () => new Response());
    await assertRejects(() => start, Error, "not a matter of the runtime");
  });
});
