// The pages of peers with which something went wrong, in a real browser: one sign-in, then page after page, each read as a
// person reads it and looked at on a desktop and on a phone, light and dark.
//
// Usage: node faults.mjs PLAN.json, where PLAN is {panel, operator: {login, password}, list: PATH, pages: [{name, path}],
// shots: DIR}. Prints a JSON array of {why, side, remedy} in the order of the pages; ends with 1 and a sentence when
// something is wrong.

import { blank, demand, look, openProfile, plan, signIn, tell } from "./common.mjs";

async function main() {
  const context = await openProfile();
  const page = await blank(context);
  await signIn(page, plan.operator);

  const told = [];
  for (const { name, path } of plan.pages) {
    await page.goto(plan.panel + path);
    const last = page.locator("main article").first();
    const text = async (part) => (await last.locator(`[data-told=${part}]`).innerText()).trim();
    told.push({ why: await text("why"), side: await text("side"), remedy: await text("remedy") });
    // Everything that was seen is there, folded.
    await last.locator("summary").click();
    demand((await last.locator("dl.facts").innerText()).includes("Code"), `${name} names its code`);
    await look(page, `${name}-unfolded`, ["phone"]);
    await last.locator("summary").click();
    await look(page, name);
  }
  await page.goto(plan.panel + plan.list);
  await look(page, "all-peers");
  await context.close();
  return told;
}

tell(main);
