/**
 * The screen of `mptcp top`: a view in, lines out.
 *
 * @module
 */
import { left, type Look, paint, rateText, right } from "../frame/output.ts";
import { clockText } from "../frame/texts.ts";
import { inkOf } from "../demo/text.ts";
import type { ConnectionView, SubflowView, View } from "../watch/meter.ts";
import { type Order, sorted } from "../watch/order.ts";
import { sparkline } from "./sparkline.ts";

/** What the person at the terminal has chosen. */
export interface Choice {
  order: Order;
  paused: boolean;
  /** How many rows are above the screen. */
  scrolled: number;
}

/** What the screen is, and how far it can be scrolled. */
export interface Screen {
  lines: string[];
  furthest: number;
}

/** The columns right of the name. */
interface Columns {
  name: number;
  retransmits: number;
  history: number;
}

const RTT = 8;
const RATE = 7;
const RETRANSMITS = 6;
const HISTORY = { least: 8, most: 60 };
/** Room for two IPv4 addresses; what is left goes to the past. */
const NAME = { enough: 46, most: 64 };

/** Divides the width. */
function columnsOf(width: number): Columns {
  let rest = width - RTT - 2 * RATE - 2;
  const retransmits = rest >= 46 ? RETRANSMITS : 0;
  rest -= retransmits;
  if (rest < NAME.enough - 8 + HISTORY.least) return { name: rest, retransmits, history: 0 };
  const history = Math.min(HISTORY.most, Math.max(HISTORY.least, Math.floor((rest - NAME.enough) * 0.6)));
  return { name: Math.min(NAME.most, rest - history - 2), retransmits, history };
}

/** A rate in bits per second in at most five columns. */
export function shortRate(bytesPerSecond: number): string {
  let bits = bytesPerSecond * 8;
  let unit = 0;
  while (bits >= 999.5 && unit < 4) {
    bits /= 1000;
    unit++;
  }
  const digits = unit === 0 || bits >= 99.95 ? 0 : bits >= 9.995 ? 1 : 2;
  return `${bits.toFixed(digits)}${["", "k", "M", "G", "T"][unit]}`;
}

/** A round-trip time. */
export function rttText(rtt: number | null): string {
  if (rtt === null) return "";
  const ms = rtt / 1000;
  return `${ms.toFixed(ms < 1 ? 2 : ms < 100 ? 1 : 0)} ms`;
}

/** Cuts a text that has no colours. */
export function clipped(look: Look, text: string, width: number): string {
  const characters = [...text];
  if (characters.length <= width) return text;
  return characters.slice(0, Math.max(0, width - 1)).join("") + (look.unicode ? "…" : "~");
}

/** The whole screen, at most `height` lines. */
export function screenOf(look: Look, view: View, choice: Choice, height: number): Screen {
  const columns = columnsOf(look.width);
  const rows = sorted(view.connections, choice.order).flatMap((connection) => connectionRows(look, columns, connection));
  const room = Math.max(1, height - 4);
  const furthest = Math.max(0, rows.length - room);
  const first = Math.min(choice.scrolled, furthest);
  const shown = rows.slice(first, first + room);
  const below = rows.length - first - shown.length;
  if (rows.length === 0) shown.push(paint(look, "There is no MPTCP connection", "dim"));
  return {
    lines: [
      summaryLine(look, view, choice),
      keysLine(look, choice, first, below),
      "",
      headLine(look, columns),
      ...shown,
    ].slice(0, Math.max(1, height)),
    furthest,
  };
}

