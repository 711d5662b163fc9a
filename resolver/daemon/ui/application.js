// One specifier: what is in force now, all its releases, its history.
import {get, of, Refused, typed} from './api.js';
import {bdi, code, el, iso, pairs, plain, section, table, time, version} from './dom.js';
import {change, hash_by, kind, level, register, state, state_badge, trust, window_badge} from './words.js';
import {difference} from './difference.js';
import {evidence} from './evidence.js';
import {failure, href, say} from './app.js';

const ROWS = 50;
const caught = (promise) => promise.catch((error) => {
  if (error instanceof Refused) return error;
  throw error;
});

// ---- who governs ----

const PLAIN = {owner_kind: 'Owner is a', adapter: 'Kind of contract', min_delay: 'Least delay (s)', code_hash: 'Hash of its code'};
const FIRST = ['signed_by', 'owner', 'owner_kind', 'threshold', 'owners', 'modules', 'timelock_delay', 'pending', 'guardian', 'min_delay'];

const words_of = (name) => PLAIN[name] ?? (name[0] ?? '').toUpperCase() + name.slice(1).replaceAll('_', ' ');

function value_of(value, name) {
  if (/_(at|time)$/.test(name) && Number.isInteger(value) && value > 0) return time(value);
  if (Array.isArray(value) && value.length === 0) return 'none';
  if (Array.isArray(value)) return el('ul.plain', null, value.map((one) => el('li', null, value_of(one, ''))));
  if (value !== null && typeof value === 'object') return pairs(Object.entries(value).map(([k, v]) => [words_of(k), value_of(v, k)]));
  return code(String(value));
}

/** All that is known of who governs: the people, then what is for experts. */
function governance(facts) {
  const row = (name) => [words_of(name), value_of(facts[name], name)];
  const people = FIRST.filter((name) => facts?.[name] !== undefined);
  const rest = Object.keys(facts ?? {}).filter((name) => !FIRST.includes(name)).sort();
  if (!people.length && !rest.length) return null;
  return section('governance', 'Who governs', people.length ? pairs(people.map(row)) : null,
    rest.length ? el('details', {open: !people.length}, el('summary', null, 'How the daemon knows it'), pairs(rest.map(row))) : null);
}

/** Who answers for one change, in a line. */
function approved_by(row) {
  const facts = row.governance ?? {};
  const signed = facts.signed_by ?? [];
  if (signed.length) return ['Signed by ', signed.map((one, i) => [i ? ', ' : '', code(typeof one === 'string' ? one : JSON.stringify(one))])];
  if (facts.owner) {
    const what = facts.owner_kind === 'safe' ? `Safe${facts.threshold ? `, ${facts.threshold} owners needed` : ''}` : facts.owner_kind;
    return ['By the contract’s owner ', code(facts.owner), what ? ` (${what})` : ''];
  }
  if (facts.address) return ['By the contract ', code(facts.address)];
  if (row.trust === 'tls') return ['By whoever controls that web server'];
  return null;
}

const in_block = (row) => (row.block === null || row.block === undefined ? null
  : ['Block ', String(row.block), row.chain ? ` of chain ${row.chain}` : '', row.block_time ? [', ', iso(row.block_time)?.replace('T', ' ')] : '']);

// ---- now ----

function warnings(list) {
  if (!list?.length) return null;
  return el('ul.warnings', {'aria-label': 'Warnings'}, list.map((one) => el('li.notice.warn', null, el('strong', null, 'Warning: '), bdi(one.text),
    ' ', el('span.soft', null, `(${one.code})`))));
}

