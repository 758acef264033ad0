// Clients that people use in a browser: converse.js finds the service by host-meta and chats over WebSocket; strophe.js does
// so over BOSH. Their pages come from node_modules, from an origin that is not the domain's.
//
// Usage: node chat.mjs PLAN.json, where PLAN is {ca, domain, door: "IP:PORT", jid, password, peer}. The peer returns every
// message. Prints one JSON line; ends with 1 and a sentence when something is wrong.

import { DEADLINE, believing, blank, clientPages, demand, openProfile, plan, startConverse, tell } from "./common.mjs";

async function withConverse(page, origin) {
  await page.goto(`${origin}/converse`);
  const sockets = await startConverse(page, plan);
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

async function main() {
  const { origin, close } = await clientPages();
  const context = await openProfile(...(await believing(plan)));
  const said = [];
  try {
    for (const [name, client] of [["strophe.js", withStrophe], ["converse.js", withConverse]]) {
      const page = await blank(context);
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
    close();
  }
  return { clients: 2 };
}

tell(main);
