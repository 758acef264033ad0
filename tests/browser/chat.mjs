// Clients that people use in a browser: converse.js finds the service by host-meta and chats over WebSocket; strophe.js does
// so over BOSH. Their pages come from node_modules, from an origin that is not the domain's.
//
// Usage: node chat.mjs PLAN.json, where PLAN is {ca, domain, door: "IP:PORT", jid, password, peer}. The peer returns every
// message. Prints one JSON line; ends with 1 and a sentence when something is wrong.

import { createHash } from "node:crypto";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { connect } from "node:tls";
import { extname, join, normalize } from "node:path";

const plan = JSON.parse(readFileSync(process.argv[2], "utf8"));
const modules = join(process.env.TEST_NODE, "node_modules");
const require = createRequire(join(process.env.TEST_NODE, "package.json"));
const { chromium } = require("playwright-core");

const DEADLINE = 90_000;
const TYPES = { ".js": "text/javascript", ".css": "text/css", ".json": "application/json", ".html": "text/html" };
const PAGES = {
  "/converse": `<!doctype html><html><head><meta charset="utf-8"><link rel="stylesheet"
    href="/converse.js/dist/converse.min.css"><script type="module" src="/converse.js/dist/converse.js"></script></head><body></body></html>`,
  "/strophe": `<!doctype html><html><head><meta charset="utf-8"><script
    src="/strophe.js/dist/strophe.umd.min.js"></script></head><body></body></html>`,
};

function demand(condition, sentence) {
  if (!condition) throw new Error(sentence);
}

const pages = createServer((request, response) => {
  const path = new URL(request.url, "http://localhost").pathname;
  if (PAGES[path]) return response.setHeader("content-type", "text/html").end(PAGES[path]);
  try {
    const bytes = readFileSync(join(modules, normalize(path)));
    response.setHeader("content-type", TYPES[extname(path)] ?? "application/octet-stream").end(bytes);
  } catch {
    response.writeHead(404).end();
  }
});

async function withConverse(page, origin) {
  const sockets = [];
  page.on("websocket", (socket) => sockets.push(socket.url()));
  await page.goto(`${origin}/converse`);
  await page.waitForFunction(() => window.converse?.initialize);
  await page.evaluate(({ jid, password }) => {
    window.converse.plugins.add("test", { initialize() { window.api = this._converse.api; } });
    window.converse.initialize({
      authentication: "login", auto_login: true, jid, password, view_mode: "fullscreen", assets_path: "/converse.js/dist/",
      whitelisted_plugins: ["test"], allow_url_history_change: false, show_background: false, play_sounds: false,
      discover_connection_methods: true, loglevel: "info", i18n: "en", allow_non_roster_messaging: true,
    });
  }, plan);
  await page.waitForFunction(() => window.api?.connection?.authenticated?.() ?? false, null, { timeout: DEADLINE });
  demand(sockets.includes(`wss://${plan.domain}/xmpp-websocket`), `host-meta led to ${sockets}`);
  const rosterHas = (jid) => page.evaluate(async (jid) => {
    await window.api.waitUntil("rosterContactsFetched");
    return Boolean(await window.api.contacts.get(jid));
  }, jid);
  if (!(await rosterHas(plan.peer))) {
    await page.evaluate((jid) => window.api.contacts.add({ jid }), plan.peer);
  }
  // The other person is in the roster and seen to be online.
  await page.waitForFunction(async (jid) => {
    const contact = await window.api.contacts.get(jid);
    return contact?.presence?.get("show") === "online" || contact?.getStatus?.() === "online";
  }, plan.peer, { timeout: DEADLINE });
  await page.evaluate((jid) => window.api.chats.open(jid, {}, true), plan.peer);
  await page.waitForSelector("textarea.chat-textarea");
  await page.fill("textarea.chat-textarea", "hello from a browser");
  await page.press("textarea.chat-textarea", "Enter");
  await page.getByText("echo: hello from a browser").first().waitFor();
  await page.evaluate(() => window.api.user.logout());
}

async function withStrophe(page, origin) {
  const asked = [];
  page.on("request", (request) => asked.push(`${request.method()} ${request.url()}`));
  await page.goto(`${origin}/strophe`);
  const got = await page.evaluate(({ jid, password, peer, domain }) => new Promise((resolve, reject) => {
    const connection = new Strophe.Connection(`https://${domain}/http-bind`);
    connection.connect(`${jid}/strophe`, password, (status, why) => {
      if (status === Strophe.Status.CONNECTED) {
        connection.addHandler((message) => {
          const body = message.getElementsByTagName("body")[0]?.textContent;
          if (body) {
            connection.disconnect();
            resolve(body);
          }
          return true;
        }, null, "message", "chat");
        connection.send($pres());
        connection.send($msg({ to: peer, type: "chat" }).c("body").t("hello over requests"));
      } else if ([Strophe.Status.AUTHFAIL, Strophe.Status.CONNFAIL, Strophe.Status.ERROR].includes(status)) {
        reject(new Error(`strophe.js: ${status} ${why}`));
      }
    });
  }), plan);
  demand(got === "echo: hello over requests", `strophe.js got ${got}`);
  demand(asked.includes(`POST https://${plan.domain}/http-bind`), `strophe.js asked ${asked}`);
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

async function main() {
  await new Promise((ready) => pages.listen(0, "127.0.0.1", ready));
  const origin = `http://localhost:${pages.address().port}`;
  const pin = await proven();
  const context = await chromium.launchPersistentContext(mkdtempSync(join(tmpdir(), "domicile-browser-")), {
    executablePath: "/usr/bin/chromium",
    args: [
      "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync", `--ignore-certificate-errors-spki-list=${pin}`,
      `--host-resolver-rules=MAP ${plan.domain}:443 ${plan.door}`,
    ],
  });
  const said = [];
  try {
    for (const [name, client] of [["strophe.js", withStrophe], ["converse.js", withConverse]]) {
      const page = await context.newPage();
      page.setDefaultTimeout(DEADLINE);
      page.on("console", (message) => said.push(`${name}: ${message.text()}`));
      page.on("pageerror", (error) => said.push(`${name}: ${error}`));
      await client(page, origin);
      await page.close();
    }
  } catch (error) {
    console.error(said.slice(-60).join("\n"));
    throw error;
  } finally {
    await context.close();
    pages.close();
  }
  console.log(JSON.stringify({ clients: 2 }));
}

main().catch((error) => {
  console.error(String(error?.stack ?? error));
  process.exit(1);
});
