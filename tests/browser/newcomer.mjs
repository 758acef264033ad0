// Somebody who has a domain and has never been here: signs up, chooses how to prove it, publishes what the page shows at their
// name server and their website, watches the domain go live, adds two people, and these chat in the browser. Nothing is known
// beforehand but what the pages say.
//
// With `quiet` all of that is done without JavaScript, but for the chat: pages are loaded anew instead of changing by themselves.
//
// Usage: node newcomer.mjs PLAN.json, where PLAN is {quiet, panel, domain, email, password, mode, beside: [word], people: [{local,
// password}, {…}], dns: {server, port, key}, site: {ip, cert, places}, web: {name, door: "IP:PORT", cert}, upload: {chain, key},
// shots: DIR}; certificates and keys are PEM files, `places` is the file that website.mjs reads, `upload` is there for the mode
// `uploaded`. Prints one JSON line {seconds, states, foreseen: [{name, who, how, word}]}; ends with 1 and a sentence when something
// is wrong.

import { X509Certificate, createHash } from "node:crypto";
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";

import { DEADLINE, blank, clientPages, demand, look, open, openProfile, plan, startConverse, tell } from "./common.mjs";

/** What an owner is promised: live in so many milliseconds after the last record, at the default pace. It is waited for, no longer. */
const PROMISED = 60_000;
/** What one look at a domain may take, in milliseconds. */
const A_LOOK = 20_000;

/** The owner's name server takes changes of the owner's zone. */
function publish(records) {
  const { server, port, key } = plan.dns;
  const lines = records.map(({ name, rtype, value }) => `update add ${name} 60 ${rtype} ${value}`);
  const input = [`server ${server} ${port}`, ...lines, "send", "quit", ""].join("\n");
  execFileSync("nsupdate", ["-k", key], { input, stdio: ["pipe", "pipe", "inherit"] });
}

/** Pin of the key of the first certificate in a file. */
function pin(file) {
  const key = new X509Certificate(readFileSync(file)).publicKey.export({ type: "spki", format: "der" });
  return createHash("sha256").update(key).digest("base64");
}

async function signUp(page) {
  await page.goto(`${plan.panel}/sign-up`);
  await page.fill("#domain", plan.domain);
  await page.keyboard.press("Enter");
  await page.waitForSelector("#email");
  await page.fill("#email", plan.email);
  await page.fill("#password", plan.password);
  await page.keyboard.press("Enter");
  await page.waitForSelector("ol.stations");
  return page.url().split("?")[0];
}

/** Runs in the page: a matrix of who × how in a part of it, cell by cell. */
const cells = (part) => [...document.querySelectorAll(`${part} section`)].flatMap((section) => {
  const name = section.querySelector("h2, h3").textContent.trim();
  return [...section.querySelectorAll("tbody tr")].flatMap((row) => {
    const who = row.querySelector("th").textContent.trim();
    return [...row.querySelectorAll("td[data-label]")].map((cell) =>
      ({ name, who, how: cell.dataset.label, word: cell.querySelector("strong").textContent.trim() }));
  });
});

/** Waits until the page, which follows what changes, shows a matrix of which everything is known, or the `expected` one. */
async function untilMatrix(page, part, expected = null, within = DEADLINE) {
  const fits = async () => {
    const shown = await page.evaluate(cells, part);
    if (expected) return JSON.stringify(shown) === JSON.stringify(expected);
    return shown.length > 0 && shown.every(({ word }) => word !== "could not ask");
  };
  const end = Date.now() + within;
  if (plan.quiet) {
    await reload(page, page.url(), fits, end);
    return;
  }
  // The page's policy forbids scripts to make code of text, so that the text of `cells` cannot be waited for in there.
  for (;;) {
    // Read before the matrix, so that no change in between is missed.
    const before = await page.locator(part).innerHTML();
    if (await fits()) return;
    const changed = ([part, html]) => document.querySelector(part)?.innerHTML !== html;
    await page.waitForFunction(changed, [part, before], { timeout: Math.max(end - Date.now(), 1) }).catch(async (error) => {
      const shown = await page.evaluate(cells, part);
      throw new Error(`the matrix does not become what it should (${error}): ${JSON.stringify(shown)}`);
    });
  }
}

