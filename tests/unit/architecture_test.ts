/** What docs and habits cannot keep: the layers, the one place for each runtime's own API, and what never gets published. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { readSource, type SourceText } from "./source_text.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** What each folder may import of the others. `mod.ts` is the public list; only the command imports it. */
const CORE = ["net", "paths", "ffi", "kernel"];
const ARROWS: Readonly<Record<string, readonly string[]>> = {
  kernel: [],
  ffi: ["kernel"],
  paths: ["ffi", "kernel"],
  net: ["paths", "ffi", "kernel"],
  node: CORE,
  http: CORE,
  ftp: [...CORE, "node"],
  policy: CORE,
  cli: [...CORE, "node", "http", "ftp", "policy", "mod.ts", "deno.json"],
  "mod.ts": CORE,
};

/** The npm packages that an entry point outside of the core may import. */
const PACKAGES: Readonly<Record<string, readonly string[]>> = { http: ["undici", "ws"], ftp: ["basic-ftp"] };

const read = (path: string) => readFileSync(join(ROOT, path), "utf8");
const json = (path: string) => JSON.parse(read(path));

const SKIPPED = new Set(["node_modules", ".git", "results"]);

/** All files below a folder, as paths from the root. */
function filesBelow(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = folder === "." ? entry.name : `${folder}/${entry.name}`;
    if (entry.isDirectory()) return SKIPPED.has(entry.name) ? [] : filesBelow(path);
    return entry.isFile() ? [path] : [];
  });
}

const layerOf = (path: string): string => path.split("/")[0]!;

/** The package's sources: those of the layers that are there by now. */
const SOURCES: ReadonlyMap<string, SourceText> = new Map(
  Object.keys(ARROWS)
    .filter((layer) => existsSync(join(ROOT, layer)))
    .flatMap((layer) => layer.endsWith(".ts") ? [layer] : filesBelow(layer).filter((path) => path.endsWith(".ts")))
    .map((path) => [path, readSource(read(path))]),
);

/** The file that a specifier of ours names, `null` for one of somebody else's. */
function targetOf(path: string, specifier: string): string | null {
  if (specifier.startsWith(".")) return normalize(join(dirname(path), specifier));
  if (specifier !== "@mptcp/mptcp" && !specifier.startsWith("@mptcp/mptcp/")) return null;
  return normalize(json("deno.json").exports[`.${specifier.slice("@mptcp/mptcp".length)}`] ?? specifier);
}

