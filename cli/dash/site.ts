/**
 * The web site: a page, what belongs to it, and the stream of data. It is read only, and for whoever asks for it by an address:
 * a name that somebody else has pointed at this host (DNS rebinding) is refused.
 *
 * @module
 */
import { ipVersion } from "../../kernel/ip.ts";
import type { ServeHandler } from "../../http/mod.ts";
import type { Feed } from "./feed.ts";
import { PAGE } from "./page.ts";
import { SCRIPT } from "./script.ts";
import { STYLE } from "./style.ts";

/** The chart library's files. */
export interface ChartFiles {
  script: string;
  style: string;
}

const HEADERS: Readonly<Record<string, string>> = {
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "referrer-policy": "no-referrer",
  "cross-origin-resource-policy": "same-origin",
  "cross-origin-opener-policy": "same-origin",
  "cache-control": "no-store",
};

const ICON =
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="#1f2328"/>
<path d="M4 16h4C12 16 11 8 16 8s4 8 8 8h4" fill="none" stroke="#4c9aeb" stroke-width="3" stroke-linecap="round"/>
<path d="M4 16h4c4 0 3 8 8 8s4-8 8-8h4" fill="none" stroke="#e3813a" stroke-width="3" stroke-linecap="round"/></svg>`;

/** What is at each place. */
function places(charts: ChartFiles): ReadonlyMap<string, readonly [type: string, body: string]> {
  const [css, js] = ["text/css; charset=utf-8", "text/javascript; charset=utf-8"];
  return new Map([
    ["/", ["text/html; charset=utf-8", PAGE]],
    ["/dash.css", [css, STYLE]],
    ["/dash.js", [js, SCRIPT]],
    ["/uplot.css", [css, charts.style]],
    ["/uplot.js", [js, charts.script]],
    ["/icon.svg", ["image/svg+xml", ICON]],
  ]);
}

/**
 * Whether a Host header may be answered: it has an address, which nobody can point elsewhere, or is `localhost`.
 *
 * @param loopback Whether only this host can reach us; then an address of another one is a mistake, or worse.
 */
export function hostAllowed(host: string | null, loopback: boolean): boolean {
  const match = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9.-]+))(?::\d{1,5})?$/i.exec(host ?? "");
  if (match === null) return false;
  const name = (match[1] ?? match[2])!.toLowerCase();
  if (name === "localhost") return true;
  const version = ipVersion(name);
  if (version === 0 || (version === 6) !== (match[1] !== undefined)) return false;
  return !loopback || name === "::1" || name.startsWith("127.");
}

/** Answers requests. */
export function site(feed: Feed, charts: ChartFiles, loopback: boolean): ServeHandler {
  const all = places(charts);
  const refusal = (status: number, text: string, more: Record<string, string> = {}) =>
    new Response(`${text}\n`, { status, headers: { ...HEADERS, "content-type": "text/plain; charset=utf-8", ...more } });
  return (request) => {
    if (!hostAllowed(request.headers.get("host"), loopback)) {
      return refusal(421, "Ask for this page by its IP address, or as localhost");
    }
    if (request.method !== "GET" && request.method !== "HEAD") {
      return refusal(405, "This page can only be read", { allow: "GET, HEAD" });
    }
    const { pathname } = new URL(request.url);
    // Another site could not read what it gets, but could keep real readers out.
    if (pathname !== "/" && !["same-origin", "none"].includes(request.headers.get("sec-fetch-site") ?? "none")) {
      return refusal(403, "This is for its own page");
    }
    const body = request.method === "GET";
    if (pathname === "/events") {
      const type = { ...HEADERS, "content-type": "text/event-stream" };
      if (!body) return new Response(null, { headers: type });
      const stream = feed.join();
      if (stream === null) return refusal(503, "Too many look at this already");
      return new Response(stream, { headers: type });
    }
    const found = all.get(pathname);
    if (found === undefined) return refusal(404, "There is no such page");
    return new Response(body ? found[1] : null, { headers: { ...HEADERS, "content-type": found[0] } });
  };
}
