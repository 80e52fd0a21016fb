/**
 * Runs one contestant's runs on the runtime that executes this file. Commands come as lines of JSON on stdin, answers go
 * as lines to stdout; the process lives through the whole benchmark, so that every run but the first is warm.
 *
 *   worker.ts library|deno|bun|node|fetch
 *
 * @module
 */
import process from "node:process";
import { createInterface } from "node:readline";
import { httpSubject } from "./http_client.ts";
import { serveHttp } from "./http_server.ts";
import { Meter } from "./meter.ts";
import type { Closable, Subject, Target } from "./subject.ts";

/** What the driver asks for. */
interface Command {
  run: string;
  target: Target;
  seconds: number;
}

const PARALLEL = 100;

async function load(name: string | undefined): Promise<Subject> {
  switch (name) {
    case "deno":
      return (await import("./own_deno.ts")).subject;
    case "bun":
      return (await import("./own_bun.ts")).subject;
    case "node":
      return (await import("./own_node.ts")).subject;
    default:
      return (await import("./library.ts")).subject;
  }
}

const subject = await load(process.argv[2]);
const http = httpSubject(process.argv[2]);

function say(answer: unknown): void {
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}

/** A listener runs until the driver says `stop`. */
let stop = (): void => {};

async function listenUntilStopped(listening: Promise<Closable & { port: number }>): Promise<void> {
  const listener = await listening;
  const stopped = new Promise<void>((resolve) => stop = resolve);
  say({ port: listener.port });
  await stopped;
  listener.close();
}

async function connectSequentially(target: Target, meter: Meter): Promise<void> {
  do (await subject.connect(target)).close(); while (meter.done());
}

async function connectInParallel(target: Target, meter: Meter): Promise<void> {
  do {
    const pending: Promise<Closable>[] = [];
    for (let i = 0; i < PARALLEL; i++) pending.push(subject.connect(target));
    for (const connection of await Promise.all(pending)) connection.close();
  } while (meter.done(PARALLEL));
}

function execute(run: string, target: Target, meter: Meter): Promise<void> | undefined {
  switch (run) {
    case "send":
      return subject.send(target, meter);
    case "receive":
      return subject.receive(target, meter);
    case "byob":
      return subject.byob?.(target, meter);
    case "stream":
      return subject.stream?.(target, meter);
    case "ping":
      return subject.ping(target, meter);
    case "connect":
      return connectSequentially(target, meter);
    case "connect100":
      return connectInParallel(target, meter);
    case "accept":
      return listenUntilStopped(subject.listen());
    case "serve":
    case "serveTrue":
    case "servePortable":
      return listenUntilStopped(serveHttp(process.argv[2], run));
    case "subflows1":
    case "subflows2":
      return subject.subflows?.(target, meter, Number(run.at(-1)));
    case "info1":
    case "info2":
      return subject.info?.(target, meter, Number(run.at(-1)));
    case "fetch":
      return http.fetch(target, meter, 1);
    case "fetch32":
      return http.fetch(target, meter, 32);
    case "download":
      return http.download(target, meter);
    default:
      throw new Error(`There is no run "${run}"`);
  }
}

async function answer({ run, target, seconds }: Command): Promise<void> {
  try {
    const meter = new Meter(seconds);
    await execute(run, target, meter);
    say(meter.result());
  } catch (error) {
    say({ error: error instanceof Error ? error.message : String(error) });
  }
}

say({ ready: true });
for await (const line of createInterface({ input: process.stdin })) {
  if (line === "stop") stop();
  else answer(JSON.parse(line));
}
process.exit(0);
