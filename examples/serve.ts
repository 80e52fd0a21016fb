/**
 * An HTTP server over MPTCP that tells each client how it came.
 *
 *   deno run --allow-ffi --allow-net --allow-read examples/serve.ts [PORT]        bun … , node …
 */
import process from "node:process";
import { serve } from "@mptcp/mptcp/http";

const stop = new AbortController();
process.on("SIGINT", () => stop.abort());

const server = await serve(
  (request, info) =>
    Response.json({ path: new URL(request.url).pathname, from: info.remoteAddr, isMultipath: info.isMultipath }),
  { hostname: "::", port: Number(process.argv[2] ?? 0), signal: stop.signal },
);
console.log(`listening on port ${server.addr.port}`);
await server.finished;