/** What a file imports at once: neither types alone nor `await import()`. */
const STATIC_IMPORT = /^(?:import|export)\b(?!\s+type\b)(?:[^;"=()]*\bfrom)?\s*"([^"]+)"/gm;

/** Everything wrong, so that one run shows all of it. */
function none(faults: string[]): void {
  assertEquals(faults, []);
}

/** A fault for each source where `find` finds something. */
function faults(find: (path: string, source: SourceText) => string[]): string[] {
  return [...SOURCES].flatMap(([path, source]) => find(path, source).map((fault) => `${path}: ${fault}`));
}

describe("architecture", () => {
  it("finds the sources", () => {
    assert(SOURCES.size > 30, `${SOURCES.size} files`);
    assert(SOURCES.get("net/connect.ts")!.imports.length > 3);
  });

  it("knows every folder that is published", () => {
    const include: string[] = json("deno.json").publish.include;
    const folders = include.filter((path) => path.endsWith("/") && path !== "docs/").map((path) => path.slice(0, -1));
    none(folders.filter((folder) => !(folder in ARROWS)));
  });

  it("has only arrows that go down", () => {
    none(faults((path, { imports }) =>
      imports.flatMap((specifier) => {
        const target = targetOf(path, specifier);
        if (target === null) return [];
        if (!existsSync(join(ROOT, target))) return [`${specifier} is not there`];
        const [from, to] = [layerOf(path), layerOf(target)];
        return from === to || ARROWS[from]!.includes(to) ? [] : [`${from} → ${to} (${specifier})`];
      })
    ));
  });

  it("answers `mptcp --help` by little code: no command's work is imported before it is called", () => {
    const seen = new Set<string>();
    const visit = (path: string): void => {
      if (seen.has(path)) return;
      seen.add(path);
      for (const [, specifier] of SOURCES.get(path)?.uncommented.matchAll(STATIC_IMPORT) ?? []) {
        const target = targetOf(path, specifier!);
        if (target !== null) visit(target);
      }
    };
    visit("cli/mod.ts");
    assert(seen.has("cli/commands/serve.ts"));
    none([...seen].filter((path) => !/^(cli\/|kernel\/|deno\.json)/.test(path)));
  });

  it("has no cycle of files that run each other", () => {
    const open = new Set<string>();
    const done = new Set<string>();
    const cycles: string[] = [];
    const visit = (path: string, trail: string[]): void => {
      if (open.has(path)) cycles.push([...trail.slice(trail.indexOf(path)), path].join(" → "));
      if (open.has(path) || done.has(path)) return;
      open.add(path);
      // `import type` vanishes and makes no cycle.
      const { uncommented } = SOURCES.get(path) ?? { uncommented: "" };
      for (const specifier of readSource(uncommented.replace(/\b(import|export) type\b[^;]*;/g, "")).imports) {
        const target = targetOf(path, specifier);
        if (target !== null) visit(target, [...trail, path]);
      }
      open.delete(path);
      done.add(path);
    };
    for (const path of SOURCES.keys()) visit(path, []);
    none(cycles);
  });

  it("imports by literals in the core", () => {
    none(faults((path, { importsAnything }) => {
      return importsAnything && (CORE.includes(layerOf(path)) || path === "mod.ts")
        ? ["a dynamic import of a variable"]
        : [];
    }));
  });

  it("imports nothing of others but what is known", () => {
    const own: Readonly<Record<string, string>> = { "ffi/bun.ts": "bun:ffi", "ffi/node.ts": "node:ffi" };
    none(faults((path, { imports }) =>
      imports.filter((specifier) => {
        if (targetOf(path, specifier) !== null || specifier === own[path]) return false;
        if (specifier === "node:ffi" || specifier === "bun" || specifier.startsWith("bun:")) return true;
        if (specifier.startsWith("node:")) return layerOf(path) === "kernel";
        if (layerOf(path) === "cli") return /^(jsr|npm|https?):/.test(specifier);
        const packages = PACKAGES[layerOf(path)] ?? [];
        return !packages.some((name) => specifier === name || specifier.startsWith(`${name}/`));
      })
    ));
  });

  it("imports no @std outside of the command", () => {
    none(faults((path, { imports }) => {
      return layerOf(path) === "cli" ? [] : imports.filter((specifier) => /@std\b/.test(specifier));
    }));
  });

  for (const [name, only] of [["Deno", "ffi/deno.ts"], ["Bun", "ffi/bun.ts"]] as const) {
    it(`names ${name} in ${only} only`, () => {
      const named = new RegExp(`\\b${name}\\b`);
      const hidden = new RegExp(`globalThis[^;]{0,80}["'\`]${name}["'\`]`);
      none(faults((path, { code, uncommented }) => {
        return path !== only && (named.test(code) || hidden.test(uncommented)) ? [name] : [];
      }));
      assert(named.test(SOURCES.get(only)!.code));
    });
  }

  it("names node:ffi and bun:ffi in one file each, in strings too", () => {
    const files = (text: string) =>
      [...SOURCES].filter(([, { uncommented }]) => uncommented.includes(text)).map(([path]) => path);
    assertEquals(files('"node:ffi"'), ["ffi/node.ts"]);
    assertEquals(files('"bun:ffi"'), ["ffi/bun.ts"]);
  });
});

describe("package", () => {
  it("has the same name, version and entry points for Deno and npm", () => {
    const [deno, npm] = [json("deno.json"), json("package.json")];
    assertEquals([deno.name, deno.version, deno.license], [npm.name, npm.version, npm.license]);
    assertEquals(deno.exports, npm.exports);
    none(Object.values<string>(deno.exports).filter((path) => !existsSync(join(ROOT, path))));
  });

  it("maps its own name to its entry points", () => {
    const { exports, imports } = json("deno.json");
    const offline = json("tests/offline/import_map.json").imports as Record<string, string>;
    const relative = (map: Record<string, string>, base: string) =>
      Object.entries(map)
        .filter(([name]) => name.startsWith("@mptcp/mptcp"))
        .map(([name, path]) => [`.${name.slice("@mptcp/mptcp".length)}`, `./${normalize(join(base, path))}`]);
    for (const [subpath, path] of [...relative(imports, "."), ...relative(offline, "tests/offline")]) {
      assertEquals([subpath, exports[subpath!]], [subpath, path]);
    }
  });

  it("holds no path of a machine and no address of a registry", () => {
    const machine = /(?<![\w.~$}-])\/(?:work|root|home|Users)\/[\w.-]+/;
    const registries = [["registry", "npmjs"], ["registry", "yarnpkg"], ["registry", "npmmirror"], ["npm", "jsr"]];
    const registry = new RegExp(`https?:[^\\s"']*(?:${registries.map((words) => words.join("\\.")).join("|")})\\.`);
    const found: string[] = [];
    for (const path of filesBelow(".")) {
      if (/\.(png|jpe?g|gif|ico|woff2?|zip|gz|bin)$/.test(path)) continue;
      for (const [index, line] of read(path).split("\n").entries()) {
        if (machine.test(line) || registry.test(line)) found.push(`${path}:${index + 1}: ${line.trim().slice(0, 100)}`);
      }
    }
    none(found);
  });

  it("locks its dependencies without saying where they come from", () => {
    const { packages } = json("package-lock.json") as {
      packages: Record<string, { resolved?: string; integrity?: string }>;
    };
    const entries = Object.entries(packages);
    assert(entries.length > 1);
    none(entries.filter(([, { resolved }]) => resolved && /^[a-z+]+:/.test(resolved)).map(([name]) => name));
  });
});

describe("readSource", () => {
  it("tells code from comments, strings, templates and expressions", () => {
    const { code, uncommented } = readSource([
      "#!/usr/bin/env Deno",
      "// Deno",
      '/* Deno\n * Deno */ one(\'Deno\', "De\\"no // Deno", `Deno ${two({ a: `Deno ${three}` })} Deno`);',
      "four(/[/\"]Deno/, 6 / 2, x / y); five(); // 'Deno",
      "six = a ? /Deno'/ : b; seven",
    ].join("\n"));
    assertEquals(code.includes("Deno"), false);
    for (const word of ["one", "two", "three", "four", "five", "six", "seven", "6 / 2, x / y"]) {
      assertStringIncludes(code, word);
    }
    assertEquals(uncommented.match(/Deno/g)?.length, 7);
    assertEquals(readSource("`${Deno.pid}`").code.includes("Deno.pid"), true);
  });

  it("finds every kind of import, and none in strings and comments", () => {
    const { imports, importsAnything } = readSource(`
      import a, { type B } from "./a.ts";
      import type { C } from './c.ts';
      import {
        d, // from "./no.ts"
      } from "./d.ts";
      import "./e.ts";
      export * from "./f.ts";
      export type { G } from "./g.ts";
      const h = (await import("./h.ts")).h;
      // import "./no.ts";
      const i = 'import x from "./no.ts"';
      export const j = 1;
    `);
    assertEquals(imports.sort(), ["./a.ts", "./c.ts", "./d.ts", "./e.ts", "./f.ts", "./g.ts", "./h.ts"]);
    assertEquals(importsAnything, false);
    assertEquals(readSource("import(name)").importsAnything, true);
  });
});
