// An owner invites somebody in the panel; whoever gets the link opens it at the domain's own door, without a script, on a
// phone and a desktop, light and dark, and makes an account there.
//
// Usage: node invited.mjs PLAN.json, where PLAN is {panel, who: {login, password}, ca, domain, door: "IP:PORT", contact, local,
// password, shots: DIR}. Prints {link, uri, address} as one JSON line; ends with 1 and a sentence when something is wrong.

import { believing, blank, demand, look, open, plan, signIn, tell } from "./common.mjs";

async function invite(browser) {
  const page = await blank(browser);
  await signIn(page, plan.who);
  await page.goto(`${plan.panel}/domains/${plan.domain}/people`);
  await page.click("summary:has-text('Invite somebody')");
  await page.fill("#note", "the nurse");
  await page.fill("#contact", plan.contact);
  await page.click("button:has-text('Make the link')");
  const link = (await page.locator(".secret code").innerText()).trim();
  const uri = (await page.locator("code:has-text('xmpp:')").innerText()).trim();
  demand(await page.locator("svg.qr").getAttribute("aria-label"), "the code says what it is");
  demand((await page.innerText("#invited-title + .list")).includes("the nurse"), "the owner sees who is invited");
  await look(page, "invite");
  await page.close();
  return { link, uri };
}

async function main() {
  const browser = await open(...(await believing(plan)));
  const { link, uri } = await invite(browser);
  const here = `https://${plan.domain}${new URL(link).pathname}`;

  const looking = await blank(browser);
  const asked = [];
  looking.on("request", (request) => asked.push(request.url()));
  await looking.goto(here);
  await look(looking, "invited");
  demand(asked.every((url) => url.startsWith(`https://${plan.domain}/`)), `something was asked elsewhere: ${asked}`);
  demand((await looking.locator("script").count()) === 0, "no script");
  demand((await looking.locator(".button").first().getAttribute("href")) === uri, "the button opens the app");
  demand((await looking.innerText("h1")).includes(`${plan.contact}@${plan.domain}`), "who invites");
  await looking.close();

  const quiet = await browser.newContext({ javaScriptEnabled: false });
  const page = await blank(quiet);
  await page.goto(here);
  await page.click("summary:has-text('make the account here')");
  await page.fill("#local", plan.local);
  await page.fill("#password", "short");
  await page.click("main form button");
  demand((await page.innerText("#problem")).includes("password"), "a weak password is told");
  await page.fill("#password", plan.password);
  await page.click("main form button");
  const address = (await page.locator("h1 .mono").innerText()).trim();
  const again = await page.goto(here);
  demand(again.status() === 404, `a link is good once, and answers ${again.status()}`);
  demand((await page.locator("svg.qr").count()) === 0, "no code leads to a link that was used");
  await browser.close();
  return { link, uri, address };
}

tell(main);
