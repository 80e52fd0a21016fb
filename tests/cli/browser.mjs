/**
 * Looks at the page of `mptcp dash` with Chromium, by Node, whatever runtime runs the test.
 *
 *   node browser.mjs URL [FOLDER]
 *
 * Standard input has lines of JSON, each answered by one: {"view": {…}} sets width, height and scheme, and looks;
 * {"until": "an expression"} waits until it is true in the page; {"click": "a selector"}. FOLDER gets a picture of each look.
 */
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import process from "node:process";
import { chromium } from "playwright-core";

const [url, folder] = process.argv.slice(2);
const browser = await chromium.launch({
  executablePath: "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
});
const page = await browser.newPage({ viewport: { width: 1280, height: 860 } });
page.setDefaultTimeout(12_000);
const complaints = [];
let lost = false;
page.on("console", (message) => {
  if (message.type() !== "error" && message.type() !== "warning") return;
  // What it says about our own reading of canvases is no complaint about the page.
  if (!lost && !message.text().startsWith("Canvas2D:")) complaints.push(message.text());
});
page.on("pageerror", (error) => complaints.push(error.message));
const foreign = [];
page.on("request", (request) => {
  if (!request.url().startsWith(url)) foreign.push(request.url());
});

/** What a person would see. */
const look = () => {
  // Which colours are on a canvas: nearly, as the edges of lines are blended with what is below them.
  const inked = (canvas, names) => {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    const near = (a, b) => Math.abs(a - b) < 40;
    return names.map((name) => {
      const text = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
      const [red, green, blue] = [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16));
      for (let at = 0; at < data.length; at += 4) {
        if (data[at + 3] > 150 && near(data[at], red) && near(data[at + 1], green) && near(data[at + 2], blue)) return true;
      }
      return false;
    });
  };
  const visible = (element) => element.getClientRects().length > 0;
  const root = document.documentElement;
  const wide = [...document.querySelectorAll("body *")].filter((element) =>
    visible(element) && element.getBoundingClientRect().right > root.clientWidth + 1 && !element.closest(".plot")
  ).map((element) => `${element.tagName} ${element.className} ${element.textContent.slice(0, 40)}`);
  return {
    cards: [...document.querySelectorAll(".card")].map((card) => ({
      name: card.querySelector("h2").textContent,
      chips: [...card.querySelectorAll(".chips .chip")].map((chip) => chip.textContent),
      paths: [...card.querySelectorAll("tbody tr")].map((row) => [...row.cells].map((cell) => cell.textContent)),
      charts: [...card.querySelectorAll("canvas")].map((canvas) => {
        return { paths: inked(canvas, ["--path1", "--path2"]), height: canvas.clientHeight };
      }),
    })),
    totals: ["count", "subflows", "sending", "receiving"].map((id) => document.getElementById(id).textContent),
    events: [...document.querySelectorAll("#events b")].map((each) => each.textContent),
    eventless: document.getElementById("eventless").textContent,
    status: document.getElementById("status-text").textContent,
    overflow: root.scrollWidth - root.clientWidth,
    wide,
    ground: getComputedStyle(document.body).backgroundColor,
    scripts: document.querySelectorAll("script:not([src]), style").length,
  };
};

const tell = (answer) => process.stdout.write(`${JSON.stringify(answer)}\n`);

async function answer({ view, until, click, leave }) {
  if (leave) lost = true;
  if (view) {
    const { width, height, scheme, name } = view;
    await page.setViewportSize({ width, height });
    await page.emulateMedia({ colorScheme: scheme });
    // Two frames: one for the style, one for what follows from it.
    await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
    const seen = await page.evaluate(look);
    if (folder) await page.screenshot({ path: `${folder}/${name}.png`, fullPage: width < 600 });
    return { ...seen, complaints, foreign };
  }
  // Not by waitForFunction: it evaluates text in the page, which the page's policy forbids.
  for (const late = Date.now() + 12_000; until && !await page.evaluate(until);) {
    if (Date.now() > late) throw new Error(`never true: ${until}`);
    await sleep(50);
  }
  if (click) await page.click(click);
  return {};
}

try {
  await page.goto(url);
  tell({ open: true });
  for await (const line of createInterface({ input: process.stdin })) tell(await answer(JSON.parse(line)));
} catch (error) {
  tell({ failed: error.message, text: await page.innerText("body").catch(() => ""), complaints });
} finally {
  await browser.close();
}
