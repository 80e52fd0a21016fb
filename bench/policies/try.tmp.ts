import { run } from "./run.ts";
import { SCENARIOS } from "./scenarios.ts";
const s = SCENARIOS.find((s) => s.name === process.argv[2])!;
const o = await run(s.plan);
const rel = (t: number) => t - o.first;
for (const m of s.measures) console.log(m.name, m.of(o));
for (const d of o.decisions) {
  console.log(
    "   ",
    rel(d.at),
    d.took,
    d.policy,
    d.action,
    d.outcome,
    d.subflow ?? "",
    d.local ?? "",
    d.remote ?? "",
    d.value ?? "",
    "|",
    d.reason,
    "|",
    d.error ?? "",
  );
}
console.log(
  "    cut",
  rel(o.cut ?? 0),
  "healed",
  rel(o.healed ?? 0),
  "end",
  rel(o.last),
  JSON.stringify(o.pauses.map((p) => [rel(p.at), p.ms])),
);
process.exit(0);
