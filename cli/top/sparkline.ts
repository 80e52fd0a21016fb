/**
 * Numbers over time, in one line of a terminal.
 *
 * @module
 */

const BLOCKS = [..."▁▂▃▄▅▆▇█"];
const ASCII = [..."_.:-=+*#"];

/**
 * Draws the last of the values, the newest at the right.
 *
 * @param top The value that fills the line's height.
 */
export function sparkline(values: readonly number[], top: number, width: number, unicode: boolean): string {
  const steps = unicode ? BLOCKS : ASCII;
  const shown = width > 0 ? values.slice(-width) : [];
  const line = shown.map((value) => {
    if (!(value > 0) || !(top > 0)) return " ";
    return steps[Math.min(steps.length - 1, Math.floor(value / top * steps.length))]!;
  });
  return line.join("").padStart(width);
}
