// A new customer in a real browser: sign up, see the records, publish them, watch the checks turn good without a
// reload, get the certificate, add two people, see it live. Then: every page at three widths, light and dark, looked at by
// axe-core; the same panel with JavaScript off; the operator's view.
//
// Usage: node onboarding.mjs PLAN.json, where PLAN is {panel, domain, email, password, people: [{local, password}],
// operator: {login, password}, shots: DIR}. Prints one JSON line; ends with 1 and a sentence when something is wrong.

import { DEADLINE, PAGE_LIMIT, WIDTHS, blank, demand, look as lookAt, open, openProfile, plan, signIn, tell } from "./common.mjs";

const look = (page, name) => lookAt(page, name, Object.keys(WIDTHS));

async function main() {
  const context = await openProfile();
  const page = await blank(context);
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
  // The field is there before it has the focus.
  await page.waitForSelector("#email:focus");
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
  const browser = await open();
  const still = await browser.newContext({ javaScriptEnabled: false });
  const quiet = await blank(still);
  await signIn(quiet, { login: plan.email, password: plan.password });
  await quiet.goto(home);
  await quiet.locator("form[action$='/check'] button").click();
  await quiet.waitForSelector("ol.stations");
  demand(/live/.test(await quiet.innerText("#part-head")), "the page says live without JavaScript");
  await still.close();

  // The operator sees everybody.
  const office = await browser.newContext();
  const desk = await blank(office);
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
  return { live: true, states: [...seen] };
}

tell(main);
