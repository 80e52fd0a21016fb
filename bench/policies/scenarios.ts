/**
 * What is measured, and what is expected of it.
 *
 * @module
 */
import type { Cut, Outcome, Plan } from "./run.ts";

/** One measurement of a run. */
export interface Measure {
  name: string;
  unit: string;
  /** What it should be. */
  target: { least?: number; most?: number };
  /** Of one run; `null` where it cannot be told. */
  of(outcome: Outcome): number | null;
}

/** One kind of run. */
export interface Scenario {
  /** The chart's file name, without its ending. */
  name: string;
  title: string;
  /** The policies' names, for the table. */
  policies: string;
  /** What it is about, in a sentence or two of Markdown. */
  text: string;
  plan: Plan;
  measures: readonly Measure[];
}

/** The issue's own numbers: 24 MB over two paths of 50 Mbit/s. */
const BYTES = 24_000_000;
const RATE = 50;
/** A path carries traffic when so many bytes have arrived over it, some twenty segments. */
const TRAFFIC = 30_000;

/** The highest that the two paths could carry of the application's bytes is some 95 Mbit/s: headers take the rest. */
const throughput: Measure = {
  name: "carried together",
  unit: "Mbit/s",
  target: { least: 93 },
  of: ({ plan, first, last }) => plan.bytes * 8 / 1000 / (last - first),
};

const stall: Measure = {
  name: "longest stall",
  unit: "ms",
  target: { most: 350 },
  of: ({ pauses }) => Math.max(0, ...pauses.map(({ ms }) => ms)),
};

/** A decision about the path, after the cut. */
const noticed: Measure = {
  name: "noticed after",
  unit: "ms",
  target: { most: 1000 },
  of({ plan, decisions, cut }) {
    const local = `10.0.${plan.cut!.paths[0]}.1`;
    const first = decisions.find(({ at, action, local: where }) =>
      cut !== null && at >= cut && where === local && (action === "close" || action === "note")
    );
    return first === undefined ? null : first.at - cut!;
  },
};

/** Bytes over the path, after it has healed. */
function carriesAgain(path: number): Measure {
  return {
    name: "carries again after",
    unit: "ms",
    target: { most: 1000 },
    of({ history, healed }) {
      if (healed === null) return null;
      const track = history.track(path);
      const before = track.count(healed);
      for (let at = healed; at <= history.end; at += 5) if (track.count(at) >= before + TRAFFIC) return at - healed;
      return null;
    },
  };
}

/** Bytes over a path until the first cut. */
function carriedBefore(path: number): Measure {
  return {
    name: "carried before it was needed",
    unit: "bytes",
    target: { most: 0 },
    of: ({ before }) => before[path] ?? null,
  };
}

const CUTS: readonly [Cut, string, string][] = [
  ["link down", "link-down", "The client's link goes down (`ip link set a1 down`) and comes back after a second."],
  [
    "silent drop",
    "silent-drop",
    "Every packet of the path is lost for a second, and nobody tells: as a cable that is cut far away.",
  ],
  ["reset", "reset", "Something on the way answers every packet of the path with a reset, for a second."],
  ["address removed", "address-removed", "The client's address goes (`ip addr del`), and comes back after a second."],
];

const HEALING = ["policy.fullMesh()", "policy.selfHealing()"];

/** All that is measured. */
export const SCENARIOS: readonly Scenario[] = [
  {
    name: "full-mesh",
    title: "fullMesh: two paths at once",
    policies: "fullMesh",
    text: "`fullMesh()` opens the second path as soon as the peer announces its address.",
    plan: { policies: ["policy.fullMesh()"], bytes: BYTES, rate: RATE },
    measures: [throughput],
  },
  ...CUTS.map(([kind, name, text]): Scenario => ({
    name,
    title: `fullMesh and selfHealing: ${kind}`,
    policies: "fullMesh, selfHealing",
    text,
    plan: { policies: HEALING, bytes: BYTES, rate: RATE, cut: { paths: [1], kind, after: 500, lasts: 1000 } },
    measures: [stall, noticed, carriesAgain(1)],
  })),
  {
    name: "download",
    title: "fullMesh and selfHealing on the receiving end: silent drop",
    policies: "fullMesh, selfHealing, receiving",
    text:
      "As above, but the server sends, and has no policies: the client finds out by a trial that a path brings nothing any more.",
    plan: {
      policies: HEALING,
      bytes: BYTES,
      rate: RATE,
      cut: { paths: [1], kind: "silent drop", after: 500, lasts: 1000 },
      download: true,
    },
    measures: [stall, noticed, carriesAgain(1)],
  },
  {
    name: "backup",
    title: 'backup({ prefer: "a1" }): the other path when it is needed',
    policies: "backup, selfHealing",
    text: "Path 1 is preferred, its link goes down for 1.5 s, and path 2 carries the bytes until it is back.",
    plan: {
      policies: ['policy.backup({ prefer: "a1" })', "policy.selfHealing()"],
      bytes: BYTES,
      rate: RATE,
      cut: { paths: [1], kind: "link down", after: 1000, lasts: 1500 },
    },
    measures: [carriedBefore(2), stall, carriesAgain(1)],
  },
  {
    name: "all-paths",
    title: "selfHealing: both paths are gone for two seconds",
    policies: "fullMesh, selfHealing",
    text: "Both paths are reset for two seconds, and no subflow is left. The connection waits, and goes on.",
    plan: {
      policies: HEALING,
      bytes: BYTES,
      rate: RATE,
      cut: { paths: [1, 2], kind: "reset", after: 500, lasts: 2000 },
    },
    measures: [carriesAgain(1), carriesAgain(2)].map((each, index) => ({ ...each, name: `path ${index + 1} ${each.name}` })),
  },
  {
    name: "when-slow",
    title: "whenSlow({ rateBelow: 7,500,000 }): a path is added",
    policies: "whenSlow",
    text: "One path of 50 Mbit/s does not suffice where 60 are asked for; after half a second `whenSlow` adds the other.",
    plan: { policies: ["policy.whenSlow({ rateBelow: 7_500_000 })"], bytes: BYTES, rate: RATE },
    measures: [{
      name: "added after",
      unit: "ms",
      target: { most: 1500 },
      of({ decisions, first }) {
        const added = decisions.find(({ action, outcome }) => action === "open" && outcome === "done");
        return added === undefined ? null : added.at + added.took - first;
      },
    }],
  },
];
