/**
 * What runs in the page. It only ever sets texts, never markup, so nothing that a peer can make up becomes part of the page.
 *
 * @module
 */

/** JavaScript. */
export const SCRIPT = String.raw`"use strict";
const SPAN = 120; // intervals on the charts
const CHARTS = 12; // connections that have charts
const GONE = 10; // intervals that a connection stays when it is over
const LOGGED = 200;

const byId = (id) => document.getElementById(id);
const make = (tag, cls, text) => {
  const element = document.createElement(tag);
  if (cls) element.className = cls;
  if (text !== undefined) element.textContent = text;
  return element;
};
const set = (element, text) => {
  if (element.textContent !== text) element.textContent = text;
};

const scaled = (value, base, units) => {
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= base;
    unit++;
  }
  return [unit === 0 || value >= 99.95 ? String(Math.round(value)) : value.toFixed(1), units[unit]];
};
const rateParts = (bytes) => scaled(bytes * 8, 1000, ["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"]);
const rate = (bytes) => rateParts(bytes).join(" ");
const size = (bytes) => scaled(bytes, 1000, ["B", "kB", "MB", "GB", "TB", "PB"]).join(" ");
const axisRate = (bits) => {
  if (bits === 0) return "0";
  const text = scaled(bits, 1000, ["", "k", "M", "G", "T"]);
  return text[0].replace(/\.0$/, "") + text[1];
};
const rtt = (micros) => {
  if (micros === null) return "–";
  const ms = micros / 1000;
  return ms.toFixed(ms < 1 ? 2 : ms < 100 ? 1 : 0) + " ms";
};
const clock = (at) => {
  const time = new Date(at);
  const two = (number) => String(number).padStart(2, "0");
  return [time.getHours(), time.getMinutes(), time.getSeconds()].map(two).join(":");
};
const big = (element, bytes) => {
  const [number, unit] = rateParts(bytes);
  element.replaceChildren(number, make("span", "unit", unit));
};

// ---- colours ----
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
const media = matchMedia("(prefers-color-scheme: dark)");
const dark = () => (document.documentElement.dataset.theme || (media.matches ? "dark" : "light")) === "dark";
const stored = (() => {
  try {
    return localStorage.getItem("theme");
  } catch {
    return null;
  }
})();
if (stored === "dark" || stored === "light") document.documentElement.dataset.theme = stored;
const themed = () => {
  set(byId("theme"), dark() ? "Light" : "Dark");
  for (const card of cards.values()) card.drop();
  draw();
};
byId("theme").addEventListener("click", () => {
  const next = dark() ? "light" : "dark";
  document.documentElement.dataset.theme = next;
  try {
    localStorage.setItem("theme", next);
  } catch { /* then it holds for this visit */ }
  themed();
});
media.addEventListener("change", themed);

// ---- one chart ----
class Chart {
  constructor(place, label, values, times, lines) {
    this.place = place;
    this.width = place.clientWidth;
    const axis = (more) => ({
      stroke: colour("soft"),
      font: "11px system-ui, sans-serif",
      grid: { stroke: colour("grid"), width: 1 },
      ticks: { show: false },
      ...more,
    });
    this.plot = new uPlot({
      width: Math.max(100, this.width),
      height: place.clientHeight,
      padding: [8, 6, 0, 0],
      legend: { show: false },
      cursor: { drag: { x: false, y: false }, points: { size: 6 }, y: false },
      scales: { x: { time: true }, y: { range: (_u, _min, max) => [0, Math.max(max || 0, label.least) * 1.08] } },
      axes: [
        axis({
          size: 26,
          space: 60,
          // One that the edge would cut is left out.
          values: (u, splits) => splits.map((at) => {
            const { min, max } = u.scales.x;
            const fits = (max - at) / (max - min) * (this.width - 52) > 22;
            return fits ? clock(at * 1000).replace(/^0/, "") : "";
          }),
        }),
        axis({ size: 46, space: 30, values: (_u, splits) => splits.map(label.text) }),
      ],
      series: [{}, ...lines.map(({ number }, index) => ({
        stroke: colour("path" + number),
        width: 2,
        fill: label.stacked && index === 0 ? colour("path" + number) + "55" : undefined,
        points: { show: false },
        spanGaps: false,
      }))],
      // Each path stands on the one before: series 1 is the lowest.
      bands: label.stacked
        ? lines.slice(1).map(({ number }, index) => ({ series: [index + 2, index + 1], fill: colour("path" + number) + "55" }))
        : [],
    }, [times, ...values], place);
    this.watch = new ResizeObserver(() => {
      const width = place.clientWidth;
      if (width === this.width || width === 0) return;
      this.width = width;
      this.plot.setSize({ width, height: place.clientHeight });
    });
    this.watch.observe(place);
  }

  set(times, values, from, to) {
    this.plot.batch(() => {
      this.plot.setData([times, ...values], false);
      this.plot.setScale("x", { min: from, max: to });
    });
  }

  end() {
    this.watch.disconnect();
    this.plot.destroy();
  }
}

// Each path's values on top of the sum of those before; null where no path is known.
const stacked = (all) => {
  const sums = [];
  for (const values of all) {
    const below = sums.at(-1);
    sums.push(values.map((value, at) => {
      const under = below ? below[at] : null;
      return value === null && under === null ? null : (value || 0) + (under || 0);
    }));
  }
  return sums;
};

const RATES = { text: axisRate, least: 1000, stacked: true };
const TIMES = { text: (ms) => String(+ms.toPrecision(3)), least: 0.1, stacked: false };

// ---- one connection ----
const HEADS = [["", "Path"], ["", "From → to"], ["number", "RTT"], ["number", "Retransmits"], ["number", "Sending"],
  ["number", "Receiving"], ["number total", "Sent"], ["number total", "Received"]];

class Card {
  constructor() {
    this.gone = 0;
    this.times = [];
    this.lines = new Map();
    this.charts = null;
    this.element = make("article", "card");
    const head = make("div", "card-head");
    this.name = make("h2", "mono");
    this.chips = make("span", "chips");
    this.rates = make("p", "rates");
    head.append(this.name, this.chips, this.rates);
    this.figures = make("div", "charts none");
    this.plots = ["Throughput, path upon path, bit/s", "Round-trip time of each path, ms"].map((text) => {
      const figure = make("figure");
      const plot = make("div", "plot");
      plot.setAttribute("role", "img");
      plot.setAttribute("aria-label", text);
      figure.append(make("figcaption", "", text), plot);
      this.figures.append(figure);
      return plot;
    });
    const table = make("table");
    const row = make("tr");
    for (const [cls, text] of HEADS) {
      const cell = make("th", cls, text);
      cell.scope = "col";
      row.append(cell);
    }
    const top = make("thead");
    top.append(row);
    this.body = make("tbody");
    table.append(top, this.body);
    this.element.append(head, this.figures, table);
  }

  take(at, connection) {
    this.now = connection;
    this.gone = 0;
    this.times.push(at / 1000);
    const { subflows } = connection;
    for (const subflow of subflows) {
      let line = this.lines.get(subflow.key);
      if (!line) {
        const used = new Set([...this.lines.values()].map(({ number }) => number));
        const free = [1, 2, 3, 4, 5, 6].find((number) => !used.has(number)) || this.lines.size % 6 + 1;
        const blank = Array(this.times.length - 1).fill(null);
        this.lines.set(subflow.key, line = { number: free, rates: blank, rtts: blank.slice() });
        this.drop();
      }
    }
    const found = new Map(subflows.map((subflow) => [subflow.key, subflow]));
    for (const [key, line] of this.lines) {
      const subflow = found.get(key);
      line.now = subflow;
      line.rates.push(subflow ? (subflow.sending + subflow.receiving) * 8 : null);
      line.rtts.push(subflow && subflow.rtt !== null ? subflow.rtt / 1000 : null);
    }
    while (this.times.length > SPAN) {
      this.times.shift();
      for (const line of this.lines.values()) {
        line.rates.shift();
        line.rtts.shift();
      }
    }
    for (const [key, line] of this.lines) {
      if (line.now || line.rates.some((value) => value !== null)) continue;
      this.lines.delete(key);
      this.drop();
    }
  }

  drop() {
    if (this.charts) for (const chart of this.charts) chart.end();
    this.charts = null;
  }

  draw(charted, from, to) {
    const { token, local, remote, state, fallback, sending, receiving } = this.now;
    set(this.name, local + " → " + remote);
    const chips = [[token, "mono"], ...(fallback ? [["plain TCP", "warn"]] : []),
      ...(this.gone ? [["closed", "warn"]] : state === "ESTABLISHED" ? [] : [[state, ""]])];
    const text = chips.join();
    if (this.chipText !== text) {
      this.chipText = text;
      this.chips.replaceChildren(...chips.map(([word, cls]) => make("span", "chip " + cls, word)));
    }
    const [up, down] = [make("span"), make("span")];
    up.append(make("i", "", "↑"), rate(this.gone ? 0 : sending));
    down.append(make("i", "", "↓"), rate(this.gone ? 0 : receiving));
    this.rates.replaceChildren(up, down);
    this.element.classList.toggle("gone", this.gone > 0);
    this.rows();
    this.figures.classList.toggle("none", !charted);
    if (!charted) return this.drop();
    const lines = [...this.lines.values()];
    const all = [stacked(lines.map((line) => line.rates)), lines.map((line) => line.rtts)];
    if (!this.charts) {
      this.charts = [RATES, TIMES].map((label, index) => new Chart(this.plots[index], label, all[index], this.times, lines));
    }
    this.charts.forEach((chart, index) => chart.set(this.times, all[index], from, to));
  }

  rows() {
    const lines = [...this.lines.values()].filter((line) => line.now);
    while (this.body.rows.length > lines.length) this.body.deleteRow(-1);
    lines.forEach(({ number, now }, index) => {
      let row = this.body.rows[index];
      if (!row) {
        row = this.body.insertRow();
        HEADS.forEach(([cls, text], column) => {
          const cell = row.insertCell();
          cell.className = cls;
          cell.dataset.label = text;
          if (column === 0) cell.append(make("span", "swatch"), make("span"));
          if (column === 1) cell.append(make("span"), make("span"));
        });
        row.cells[0].className = "path";
        row.cells[1].className = "way mono";
      }
      row.className = "p" + number;
      const [path, way, ...numbers] = row.cells;
      set(path.children[1], now.interface || "path " + (index + 1));
      set(way.children[0], now.local + " → " + now.remote);
      const notes = [now.backup ? "backup" : "", now.state === "ESTABLISHED" ? "" : now.state].filter(Boolean).join(", ");
      way.children[1].className = notes ? "chip warn" : "";
      set(way.children[1], notes);
      const texts = [rtt(now.rtt), String(now.retransmits), rate(now.sending), rate(now.receiving), size(now.sent),
        size(now.received)];
      texts.forEach((text, column) => set(numbers[column], text));
      numbers[1].classList.toggle("bad", now.retransmitted > 0);
    });
  }
}

// ---- all of them ----
const cards = new Map();
let latest = null;
let interval = 1000;
let paused = false;

function take(view) {
  latest = view;
  const there = new Set();
  for (const connection of view.shown) {
    there.add(connection.key);
    let card = cards.get(connection.key);
    if (!card) cards.set(connection.key, card = new Card());
    card.take(view.at, connection);
  }
  for (const [key, card] of cards) {
    if (there.has(key)) continue;
    // One that only others have overtaken is not closed, but cannot be told from it either: it goes at once.
    if (view.connections > view.shown.length || ++card.gone > GONE) {
      card.drop();
      card.element.remove();
      cards.delete(key);
    } else for (const line of card.lines.values()) line.now = undefined;
  }
}

function draw() {
  if (!latest || paused) return;
  set(byId("count"), String(latest.connections));
  set(byId("subflows"), String(latest.subflows));
  big(byId("sending"), latest.sending);
  big(byId("receiving"), latest.receiving);
  byId("empty").hidden = cards.size > 0;
  const more = latest.connections - latest.shown.length;
  byId("more").hidden = more <= 0;
  set(byId("more"), more + " more connections, with less traffic");
  const place = byId("connections");
  const to = latest.at / 1000;
  let index = 0;
  for (const card of cards.values()) {
    if (!card.element.isConnected) place.insertBefore(card.element, byId("more"));
    card.draw(index++ < CHARTS && typeof uPlot === "function", to - SPAN * interval / 1000, to);
  }
}

// ---- events ----
const NAMES = { created: "Connection begins", established: "Connection established", closed: "Connection closed",
  announced: "Address announced", removed: "Address withdrawn", subflowEstablished: "Subflow established",
  subflowClosed: "Subflow closed", subflowPriority: "Subflow priority changed", listenerCreated: "Listener opened",
  listenerClosed: "Listener closed", overflow: "Events lost" };
const spoken = (type) => NAMES[type] || type.replace(/([A-Z])/g, " $1").toLowerCase().replace(/^./, (first) => first.toUpperCase());

function log(events) {
  const list = byId("events");
  for (const { at, type, token, text } of events) {
    const item = make("li", /closed|overflow|removed/i.test(type) ? "closing" : /established|created|announced/i.test(type) ? "opened" : "");
    const line = make("p", "line");
    line.append(make("b", "", spoken(type)), make("span", "token mono", token), make("time", "", clock(at)));
    item.append(line);
    if (text) item.append(make("p", "mono", text));
    list.prepend(item);
  }
  while (list.children.length > LOGGED) list.lastChild.remove();
  byId("quiet").hidden = list.children.length > 0 || !byId("eventless").hidden;
}

// ---- the stream ----
function status(state, text) {
  byId("status").dataset.state = state;
  set(byId("status-text"), text);
}

byId("pause").addEventListener("click", () => {
  paused = !paused;
  byId("pause").setAttribute("aria-pressed", String(paused));
  set(byId("pause"), paused ? "Go on" : "Pause");
  draw();
});

const source = new EventSource("/events");
source.addEventListener("past", ({ data }) => {
  const { greeting, events, views } = JSON.parse(data);
  for (const card of cards.values()) {
    card.drop();
    card.element.remove();
  }
  cards.clear();
  byId("events").replaceChildren();
  interval = greeting.interval;
  set(byId("host"), greeting.host + ", " + greeting.kernel);
  document.title = "MPTCP on " + greeting.host;
  byId("eventless").hidden = greeting.eventless === null;
  set(byId("eventless"), greeting.eventless || "");
  log(events);
  for (const view of views) take(view);
  status("live", "live");
  draw();
});
source.addEventListener("now", ({ data }) => {
  const { events, view } = JSON.parse(data);
  log(events);
  take(view);
  draw();
});
source.addEventListener("error", () => status("lost", "no connection"));
themed();
`;
