// Passkeys in a real browser with an authenticator in software (over the DevTools protocol): made, used alone, used as the
// second half of signing in, taken away.
//
// Usage: node passkeys.mjs PLAN.json, where PLAN is {panel: "http://localhost:PORT", address: "IP", who: {login, password},
// shots: DIR}. Prints {"alone": true, "second": true} as one JSON line; ends with 1 and a sentence when something is wrong.

import { createRequire } from "node:module";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const plan = JSON.parse(readFileSync(process.argv[2], "utf8"));
const require = createRequire(join(process.env.TEST_NODE, "package.json"));
const { chromium } = require("playwright-core");
const axeSource = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const DEADLINE = 60_000;
const ARGS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", `--host-resolver-rules=MAP localhost ${plan.address}`,
];

function demand(condition, sentence) {
  if (!condition) throw new Error(sentence);
}

async function inspect(page, name) {
  for (const scheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme: scheme });
    for (const [device, width] of Object.entries({ phone: 390, desktop: 1440 })) {
      await page.setViewportSize({ width, height: 900 });
      await page.screenshot({ path: join(plan.shots, `${name}-${device}-${scheme}.png`), fullPage: true });
    }
    await page.evaluate(axeSource);
    const result = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
    const bad = result.violations.filter((v) => v.impact === "serious" || v.impact === "critical");
    demand(bad.length === 0, `axe-core on ${name} (${scheme}): ${bad.map((v) => v.id).join(", ")}`);
  }
}

async function password(page) {
  await page.goto(`${plan.panel}/sign-in`);
  await page.fill("#login", plan.who.login);
  await page.fill("#password", plan.who.password);
  await page.click("form:has(#password) button");
}

async function out(page) {
  await page.click("button:has-text('Sign out')");
  await page.waitForURL((url) => url.pathname === "/sign-in");
}

const inside = (page) => page.waitForURL((url) => !url.pathname.startsWith("/sign-in"));

async function main() {
  mkdirSync(plan.shots, { recursive: true });
  const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ARGS });
  const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
  page.setDefaultTimeout(DEADLINE);
  const said = [];
  page.on("console", (message) => said.push(message.text()));
  const devtools = await page.context().newCDPSession(page);
  await devtools.send("WebAuthn.enable");
  const { authenticatorId } = await devtools.send("WebAuthn.addVirtualAuthenticator", {
    options: {
      protocol: "ctap2", transport: "internal", hasResidentKey: true, hasUserVerification: true, isUserVerified: true,
      automaticPresenceSimulation: true,
    },
  });
  await password(page);
  await inside(page);
  await page.goto(`${plan.panel}/me`);
  await page.fill("#passkey-name", "software");
  await page.click("button:has-text('Make a passkey')");
  await page.waitForURL((url) => url.search.includes("passkey-added"));
  await inspect(page, "passkeys");
  await out(page);
  await inspect(page, "sign-in-passkey");

  await page.click("button:has-text('Sign in with a passkey')");
  await inside(page);
  await out(page);

  await password(page);
  await page.waitForURL((url) => url.pathname === "/sign-in/code");
  await page.click("button:has-text('Use your passkey')");
  await inside(page);
  await page.goto(`${plan.panel}/me`);
  demand(!(await page.innerText("#passkeys-title ~ .list")).includes("never"), "the use is noted");
  await page.click("button:has-text('Take away')");
  await page.waitForURL((url) => url.search.includes("passkey-removed"));
  await out(page);

  // What the server does not know opens nothing, and the page says so.
  await page.click("button:has-text('Sign in with a passkey')");
  demand((await page.innerText("#problem")).includes("passkey"), "a passkey that was taken away is refused");
  await devtools.send("WebAuthn.removeVirtualAuthenticator", { authenticatorId });
  await password(page);
  await inside(page);
  demand(!said.some((text) => text.includes("Content Security Policy")), `CSP: ${said}`);
  await browser.close();
  process.stdout.write(JSON.stringify({ alone: true, second: true }));
}

main().then(() => process.exit(0), (error) => {
  console.error(`passkeys.mjs: ${error.stack ?? error}`);
  process.exit(1);
});