function now(envelope) {
  if (envelope instanceof Refused) {
    return section('now', 'Now', el('p.verdict', null, state_badge({409: 'conflict', 404: 'negative'}[envelope.status] ?? 'unknown')), failure(envelope),
      el('p.soft', null, 'An error never means that nothing is approved. What was accepted before is below.'));
  }
  const source = envelope.source ?? {};
  return section('now', 'Now',
    el('p.verdict', null, state_badge(envelope.state), el('span', null, state(envelope.state)[3])),
    envelope.error ? el('div.notice.bad', null, el('p', null, bdi(envelope.error.text)), el('p.soft', null, `Code ${envelope.error.code}`)) : null,
    warnings(envelope.warnings),
    pairs([
      ['Rests on', trust(envelope.trust)],
      ['Confirmed', envelope.fetched_at ? time(envelope.fetched_at) : null],
      ['Fresh until', envelope.fresh_until ? time(envelope.fresh_until) : null],
      ['Served until', envelope.valid_until ? time(envelope.valid_until) : envelope.state === 'fresh' ? 'no end' : null],
      ['Sequence', envelope.sequence === undefined ? null : String(envelope.sequence)],
      ['Read at', source.block === undefined ? null : [in_block(source), el('br'), code(source.block_hash ?? '')]],
      ['Block’s hash by', source.hash_by ? hash_by(source.hash_by) : null],
      ['Level', level(source.level)],
      ['Set', envelope.set_hash ? code(envelope.set_hash) : null],
    ]));
}

// ---- releases ----

const values = (entry) => (entry?.expected !== undefined ? [entry.expected] : entry?.expected_any ?? []);

function record(one) {
  return el('div.record', null, el('h3', null, bdi(one.measurement_id || 'without name'), ' ', el('span.soft', null, bdi(one.attestation_type))),
    pairs(Object.entries(one.measurements ?? {}).map(([index, entry]) => [register(one.attestation_type, index),
      values(entry).map((value, i) => [i ? [el('br'), 'or '] : '', code(value)])])));
}

/** Of a past release: its document is missing or unreadable. */
const absent = (one) => ['missing', 'unreadable'].includes(one.document);

function contents(release) {
  if (absent(release)) return [`document ${release.document}: `, code(release.payload)];
  const records = release.records ?? [], predicates = release.predicates ?? [];
  const words = [records.length && `${records.length} record${records.length === 1 ? '' : 's'}`,
    predicates.length && `${predicates.length} predicate${predicates.length === 1 ? '' : 's'}`].filter(Boolean).join(', ') || 'nothing';
  if (!records.length && !predicates.length) return words;
  return el('details', null, el('summary', null, words), records.map(record),
    predicates.map((one) => el('p', null, bdi(one.kind), ' ', code(one.value))));
}

const is_empty = (one) => !one.gone && !absent(one) && !one.records?.length && !one.predicates?.length;
const standing_of = (one) => (is_empty(one) ? 'empty' : one.status);
const release_name = (one) => bdi(one.version ? version(one.version) : `Release ${one.id ?? one.release}`);

function release_row(one) {
  return el('tr', null, el('th', {scope: 'row'}, release_name(one), one.version ? el('span.soft', null, ` no. ${one.id}`) : null),
    el('td', null, window_badge(standing_of(one))),
    el('td', null, one.gone ? ['until ', time(one.gone)] : one.not_before ? ['from ', time(one.not_before)] : 'from its approval',
      one.not_after ? [el('br'), 'until ', time(one.not_after)] : ''),
    el('td', null, one.gone ? 'no more' : contents(one)));
}

/** Releases that were approved once and are not any more, from the rows that are shown. */
function withdrawn(envelope, rows) {
  const gone = new Map(), here = new Set((envelope.releases ?? []).map((one) => String(one.id)));
  for (const row of rows) {
    for (const item of row.removed ?? []) gone.set(String(item.release), {id: item.release, version: item.version, status: 'revoked', gone: row.time});
    for (const item of row.added ?? []) gone.delete(String(item.release));
  }
  return [...gone.values()].filter((one) => !here.has(String(one.id))).reverse();
}

function releases(envelope, rows) {
  const order = ['in-force', 'pending', 'expired'];
  const all = [...(envelope.releases ?? [])].sort((a, b) => order.indexOf(a.status) - order.indexOf(b.status));
  const gone = withdrawn(envelope, rows);
  if (!all.length && !gone.length) return null;
  const n = (status) => all.filter((one) => standing_of(one) === status).length;
  return section('releases', 'Releases',
    el('p.counts', null, [['in-force', n('in-force')], ['pending', n('pending')], ['expired', n('expired')], ['revoked', gone.length]]
      .map(([name, count]) => el('span', null, window_badge(name), ` ${count}`))),
    table('Releases and their state now', ['Release', 'State', 'Window', 'Contents'], [...all, ...gone].map(release_row), 'stack'));
}

