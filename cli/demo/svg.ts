/**
 * The paths' throughput over time as an SVG file: nothing but itself is needed to show it, on a light or a dark ground.
 *
 * @module
 */
import type { ChartData } from "./chart.ts";

const WIDTH = 900;
const HEIGHT = 440;
const PLOT = { left: 64, right: 28, top: 96, bottom: 76 };
const FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif";

/** The words around the drawing. */
export interface SvgWords {
  title: string;
  subtitle: string;
  /** By path number, what the legend says. */
  legend: Record<number, string>;
}

const STYLE = `
  text { font: 13px ${FONT}; fill: #3d444d; }
  .title { font-size: 19px; font-weight: 600; fill: #1f2328; }
  .ground { fill: #ffffff; }
  .grid { stroke: #d1d9e0; stroke-width: 1; }
  .axis { stroke: #818b98; stroke-width: 1; }
  .cut { fill: #818b98; fill-opacity: .14; }
  .mark { stroke: #cf222e; stroke-width: 1.5; stroke-dasharray: 5 4; }
  .label { fill: #cf222e; font-weight: 600; }
  .section { stroke: #818b98; stroke-width: 1; } .name { fill: #3d444d; font-weight: 600; }
  .path1 { fill: #3b82d6; } .path2 { fill: #f0883e; } .path3 { fill: #2b8a57; } .path4 { fill: #8250df; }
  .top { fill: none; stroke: #1f2328; stroke-width: 1.5; stroke-linejoin: round; }
  @media (prefers-color-scheme: dark) {
    text { fill: #c9d1d9; }
    .title { fill: #f0f6fc; }
    .ground { fill: #0d1117; }
    .grid { stroke: #2a313c; }
    .axis { stroke: #7d8590; }
    .mark { stroke: #ff7b72; }
    .label { fill: #ff7b72; }
    .section { stroke: #7d8590; } .name { fill: #c9d1d9; }
    .path1 { fill: #4c9aeb; } .path2 { fill: #e3813a; } .path3 { fill: #3fb950; } .path4 { fill: #bc8cff; }
    .top { stroke: #f0f6fc; }
  }
`;

