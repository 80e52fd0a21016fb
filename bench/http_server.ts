/**
 * HTTP servers, as contestants: this library's `serve`, and the runtimes' own. All answer with the same 14 bytes.
 *
 * @module
 */
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { system } from "../ffi/mod.ts";
import { type HttpServer, serve } from "../http/mod.ts";
import { begin } from "../http/serve/begin.ts";
import { askFirst } from "../http/serve/first_request.ts";
import { serveByRuntime } from "../http/serve/runtime_engine.ts";
import { Unsuitable } from "../net/takeover.ts";
import { readText } from "../paths/proc.ts";
import type { Closable } from "./subject.ts";

/** The parts of the `Bun` namespace in use here. */
interface BunApi {
  serve(options: { hostname: string; port: number; fetch(): Response }): { port: number; stop(all: boolean): void };
}

const BODY = "Hello, World!\n";
const hostname = "0.0.0.0";

type Serving = Closable & { port: number };

/** With the takeover failing at its last step, so that the connections are relayed. */
async function servePortably(handler: () => Response): Promise<HttpServer> {
  const host = system()!;
  const options = { hostname, port: 0, mptcp: "require" } as const;
  const steps = {
    libc: host.libc,
    readText,
    askFirst: (...asked: Parameters<typeof askFirst>) =>
      askFirst(...asked).then(() => Promise.reject(new Unsuitable("the benchmark wants it so"))),
  };
  return await begin(handler, options, (answers) => serveByRuntime(host, host.http!, answers, options, steps));
}

async function library(run: string): Promise<Serving> {
  const handler = () => new Response(BODY);
  const server = run === "servePortable"
    ? await servePortably(handler)
    : await serve(handler, { hostname, port: 0, mptcp: "require", overrideGlobalObjects: run !== "serveTrue" });
  const wanted = run === "servePortable" ? "portable" : "native";
  if (server.mode !== wanted) throw new Error(`serve is ${server.mode}: ${server.reason}`);
  return { port: server.addr.port, close: () => void server.close() };
}

async function node(): Promise<Serving> {
  const server = createServer((_request, response) => {
    response.writeHead(200, { "content-type": "text/plain;charset=UTF-8", "content-length": BODY.length });
    response.end(BODY);
  });
  server.listen(0, hostname);
  await once(server, "listening");
  const close = () => {
    server.close();
    server.closeAllConnections();
  };
  return { port: (server.address() as AddressInfo).port, close };
}

/**
 * Begins to serve.
 *
 * @param name `library`, or the runtime whose own server is wanted.
 * @param run The case.
 */
export async function serveHttp(name: string | undefined, run: string): Promise<Serving> {
  switch (name) {
    case "deno": {
      const stop = new AbortController();
      const server = Deno.serve({ hostname, port: 0, signal: stop.signal, onListen() {} }, () => new Response(BODY));
      return { port: server.addr.port, close: () => stop.abort() };
    }
    case "bun": {
      const { Bun } = globalThis as unknown as { Bun: BunApi };
      const server = Bun.serve({ hostname, port: 0, fetch: () => new Response(BODY) });
      return { port: server.port, close: () => server.stop(true) };
    }
    case "node":
      return await node();
    default:
      return await library(run);
  }
}
