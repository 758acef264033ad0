// Passkeys in a real browser with an authenticator in software (over the DevTools protocol): made, used alone, used as the
// second half of signing in, taken away.
//
// Usage: node passkeys.mjs PLAN.json, where PLAN is {panel: "http://localhost:PORT", address: "IP", who: {login, password},
// shots: DIR}. Prints {"alone": true, "second": true} as one JSON line; ends with 1 and a sentence when something is wrong.

import { blank, demand, fillIn, inside, look, open, plan, signIn, tell } from "./common.mjs";

async function out(page) {
  await page.click("button:has-text('Sign out')");
  await page.waitForURL((url) => url.pathname === "/sign-in");
}

async function main() {
  const browser = await open(`--host-resolver-rules=MAP localhost ${plan.address}`);
  const page = await blank(browser);
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
  await signIn(page, plan.who);
  await page.goto(`${plan.panel}/me`);
  await page.fill("#passkey-name", "software");
  await page.fill("#passkey-password", plan.who.password);
  await page.click("button:has-text('Make a passkey')");
  await page.waitForURL((url) => url.search.includes("passkey-added"));
  await look(page, "passkeys");
  await out(page);
  await look(page, "sign-in-passkey");

  await page.click("button:has-text('Sign in with a passkey')");
  await inside(page);
  await out(page);

  await fillIn(page, plan.who);
  await page.waitForURL((url) => url.pathname === "/sign-in/code");
  await page.click("button:has-text('Use your passkey')");
  await inside(page);
  await page.goto(`${plan.panel}/me`);
  demand(!(await page.innerText("#passkeys-title ~ .list")).includes("never"), "the use is noted");
  await page.click("summary:has-text('Take away')");
  await page.fill("details[open] input[name=password]", plan.who.password);
  await page.click("button:has-text('Take away')");
  await page.waitForURL((url) => url.search.includes("passkey-removed"));
  await out(page);

  // What the server does not know opens nothing, and the page says so.
  await page.click("button:has-text('Sign in with a passkey')");
  demand((await page.innerText("#problem")).includes("passkey"), "a passkey that was taken away is refused");
  await devtools.send("WebAuthn.removeVirtualAuthenticator", { authenticatorId });
  await signIn(page, plan.who);
  demand(!said.some((text) => text.includes("Content Security Policy")), `CSP: ${said}`);
  await browser.close();
  return { alone: true, second: true };
}

tell(main);
