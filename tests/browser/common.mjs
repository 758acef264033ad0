// What the browser scripts have in common: the plan that the test hands in, Chromium, and how a page is looked at.
//
// A script is started as `node SCRIPT.mjs PLAN.json` with TEST_NODE naming where tests/install put the packages; it prints what
// it saw as JSON and ends with 1 and a sentence when something is wrong.

import { createHash } from "node:crypto";
import { createRequire } from "node:module";
import { mkdirSync, mkdtempSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { connect } from "node:tls";
import { basename, extname, join, normalize, resolve } from "node:path";

/** Where packages are. */
const place = resolve(process.env.TEST_NODE);
export const modules = join(place, "node_modules");
const require = createRequire(join(place, "package.json"));
const { chromium } = require("playwright-core");
const axeSource = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

/** What the test wants; its shape is in the head of each script. */
export const plan = JSON.parse(readFileSync(process.argv[2], "utf8"));
if (plan.shots) mkdirSync(plan.shots, { recursive: true });

/** How long any one thing may take, in milliseconds. */
export const DEADLINE = 90_000;
/** Bytes of a page. */
export const PAGE_LIMIT = 100 * 1024;
/** Widths that pages are made for, in CSS pixels. */
export const WIDTHS = { phone: 390, tablet: 768, desktop: 1440 };
const ARGS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync",
];
const PROGRAM = "/usr/bin/chromium";

/** Ends the script with this sentence unless the condition holds. */
export function demand(condition, sentence) {
  if (!condition) throw new Error(sentence);
}

/** A browser whose contexts know nothing of each other. */
export function open(...args) {
  return chromium.launch({ executablePath: PROGRAM, args: [...ARGS, ...args] });
}

/** A browser with a profile on disk, as people have one; it is its only context. */
export function openProfile(...args) {
  const profile = mkdtempSync(join(tmpdir(), "domicile-browser-"));
  return chromium.launchPersistentContext(profile, {
    executablePath: PROGRAM, args: [...ARGS, ...args], viewport: { width: WIDTHS.desktop, height: 900 },
  });
}

/** A new page of a browser or context. */
export async function blank(of) {
  const page = await of.newPage();
  page.setDefaultTimeout(DEADLINE);
  return page;
}

/**
 * What makes Chromium believe `domain` at `door` ("IP:PORT"), beside what the system vouches for: its certificate's key, which
 * the authority in the file `ca` vouches for.
 */
export async function believing({ domain, door, ca }) {
  const [host, port] = door.split(":");
  const pin = await new Promise((resolve, reject) => {
    const socket = connect({ host, port, servername: domain, ca: readFileSync(ca) }, () => {
      const key = socket.getPeerX509Certificate().publicKey.export({ type: "spki", format: "der" });
      socket.end();
      resolve(createHash("sha256").update(key).digest("base64"));
    });
    socket.on("error", reject);
  });
  return [`--ignore-certificate-errors-spki-list=${pin}`, `--host-resolver-rules=MAP ${domain}:443 ${door}`];
}

/** axe-core finds nothing serious. */
export async function inspect(page, name) {
  // The panel's CSP forbids inline script; axe is evaluated by the browser's debugger, which CSP does not concern.
  await page.evaluate(axeSource);
  const result = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
  const bad = result.violations.filter((v) => v.impact === "serious" || v.impact === "critical");
  const said = bad.map((v) => `${v.id} (${v.nodes.map((n) => n.target.join(" ")).slice(0, 3).join(", ")})`);
  demand(bad.length === 0, `axe-core on ${name}: ${said.join("; ")}`);
}

/** The page fits each of the widths, in both themes; axe-core finds nothing serious; what it looks like is kept. */
export async function look(page, name, devices = ["phone", "desktop"]) {
  for (const scheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme: scheme });
    for (const device of devices) {
      const width = WIDTHS[device];
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

/** Writes login and password into the form of the sign-in page. */
export async function fillIn(page, who) {
  await page.goto(`${plan.panel}/sign-in`);
  await page.fill("#login", who.login);
  await page.fill("#password", who.password);
  await page.click("form:has(#password) button");
}

/** The page is behind the sign-in. */
export const inside = (page) => page.waitForURL((url) => !url.pathname.startsWith("/sign-in"));

/** Signs in with a password alone. */
export async function signIn(page, who) {
  await fillIn(page, who);
  await inside(page);
}

const TYPES = { ".js": "text/javascript", ".css": "text/css", ".json": "application/json", ".html": "text/html" };
const CLIENTS = {
  "/converse": `<!doctype html><html><head><meta charset="utf-8"><link rel="stylesheet"
    href="/converse.js/dist/converse.min.css"><script type="module" src="/converse.js/dist/converse.js"></script></head><body></body></html>`,
  "/strophe": `<!doctype html><html><head><meta charset="utf-8"><script
    src="/strophe.js/dist/strophe.umd.min.js"></script></head><body></body></html>`,
};

/** Pages of chat clients, from node_modules, at an origin that is no chat domain's: `/converse` and `/strophe`. */
export async function clientPages() {
  const pages = createServer((request, response) => {
    const path = new URL(request.url, "http://localhost").pathname;
    if (CLIENTS[path]) return response.setHeader("content-type", "text/html").end(CLIENTS[path]);
    try {
      const bytes = readFileSync(join(modules, normalize(path)));
      response.setHeader("content-type", TYPES[extname(path)] ?? "application/octet-stream").end(bytes);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise((ready) => pages.listen(0, "127.0.0.1", ready));
  return { origin: `http://localhost:${pages.address().port}`, close: () => pages.close() };
}

/** Signs in with the converse.js of this page, which finds the service by itself; gives the sockets that it opened. */
export async function startConverse(page, { jid, password }) {
  const sockets = [];
  page.on("websocket", (socket) => sockets.push(socket.url()));
  await page.waitForFunction(() => window.converse?.initialize);
  await page.evaluate(({ jid, password }) => {
    window.converse.plugins.add("test", { initialize() { window.api = this._converse.api; } });
    window.converse.initialize({
      authentication: "login", auto_login: true, jid, password, view_mode: "fullscreen", assets_path: "/converse.js/dist/",
      whitelisted_plugins: ["test"], allow_url_history_change: false, show_background: false, play_sounds: false,
      discover_connection_methods: true, loglevel: "info", i18n: "en", allow_non_roster_messaging: true,
    });
  }, { jid, password });
  await page.waitForFunction(() => window.api?.connection?.authenticated?.() ?? false, null, { timeout: DEADLINE });
  return sockets;
}

/** Runs the script: prints what `main` saw, or what is wrong. */
export function tell(main) {
  main().then((seen) => {
    process.stdout.write(`${JSON.stringify(seen)}\n`, () => process.exit(0));
  }, (error) => {
    console.error(`${basename(process.argv[1])}: ${error.stack ?? error}`);
    process.exit(1);
  });
}