/** The file's text. */
export function svg(data: ChartData, words: SvgWords): string {
  const { series, top, duration, marks } = data;
  const right = WIDTH - PLOT.right;
  const bottom = HEIGHT - PLOT.bottom;
  const x = (ms: number) => PLOT.left + ms / duration * (right - PLOT.left);
  const y = (rate: number) => bottom - Math.min(1, rate / top) * (bottom - PLOT.top);
  const parts: string[] = [];

  const [cut, restored] = data.sections ? [] : marks;
  const [line, word] = data.sections ? ["section", "name"] : ["mark", "label"];
  if (cut) {
    const end = restored?.at ?? duration;
    const width = round(x(end) - x(cut.at));
    parts.push(`<rect class="cut" x="${round(x(cut.at))}" y="${PLOT.top}" width="${width}" height="${bottom - PLOT.top}"/>`);
  }
  for (const rate of steps(top * 8 / 1e6, 5)) {
    const line = round(y(rate * 1e6 / 8));
    parts.push(`<line class="grid" x1="${PLOT.left}" x2="${right}" y1="${line}" y2="${line}"/>`);
    parts.push(`<text x="${PLOT.left - 10}" y="${line + 4.5}" text-anchor="end">${rate}</text>`);
  }
  parts.push(...areas(data, x, y));
  parts.push(`<line class="axis" x1="${PLOT.left}" x2="${right}" y1="${bottom}" y2="${bottom}"/>`);
  for (const second of steps(duration / 1000, 10)) {
    const at = round(x(second * 1000));
    parts.push(`<line class="axis" x1="${at}" x2="${at}" y1="${bottom}" y2="${bottom + 5}"/>`);
    parts.push(`<text x="${at}" y="${bottom + 20}" text-anchor="middle">${second}</text>`);
  }
  for (const { at, label } of marks) {
    const place = round(x(at));
    // A word that would leave the picture stands on the other side of its line.
    const end = place > WIDTH - 160;
    parts.push(`<line class="${line}" x1="${place}" x2="${place}" y1="${PLOT.top - 14}" y2="${bottom}"/>`);
    parts.push(
      `<text class="${word}" x="${place + (end ? -6 : 6)}" y="${PLOT.top - 5}"${end ? ' text-anchor="end"' : ""}>${
        escape(label)
      }</text>`,
    );
  }
  parts.push(`<text x="${right}" y="${bottom + 40}" text-anchor="end">time, seconds</text>`);
  parts.push(`<text x="${PLOT.left - 10}" y="${PLOT.top - 14}" text-anchor="end">Mbit/s</text>`);
  parts.push(...legend(series.map(({ path }) => path).reverse(), words, bottom + 58));

  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" role="img" aria-labelledby="title description">
<title id="title">${escape(words.title)}</title>
<desc id="description">${escape(words.subtitle)}</desc>
<style>${STYLE}</style>
<rect class="ground" width="${WIDTH}" height="${HEIGHT}" rx="8"/>
<text class="title" x="24" y="36">${escape(words.title)}</text>
<text x="24" y="58">${escape(words.subtitle)}</text>
${parts.join("\n")}
</svg>
`;
}

/** One area for each path, standing on the one before, and the line of their sum. */
function areas({ series, duration }: ChartData, x: (ms: number) => number, y: (rate: number) => number): string[] {
  const count = Math.max(0, ...series.map(({ rates }) => rates.length));
  // Each rate stands in the middle of its step; the first and the last reach to the edges.
  const times = [0, ...Array.from({ length: count }, (_, index) => (index + 0.5) / count * duration), duration];
  const at = (rates: number[], index: number) => rates[Math.min(count - 1, Math.max(0, index - 1))] ?? 0;
  let floor: number[] = times.map(() => 0);
  const result: string[] = [];
  for (const { path, rates } of series) {
    const edge = floor.map((below, index) => below + at(rates, index));
    const up = times.map((time, index) => point(x(time), y(edge[index]!)));
    const down = times.map((time, index) => point(x(time), y(floor[index]!))).reverse();
    result.push(`<path class="path${inkOf(path)}" d="M${up.join("L")}L${down.join("L")}Z"/>`);
    floor = edge;
  }
  if (count > 0) {
    result.push(`<path class="top" d="M${times.map((time, index) => point(x(time), y(floor[index]!))).join("L")}"/>`);
  }
  return result;
}

function legend(paths: number[], words: SvgWords, y: number): string[] {
  const entries = paths.map((path) => ({ path, text: words.legend[path] ?? `path ${path}` }));
  let x = PLOT.left;
  const parts: string[] = [];
  for (const { path, text } of entries) {
    parts.push(`<rect class="path${inkOf(path)}" x="${x}" y="${y - 11}" width="14" height="14" rx="3"/>`);
    parts.push(`<text x="${x + 21}" y="${y + 1}">${escape(text)}</text>`);
    // Without a browser's font metrics: a little more than such letters take.
    x += 45 + text.length * 7.2;
  }
  if (paths.length < 2) return parts;
  parts.push(`<line class="top" x1="${round(x)}" x2="${round(x + 16)}" y1="${y - 4}" y2="${y - 4}"/>`);
  parts.push(`<text x="${round(x + 23)}" y="${y + 1}">together</text>`);
  return parts;
}

/** Round numbers from 0 up to an end, at most so many. */
function steps(end: number, most: number): number[] {
  const wanted = end / most;
  const unit = 10 ** Math.floor(Math.log10(wanted));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * unit).find((each) => each >= wanted - 1e-9) ?? wanted;
  return Array.from({ length: Math.floor(end / step + 1e-9) + 1 }, (_, index) => Number((index * step).toPrecision(6)));
}

/** Four paths have a colour of their own. */
function inkOf(path: number): number {
  return (path - 1) % 4 + 1;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function point(x: number, y: number): string {
  return `${round(x)},${round(y)}`;
}

function escape(text: string): string {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}
