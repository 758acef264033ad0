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

for (const form of document.querySelectorAll('form[data-foresee]')) {
  let asked = 0;
  form.addEventListener('change', async () => {
    const mine = ++asked;
    const address = new URL(form.action);
    address.search = new URLSearchParams(new FormData(form));
    const answer = await fetch(address);
    if (mine !== asked) return;
    // What cannot be shown in place is shown on a page of its own, with what stands in the way.
    if (!answer.ok || answer.redirected) { form.submit(); return; }
    const fresh = new DOMParser().parseFromString(await answer.text(), 'text/html').getElementById(form.dataset.foresee);
    if (mine !== asked) return;
    document.getElementById(form.dataset.foresee).replaceWith(fresh);
    // A page that follows what changes asks for what it shows.
    address.hash = '';
    history.replaceState(null, '', address);
    announce(fresh.querySelector('p').textContent.trim());
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
if (follow && window.EventSource) {
  const source = new EventSource('/live');
  let busy = false;
  let again = false;
  source.addEventListener('change', (event) => {
    const change = JSON.parse(event.data);
    if (follow === '*' || !change.domain || change.domain === follow) refresh();
  });
  source.addEventListener('open', () => document.body.classList.add('following'));
  source.addEventListener('error', () => document.body.classList.remove('following'));

  const refresh = async () => {
    if (busy) { again = true; return; }
    busy = true;
    try {
      const address = new URL(location.href);
      address.searchParams.delete('done');
      const answer = await fetch(address);
      if (answer.redirected || answer.status === 404 || answer.status === 401) {
        source.close();
        location.reload();
        return;
      }
      if (answer.ok) swap(new DOMParser().parseFromString(await answer.text(), 'text/html'));
    } catch (error) {
      // The server is away: the stream reconnects by itself and the next change comes through.
    } finally {
      busy = false;
      if (again) { again = false; refresh(); }
    }
  };

  // What changed by itself fades once; what somebody opened stays open; a field in use is left alone.
  const swap = (fresh) => {
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
      const said = part.querySelector('[data-say]');
      if (say && said && say.textContent !== said.textContent) announce(say.textContent.trim());
      const index = active ? [...part.querySelectorAll('a, button, summary')].indexOf(active) : -1;
      part.replaceWith(next);
      if (index >= 0) next.querySelectorAll('a, button, summary')[index]?.focus({ preventScroll: true });
    }
    for (const chip of document.querySelectorAll('.side [data-chip]')) {
      const next = fresh.querySelector('.side [data-chip]');
      if (next) chip.replaceWith(next);
    }
  };
}
