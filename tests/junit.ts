/** Reads the JUnit files of the three test runners, which differ in small ways. */

/** What a run did. */
export interface Outcome {
  passed: number;
  failed: number;
  skipped: number;
  /** Names of the skipped tests, with the reason where the runner keeps it. */
  skips: string[];
  /** Names of the failed tests. */
  failures: string[];
}

function unescape(text: string): string {
  const named: Record<string, string> = { lt: "<", gt: ">", quot: '"', apos: "'", amp: "&" };
  return text.replace(/&(?:#(\d+)|(\w+));/g, (whole, number, name) => {
    return number ? String.fromCodePoint(Number(number)) : named[name] ?? whole;
  });
}

/** Counts the test cases of a JUnit file. */
export function parseJunit(xml: string): Outcome {
  const cases = [...xml.matchAll(/<testcase\b((?:[^>"]|"[^"]*")*?)(?:\/>|>([\s\S]*?)<\/testcase>)/g)].map(
    ([, attributes = "", body = ""]) => {
      const attribute = (name: string) => unescape(new RegExp(`\\b${name}="([^"]*)"`).exec(attributes)?.[1] ?? "");
      const reason = /<skipped\b[^>]*\bmessage="([^"]*)"/.exec(body)?.[1];
      return {
        name: attribute("name"),
        failed: body.includes("<failure") || body.includes("<error"),
        skipped: body.includes("<skipped"),
        reason: reason && reason !== "true" ? unescape(reason) : "",
      };
    },
  );
  const names = cases.map(({ name }) => name);
  // Deno counts a `describe` as a test of its own, named like the beginning of its tests' names.
  const tests = cases.filter(({ name }) => !names.some((other) => other.startsWith(`${name} > `)));
  const skipped = tests.filter((test) => test.skipped);
  const failed = tests.filter((test) => test.failed && !test.skipped);
  return {
    passed: tests.length - skipped.length - failed.length,
    failed: failed.length,
    skipped: skipped.length,
    skips: skipped.map(({ name, reason }) => (reason ? `${name}: ${reason}` : name)),
    failures: failed.map(({ name }) => name),
  };
}