function summaryLine(look: Look, view: View, { paused }: Choice): string {
  const { connections, sending, receiving, at } = view;
  const subflows = connections.reduce((sum, connection) => sum + connection.subflows.length, 0);
  const [up, down] = look.unicode ? ["↑", "↓"] : ["out", "in"];
  const count = (number: number, what: string) => `${number} ${what}${number === 1 ? "" : "s"}`;
  const text = `mptcp top  ${count(connections.length, "connection")}, ${count(subflows, "subflow")}  ${up} ${
    rateText(sending)
  }  ${down} ${rateText(receiving)}`;
  const time = paused ? "paused" : clockText(new Date(at)).slice(0, 8);
  const head = left(clipped(look, text, look.width - time.length - 1), look.width - time.length);
  return `${paint(look, head, "bold")}${paint(look, time, paused ? "red" : "dim")}`;
}

function keysLine(look: Look, { order, paused }: Choice, above: number, below: number): string {
  const hidden = above + below > 0 ? `   ${above} rows above, ${below} below` : "";
  const text = `q quit   s sort: ${order}   p ${paused ? "go on" : "pause"}${hidden}`;
  return paint(look, clipped(look, text, look.width), "dim");
}

function headLine(look: Look, { name, retransmits, history }: Columns): string {
  const [up, down] = look.unicode ? ["↑ bit/s", "↓ bit/s"] : ["out b/s", "in b/s"];
  const cells = [left(clipped(look, "CONNECTION", name), name), right("RTT", RTT)];
  if (retransmits > 0) cells.push(right("RETR", retransmits));
  cells.push(right(up!, RATE + 1), right(down!, RATE + 1));
  if (history > 0) cells.push(`  ${left(clipped(look, "LATELY", history), history)}`);
  return paint(look, cells.join("").trimEnd(), "bold");
}

function connectionRows(look: Look, columns: Columns, connection: ConnectionView): string[] {
  const { token, local, remote, fallback, state, subflows, history } = connection;
  const arrow = look.unicode ? "→" : "->";
  const notes = [fallback ? "TCP" : "", state === "ESTABLISHED" ? "" : state].filter((note) => note !== "");
  // A connection's and its subflows' lines have one scale, so that they can be compared.
  const top = Math.max(
    ...history.slice(-columns.history),
    ...subflows.flatMap((each) => each.history.slice(-columns.history)),
    0,
  );
  const retransmits = subflows.reduce((sum, subflow) => sum + subflow.retransmits, 0);
  const text = [token, ...notes, local, arrow, remote].join(" ");
  const rows = [row(look, columns, { text, rtt: null, retransmits, ...connection, top, ink: "bold" })];
  subflows.forEach((subflow, index) => {
    const last = index === subflows.length - 1;
    const branch = look.unicode ? last ? "└" : "├" : last ? "`" : "|";
    const text = ` ${branch} ${subflowText(subflow, arrow)}`;
    rows.push(row(look, columns, { ...subflow, text, top, ink: inkOf(index % 2 + 1) }));
  });
  return rows;
}

/** A subflow by its interface and addresses. */
function subflowText({ interface: device, local, remote, backup, state }: SubflowView, arrow: string): string {
  const notes = [backup ? "backup" : "", state === "ESTABLISHED" ? "" : state].filter((note) => note !== "");
  return [device, ...notes, local, arrow, remote].filter((word) => word !== "").join(" ");
}

interface Row {
  text: string;
  rtt: number | null;
  retransmits: number;
  sending: number;
  receiving: number;
  history: readonly number[];
  top: number;
  ink: Parameters<typeof paint>[2];
}

function row(look: Look, columns: Columns, { text, rtt, retransmits, sending, receiving, history, top, ink }: Row): string {
  const name = left(clipped(look, text, columns.name), columns.name);
  const cells = [ink === "bold" ? paint(look, name, "bold") : name, right(rttText(rtt), RTT)];
  if (columns.retransmits > 0) cells.push(right(retransmits > 99999 ? "99999+" : `${retransmits}`, columns.retransmits));
  cells.push(right(shortRate(sending), RATE + 1), right(shortRate(receiving), RATE + 1));
  if (columns.history > 0) cells.push(`  ${paint(look, sparkline(history, top, columns.history, look.unicode), ink!)}`);
  return cells.join("");
}
