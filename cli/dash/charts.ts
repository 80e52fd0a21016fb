/**
 * uPlot, which draws the charts: its files, out of the package as it is installed.
 *
 * @module
 */
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { Failure } from "../frame/failure.ts";
import type { ChartFiles } from "./site.ts";

const VERSION = "1.6.32";

/**
 * Reads them.
 *
 * @throws {Failure} When the package is not there.
 */
export async function chartFiles(): Promise<ChartFiles> {
  try {
    return { script: await text("uPlot.iife.min.js"), style: await text("uPlot.min.css") };
  } catch (cause) {
    throw new Failure(`the npm package uplot, which draws the charts, cannot be read: ${(cause as Error).message}`);
  }
}

async function text(name: string): Promise<string> {
  return await readFile(fileURLToPath(await locate(name)), "utf8");
}

async function locate(name: string): Promise<string> {
  try {
    return import.meta.resolve(`uplot/dist/${name}`);
  } catch {
    // A package of JSR has no import map when it runs: what is not imported is not fetched, and not known by its short name.
    await import("uplot/dist/uPlot.esm.js");
    return import.meta.resolve(`npm:uplot@${VERSION}/dist/${name}`);
  }
}