// ---- at a moment ----

/** What people write to Unix seconds, or null: 2026-03-03, 2026-03-03T12:00, a number. */
export function moment(text) {
  const trimmed = text.trim();
  if (/^@?\d{1,11}$/.test(trimmed)) return Number(trimmed.replace('@', ''));
  const match = /^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}(?::\d{2})?)Z?)?$/.exec(trimmed);
  const ms = match ? Date.parse(`${match[1]}T${match[2] ?? '00:00'}Z`) : NaN;
  return Number.isNaN(ms) ? null : ms / 1000;
}

function at_answer(answer, when) {
  if (answer instanceof Refused) return failure(answer);
  const seen = answer.confirmed;
  return el('div.answer', null,
    el('p.verdict', null, answer.in_force ? window_badge('in-force') : el('span.badge.bad', null, '✕ Nothing in force'),
      el('span', null, ['At ', time(when), ': ', bdi(answer.why.replace(/\b\d{10}\b/g, (s) => iso(s)?.replace('T', ' ') ?? s)), '.'])),
    pairs([
      ['Accepted', answer.row ? [time(answer.row.time), ` (row ${answer.row.n})`] : null],
      ['Approved', answer.row ? approved_by(answer.row) : null],
      ['Last looked at', seen ? [time(seen.last), seen.exact ? '' : ' at the latest'] : null],
      ['Looked at again', seen?.next ? time(seen.next) : null],
      ['Its own history', answer.by === 'seen' && answer.chain ? bdi(answer.chain.why) : null],
    ]),
    answer.releases?.length ? table('Releases at that moment', ['Release', 'State then', 'Window', 'Contents'], answer.releases.map(release_row), 'stack') : null);
}

async function at(spec, options) {
  const text = options.get('at') ?? '';
  const when = text === '' ? null : moment(text);
  const input = el('input', {id: 'when', name: 'when', type: 'text', value: text, autocomplete: 'off', placeholder: '2026-03-03 12:00'});
  const form = el('form', {onsubmit: (event) => {
    event.preventDefault();
    location.hash = href(spec, {...Object.fromEntries(options), at: input.value.trim()});
  }}, el('label', {for: 'when'}, 'Day, or day and time, in UTC'), el('div.field', null, input, el('button', null, 'Ask')));
  const answer = when === null ? null : await caught(get(`/v1/at?${of(spec)}&time=${when}`));
  return section('then', 'At a moment', el('p', null, 'What was in force then, and had anybody looked?'), form,
    text !== '' && when === null ? el('p.notice.warn', {role: 'alert'}, 'That is no time. Write 2026-03-03, or 2026-03-03 12:00.') : null,
    answer && at_answer(answer, when));
}

// ---- history ----

function item_name(item) {
  const what = item.kind ? [bdi(item.kind), ' ', code(item.value ?? '')] : item.id !== undefined ? bdi(item.id) : '';
  const where = item.version ? [bdi(version(item.version)), ' '] : item.release !== undefined ? `release ${item.release} ` : '';
  if (item.window) {
    const end = (s) => (s ? iso(s)?.replace('T', ' ') ?? String(s) : 'open');
    return [where, item.window === 'not_before' ? 'begins ' : 'ends ', end(item.is), ' instead of ', end(item.was)];
  }
  return [where, what, item.type ? [' ', el('span.soft', null, bdi(item.type))] : ''];
}

function items(sign, word, list, n) {
  if (!n) return null;
  return el('li', null, el('span.sign', {'aria-hidden': 'true'}, sign), el('div', null, `${word} ${n}`,
    el('ul.plain', null, (list ?? []).map((item) => el('li', null, item_name(item))),
      n > (list?.length ?? 0) ? el('li.soft', null, `and ${n - (list?.length ?? 0)} more: compare shows all`) : null)));
}

