/** `mptcp dash`: its feed and its answers, and the page in a real browser beside real traffic. */
import { assert, assertEquals, assertGreater, assertLess, assertMatch, assertStringIncludes } from "@std/assert";
import { accessSync } from "node:fs";
import { createServer } from "node:http";
import { once } from "node:events";
import { connect } from "node:net";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { Feed, MOST } from "../../cli/dash/feed.ts";
import { PAGE } from "../../cli/dash/page.ts";
import { hostAllowed } from "../../cli/dash/site.ts";
import type { View } from "../../cli/watch/meter.ts";
import { Child } from "../child.ts";
import { labNeeds } from "../needs.ts";
import { describe, it } from "../suite.ts";
import { mptcp, ran, withoutMptcp } from "./command_line.ts";
import { Traffic } from "./traffic.ts";

const view = (at: number, connections: View["connections"] = []): View => ({ at, sending: 0, receiving: 0, connections });

describe("dash: the feed", () => {
  const greeting = { host: "h", kernel: "k", interval: 1000, eventless: null };

  it("who joins gets the past, then what is now, with the events in between", async () => {
    const feed = new Feed(greeting);
    feed.snapshot(view(1));
    feed.event({ at: 2, type: "created", token: "t", text: "x" });
    const reader = feed.join()!.getReader();
    const next = async () => {
      const [name, data] = new TextDecoder().decode((await reader.read()).value).split("\n");
      return [name, JSON.parse(data!.slice("data: ".length))];
    };
    const [past, { events, views }] = await next();
    assertEquals([past, events.length, views.map(({ at }: View) => at)], ["event: past", 1, [1]]);
    feed.event({ at: 3, type: "closed", token: "t", text: "" });
    feed.snapshot(view(4));
    const [now, { events: later, view: one }] = await next();
    assertEquals([now, later, one.at], ["event: now", [{ at: 3, type: "closed", token: "t", text: "" }], 4]);
    feed.close();
    assertEquals((await reader.read()).done, true);
    assertEquals(feed.join(), null);
  });

  it("a reader that does not read costs little, and its events are not lost", async () => {
    const feed = new Feed(greeting);
    const stream = feed.join()!;
    for (let at = 0; at < 10_000; at++) {
      if (at > 9950) feed.event({ at, type: "closed", token: "", text: "" });
      feed.snapshot(view(at));
    }
    const reader = stream.getReader();
    const chunks: string[] = [];
    for (let count = 0; count < 4; count++) chunks.push(new TextDecoder().decode((await reader.read()).value));
    assertStringIncludes(chunks[3]!, '"at":2,');
    feed.snapshot(view(10_001));
    const { events } = JSON.parse(new TextDecoder().decode((await reader.read()).value).split("data: ")[1]!);
    assertEquals(events.length, 49);
    await reader.cancel();
    assertEquals(feed.readers, 0);
    for (let count = 0; count < MOST.readers; count++) assert(feed.join());
    assertEquals(feed.join(), null);
    feed.close();
  });

  it("of many connections those with most traffic", async () => {
    const feed = new Feed(greeting);
    const many = Array.from({ length: 100 }, (_, number) => ({
      key: `${number}`,
      token: "",
      local: "",
      remote: "",
      state: "ESTABLISHED",
      fallback: false,
      sent: 0,
      received: 0,
      sending: number,
      receiving: 0,
      history: [],
      subflows: [],
    }));
    feed.snapshot(view(1, many));
    // Those that are shown stay until they are clearly overtaken.
    feed.snapshot(view(2, many.map((each, number) => ({ ...each, sending: number === 0 ? 1000 : 100 - number % 50 }))));
    const { views } = JSON.parse(
      new TextDecoder().decode((await feed.join()!.getReader().read()).value).split("data: ")[1]!,
    );
    const [first, second] = views.map(({ shown }: { shown: { key: string }[] }) => new Set(shown.map(({ key }) => key)));
    assertEquals(second.has("0"), true);
    assertEquals([...second].filter((key) => first.has(key)).length, MOST.connections - 1);
    assertEquals([views[0].connections, views[0].shown.length, views[0].shown[0].key], [100, MOST.connections, "99"]);
  });
});

describe("dash: who may ask", () => {
  it("addresses and localhost, no names that somebody may have pointed here", () => {
    for (const host of ["localhost", "localhost:8484", "LOCALHOST:1", "127.0.0.1:8484", "127.0.0.2", "[::1]:8484"]) {
      assert(hostAllowed(host, true), host);
    }
    for (
      const host of [
        null,
        "",
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "10.0.0.1",
        "[::2]",
        "a@b",
      ]
    ) {
      assertEquals(hostAllowed(host, true), false, `${host}`);
    }
    for (const host of ["10.0.0.1:80", "[2001:db8::1]:80", "localhost"]) assert(hostAllowed(host, false), host);
    for (const host of ["evil.example", "2001:db8::1", "[10.0.0.1]", "127.1", "10.0.0.1:x"]) {
      assertEquals(hostAllowed(host, false), false, host);
    }
  });

  it("no inline script and no inline style", () => {
    assertEquals(/<script(?![^>]*src=)|<style|\sstyle=|\son\w+=|https?:/i.test(PAGE), false);
  });
});

