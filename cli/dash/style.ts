/**
 * How the page looks: light or dark as the system says or the person chooses, one column where there is no room for two.
 *
 * @module
 */

const LIGHT = `
  --ground: #f4f6f8; --card: #ffffff; --line: #d9dfe5; --grid: #e8ecf0; --text: #1f2328; --soft: #59636e; --good: #1a7f37;
  --bad: #cf222e; --warn: #9a6700; --chip: #eaeef2;
  --path1: #2f74d0; --path2: #e0701f; --path3: #2b8a57; --path4: #8250df; --path5: #bf3989; --path6: #7a6a00;
  color-scheme: light;`;

const DARK = `
  --ground: #0b0f14; --card: #141a21; --line: #2a323c; --grid: #222a33; --text: #e6edf3; --soft: #93a0ad; --good: #3fb950;
  --bad: #ff7b72; --warn: #d29922; --chip: #222b35;
  --path1: #58a6ff; --path2: #f0883e; --path3: #56d364; --path4: #bc8cff; --path5: #f778ba; --path6: #e3b341;
  color-scheme: dark;`;

/** CSS. */
export const STYLE = `
:root {${LIGHT}
}
@media (prefers-color-scheme: dark) {
  :root:not([data-theme=light]) {${DARK}
  }
}
:root[data-theme=dark] {${DARK}
}
* { box-sizing: border-box; }
[hidden] { display: none !important; }
body {
  margin: 0; background: var(--ground); color: var(--text);
  font: 15px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif;
}
h1, h2, h3, p, dl, dd, ol { margin: 0; padding: 0; font: inherit; }
.bar {
  position: sticky; top: 0; z-index: 2; display: flex; align-items: center; gap: 10px; padding: 10px 20px;
  background: var(--card); border-bottom: 1px solid var(--line);
}
.bar img { flex: none; display: block; }
.who { flex: 1; min-width: 0; }
.who h1 { font-weight: 700; line-height: 1.2; }
.who p { color: var(--soft); font-size: 12px; line-height: 1.3; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
button {
  font: inherit; font-size: 13px; color: var(--text); background: var(--chip); border: 1px solid var(--line);
  border-radius: 7px; padding: 4px 11px; cursor: pointer; min-height: 32px;
}
button:hover { border-color: var(--soft); }
button:focus-visible { outline: 2px solid var(--path1); outline-offset: 2px; }
.status { display: flex; align-items: center; gap: 7px; font-size: 13px; color: var(--soft); min-width: 5.5em; justify-content: flex-end; }
.dot { width: 9px; height: 9px; border-radius: 50%; background: var(--warn); flex: none; }
.status[data-state=live] .dot { background: var(--good); }
.status[data-state=lost] .dot { background: var(--bad); }
main { max-width: 1500px; margin: 0 auto; padding: 16px 20px 40px; }
.totals { display: grid; grid-template-columns: repeat(4, 1fr); gap: 12px; margin-bottom: 16px; }
.totals dl, .card, .log { background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
.totals dl { padding: 10px 16px; min-width: 0; }
dt { color: var(--soft); font-size: 12px; }
dd { font-size: 22px; font-weight: 650; font-variant-numeric: tabular-nums; line-height: 1.25; white-space: nowrap; }
.unit { font-size: 13px; font-weight: 500; color: var(--soft); margin-left: 4px; }
.columns { display: grid; grid-template-columns: minmax(0, 1fr) 360px; gap: 16px; align-items: start; }
.cards { display: grid; gap: 16px; min-width: 0; }
.card { padding: 14px 16px 12px; min-width: 0; }
.card.gone { opacity: .55; }
.card-head { display: flex; flex-wrap: wrap; align-items: baseline; gap: 4px 12px; margin-bottom: 10px; }
.card-head h2 { font-weight: 650; overflow-wrap: anywhere; flex: 1 1 auto; min-width: 0; }
.mono { font-family: ui-monospace, "SF Mono", "DejaVu Sans Mono", Menlo, Consolas, monospace; font-size: 13px; }
.card-head h2.mono { font-size: 14px; }
.rates { font-variant-numeric: tabular-nums; white-space: nowrap; font-weight: 600; }
.rates span + span { margin-left: 12px; }
.rates i { font-style: normal; color: var(--soft); font-weight: 500; margin-right: 3px; }
.chips { display: inline-flex; gap: 6px; flex-wrap: wrap; }
.chip { font-size: 11.5px; line-height: 18px; padding: 0 7px; border-radius: 9px; background: var(--chip); color: var(--soft); white-space: nowrap; }
.chip.warn { color: var(--warn); font-weight: 600; }
.charts { display: grid; grid-template-columns: minmax(0, 3fr) minmax(0, 2fr); gap: 14px; margin-bottom: 10px; }
.charts.none { display: none; }
figure { margin: 0; min-width: 0; }
figcaption { font-size: 12px; color: var(--soft); margin-bottom: 2px; }
.plot { height: 170px; min-width: 0; overflow: hidden; }
.u-hz .u-cursor-x { border-color: var(--soft); }
.u-select { background: transparent; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: 13.5px; }
th { text-align: left; font-weight: 500; color: var(--soft); font-size: 12px; padding: 4px 10px 4px 0; white-space: nowrap; border-bottom: 1px solid var(--line); }
td { padding: 6px 10px 6px 0; border-bottom: 1px solid var(--grid); vertical-align: middle; }
tr:last-child td { border-bottom: 0; }
th.number, td.number { text-align: right; white-space: nowrap; }
th:last-child, td:last-child { padding-right: 0; }
td.path { white-space: nowrap; font-weight: 600; }
td.way { overflow-wrap: anywhere; }
td.way .chip { margin-left: 6px; font-family: system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
td.bad { color: var(--bad); font-weight: 600; }
.swatch { display: inline-block; width: 11px; height: 11px; border-radius: 3px; margin-right: 7px; vertical-align: -1px; background: var(--soft); }
.p1 .swatch { background: var(--path1); } .p2 .swatch { background: var(--path2); } .p3 .swatch { background: var(--path3); }
.p4 .swatch { background: var(--path4); } .p5 .swatch { background: var(--path5); } .p6 .swatch { background: var(--path6); }
.log { position: sticky; top: 72px; padding: 14px 0 6px; max-height: calc(100vh - 92px); display: flex; flex-direction: column; min-width: 0; }
.log h2 { font-weight: 650; padding: 0 16px 8px; }
.note, .empty, .more { color: var(--soft); font-size: 13px; }
.log .note { padding: 0 16px 12px; }
.empty, .more { text-align: center; padding: 40px 16px; border: 1px dashed var(--line); border-radius: 10px; }
.more { padding: 12px; }
#events { list-style: none; overflow: auto; overscroll-behavior: contain; }
#events li { padding: 7px 16px; border-top: 1px solid var(--grid); font-size: 13px; }
#events .line { display: flex; gap: 8px; align-items: baseline; }
#events .line b { font-weight: 600; flex: 1; min-width: 0; }
#events time { color: var(--soft); font-size: 12px; font-variant-numeric: tabular-nums; }
#events .mono { color: var(--soft); font-size: 12px; overflow-wrap: anywhere; }
#events .token { color: var(--soft); font-size: 12px; }
.opened b { color: var(--good); } .closing b { color: var(--bad); }

@media (max-width: 1080px) {
  .columns { grid-template-columns: minmax(0, 1fr); }
  .log { position: static; max-height: 480px; }
}
@media (max-width: 640px) {
  .bar { padding: 8px 12px; gap: 8px; }
  .bar button { padding: 4px 8px; }
  .status { min-width: 0; }
  #status-text { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  main { padding: 12px 12px 32px; }
  .totals { grid-template-columns: 1fr 1fr; gap: 8px; margin-bottom: 12px; }
  .totals dl { padding: 8px 12px; }
  .cards, .columns { gap: 12px; }
  .card { padding: 12px; }
  .charts { grid-template-columns: minmax(0, 1fr); gap: 8px; }
  .plot { height: 140px; }
  thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  table, tbody { display: block; }
  tr { display: grid; grid-template-columns: 8fr 10fr 11fr 11fr; gap: 2px 8px; padding: 9px 0; border-top: 1px solid var(--grid); }
  td { display: block; padding: 0; border: 0; }
  td.path { grid-column: 1 / -1; }
  td.way { grid-column: 1 / -1; margin-bottom: 4px; }
  td.total { display: none; }
  td.number { text-align: left; font-size: 13px; }
  td.number::before { content: attr(data-label); display: block; color: var(--soft); font-size: 11px; font-weight: 400; line-height: 1.2; }
}
`;