/** What a row is to a reader of today. */
function standing(row, newest, envelope) {
  if (row.kind !== 'change') return state_badge(row.state);
  if (row !== newest) return window_badge('replaced');
  if (envelope instanceof Refused || envelope.error) return window_badge('last');
  return envelope.set_hash === row.set_hash ? state_badge(envelope.state) : window_badge('last');
}

function history_row(spec, row, before, badge) {
  const id = `row-${row.n}`;
  const changed = [items('+', 'Approved', row.added, row.n_added), items('−', 'Withdrawn', row.removed, row.n_removed),
    items('~', 'Changed', row.changed, row.n_changed)].filter(Boolean);
  const point = `row:${row.n}`;
  return el('li', null, el('article', {'aria-labelledby': id},
    el('h3', {id}, time(row.time), ' ', badge),
    el('p', null, row.kind === 'change' && row.state === 'revoked' ? 'A set without anything in force was accepted' : change(row.kind), row.sequence ? `, sequence ${row.sequence}` : '', '. ', el('span.soft', null, `Row ${row.n}`)),
    row.error ? el('p.notice.bad', null, bdi(typeof row.error === 'string' ? row.error : row.error.text)) : null,
    changed.length ? el('ul.changes', null, changed) : null,
    row.compared === false ? el('p.notice.warn', null, 'The set before this one could not be read, so nothing is said of what differs.') : null,
    pairs([
      [row.kind === 'change' ? 'Approved' : 'By', approved_by(row)],
      ['Read at', in_block(row)],
      ['Removal at', row.head_removes ? `block ${row.head_removes}, the newest then, which was not final` : null],
      ['Confirmed', row.confirmed ? [row.confirmed.times === 1 ? 'once, ' : `${row.confirmed.times} times, last `, time(row.confirmed.until)] : null],
    ]),
    el('p.links', null,
      row.kind === 'change' && before ? el('a', {href: href(spec, {from: `row:${before.n}`, to: point})}, `Compare with row ${before.n}`) : null,
      row.evidence ? el('a', {href: href(spec, {evidence: point})}, `Evidence of row ${row.n}`) : null)));
}

function history_list(spec, rows, envelope) {
  const last_set = (i) => rows.slice(0, i).findLast((row) => row.kind === 'change');
  const newest = last_set(rows.length);
  return rows.map((row, i) => history_row(spec, row, last_set(i), standing(row, newest, envelope))).reverse();
}

// ---- what the contract itself remembers ----

const DID = {init: 'Created, owned by ', approve: 'Approved ', revoke: 'Withdrew ', shorten: 'Shortened ', prune: 'Removed what had ended, ',
  heartbeat: 'Valid until ', 'raise-min-delay': 'Least delay (s) now ', 'set-guardian': 'Guardian now ', 'transfer-started': 'Offered to ',
  'transfer-accepted': 'Owner now '};

function operation(row) {
  const one = row.added?.[0] ?? {}, named = (row.added?.[0] ?? row.removed?.[0])?.version;
  const to = row.owner ?? row.pending_owner ?? row.guardian ?? row.min_delay;
  return [DID[row.kind] ?? bdi(row.kind + ' '), row.release === undefined ? '' : [named ? [bdi(version(named)), ' '] : 'release ', `no. ${row.release}`],
    to === undefined ? '' : code(String(to)), row.reason ? `, reason ${row.reason}` : '', row.kind === 'heartbeat' ? time(row.valid_until) : '',
    one.not_before ? [', from ', time(one.not_before)] : '', one.not_after ? [', until ', time(one.not_after)] : ''];
}

// sets that signers signed before the first that was accepted here
function signed_before(list) {
  return section('operations', 'Signed before', el('p', null, 'Sets that the accepted one leads back to.'),
    table('Sets that signers signed before', ['Sequence', 'Time', 'Set', 'Shown by'],
      list.map((row) => el('tr', null, el('th', {scope: 'row'}, row.to > row.from ? `${row.from} to ${row.to}` : String(row.sequence)), el('td', null, time(row.time)),
        el('td', null, bdi(row.kind)), el('td', null, row.proof ?? 'missing'))).reverse(), 'stack'));
}

