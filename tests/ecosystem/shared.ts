/**
 * One lab with one server for all tests of a file.
 *
 * @module
 */
import { after } from "node:test";
import { Lab, type LabOptions } from "../lab.ts";
import type { Host } from "../host.ts";
import type { Daemon } from "./daemon.ts";

/** Two hosts, the second with a server. */
export interface Served {
  lab: Lab;
  server: Daemon;
}

/**
 * To be called within `describe`. For servers that take long to start, such as databases; the first test that asks starts it.
 *
 * @returns What each test asks.
 */
export function shared(options: LabOptions, start: (host: Host) => Promise<Daemon>): () => Promise<Served> {
  let lab: Lab | undefined;
  let served: Promise<Served> | undefined;
  after(async () => {
    await served?.then(({ server }) => server[Symbol.asyncDispose](), () => {});
    await lab?.[Symbol.asyncDispose]();
  });
  return () =>
    served ??= (async () => {
      lab = await Lab.open(options);
      return { lab, server: await start(lab.server) };
    })();
}
