// The panel's only script: copy buttons, a hint while a domain is typed, and pages that follow what changes.
// Everything else works without it.
'use strict';
document.documentElement.classList.add('js');

// On a phone the sections are a strip: the present one is in sight.
const showPresent = () => {
  const strip = document.querySelector('.sections');
  const present = strip?.querySelector('[aria-current]');
  if (present) strip.scrollLeft = present.offsetLeft - strip.offsetLeft - (strip.clientWidth - present.offsetWidth) / 2;
};
showPresent();
addEventListener('resize', showPresent);

// --- copy buttons ---

function copyText(text) {
  if (navigator.clipboard && window.isSecureContext) return navigator.clipboard.writeText(text);
  const area = document.createElement('textarea');
  area.value = text;
  area.className = 'sr';
  document.body.append(area);
  area.select();
  const done = document.execCommand('copy');
  area.remove();
  return done ? Promise.resolve() : Promise.reject(new Error('copy refused'));
}

document.addEventListener('click', (event) => {
  const button = event.target.closest('[data-copy], [data-copy-from]');
  if (!button) return;
  const from = button.dataset.copyFrom;
  const text = from ? document.getElementById(from).textContent : button.dataset.copy;
  copyText(text).then(() => {
    button.classList.add('done');
    announce('Copied');
    setTimeout(() => button.classList.remove('done'), 1600);
  }, () => announce('Your browser does not let us copy; select the text instead'));
});

function announce(text) {
  const place = document.getElementById('announce');
  if (place) place.textContent = text;
}

// --- the hint under a domain field ---

for (const field of document.querySelectorAll('input[data-hint]')) {
  const place = document.getElementById(field.getAttribute('aria-describedby').split(' ')[0]);
  let timer;
  field.addEventListener('input', () => {
    clearTimeout(timer);
    timer = setTimeout(async () => {
      const typed = field.value.trim();
      if (!typed) { place.replaceChildren(); return; }
      const answer = await fetch(field.dataset.hint + '?domain=' + encodeURIComponent(typed));
      if (answer.ok && field.value.trim() === typed) replaceContent(place, await answer.text());
    }, 250);
  });
}

// --- what a choice would become, before it is made ---

// The page becomes that of the choice; what it shows is asked for as after any other change, so an older answer cannot win.
for (const form of document.querySelectorAll('form[data-foresee]')) {
  form.addEventListener('change', () => {
    const address = new URL(form.action);
    address.search = new URLSearchParams(new FormData(form));
    address.hash = '';
    history.replaceState(null, '', address);
    chosen = form;
    // What is shown is of another choice until then.
    document.getElementById(form.dataset.foresee).setAttribute('aria-busy', 'true');
    refresh();
  });
}

function replaceContent(place, html) {
  place.replaceChildren(...new DOMParser().parseFromString(html, 'text/html').body.childNodes);
}

// --- times that stay true while a page is open ---

function spell(then) {
  const seconds = Math.round((then - Date.now()) / 1000);
  const distance = Math.abs(seconds);
  if (distance < 5) return seconds > 0 ? 'in a moment' : 'just now';
  const [count, unit] = distance < 60 ? [distance, 'second']
    : distance < 3600 ? [Math.floor(distance / 60), 'minute']
      : distance < 129600 ? [Math.floor(distance / 3600), 'hour']
        : [Math.floor(distance / 86400), 'day'];
  const span = count + ' ' + unit + (count === 1 ? '' : 's');
  return seconds > 0 ? 'in ' + span : span + ' ago';
}

setInterval(() => {
  for (const time of document.querySelectorAll('time[data-relative]')) {
    time.textContent = spell(Date.parse(time.dateTime));
  }
}, 5000);

// --- pages that follow what changes ---

const follow = document.body.dataset.live;
let source = null;
// A form with a choice whose page is not here yet.
let chosen = null;
let busy = false;
let again = false;

if (follow && window.EventSource) {
  source = new EventSource('/live');
  source.addEventListener('change', (event) => {
    const change = JSON.parse(event.data);
    if (follow === '*' || !change.domain || change.domain === follow) refresh();
  });
  source.addEventListener('open', () => {
    document.body.classList.add('following');
    // Nobody told us of what changed between the page and the stream, or while the stream was down.
    refresh();
  });
  source.addEventListener('error', () => document.body.classList.remove('following'));
}

// One at a time: what changes meanwhile is asked for anew afterwards.
async function refresh() {
  if (busy) { again = true; return; }
  busy = true;
  const form = chosen;
  const place = location.href;
  try {
    const address = new URL(place);
    address.searchParams.delete('done');
    const answer = await fetch(address);
    const page = answer.ok ? new DOMParser().parseFromString(await answer.text(), 'text/html') : null;
    if (place !== location.href) {
      again = true;
    } else if (form && (!page || answer.redirected)) {
      // What cannot be shown in place is shown on a page of its own, with what stands in the way.
      form.submit();
    } else if (answer.redirected || answer.status === 404 || answer.status === 401) {
      source?.close();
      location.reload();
    } else if (page) {
      chosen = null;
      swap(page);
    }
  } catch (error) {
    // The server is away: the stream reconnects by itself, and then the page is asked for.
  } finally {
    busy = false;
    if (again) { again = false; refresh(); }
  }
}

// What changed by itself fades once; what somebody opened stays open; a field in use is left alone.
function swap(fresh) {
  for (const part of document.querySelectorAll('[data-part]')) {
    const next = fresh.getElementById(part.id);
    if (!next || next.outerHTML === part.outerHTML) continue;
    const active = part.contains(document.activeElement) ? document.activeElement : null;
    if (active && active.matches('input, textarea, select')) continue;
    const before = new Map();
    for (const row of part.querySelectorAll('[data-key]')) before.set(row.dataset.key, row);
    for (const row of next.querySelectorAll('[data-key]')) {
      const old = before.get(row.dataset.key);
      if (old && old.dataset.state !== row.dataset.state) row.classList.add('turned');
      else if (old && 'open' in old) row.open = old.open;
    }
    const say = next.querySelector('[data-say]');
    if (say && say.textContent !== part.querySelector('[data-say]')?.textContent) announce(say.textContent.trim());
    const index = active ? [...part.querySelectorAll('a, button, summary')].indexOf(active) : -1;
    part.replaceWith(next);
    if (index >= 0) next.querySelectorAll('a, button, summary')[index]?.focus({ preventScroll: true });
  }
  for (const chip of document.querySelectorAll('.side [data-chip]')) {
    const next = fresh.querySelector('.side [data-chip]');
    if (next) chip.replaceWith(next);
  }
}