function operations(list) {
  if (!list?.length) return null;
  if (list[0].source === 'previous') return signed_before(list);
  const first = String(list[0].sequence);
  return section('operations', 'Operations', el('p', null, first === '1' ? 'Every operation of the contract, back to the first.' : `Operations from number ${first} on.`),
    el('details', {open: list.length <= 20}, el('summary', null, `${list.length} operations`),
      table('Operations that the contract’s own history chain has', ['Operation', 'Block', 'Time', 'What'],
        list.map((row) => el('tr', null, el('th', {scope: 'row'}, `Operation ${row.sequence}`), el('td', null, `block ${row.block}`),
          el('td', null, time(row.time)), el('td', null, operation(row)))).reverse(), 'stack')));
}

function history(spec, page, envelope) {
  if (page instanceof Refused) return section('history', 'History', failure(page));
  if (!page.rows.length) return section('history', 'History', el('p', null, 'Nothing was ever accepted for this specifier here.'));
  const list = el('ol.history', null, history_list(spec, page.rows, envelope));
  let rows = page.rows, previous = page.previous;
  const button = previous && el('button.plain', {type: 'button', onclick: async () => {
    say('Asking the daemon …');
    const older = await caught(get(`/v1/history?${of(spec)}&before=${previous}&limit=${ROWS}`));
    if (older instanceof Refused) return button.after(failure(older));
    const n = rows.length;
    rows = [...older.rows, ...rows];
    list.replaceChildren(...history_list(spec, rows, envelope));
    previous = older.previous;
    if (!previous) button.remove();
    say(`${rows.length - n} older changes`);
  }}, 'Show older changes');
  return section('history', 'History', list, button);
}

// ---- the page ----

/** Of a canonical form, when nobody says. */
const kind_of = (name) => ({url: 'location', sha256: 'sha256', inline: 'inline', eip155: 'contract'}[name.split(':')[0]] ??
  (/^\d+of\d+:/.test(name) ? 'signers' : undefined));

export async function application(main, spec, options, again) {
  document.title = `${plain(spec).slice(0, 80)} – measured`;
  if (!again) main.replaceChildren(el('p.crumb', null, el('a', {href: '#/'}, 'All applications')), el('h1.code', null, bdi(spec)));
  const [envelope, past] = await Promise.all([caught(get(`/v1/resolve?${of(spec)}`)),
    caught(get(`/v1/history?${of(spec)}&before=0&limit=${ROWS}`))]);
  const name = past.specifier ?? envelope.specifier ?? null; // a refusal has none
  if (name === null && past.status === 400) {
    main.replaceChildren(el('p.crumb', null, el('a', {href: '#/'}, 'All applications')), el('h1', null, 'This is no specifier'),
      el('p.code', null, bdi(spec)), failure(past));
    return;
  }
  const rows = past instanceof Refused ? [] : past.rows;
  const parts = await Promise.all([at(spec, options), difference(spec, rows, options), evidence(name === null ? spec : typed(name), spec, rows, envelope, options)]);
  main.replaceChildren(
    el('p.crumb', null, el('a', {href: '#/'}, 'All applications')),
    el('h1.code', null, bdi(name ?? spec)),
    el('p.soft', null, kind(envelope.kind ?? kind_of(name ?? '')), name !== null && typed(name) !== spec ? [', asked for as ', code(spec)] : '',
      el('br'), 'Key ', code(envelope.key ?? past.key ?? '')),
    now(envelope), releases(envelope, rows) ?? '', governance(envelope.governance) ?? '', history(spec, past, envelope), operations(past.operations) ?? '', parts[0], parts[1] ?? '', parts[2] ?? '');
  const target = options.has('evidence') ? 'evidence' : options.has('from') ? 'compare' : options.has('at') ? 'then' : null;
  if (target) {
    const heading = document.getElementById(target + '-title');
    heading?.focus({preventScroll: true});
    heading?.scrollIntoView();
  } else if (!again) scrollTo(0, 0);
}
