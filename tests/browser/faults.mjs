// The pages of peers with which something went wrong, in a real browser: one sign-in, then page after page, each read as a
// person reads it and looked at on a desktop and on a phone, light and dark.
//
// Usage: node faults.mjs PLAN.json, where PLAN is {panel, operator: {login, password}, list: PATH, pages: [{name, path}],
// shots: DIR}. Prints a JSON array of {why, side, remedy} in the order of the pages; ends with 1 and a sentence when
// something is wrong.

import { createRequire } from "node:module";
import { mkdirSync, mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const plan = JSON.parse(readFileSync(process.argv[2], "utf8"));
const require = createRequire(join(process.env.TEST_NODE, "package.json"));
const { chromium } = require("playwright-core");

const DEADLINE = 60_000;
const ARGS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync",
];
const WIDTHS = { desktop: 1440, phone: 390 };

function demand(condition, sentence) {
  if (!condition) throw new Error(sentence);
}

async function look(page, name, devices = Object.keys(WIDTHS), schemes = ["light", "dark"]) {
  for (const device of devices) {
    const width = WIDTHS[device];
    await page.setViewportSize({ width, height: 900 });
    const wide = await page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth);
    demand(!wide, `${name} is wider than the window at ${width} px`);
    for (const scheme of schemes) {
      await page.emulateMedia({ colorScheme: scheme });
      await page.screenshot({ path: join(plan.shots, `${name}-${device}-${scheme}.png`), fullPage: true });
    }
  }
}

async function main() {
  mkdirSync(plan.shots, { recursive: true });
  const profile = mkdtempSync(join(tmpdir(), "domicile-browser-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: "/usr/bin/chromium", args: ARGS, viewport: { width: WIDTHS.desktop, height: 900 },
  });
  const page = await context.newPage();
  page.setDefaultTimeout(DEADLINE);
  await page.goto(`${plan.panel}/sign-in`);
  await page.fill("#login", plan.operator.login);
  await page.fill("#password", plan.operator.password);
  await page.click("main form button");
  await page.waitForURL((url) => !url.pathname.startsWith("/sign-in"));

  const told = [];
  for (const { name, path } of plan.pages) {
    await page.goto(plan.panel + path);
    const last = page.locator("main article").first();
    const text = async (part) => (await last.locator(`[data-told=${part}]`).innerText()).trim();
    told.push({ why: await text("why"), side: await text("side"), remedy: await text("remedy") });
    // Everything that was seen is there, folded.
    await last.locator("summary").click();
    demand((await last.locator("dl.facts").innerText()).includes("Code"), `${name} names its code`);
    await look(page, `${name}-unfolded`, ["phone"], ["light"]);
    await last.locator("summary").click();
    await look(page, name);
  }
  await page.goto(plan.panel + plan.list);
  await look(page, "all-peers");
  await context.close();
  process.stdout.write(JSON.stringify(told));
}

main().catch((error) => {
  console.error(error.stack ?? error);
  process.exit(1);
});
