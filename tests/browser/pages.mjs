// Every page that an owner and the platform's operator reach by links, in a real browser: at three widths, light and dark,
// looked at by axe-core; walked through by keyboard alone; and the same page without JavaScript.
//
// Usage: node pages.mjs PLAN.json, where PLAN is {panel, who: [{login, password}], shots: DIR}. Prints a JSON array of the paths
// seen, each once, with names and numbers left out; ends with 1 and a sentence when something is wrong.

import { PAGE_LIMIT, WIDTHS, blank, demand, inside, look, open, plan, tell } from "./common.mjs";

// Files and streams, which are no pages.
const NO_PAGE = /\.(zone|csv)$|^\/live$|^\/api\/|^\/assets\//;

/** The kind of page behind a path: one domain's page stands for every domain's. */
function kind(path) {
  return path
    .split("?")[0]
    .replace(/^\/domains\/(?!new$)[^/]+/, "/domains/D")
    .replace(/\/people\/[^/]+$/, "/people/P")
    .replace(/\/federation\/[^/]+$/, "/federation/F")
    .replace(/^\/failing\/.+/, "/failing/C")
    .replace(/\/\d+/g, "/N");
}

/** Whatever can be pressed or typed into is reached by the tab key, and seen when it is. */
async function walk(page, name) {
  await page.evaluate(() => { document.activeElement?.blur(); window.scrollTo(0, 0); });
  const all = await page.evaluate(() => {
    const found = [...document.querySelectorAll("a[href], button, input, select, textarea, summary")].filter((e) => {
      const seen = e.checkVisibility({ checkVisibilityCSS: true }) && !e.disabled && !e.closest("fieldset[disabled]");
      // Of a group of radio buttons the tab key reaches one.
      return seen && e.type !== "hidden" && e.type !== "radio" && e.tabIndex >= 0;
    });
    found.forEach((e, at) => { e.dataset.walked = at; });
    return found.length;
  });
  const reached = new Set();
  for (let press = 0; press < all * 2 + 40 && reached.size < all; press += 1) {
    await page.keyboard.press("Tab");
    const at = await page.evaluate(() => {
      const here = document.activeElement;
      if (!here || here === document.body || here.dataset.walked === undefined) return null;
      const style = getComputedStyle(here);
      const shown = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0;
      return { at: here.dataset.walked, shown: shown || here.matches(".sr, .skip, :has(:focus)"), what: here.outerHTML.slice(0, 80) };
    });
    if (at === null) continue;
    demand(at.shown, `${name}: nothing shows that the focus is on ${at.what}`);
    reached.add(at.at);
  }
  if (reached.size < all) {
    const missed = await page.evaluate(
      (seen) => [...document.querySelectorAll("[data-walked]")].filter((e) => !seen.includes(e.dataset.walked)).map((e) => e.outerHTML.slice(0, 80)),
      [...reached],
    );
    throw new Error(`${name}: the tab key does not reach ${missed.slice(0, 3).join(" | ")}`);
  }
}

async function main() {
  const seen = new Set();
  const browser = await open();
  for (const [index, who] of plan.who.entries()) {
    const context = await browser.newContext({ viewport: { width: WIDTHS.desktop, height: 900 } });
    const quiet = await browser.newContext({ javaScriptEnabled: false });
    // A part that changes by itself in the middle of a walk would be lost on the way; onboarding.mjs looks at that.
    await context.route(/\/live(\?|$)/, (route) => route.abort());
    const page = await blank(context);
    await page.goto(`${plan.panel}/sign-in`);
    if (index === 0) await look(page, "sign-in", Object.keys(WIDTHS));
    await page.fill("#login", who.login);
    await page.fill("#password", who.password);
    await page.keyboard.press("Enter");
    await inside(page);
    await quiet.addCookies(await context.cookies());
    const still = await blank(quiet);

    const queue = ["/"];
    const kinds = new Set(["/"]);
    while (queue.length > 0) {
      const path = queue.shift();
      const answer = await page.goto(plan.panel + path);
      const name = `${index}${kind(path).replaceAll("/", "-")}`;
      demand(answer.status() === 200, `${path} answers ${answer.status()}`);
      demand((await answer.body()).length < PAGE_LIMIT, `${path} is too large`);
      demand((await page.locator("h1").count()) === 1, `${path} has one heading`);
      await look(page, name, Object.keys(WIDTHS));
      await walk(page, path);
      await still.goto(plan.panel + path);
      demand((await still.innerText("h1")) === (await page.innerText("h1")), `${path} is the same without JavaScript`);
      demand(!(await still.locator("button.copy").first().isVisible().catch(() => false)), `${path}: no button that does nothing`);
      seen.add(kind(path));
      const links = await page.evaluate(() => [...document.querySelectorAll("a[href]")].map((a) => a.getAttribute("href")));
      for (const link of links) {
        demand(!/^https?:/.test(link), `${path} leads elsewhere: ${link}`);
        if (!link.startsWith("/") || NO_PAGE.test(link.split("?")[0]) || kinds.has(kind(link))) continue;
        kinds.add(kind(link));
        queue.push(link);
      }
    }
    await context.close();
    await quiet.close();
  }
  await browser.close();
  return [...seen].sort();
}

tell(main);
