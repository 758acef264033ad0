// Another device of somebody who was chatting: converse.js, which has been told nothing, finds what was said in a chat and in a
// room in their archives (XEP-0313).
//
// Usage: node evening.mjs PLAN.json, where PLAN is {ca, domain, door: "IP:PORT", jid, password, nick, places: [{jid, room, said}]};
// `said` are lines that must be shown, the oldest first. Prints how many queries each place took; ends with 1 and a
// sentence when something is wrong.

import { DEADLINE, believing, blank, clientPages, demand, openProfile, plan, startConverse, tell } from "./common.mjs";

const MAM = "urn:xmpp:mam:2";

/** Frames of every socket of the page, as they come and go. */
function frames(page) {
  const seen = { sent: [], received: [] };
  page.on("websocket", (socket) => {
    socket.on("framesent", ({ payload }) => seen.sent.push(String(payload)));
    socket.on("framereceived", ({ payload }) => seen.received.push(String(payload)));
  });
  return seen;
}

/**
 * The lines of a place are shown, from the newest to the oldest, as somebody reads who scrolls up: the page draws a hundred lines
 * around where it is looked at, and has a link where something is missing.
 */
async function reads(page, { jid, room, said }) {
  await page.evaluate(({ jid, room, nick }) => room ? window.api.rooms.open(jid, { nick }, true) : window.api.chats.open(jid, {}, true),
    { jid, room, nick: plan.nick });
  await page.evaluate(() => { window.read = new Set(); });
  await page.waitForFunction(({ place, said }) => {
    for (const line of document.querySelectorAll(`${place} .chat-msg__text`)) window.read.add(line.textContent.trim());
    if (said.every((line) => window.read.has(line))) return true;
    document.querySelector(`${place} converse-mam-placeholder a`)?.click();
    const lines = document.querySelector(`${place} .chat-content__messages`);
    // To the top, and a little down where it is there already: the page follows what moves.
    const top = lines ? lines.scrollTop : 0;
    lines?.scrollBy(0, -1e6);
    if (lines && lines.scrollTop === top) lines.scrollBy(0, 50);
    return false;
  }, { place: `converse-${room ? "muc" : "chat"}[jid="${jid}"]`, said }, { timeout: 2 * DEADLINE });
}

async function main() {
  const { origin, close } = await clientPages();
  const context = await openProfile(...(await believing(plan)));
  const page = await blank(context);
  const said = [];
  page.on("console", (message) => said.push(message.text()));
  page.on("pageerror", (error) => said.push(String(error)));
  const seen = frames(page);
  const result = {};
  try {
    await page.goto(`${origin}/converse`);
    await startConverse(page, plan);
    for (const place of plan.places) {
      await reads(page, place);
      const asked = seen.sent.filter((frame) => frame.includes(`xmlns="${MAM}"`) && frame.includes("<query")
        && (place.room ? frame.includes(`to="${place.jid}"`) : frame.includes(`<value>${place.jid}</value>`)));
      demand(asked.length > 0, `no archive was asked about ${place.jid}`);
      const results = seen.received.filter((frame) => frame.includes("<result") && frame.includes(MAM));
      for (const line of place.said) {
        demand(results.some((frame) => frame.includes(line)), `"${line}" is shown, and came from no archive`);
        // Nothing else of this page has it: it was not there, and is not handed out again.
        demand(!seen.received.some((frame) => frame.includes(line) && !results.includes(frame)), `"${line}" came as news`);
      }
      result[place.jid] = asked.length;
    }
    await page.evaluate(() => window.api.user.logout());
  } catch (error) {
    console.error(said.slice(-60).join("\n"));
    throw error;
  } finally {
    await context.close();
    close();
  }
  return result;
}

tell(main);
