// A new customer in a real browser: sign up, see the records, publish them, watch the checks turn good without a
// reload, get the certificate, add two people, see it live. Then: every page at three widths, light and dark, looked at by
// axe-core; the same panel with JavaScript off; the operator's view.
//
// Usage: node onboarding.mjs PLAN.json, where PLAN is {panel, domain, email, password, people: [{local, password}],
// operator: {login, password}, shots: DIR}. Prints one JSON line; ends with 1 and a sentence when something is wrong.

import { createRequire } from "node:module";
import { mkdirSync, mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const plan = JSON.parse(readFileSync(process.argv[2], "utf8"));
const require = createRequire(join(process.env.TEST_NODE, "package.json"));
const { chromium } = require("playwright-core");
const axeSource = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const DEADLINE = 90_000;
const ARGS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync",
];
const WIDTHS = { phone: 390, tablet: 768, desktop: 1440 };
const PAGE_LIMIT = 100 * 1024;

function demand(condition, sentence) {
  if (!condition) throw new Error(sentence);
}

async function inspect(page, name) {
  // The panel's CSP forbids inline script; axe is evaluated by the browser's debugger, which CSP does not concern.
  await page.evaluate(axeSource);
  const result = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
  const bad = result.violations.filter((v) => v.impact === "serious" || v.impact === "critical");
  const said = bad.map((v) => `${v.id} (${v.nodes.map((n) => n.target.join(" ")).slice(0, 3).join(", ")})`);
  demand(bad.length === 0, `axe-core on ${name}: ${said.join("; ")}`);
}

async function look(page, name) {
  for (const scheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme: scheme });
    for (const [device, width] of Object.entries(WIDTHS)) {
      await page.setViewportSize({ width, height: 900 });
      const wide = await page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth);
      demand(!wide, `${name} is wider than the window at ${width} px`);
      await page.screenshot({ path: join(plan.shots, `${name}-${device}-${scheme}.png`), fullPage: true });
    }
    await inspect(page, `${name} (${scheme})`);
  }
  await page.emulateMedia({ colorScheme: "light" });
  await page.setViewportSize({ width: WIDTHS.desktop, height: 900 });
}

async function signIn(page, who) {
  await page.goto(`${plan.panel}/sign-in`);
  await page.fill("#login", who.login);
  await page.fill("#password", who.password);
  await page.click("main form button");
  await page.waitForURL((url) => !url.pathname.startsWith("/sign-in"), { timeout: DEADLINE });
}

