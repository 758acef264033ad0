// Every page of the panel and of the public door with sample data, as a file: at three widths, light and dark, looked at by
// axe-core, and put together on sheets so that a person can look at all of them.
//
// Usage: node gallery.mjs PLAN.json, where PLAN is {pages: DIR, shots: DIR}; DIR of pages is what `PANEL_GALLERY=DIR cargo test
// -p admin-web` writes. `just shots` does both. Prints {pages, sheets: [PATH]}; ends with 1 and a sentence for each thing that
// is wrong, after all pages have been seen.

import { readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

import { WIDTHS, blank, demand, look, open, plan, tell } from "./common.mjs";

/** The present of the sample data. */
const NOW = new Date("2026-11-25T20:00:00Z");
/** Pages on a sheet; more would be too small to read. */
const SHEET = { phone: 8, tablet: 6, desktop: 6 };
/** Columns of a sheet, and pixels that a page is high on it. */
const COLUMNS = { phone: 8, tablet: 6, desktop: 3 };
const HEIGHT = 1400;
const SHEET_WIDTH = 2000;

/** One picture of several: the upper part of each page under its name. */
async function sheet(page, names, device, scheme, path) {
  const figures = names.map((name) => {
    const image = pathToFileURL(resolve(plan.shots, `${name}-${device}-${scheme}.png`));
    return `<figure><figcaption>${name}</figcaption><img src="${image}"></figure>`;
  });
  await page.setViewportSize({ width: SHEET_WIDTH, height: 900 });
  await page.evaluate(({ figures, columns, height }) => {
    document.head.innerHTML = `<style>
      body { margin: 0; display: grid; grid-template-columns: repeat(${columns}, 1fr); gap: 12px; background: #777; font: 16px sans-serif; }
      figure { margin: 0; max-height: ${height}px; overflow: hidden; } img { width: 100%; display: block; }
      figcaption { background: #000; color: #fff; padding: 4px 8px; }</style>`;
    document.body.innerHTML = figures.join("");
    return Promise.all([...document.images].map((image) => image.decode()));
  }, { figures, columns: COLUMNS[device], height: HEIGHT });
  await page.screenshot({ path, fullPage: true });
  return path;
}

async function main() {
  const files = readdirSync(plan.pages).filter((file) => file.endsWith(".html")).sort();
  demand(files.length > 0, `no pages in ${plan.pages}`);
  const browser = await open("--allow-file-access-from-files");
  const page = await blank(browser);
  // Sample data have a time of their own, and their pages are the same every day.
  await page.clock.setFixedTime(NOW);
  const wrong = [];
  const names = [];
  for (const file of files) {
    await page.goto(pathToFileURL(resolve(plan.pages, file)).href);
    const name = file.replace(/\.html$/, "");
    names.push(name);
    await look(page, name, Object.keys(WIDTHS)).catch((error) => wrong.push(error.message));
  }
  const sheets = [];
  // From a page of the same kind the browser may show pictures that are files.
  await page.goto(pathToFileURL(resolve(plan.pages, files[0])).href);
  for (const device of Object.keys(WIDTHS)) {
    for (const scheme of ["light", "dark"]) {
      for (let from = 0; from < names.length; from += SHEET[device]) {
        const path = join(plan.shots, `sheet-${device}-${scheme}-${from / SHEET[device] + 1}.png`);
        sheets.push(await sheet(page, names.slice(from, from + SHEET[device]), device, scheme, path));
      }
    }
  }
  await browser.close();
  demand(wrong.length === 0, wrong.join("\n"));
  return { pages: names.length, sheets };
}

tell(main);
