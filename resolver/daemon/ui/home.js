// All applications that the daemon has a history of, and the head of its log.
import {get, get_text, Refused, typed} from './api.js';
import {bdi, code, el, pairs, section, time} from './dom.js';
import {kind, state_badge} from './words.js';
import {failure, href, say} from './app.js';

function row(entry, now) {
  const name = entry.specifier ?? `key ${entry.key}`;
  const of = [kind(entry.kind), entry.level && `read at ${entry.level}`].filter(Boolean).join(', ');
  return el('li', null,
    el('div.state', null, state_badge(now ?? (entry.change === 'unreadable' ? 'unknown' : 'stored'))),
    el('div.what', null, entry.specifier ? el('a.code', {href: href(typed(entry.specifier))}, bdi(name)) : code(name),
      el('p.soft', null, of)),
    el('div.when', null, pairs([['Changed', entry.time ? time(entry.time) : null],
      ['Confirmed', entry.checked ? time(entry.checked) : null]])));
}

/** What the daemon holds in memory: by key, its state now. */
async function held() {
  try {
    const status = await get('/v1/status');
    return new Map((status.entries ?? []).map((entry) => [entry.key, entry]));
  } catch (error) {
    if (error instanceof Refused) return new Map();
    throw error;
  }
}

function more(list, next, states) {
  if (!next) return null;
  const button = el('button.plain', {type: 'button', onclick: async () => {
    const at = button.parentElement;
    say('Asking the daemon …');
    try {
      const page = await get(`/v1/entries?limit=50&before=${next}`);
      const first = fill(list, page, states);
      button.replaceWith(more(list, page.next, states) ?? el('p.soft', null, 'These are all.'));
      first?.querySelector('a')?.focus();
      say(`${page.entries.length} more`);
    } catch (error) {
      if (error.name !== 'AbortError') at.append(failure(error));
    }
  }}, 'Show earlier ones');
  return button;
}

function fill(list, page, states) {
  const rows = page.entries.map((entry) => row(entry, states.get(entry.key)?.state));
  for (const entry of page.entries) states.set(entry.key, {...states.get(entry.key), listed: true});
  list.append(...rows);
  return rows[0];
}

/** Held, but nothing was ever accepted: mistyped, or not to be had. */
function unaccepted(states) {
  const rest = [...states.values()].filter((entry) => !entry.listed && entry.specifier);
  if (rest.length === 0) return null;
  return section('asked', 'Without history', el('p.soft', null, 'Asked for since the daemon started; no change is kept of them.'),
    el('ul.entries', null, rest.slice(0, 100).map((entry) => el('li', null, el('div.state', null, state_badge(entry.state)),
      el('div.what', null, el('a.code', {href: href(typed(entry.specifier))}, bdi(entry.specifier)), el('p.soft', null, kind(entry.kind)))))));
}

/** A signed note: origin, size, root; then signatures. Null where the daemon keeps no log. */
async function checkpoint() {
  let note;
  try {
    note = await get_text('/v1/log/checkpoint');
  } catch (error) {
    if (error instanceof Refused && error.status === 404) return null;
    return section('log', 'Log', failure(error));
  }
  const [origin, size, root] = note.split('\n');
  const signatures = note.split('\n').filter((line) => line.startsWith('— '));
  return section('log', 'Log', el('p', null, 'Every accepted change is a line of an append-only log. Compare this checkpoint with one of another ',
    'day, or of a witness: a log that was rewritten cannot fit both.'),
    pairs([['Origin', bdi(origin)], ['Lines', size], ['Root', code(root)], ['Signatures', String(signatures.length)]]),
    el('details', null, el('summary', null, 'The signed note'), el('pre', null, note.split(/(\n)/).map((s) => (s === '\n' ? new Text(s) : s)))),
    el('p', null, 'To check it: ', code('measuredctl log export DIR'), ', and elsewhere ', code('measuredctl log verify DIR --key KEY'), '.'));
}

export async function home(main) {
  document.title = 'Applications – measured';
  const [states, log, page] = await Promise.all([held(), checkpoint(), get('/v1/entries?limit=50').catch((error) => {
    if (error instanceof Refused) return error;
    throw error;
  })]);
  const list = el('ul.entries');
  const body = page instanceof Refused ? failure(page)
    : page.entries.length === 0 && !page.next ? el('p', null, 'This daemon has accepted nothing yet.')
    : [list, (fill(list, page, states), more(list, page.next, states))];
  main.replaceChildren(el('h1', null, 'Applications'),
    el('p.lead', null, 'Whose approved code this daemon has accepted, the last changed first.'), el('div', null, body),
    unaccepted(states) ?? '', log ?? '');
}
