/**
 * A program that fetches: `fetch_program.ts URL [own]`. It prints what came, and ends by itself. With `own` it also tells
 * what the runtime's own `fetch` makes of the same.
 */
import process from "node:process";
import { fetch } from "../../http/mod.ts";

const [url, own] = process.argv.slice(2);
const response = await fetch(url!, { signal: AbortSignal.timeout(10_000) });
const { isMultipath } = response.mptcp!;
const theirs = own && await globalThis.fetch(url!).then((each) => each.text(), () => "failed");
console.log(JSON.stringify({ text: await response.text(), isMultipath, theirs }));
