// An owner invites somebody in the panel; whoever gets the link opens it at the domain's own door, without a script, on a
// phone and a desktop, light and dark, and makes an account there.
//
// Usage: node invited.mjs PLAN.json, where PLAN is {panel, who: {login, password}, ca, domain, door: "IP:PORT", contact, local,
// password, shots: DIR}. Prints {link, uri, address} as one JSON line; ends with 1 and a sentence when something is wrong.

import { createHash } from "node:crypto";
import { createRequire } from "node:module";
import { mkdirSync, readFileSync } from "node:fs";
import { connect } from "node:tls";
import { join } from "node:path";

const plan = JSON.parse(readFileSync(process.argv[2], "utf8"));
const require = createRequire(join(process.env.TEST_NODE, "package.json"));
const { chromium } = require("playwright-core");
const axeSource = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const DEADLINE = 60_000;
const ARGS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync",
];
const WIDTHS = { phone: 390, desktop: 1440 };

function demand(condition, sentence) {
  if (!condition) throw new Error(sentence);
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
    await page.evaluate(axeSource);
    const result = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
    const bad = result.violations.filter((v) => v.impact === "serious" || v.impact === "critical");
    const said = bad.map((v) => `${v.id} (${v.nodes.map((n) => n.target.join(" ")).slice(0, 3).join(", ")})`);
    demand(bad.length === 0, `axe-core on ${name} (${scheme}): ${said.join("; ")}`);
  }
}

// The key of the domain's certificate, which the sandbox's authority vouches for: Chromium believes this one beside those that
// the system vouches for.
function proven() {
  const [host, port] = plan.door.split(":");
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, servername: plan.domain, ca: readFileSync(plan.ca) }, () => {
      const key = socket.getPeerX509Certificate().publicKey.export({ type: "spki", format: "der" });
      socket.end();
      resolve(createHash("sha256").update(key).digest("base64"));
    });
    socket.on("error", reject);
  });
}

async function invite(browser) {
  const page = await browser.newPage();
  page.setDefaultTimeout(DEADLINE);
  await page.goto(`${plan.panel}/sign-in`);
  await page.fill("#login", plan.who.login);
  await page.fill("#password", plan.who.password);
  await page.click("main form button");
  await page.waitForURL((url) => !url.pathname.startsWith("/sign-in"));
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
  mkdirSync(plan.shots, { recursive: true });
  const pin = await proven();
  const browser = await chromium.launch({
    executablePath: "/usr/bin/chromium",
    args: [...ARGS, `--ignore-certificate-errors-spki-list=${pin}`, `--host-resolver-rules=MAP ${plan.domain}:443 ${plan.door}`],
  });
  const { link, uri } = await invite(browser);
  const here = `https://${plan.domain}${new URL(link).pathname}`;

  const looking = await browser.newPage();
  looking.setDefaultTimeout(DEADLINE);
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
  const page = await quiet.newPage();
  page.setDefaultTimeout(DEADLINE);
  await page.goto(here);
  await page.click("summary");
  await page.fill("#local", plan.local);
  await page.fill("#password", "short");
  await page.click("main form button");
  demand((await page.innerText("#problem")).includes("password"), "a weak password is told");
  await page.fill("#password", plan.password);
  await page.click("main form button");
  const address = (await page.locator("h1 .mono").innerText()).trim();
  const again = await page.goto(here);
  demand(again.status() === 404, `a link is good once, and answers ${again.status()}`);
  await browser.close();
  process.stdout.write(JSON.stringify({ link, uri, address }));
}

main().then(() => process.exit(0), (error) => {
  console.error(`invited.mjs: ${error.stack ?? error}`);
  process.exit(1);
});
