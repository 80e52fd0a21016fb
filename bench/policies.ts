/**
 * Measures the ready-made policies in a lab of two hosts and two paths, and draws what they do.
 *
 *   npm run bench:policies                          each five times: about two minutes
 *   npm run bench:policies -- --rounds=1 --only=backup,reset
 *   npm run bench:policies -- --docs                also writes docs/policies-measured.md and docs/images/policy-*.svg
 *
 * It needs root or user namespaces, and changes nothing outside of the namespaces that it makes.
 *
 * @module
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { cpus, loadavg, release } from "node:os";
import process from "node:process";
import { labNeeds } from "../tests/needs.ts";
import { chartOf, markdown, type Row } from "./policies/report.ts";
import { type Outcome, run } from "./policies/run.ts";
import { type Scenario, SCENARIOS } from "./policies/scenarios.ts";

function value(name: string): string | undefined {
  return process.argv.find((arg) => arg.startsWith(`--${name}=`))?.slice(name.length + 3);
}

const rounds = Number(value("rounds") ?? 5);
const only = value("only")?.split(",");
const docs = process.argv.includes("--docs");

/** Runs one kind of run, and takes what is to be known of all of them. */
async function measure(scenario: Scenario): Promise<Row> {
  const outcomes: Outcome[] = [];
  for (let round = 0; round < rounds; round++) {
    const outcome = await run(scenario.plan);
    outcomes.push(outcome);
    const told = scenario.measures.map((each) => `${each.name} ${each.of(outcome)?.toFixed(1) ?? "?"} ${each.unit}`);
    console.log(`${scenario.name}: ${told.join(", ")}${outcome.intact ? "" : ", NOT INTACT"}`);
  }
  return { scenario, outcomes };
}

const missing = labNeeds("tc", "nft");
if (missing !== false) {
  console.error(`Cannot measure: ${missing}`);
  process.exit(1);
}
const rows: Row[] = [];
for (const scenario of SCENARIOS) {
  if (only === undefined || only.includes(scenario.name)) rows.push(await measure(scenario));
}
const where = {
  date: new Date().toISOString().slice(0, 10),
  host: `Linux ${release()}, ${cpus().length} × ${cpus()[0]?.model.trim() ?? "CPU"}`,
  load: loadavg()[0]!,
};
const text = markdown(rows, where, rounds);
console.log(text);
if (docs) {
  mkdirSync("docs/images", { recursive: true });
  for (const row of rows) writeFileSync(`docs/images/policy-${row.scenario.name}.svg`, chartOf(row));
  if (only === undefined) writeFileSync("docs/policies-measured.md", text);
  console.log("Written: docs/images/policy-*.svg", only === undefined ? "and docs/policies-measured.md" : "");
}
process.exit(0);