/** One request, as it is, and all of the answer until the end or until there is enough. */
async function ask(port: number, head: string, enough = /$^/): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  socket.setTimeout(5000, () => socket.destroy(new Error("No answer")));
  let text = "";
  try {
    socket.write(`${head}\r\nConnection: close\r\n\r\n`);
    for await (const data of socket) if (enough.test(text += data)) break;
  } finally {
    socket.destroy();
  }
  return text;
}

describe("dash: the command", { skip: withoutMptcp }, () => {
  it("answers reads only, with a strict policy, and ends with a reader attached", async () => {
    await using child = new Child(mptcp("dash", "--port=0", "--json", "-i", "0.1"));
    const { type, url, port } = await child.json<{ type: string; url: string; port: number }>();
    assertEquals([type, url], ["listening", `http://127.0.0.1:${port}/`]);
    const host = `Host: 127.0.0.1:${port}`;
    const page = await ask(port, `GET / HTTP/1.1\r\n${host}`);
    assertMatch(page, /^HTTP\/1.1 200 /);
    assertMatch(page, /\ncontent-security-policy: default-src 'none'; script-src 'self';/i);
    assertMatch(page, /\nx-content-type-options: nosniff/i);
    assertMatch(page, /\nx-frame-options: DENY/i);
    for (const path of ["/dash.js", "/dash.css", "/uplot.js", "/uplot.css", "/icon.svg"]) {
      assertMatch(await ask(port, `GET ${path} HTTP/1.1\r\n${host}`), /^HTTP\/1.1 200 /);
    }
    assertStringIncludes(await ask(port, `GET /uplot.js HTTP/1.1\r\n${host}`), "uPlot");
    const status = async (head: string) => (await ask(port, head)).split(" ")[1];
    assertEquals(await status(`GET / HTTP/1.1\r\nHost: evil.example`), "421");
    assertEquals(await status(`GET /events HTTP/1.1\r\nHost: evil.example:${port}`), "421");
    assertEquals(await status(`GET /events HTTP/1.1\r\n${host}\r\nSec-Fetch-Site: cross-site`), "403");
    assertEquals(await status(`GET / HTTP/1.1\r\n${host}\r\nSec-Fetch-Site: cross-site`), "200");
    assertEquals(await status(`POST / HTTP/1.1\r\nContent-Length: 0\r\n${host}`), "405");
    assertEquals(await status(`HEAD / HTTP/1.1\r\n${host}`), "200");
    assertEquals(await status(`HEAD /events HTTP/1.1\r\n${host}`), "200");
    assertEquals(await status(`GET /../../deno.json HTTP/1.1\r\n${host}`), "404");
    const events = await ask(port, `GET /events HTTP/1.1\r\n${host}`, /event: now/);
    assertMatch(events, /\ncontent-type: text\/event-stream/i);
    assertMatch(events, /event: past\ndata: \{"greeting":\{"host":/);
    const stays = ask(port, `GET /events HTTP/1.1\r\n${host}`);
    await ask(port, `GET /events HTTP/1.1\r\n${host}`, /event: now/);
    const begun = performance.now();
    process.kill(child.pid, "SIGINT");
    const { code, stderr } = await child.ended;
    assertEquals([code, stderr], [130, "Ctrl-C ends it\n"]);
    assertLess(performance.now() - begun, 4000);
    await stays;
  });

  it("a port in use, wrong arguments, no MPTCP: one clear line, and the right code", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as { port: number };
    const inUse = await ran(["dash", "--port", `${port}`]);
    server.close();
    assertEquals([inUse.code, inUse.stdout], [1, ""]);
    assertMatch(inUse.stderr, /^mptcp dash: .*(in use|EADDRINUSE).*--port 0 takes a free port\n$/);
    for (const args of [["--port=x"], ["--hostname=evil.example"], ["--interval=0"], ["word"]]) {
      const { code, stderr } = await ran(["dash", ...args]);
      assertEquals(code, 2);
      assertMatch(stderr, /^mptcp dash: .*\n$/);
    }
    const none = await ran(["dash", "--port=0"], { MPTCP_LIBC: "/nonexistent" });
    assertEquals([none.code, none.stdout], [3, ""]);
    assertMatch(none.stderr, /^mptcp dash: MPTCP is not available: .*\n$/);
  });
});

function browserNeeds(): string | false {
  try {
    accessSync("/usr/bin/chromium");
  } catch {
    return "/usr/bin/chromium not found: apt-get install chromium";
  }
  return labNeeds("tc");
}

interface Look {
  cards: { name: string; chips: string[]; paths: string[][]; charts: { paths: boolean[]; height: number }[] }[];
  totals: string[];
  events: string[];
  eventless: string;
  status: string;
  overflow: number;
  wide: string[];
  ground: string;
  scripts: number;
  complaints: string[];
  foreign: string[];
}

describe("dash: in a browser", { skip: browserNeeds() }, () => {
  it("both paths, charts, events; light and dark, wide and narrow", async () => {
    await using traffic = await Traffic.open();
    const { client } = traffic.lab;
    const [program, ...args] = mptcp("dash", "--port=0", "-i", "0.2");
    await using command = client.spawn(program!, args);
    const url = await command.line();
    const path = (name: string) => fileURLToPath(new URL(name, import.meta.url));
    await using browser = client.spawn(path("../../node_modules/.bin/node"), [path("./browser.mjs"), url]);
    const tell = async <T = unknown>(message: unknown): Promise<T> => {
      browser.send(JSON.stringify(message));
      const answer = await browser.json<{ failed?: string }>();
      assert(answer.failed === undefined, JSON.stringify(answer));
      return answer as T;
    };
    // A browser may be slow to start.
    const late = setTimeout(() => void browser.kill(), 45_000);
    let opened = "";
    for await (opened of browser) break;
    clearTimeout(late);
    assertEquals(JSON.parse(opened || "null"), { open: true });
    const rates =
      "[...document.querySelectorAll('tbody tr')].filter((row) => / Mbit/.test(row.cells[4].textContent)).length";
    await tell({ until: `${rates} === 2` });
    // So that there is an event to be seen.
    await traffic.client.run(async ({ connect, here, listen }) => {
      here.listener = listen({ hostname: "127.0.0.1", port: 0 });
      const [one, other] = await Promise.all([
        connect({ hostname: "127.0.0.1", port: here.listener.addr.port }),
        here.listener.accept(),
      ]);
      await one.write(new Uint8Array(10));
      await other.read(new Uint8Array(10));
      one.close();
      other.close();
    });
    await tell({
      until:
        "/Connection closed.*Connection begins/.test([...document.querySelectorAll('#events b')].map((each) => each.textContent).join())",
    });
    const grounds = new Set<string>();
    for (const [width, height] of [[1280, 860], [360, 740]] as const) {
      for (const scheme of ["light", "dark"] as const) {
        const seen = await tell<Look>({ view: { width, height, scheme, name: `${scheme}-${width}` } });
        const what = `${scheme} ${width}`;
        assertEquals([seen.complaints, seen.foreign, seen.wide], [[], [], []], what);
        assertEquals([seen.overflow, seen.scripts, seen.status, seen.eventless], [0, 0, "live", ""], what);
        const card = seen.cards.find(({ name }) => name.includes("10.0.1.1"))!;
        assertEquals(card.paths.map(([name]) => name), ["a1", "a2"], what);
        assertMatch(card.paths[0]![1]!, /^10\.0\.1\.1:\d+ → 10\.0\.1\.2:\d+$/);
        assertMatch(card.paths[1]![1]!, /→ 10\.0\.2\.2:\d+$/);
        for (const row of card.paths) assertMatch(row[2]!, /^[\d.]+ ms$/);
        // Each path's colour is on each chart.
        assertEquals(card.charts.map(({ paths }) => paths), [[true, true], [true, true]], what);
        for (const { height } of card.charts) assertGreater(height, 100);
        for (const event of ["Connection begins", "Connection closed"]) {
          assert(seen.events.includes(event), `${event}: ${seen.events}`);
        }
        grounds.add(seen.ground);
      }
    }
    assertEquals(grounds.size, 2);
    await traffic.close();
    await tell({
      until: "[...document.querySelectorAll('.card.gone .chip')].some((each) => each.textContent === 'closed')",
    });
    await tell({ leave: true });
    process.kill(command.pid, "SIGINT");
    assertEquals((await command.ended).code, 130);
    await tell({ until: "document.getElementById('status').dataset.state === 'lost'" });
    browser.endInput();
    await browser.ended;
  });

  it("without the privilege for events it says so, and shows the rest", { skip: labNeeds("curl") }, async () => {
    await using traffic = await Traffic.open();
    const { client } = traffic.lab;
    const words = mptcp("dash", "--port=0", "-i", "0.2");
    await using command = client.spawn("setpriv", ["--bounding-set=-net_admin", "--inh-caps=-net_admin", ...words]);
    const url = new URL(await command.line());
    const answer = await client.run("curl", ["-sN", "--max-time", "1", `${url}events`]).catch((error) => `${error}`);
    assertStringIncludes(answer, "CAP_NET_ADMIN");
    assertStringIncludes(answer, "10.0.2.2");
  });
});
