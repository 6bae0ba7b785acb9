// Keeps a page that is open up to date: whenever the monitor says that something changed, the page is fetched anew and what differs is
// taken over, so that focus, place, open details and what is being typed stay. Without this file the pages work as well.
'use strict';
(() => {
  const APART_MS = 2000;
  const AT_LEAST_MS = 30000;
  const AGAIN_MS = 5000;
  const live = document.getElementById('live');
  const main = document.getElementById('main');
  if (!live || !window.EventSource || !window.fetch) return;
  // What somebody is about to confirm does not change under the eyes.
  if ('still' in main.dataset) return;
  // A page of numbers that never rest says how often it wants them.
  const every = Number(main.dataset.refreshMs) || 0;
  const script = document.querySelector('script[src]').getAttribute('src');
  let stream = null;
  let timer = null;
  let fetched = Date.now();
  let busy = false;

  function say(words) {
    if (live.textContent !== words) live.textContent = words;
  }

  // Whether somebody fills in a form, which must not change under the hands.
  function isEditing() {
    const controls = [...document.querySelectorAll('main input, main select')];
    return controls.some((control) => control === document.activeElement
      || (control.options
        ? [...control.options].some((option) => option.selected !== option.defaultSelected && control.selectedIndex > 0)
        : control.value !== control.defaultValue));
  }

  // By what a node is found again when others came or went before it.
  function keyOf(node) {
    return node.nodeType === Node.ELEMENT_NODE ? node.id || node.dataset.key || '' : '';
  }

  function isSame(old, fresh) {
    return old && old.nodeType === fresh.nodeType && old.nodeName === fresh.nodeName && keyOf(old) === keyOf(fresh);
  }

  function takeAttributes(old, fresh) {
    const own = (name) => name === 'open' && old.nodeName === 'DETAILS';
    for (const { name } of [...old.attributes]) {
      if (!own(name) && !fresh.hasAttribute(name)) old.removeAttribute(name);
    }
    for (const { name, value } of fresh.attributes) {
      if (!own(name) && old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
  }

  // Where the node with this key is, from `at` on. What stands before it and is no longer wanted goes, so that it need not move, which
  // would take the focus from it.
  function find(at, key, wanted) {
    let found = at;
    while (found && keyOf(found) !== key) found = found.nextSibling;
    while (found && at !== found && !wanted.has(keyOf(at))) {
      const next = at.nextSibling;
      at.remove();
      at = next;
    }
    if (found && found !== at) found.parentNode.insertBefore(found, at);
    return found;
  }

  // Makes `old` look like `fresh` and keeps every node that can stay.
  function takeOver(old, fresh) {
    if (old === live || old.id === 'live') return;
    if (old.nodeType !== Node.ELEMENT_NODE) {
      if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
      return;
    }
    takeAttributes(old, fresh);
    let at = old.firstChild;
    const keys = new Set([...fresh.childNodes].map(keyOf).filter((key) => key));
    for (const wanted of [...fresh.childNodes]) {
      const key = keyOf(wanted);
      const found = key ? find(at, key, keys) : at;
      if (found) at = found;
      if (isSame(found, wanted)) {
        takeOver(found, wanted);
        at = found.nextSibling;
      } else {
        old.insertBefore(document.importNode(wanted, true), at);
      }
    }
    while (at) {
      const next = at.nextSibling;
      at.remove();
      at = next;
    }
  }

  async function refresh() {
    fetched = Date.now();
    busy = true;
    try {
      const answer = await fetch(location.href, { headers: { Accept: 'text/html' }, cache: 'no-store', signal: AbortSignal.timeout(10000) });
      const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
      if (!page.getElementById('main')) throw new Error('not a page of the monitor');
      if (page.querySelector('script[src]').getAttribute('src') !== script) return location.reload();
      if (isEditing()) return say('waiting for the form');
      document.title = page.title;
      for (const id of ['top', 'main', 'foot']) takeOver(document.getElementById(id), page.getElementById(id));
      say('live');
    } catch (error) {
      say('connection lost, trying again');
    } finally {
      busy = false;
    }
  }

  // Now, or as soon as the last time is long enough ago.
  function ask() {
    if (timer !== null || document.hidden) return;
    timer = setTimeout(() => {
      timer = null;
      if (busy) return ask();
      if (isEditing()) return say('waiting for the form');
      refresh();
    }, Math.max(0, fetched + (every || APART_MS) - Date.now()));
  }

  function listen() {
    if (stream || document.hidden) return;
    stream = new EventSource('/events');
    stream.addEventListener('open', () => say('live'));
    stream.addEventListener('changed', ask);
    stream.addEventListener('error', () => {
      say('connection lost, trying again');
      if (stream && stream.readyState === EventSource.CLOSED) {
        stream = null;
        setTimeout(listen, AGAIN_MS);
      }
    });
  }

  function pause() {
    if (stream) stream.close();
    stream = null;
  }

  document.addEventListener('visibilitychange', () => {
    if (document.hidden) return pause();
    listen();
    ask();
  });
  // A page kept for "back" must not hold a connection.
  window.addEventListener('pagehide', pause);
  window.addEventListener('pageshow', listen);
  // What is a time ago goes on when nothing happens.
  setInterval(() => { if (Date.now() - fetched >= AT_LEAST_MS) ask(); }, AT_LEAST_MS / 3);
  if (every) setInterval(ask, every);
  listen();
})();
