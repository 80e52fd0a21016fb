/** The reader of JUnit files: one run, as each of the three runners wrote it, shortened. */
import { assertEquals } from "@std/assert";
import { describe, it } from "node:test";
import { parseJunit } from "../junit.ts";

const DENO = `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="deno test" tests="8" failures="2" errors="0" time="0.010">
    <testsuite name="./tests/a_test.ts" tests="2" disabled="0" errors="0" failures="1">
        <testcase name="outer" classname="./tests/a_test.ts" time="0.003" line="2" col="1">
            <failure message="1 test step failed">1 test step failed.</failure>
        </testcase>
        <testcase name="top" classname="./tests/a_test.ts" time="0.000" line="3" col="1">
        </testcase>
    </testsuite>
    <testsuite name="ext:deno_node/testing.ts" tests="6" disabled="2" errors="0" failures="1">
        <testcase name="outer &gt; a &gt; b &quot;q&quot; &amp; &lt;c&gt;" classname="ext:deno_node/testing.ts" time="0.000">
        </testcase>
        <testcase name="outer &gt; skips" classname="ext:deno_node/testing.ts" time="0.000" line="1" col="21231">
            <skipped/>
        </testcase>
        <testcase name="outer &gt; fails" classname="ext:deno_node/testing.ts" time="0.001" line="1" col="21231">
            <failure message="Uncaught Error: bad &lt;b&gt; ]]&gt; &amp;">Error: bad &lt;b&gt; ]]&gt; &amp;</failure>
        </testcase>
        <testcase name="outer &gt; inner" classname="ext:deno_node/testing.ts" time="0.001" line="1" col="21231">
        </testcase>
        <testcase name="outer &gt; inner &gt; deep" classname="ext:deno_node/testing.ts" time="0.001" line="1" col="21231">
        </testcase>
        <testcase name="outer &gt; inner &gt; bare skip" classname="ext:deno_node/testing.ts" time="0.000">
            <skipped/>
        </testcase>
    </testsuite>
</testsuites>
`;

const BUN = `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="bun test" tests="6" assertions="0" failures="1" skipped="2" time="0.016300089">
  <testsuite name="tests/a_test.ts" file="tests/a_test.ts" tests="6" assertions="0" failures="1" skipped="2" time="0.013">
    <testsuite name="outer" file="tests/a_test.ts" line="2" tests="5" failures="1" skipped="2" time="0" hostname="vm">
      <testcase name="a &gt; b &quot;q&quot; &amp; &lt;c&gt;" classname="outer" time="0.000676" assertions="0" />
      <testcase name="skips" classname="outer" time="0" file="tests/a_test.ts" line="2" assertions="0">
        <skipped />
      </testcase>
      <testcase name="fails" classname="outer" time="0.000181" file="tests/a_test.ts" line="2" assertions="0">
        <failure type="Error" message="bad &lt;b&gt;">Error: bad &lt;b&gt;&#10;      at tests/a_test.ts:2:148&#10;</failure>
      </testcase>
      <testsuite name="inner" file="tests/a_test.ts" line="2" tests="2" failures="0" skipped="1" time="0" hostname="vm">
        <testcase name="deep" classname="inner &gt; outer" time="0.000017" file="tests/a_test.ts" line="2" assertions="0" />
        <testcase name="bare skip" classname="inner &gt; outer" time="0" file="tests/a_test.ts" line="2" assertions="0">
          <skipped />
        </testcase>
      </testsuite>
    </testsuite>
    <testcase name="top" classname="" time="0.00001" file="tests/a_test.ts" line="3" assertions="0" />
  </testsuite>
</testsuites>
`;

const NODE = `<?xml version="1.0" encoding="utf-8"?>
<testsuites>
	<testsuite name="outer" time="0.001983" disabled="0" errors="0" tests="4" failures="1" skipped="2" hostname="vm">
		<testcase name="a > b &quot;q&quot; &amp; &lt;c>" time="0.000464" classname="outer" file="tests/a_test.ts"/>
		<testcase name="skips" time="0.000080" classname="outer" file="tests/a_test.ts">
			<skipped type="skipped" message="no &quot;reason&quot; &amp; &lt;x>"/>
		</testcase>
		<testcase name="fails" time="0.000162" classname="outer" file="tests/a_test.ts" failure="bad &lt;b> ]]> &amp;">
			<failure type="testCodeFailure" message="bad &lt;b> ]]> &amp;">
[Error [ERR_TEST_FAILURE]: bad &lt;b> ]]> &amp;] { code: 'ERR_TEST_FAILURE' }
			</failure>
		</testcase>
		<testsuite name="inner" time="0.000554" disabled="0" errors="0" tests="2" failures="0" skipped="1" hostname="vm">
			<testcase name="deep" time="0.000088" classname="outer.inner" file="tests/a_test.ts"/>
			<testcase name="bare skip" time="0.000297" classname="outer.inner" file="tests/a_test.ts">
				<skipped type="skipped" message="true"/>
			</testcase>
		</testsuite>
	</testsuite>
	<testcase name="top" time="0.000060" classname="test" file="tests/a_test.ts"/>
	<!-- tests 6 -->
	<!-- duration_ms 93.442883 -->
</testsuites>
`;

describe("parseJunit", () => {
  for (const [runtime, xml, prefix] of [["deno", DENO, true], ["bun", BUN, false], ["node", NODE, false]] as const) {
    it(`reads what ${runtime} writes`, () => {
      const { skips, failures, ...counts } = parseJunit(xml);
      assertEquals(counts, { passed: 3, failed: 1, skipped: 2 });
      assertEquals(failures, [prefix ? "outer > fails" : "fails"]);
      const skipNames = skips.map((skip) => skip.split(": ")[0]);
      assertEquals(skipNames, prefix ? ["outer > skips", "outer > inner > bare skip"] : ["skips", "bare skip"]);
    });
  }

  it("keeps a skip's reason where the runner does", () => {
    assertEquals(parseJunit(NODE).skips, ['skips: no "reason" & <x>', "bare skip"]);
  });

  it("decodes what XML escapes", () => {
    const name = "&#945;&amp;lt; &unknown; &quot;&apos;";
    assertEquals(parseJunit(`<testcase name="${name}"><failure/></testcase>`).failures, ["α&lt; &unknown; \"'"]);
  });

  it("counts an error as a failure", () => {
    assertEquals(parseJunit(`<testcase name="a"><error message="x"/></testcase>`).failed, 1);
  });

  it("counts nothing where a runner wrote nothing", () => {
    const nothing = { passed: 0, failed: 0, skipped: 0, skips: [], failures: [] };
    assertEquals(parseJunit(""), nothing);
    assertEquals(parseJunit("<testsuites></testsuites>"), nothing);
    assertEquals(parseJunit(DENO.slice(0, 200)), nothing);
  });
});
