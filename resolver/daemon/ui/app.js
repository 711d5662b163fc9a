// Which page is shown: it stands behind the '#', so it can be linked, and never leaves this browser.
//   #/                                   all applications
//   #/app/SPECIFIER[?from=P&to=P][&evidence=P][&at=T]
import {forget, get, Refused} from './api.js';
import {el, iso, plain} from './dom.js';
import {home} from './home.js';
import {application} from './application.js';

const $ = (id) => document.getElementById(id);

/** {spec, options} of the address, or null: it cannot be read. */
function route() {
  const text = location.hash.replace(/^#/, '') || '/';
  const [path, query] = text.split('?', 2);
  try {
    const options = new URLSearchParams(query ?? '');
    if (path === '/') return {spec: null, options};
    if (path.startsWith('/app/')) return {spec: decodeURIComponent(path.slice(5)), options};
  } catch { /* no such address */ }
  return null;
}

export function href(spec, options = {}) {
  const query = new URLSearchParams(Object.entries(options).filter(([, v]) => v !== null && v !== undefined && v !== ''));
  const text = query.toString();
  return '#/app/' + encodeURIComponent(spec) + (text ? '?' + text : '');
}

/** Told to those who cannot see it, and shown in the corner. */
export function say(text) {
  $('status').textContent = plain(text);
}

/** An error in full: its words, and its code for those who search for it. */
export function failure(error) {
  if (!(error instanceof Refused)) throw error;
  return el('div.notice.bad', {role: 'alert'}, el('p', null, error.message),
    el('p.soft', null, `Code ${error.code}${error.status ? `, status ${error.status}` : ''}`));
}

let shown = null;
async function show() {
  const to = route();
  forget();
  const again = to !== null && shown !== null && to.spec === shown.spec; // another part of the same page
  shown = to;
  $('content').setAttribute('aria-busy', 'true');
  say('Asking the daemon …');
  $('spec').value = to?.spec ?? '';
  try {
    if (to === null) {
      document.title = 'Not found – measured';
      $('content').replaceChildren(el('h1', null, 'There is no such page'), el('p', null, el('a', {href: '#/'}, 'All applications')));
    } else if (to.spec === null) await home($('content'));
    else await application($('content'), to.spec, to.options, again);
    say('');
  } catch (error) {
    if (error.name === 'AbortError') return;
    say('That went wrong.');
    throw error;
  } finally {
    if (shown === to) $('content').removeAttribute('aria-busy');
  }
  $('read').textContent = `Read ${iso(Math.trunc(Date.now() / 1000)).replace('T', ' ')}.`;
}

addEventListener('hashchange', show);
$('find').addEventListener('submit', (event) => {
  event.preventDefault();
  const spec = $('spec').value.trim();
  if (spec === '') return;
  if (location.hash === href(spec)) show();
  else location.hash = href(spec);
});
document.querySelector('.skip').addEventListener('click', (event) => {
  event.preventDefault(); // the address says which page this is
  $('content').focus();
});
addEventListener('beforeprint', () => document.querySelectorAll('details').forEach((details) => (details.open = true)));
show();
get('/v1/status').then((status) => ($('daemon').textContent = plain(`version ${status.version} at ${location.host}`)), () => {});