/** The way of proof, whose price is on the page before it is taken, and with whom it would count; gives the latter. */
async function choose(page, home) {
  await page.goto(`${home}/verification`);
  const choice = page.locator(`label.choice:has(input[name=mode][value="${plan.mode}"])`);
  const price = await choice.innerText();
  for (const part of [/\bYou\b|\bYour (website|zone)\b/, /\bWe hold\b/, /issue|obtain/i, /\bservers?\b/]) {
    demand(part.test(price), `the price of ${plan.mode} says ${part}: ${price}`);
  }
  const isInForce = await choice.locator("input").isChecked();
  await choice.locator("input").check();
  for (const word of plan.beside) await page.check(`input[name=beside][value=${word}]`);
  // The page follows a choice; where none is changed, or it cannot, there is a button.
  if (plan.quiet || (isInForce && plan.beside.length === 0)) await page.click("form[data-foresee] button");
  await page.waitForURL(({ searchParams }) =>
    searchParams.get("mode") === plan.mode && searchParams.getAll("beside").length === plan.beside.length);
  await page.waitForSelector("#part-foreseen:not([aria-busy])");
  // Whether zones are signed is known once somebody has looked.
  await untilMatrix(page, "#part-foreseen");
  const foreseen = await page.evaluate(cells, "#part-foreseen");
  if (!plan.quiet) await look(page, `newcomer-${plan.mode}-foreseen`);
  const prove = page.locator("#part-foreseen form button");
  demand((await prove.count()) === (isInForce && plan.beside.length === 0 ? 0 : 1), "what changes something can be chosen");
  if ((await prove.count()) > 0) {
    await prove.click();
    await page.waitForURL(/done=saved/);
  }
  await page.waitForSelector(`input[name=mode][value="${plan.mode}"]:checked`);
  return foreseen;
}

/** What was foreseen is what others find now. */
async function asForeseen(page, home, foreseen) {
  const end = Date.now() + DEADLINE;
  for (;;) {
    // What was published when the domain came is looked at when it is next its turn, or when somebody asks; a name server that
    // did not answer leaves a cell unknown until the next look.
    await page.goto(home);
    await page.click("form[action$='/check'] button");
    await page.goto(`${home}/verification`);
    try {
      await untilMatrix(page, "#part-matrix", foreseen, A_LOOK);
      return;
    } catch (error) {
      if (Date.now() > end) throw error;
    }
  }
}

/** What the page of records wants in the zone: the rows, as they are copied. */
const recordsOf = (page) => page.evaluate(() =>
  [...document.querySelectorAll("table.records tr.data")].map((row) => {
    const cell = (label) => row.querySelector(`td[data-label="${label}"]`);
    const code = (label) => cell(label).querySelector("code").textContent.trim();
    return { rtype: cell("Type").textContent.trim(), name: code("Full name"), value: code("Value") };
  }));

