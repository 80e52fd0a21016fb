/**
 * A folder as a page.
 *
 * @module
 */
import { readdir } from "node:fs/promises";
import type { Stats } from "node:fs";
import { posix } from "node:path";
import { bytesText } from "../frame/output.ts";

const ENTITIES: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

const escaped = (text: string): string => text.replace(/[&<>"']/g, (character) => ENTITIES[character]!);

/**
 * The page. What begins with a dot is left out, and what `find` does not find.
 *
 * @param path The folder's, as its address has it.
 */
export async function listingOf(
  folder: string,
  path: string,
  find: (path: string) => Promise<Stats | null>,
): Promise<string> {
  const entries = (await readdir(folder, { withFileTypes: true })).filter(({ name }) => !name.startsWith("."));
  const rows = await Promise.all(entries.map(async ({ name }) => {
    const found = await find(posix.join(path, name));
    return found === null ? null : { name, directory: found.isDirectory(), size: found.size, time: found.mtime };
  }));
  const shown = rows.filter((row) => row !== null)
    .sort((a, b) => Number(b.directory) - Number(a.directory) || (a.name < b.name ? -1 : 1));
  const title = escaped(path);
  const line = (name: string, href: string, size: string, time: string) =>
    `<tr><td><a href="${href}">${escaped(name)}</a></td><td>${size}</td><td>${time}</td></tr>`;
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${title}</title>
<style>
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
td { padding: 0 2rem 0 0 } td + td { text-align: right; white-space: nowrap; opacity: .7 }
</style>
<h1>${title}</h1>
<table>
${path === "/" ? "" : line("..", "../", "", "")}
${
    shown.map(({ name, directory, size, time }) => {
      const slash = directory ? "/" : "";
      const when = time.toISOString().slice(0, 16).replace("T", " ");
      // "./" keeps a name with a colon from being taken for an address.
      return line(name + slash, `./${encodeURIComponent(name)}${slash}`, directory ? "" : bytesText(size), when);
    }).join("\n")
  }
</table>
</html>
`;
}