async function main() {
  mkdirSync(plan.shots, { recursive: true });
  const profile = mkdtempSync(join(tmpdir(), "domicile-browser-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: "/usr/bin/chromium", args: ARGS, viewport: { width: WIDTHS.desktop, height: 900 },
  });
  const page = await context.newPage();
  page.setDefaultTimeout(DEADLINE);
  const errors = [];
  page.on("pageerror", (e) => errors.push(String(e)));
  page.on("response", async (r) => {
    const type = r.headers()["content-type"] ?? "";
    if (type.startsWith("text/html")) {
      const body = await r.body().catch(() => "");
      if (body.length > PAGE_LIMIT) errors.push(`${r.url()} has ${body.length} bytes`);
    }
    if (!r.url().startsWith(plan.panel)) errors.push(`an outside asset: ${r.url()}`);
  });

  // A name nobody may host is refused with a reason.
  await page.goto(`${plan.panel}/sign-up`);
  await look(page, "sign-up");
  await page.fill("#domain", "co.uk");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => /many people register their own domains/i.test(document.querySelector("main").innerText));

  // Sign up, by keyboard alone.
  await page.fill("#domain", plan.domain);
  await page.keyboard.press("Enter");
  await page.waitForSelector("#email");
  await page.keyboard.type(plan.email);
  await page.keyboard.press("Tab");
  await page.keyboard.type(plan.password);
  await page.keyboard.press("Enter");
  await page.waitForSelector("ol.stations");
  const home = page.url().split("?")[0];
  await look(page, "domain-new");

  // The exact records.
  await page.goto(`${home}/records`);
  const records = await page.innerText("main");
  for (const part of ["_xmpp-client._tcp", "_xmpp-server._tcp", "_acme-challenge", "_domicile", "SRV", "TXT", "CNAME"]) {
    demand(records.includes(part), `the records page shows ${part}`);
  }
  await look(page, "records");
  const zone = await (await context.request.get(`${home}/records.zone`)).text();
  demand(zone.includes(`_xmpp-server._tcp.${plan.domain}.`), "the zone file has absolute names");

  // Publish, then watch: the page must turn live by itself.
  await page.goto(home);
  const loaded = await page.evaluate(() => performance.timeOrigin);
  await page.locator("form[action$='/publish'] button").first().click();
  await page.waitForLoadState();
  await page.goto(home);
  const origin = await page.evaluate(() => performance.timeOrigin);
  demand(origin >= loaded, "the page is there");
  const seen = new Set();
  const end = Date.now() + DEADLINE;
  for (;;) {
    const word = (await page.innerText("#part-head [data-say]")).trim();
    seen.add(word);
    if (/\blive\b/.test(word)) break;
    demand(Date.now() < end, `${plan.domain} is not live in time; it says: ${await page.innerText("main")}`);
    await page.waitForFunction((w) => document.querySelector("#part-head [data-say]").innerText.trim() !== w, word, { timeout: DEADLINE })
      .catch(async () => { throw new Error(`nothing changes on the page: ${await page.innerText("main")}`); });
  }
  demand((await page.evaluate(() => performance.timeOrigin)) === origin, "the page changed without a reload");
  await look(page, "domain-live");

  // People.
  for (const person of plan.people) {
    await page.goto(`${home}/people`);
    await page.fill("#local", person.local);
    await page.fill("#password", person.password);
    await page.click("form[action$='/people'] button");
    await page.waitForSelector(`text=${person.local}@${plan.domain}`);
  }
  await page.goto(`${home}/people`);
  await look(page, "people");
  for (const part of ["identity", "verification", "federation", "settings"]) {
    await page.goto(`${home}/${part}`);
    await page.waitForSelector("h1");
    await look(page, part);
  }
  await page.goto(`${plan.panel}/audit`);
  demand((await page.innerText("main")).includes(plan.domain), "the audit log tells the owner");
  await look(page, "audit");

  // Another customer's domain is not there.
  const foreign = await page.goto(`${plan.panel}/domains/one.example`);
  demand(foreign.status() === 404, `a foreign domain answers ${foreign.status()}`);
  await look(page, "not-found");

  // Without JavaScript all of it still works, by reloading.
  const cookies = await context.cookies();
  demand(cookies.every((c) => c.httpOnly && c.sameSite === "Lax"), "cookies are HttpOnly and SameSite=Lax");
  const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ARGS });
  const still = await browser.newContext({ javaScriptEnabled: false });
  const quiet = await still.newPage();
  quiet.setDefaultTimeout(DEADLINE);
  await signIn(quiet, { login: plan.email, password: plan.password });
  await quiet.goto(home);
  await quiet.locator("form[action$='/check'] button").click();
  await quiet.waitForSelector("ol.stations");
  demand(/live/.test(await quiet.innerText("#part-head")), "the page says live without JavaScript");
  await still.close();

  // The operator sees everybody.
  const office = await browser.newContext();
  const desk = await office.newPage();
  desk.setDefaultTimeout(DEADLINE);
  await signIn(desk, plan.operator);
  await desk.goto(`${plan.panel}/domains`);
  const all = await desk.innerText("main");
  for (const name of [plan.domain, "one.example", "two.example"]) demand(all.includes(name), `the operator sees ${name}`);
  await look(desk, "operator");
  await desk.goto(`${plan.panel}/tenants`);
  await look(desk, "tenants");
  await browser.close();
  await context.close();

  demand(errors.length === 0, errors.join("; "));
  console.log(JSON.stringify({ live: true, states: [...seen] }));
}

main().then(() => process.exit(0), (error) => {
  console.error(`onboarding.mjs: ${error.stack ?? error}`);
  process.exit(1);
});