/** What it wants of the website. */
const placesOf = (page) => page.evaluate(() =>
  [...document.querySelectorAll("#part-web section.card, #part-web-optional section.card")].map((card) => {
    const codes = [...card.querySelectorAll(":scope > p.copyable > code")].map((code) => code.textContent.trim());
    const type = card.textContent.match(/application\/[a-z+]+/);
    return {
      address: codes[0],
      redirect: codes.slice(1).find((text) => /^https?:\/\//.test(text)),
      document: codes.slice(1).find((text) => !/^https?:\/\//.test(text)),
      type: type ? type[0] : "",
      crossOrigin: card.textContent.includes("Access-Control-Allow-Origin"),
    };
  }));

/** Everything that the page of records shows is put where it belongs. */
async function follow(page, home) {
  await page.goto(`${home}/records`);
  const places = (await placesOf(page)).map((place, at) => {
    demand(place.redirect || place.document, `the page says what to do at ${place.address}`);
    // Where there are two ways, now the one and now the other; both are good for ever.
    return place.redirect && at % 2 === 0 ? { ...place, document: undefined } : place;
  });
  writeFileSync(plan.site.places, JSON.stringify(places));
  const records = await recordsOf(page);
  demand(records.some(({ rtype }) => rtype === "SRV"), "the page shows records");
  publish(records);
}

/** The owner's own certificate, by the form, once the page asks for it. */
async function upload(page, home) {
  await page.goto(home);
  await page.waitForSelector("#part-next a[href$='/identity']", { timeout: DEADLINE });
  await page.click("#part-next a[href$='/identity']");
  await page.fill("textarea[name=chain_pem]", readFileSync(plan.upload.chain, "utf8"));
  await page.fill("textarea[name=key_pem]", readFileSync(plan.upload.key, "utf8"));
  await page.click("form:has(textarea[name=chain_pem]) button");
  await page.waitForSelector("#part-current dl.facts");
}

/** Loads the page anew until it says what it should; what it says meanwhile goes to `says`. */
async function reload(page, home, says, end) {
  // An address with a place in the page would lead there, and load nothing.
  const address = home.split("#")[0];
  for (;;) {
    await page.goto(address);
    if (await says()) return;
    demand(Date.now() < end, `not in time: ${await page.innerText("main")}`);
  }
}

/** The page turns live, without being reloaded where there is JavaScript; gives the words it said on the way. */
async function untilLive(page, home, published) {
  const seen = [];
  const isLive = async () => {
    const word = (await page.innerText("#part-head [data-say]")).trim();
    if (seen.at(-1) !== word) seen.push(word);
    return /\blive\b/.test(word);
  };
  const end = published + PROMISED;
  if (plan.quiet) {
    await reload(page, home, isLive, end);
    return seen;
  }
  await page.goto(home);
  const origin = await page.evaluate(() => performance.timeOrigin);
  while (!(await isLive())) {
    const changes = (w) => document.querySelector("#part-head [data-say]").innerText.trim() !== w;
    await page.waitForFunction(changes, seen.at(-1), { timeout: Math.max(end - Date.now(), 1) })
      .catch(async () => { throw new Error(`not live within the promised minute: ${await page.innerText("main")}`); });
  }
  demand((await page.evaluate(() => performance.timeOrigin)) === origin, "the page changed without a reload");
  return seen;
}

/** What the look that made it live could not see yet is seen soon, and nothing that is needed is amiss. */
async function untilWell(page, home) {
  const amiss = ".checks .check.is-bad, .checks .check.is-warn";
  const well = async () => (await page.locator(amiss).count()) === 0;
  if (plan.quiet) {
    await reload(page, home, well, Date.now() + DEADLINE);
    return;
  }
  await page.waitForFunction((amiss) => document.querySelectorAll(amiss).length === 0, amiss, { timeout: DEADLINE })
    .catch(async () => { throw new Error(`something stays amiss: ${await page.innerText("main")}`); });
}

async function addPeople(page, home) {
  for (const person of plan.people) {
    await page.goto(`${home}/people`);
    await page.fill("#local", person.local);
    await page.fill("#password", person.password);
    await page.click("form[action$='/people'] button");
    await page.waitForSelector(`text=${person.local}@${plan.domain}`);
  }
}

/** Both sign in by converse.js, which the website's host-meta leads to us, and each reads what the other writes. */
async function chat(context) {
  const { origin, close } = await clientPages();
  const addresses = plan.people.map(({ local }) => `${local}@${plan.domain}`);
  const pages = [];
  for (const [at, person] of plan.people.entries()) {
    const page = await blank(context);
    // Clients keep what they know by origin, and these two are two people.
    await page.goto(`${origin.replace("localhost", `person${at}.localhost`)}/converse`);
    const sockets = await startConverse(page, { jid: addresses[at], password: person.password });
    demand(sockets.includes(`wss://${plan.web.name}/xmpp-websocket`), `host-meta led to ${sockets}`);
    pages.push(page);
  }
  // Both look at the conversation before anything is said in it: converse.js shows a message in the one that is open.
  for (const [at, page] of pages.entries()) {
    await page.evaluate((jid) => window.api.chats.open(jid, {}, true), addresses[1 - at]);
    await page.waitForSelector("textarea.chat-textarea");
  }
  const say = async (from, to, words) => {
    await pages[from].fill("textarea.chat-textarea", words);
    await pages[from].press("textarea.chat-textarea", "Enter");
    await pages[to].locator(".chat-msg__text", { hasText: words }).waitFor();
  };
  await say(0, 1, `hello from ${plan.domain}`);
  await say(1, 0, "hello yourself");
  for (const page of pages) await page.close();
  close();
}

async function main() {
  // The domain did not exist until now.
  publish([plan.domain, `rooms.${plan.domain}`].map((name) => ({ name: `${name}.`, rtype: "A", value: plan.site.ip })));
  const pins = [plan.site.cert, plan.web.cert].map(pin).join(",");
  const [host, port] = plan.web.name.split(":");
  const context = await openProfile(
    `--ignore-certificate-errors-spki-list=${pins}`,
    `--host-resolver-rules=MAP ${plan.domain}:443 ${plan.site.ip}:443, MAP ${host}:${port} ${plan.web.door}`,
  );
  const browser = plan.quiet && await open();
  const page = await blank(browser ? await browser.newContext({ javaScriptEnabled: false }) : context);
  const errors = [];
  page.on("pageerror", (error) => errors.push(String(error)));
  const home = await signUp(page);
  const foreseen = await choose(page, home);
  await follow(page, home);
  if (plan.upload) await upload(page, home);
  const published = Date.now();
  const states = await untilLive(page, home, published);
  const seconds = (Date.now() - published) / 1000;
  await untilWell(page, home);
  // axe-core is a script, too.
  if (!plan.quiet) await look(page, `newcomer-${plan.mode}-live`);
  await asForeseen(page, home, foreseen);
  await addPeople(page, home);
  await chat(context);
  await context.close();
  if (browser) await browser.close();
  demand(errors.length === 0, errors.join("; "));
  return { seconds, states, foreseen };
}

tell(main);
