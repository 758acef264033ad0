// Somebody asks for an account on the page of a domain that its owner has opened with a question, at the domain's own door,
// without a script, on a phone and a desktop, light and dark; and is stopped who tries again and again.
//
// Usage: node asked.mjs PLAN.json, where PLAN is {ca, domain, door: "IP:PORT", local, password, wrong, answer, shots: DIR}.
// Prints {address}; ends with 1 and a sentence when something is wrong.

import { believing, blank, demand, look, open, plan, tell } from "./common.mjs";

/** More than an address may ask in an hour. */
const TRIES = 20;

async function main() {
  const browser = await open(...(await believing(plan)));
  const here = `https://${plan.domain}/ask/${plan.domain}`;
  const looking = await blank(browser);
  const asked = [];
  looking.on("request", (request) => asked.push(request.url()));
  await looking.goto(here);
  await look(looking, "ask");
  demand(asked.every((url) => url.startsWith(`https://${plan.domain}/`)), `something was asked elsewhere: ${asked}`);
  demand((await looking.locator("script").count()) === 0, "no script");
  await looking.close();

  const page = await blank(await browser.newContext({ javaScriptEnabled: false }));
  const other = await page.goto(`https://${plan.domain}/ask/two.example`);
  demand(other.status() === 404, `another domain's page is not here, and answers ${other.status()}`);
  await page.goto(here);
  const ask = async (answer, local) => {
    await page.fill("#answer", answer);
    await page.fill("#local", local);
    await page.fill("#password", plan.password);
    await page.click("main form button");
  };
  await ask(plan.wrong, plan.local);
  demand((await page.innerText("#problem")).includes("answer"), "a wrong answer is told");
  demand((await page.inputValue("#local")) === plan.local, "what was typed stays");
  await ask(plan.answer, plan.local);
  const address = (await page.locator("h1 .mono").innerText()).trim();

  await page.goto(here);
  let told = "";
  for (let n = 0; n < TRIES && !told.includes("Too many"); n += 1) {
    await ask(plan.wrong, "thief");
    told = await page.innerText("#problem");
  }
  demand(told.includes("Too many"), `whoever tries again and again is told: ${told}`);
  await browser.close();
  return { address };
}

tell(main);
