/**
 * Fetches a URL over MPTCP, and tells over how many paths it came.
 *
 *   deno run --allow-ffi --allow-net examples/fetch.ts URL        bun … , node …
 */
import process from "node:process";
import { fetch } from "@mptcp/mptcp/http";

const response = await fetch(process.argv[2] ?? "http://127.0.0.1:8080/", { timeout: 10_000 });
console.log(response.status, await response.text());
console.log(response.mptcp?.isMultipath ? "MPTCP" : "TCP", `${response.mptcp?.subflows.length} path(s)`);
