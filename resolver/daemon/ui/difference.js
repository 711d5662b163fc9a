// Two points of a history, register by register.
import {get, of, Refused} from './api.js';
import {bdi, code, el, iso, section, table, version} from './dom.js';
import {failure, href} from './app.js';

const list = (values) => (values?.length ? values.map((value, i) => [i ? [el('br'), 'or '] : '', code(value)]) : el('span.soft', null, 'not there'));

function registers(item, word) {
  const title = [item.version ? [bdi(version(item.version)), ', '] : '', bdi(item.id ?? item.kind ?? `release ${item.release}`)];
  const head = el('h3', null, el('span.badge.' + {Approved: 'good', Withdrawn: 'bad', Changed: 'warn'}[word], null,
    el('span', {'aria-hidden': 'true'}, {Approved: '+', Withdrawn: '−', Changed: '~'}[word]), ' ', word), ' ', title,
    item.type ? [' ', el('span.soft', null, bdi(item.type))] : '');
  if (item.window) {
    const end = (s) => (s ? iso(s)?.replace('T', ' ') ?? String(s) : 'open');
    return el('div.record', null, head, el('p', null, item.window === 'not_before' ? 'Comes into force: ' : 'Ends: ', end(item.was), ' → ', end(item.is)));
  }
  if (item.value) return el('div.record', null, head, el('p', null, code(item.value)));
  const name = (one) => el('th', {scope: 'row'}, bdi(String(one.register).toUpperCase()), el('span.soft', null, ` ${one.index}`));
  const caption = `${word} registers of ${item.id ?? ''}`;
  if (word !== 'Changed') {
    return el('div.record', null, head, table(caption, ['Register', word === 'Approved' ? 'Value' : 'Value until then'],
      (item.registers ?? []).map((one) => el('tr', null, name(one), el('td', null, list(word === 'Approved' ? one.is : one.was)))), 'diff'));
  }
  return el('div.record', null, head, table(caption, ['Register', 'Was', 'Is'], (item.registers ?? []).map((one) =>
    el('tr', null, name(one), el('td.was', null, list(one.was)), el('td.is', null, list(one.is)))), 'diff'));
}

const said = (value) => (value === null || value === undefined ? el('span.soft', null, 'not there')
  : code(typeof value === 'string' ? value : JSON.stringify(value)));

function result(diff) {
  if (diff instanceof Refused) return failure(diff);
  const point = (p) => [`row ${p.n}`, p.sequence ? `, sequence ${p.sequence}` : '', ', ', iso(p.time)?.replace('T', ' ')];
  const all = [...diff.removed.map((one) => registers(one, 'Withdrawn')), ...diff.changed.map((one) => registers(one, 'Changed')),
    ...diff.added.map((one) => registers(one, 'Approved'))];
  return el('div.answer', null,
    el('p', null, 'From ', point(diff.from), ' to ', point(diff.to), '. ',
      diff.same ? 'Both are the same set.' : `${diff.removed.length} withdrawn, ${diff.changed.length} changed, ${diff.added.length} approved.`,
      ' Both were replayed from their evidence for this.'),
    all,
    diff.metadata.length ? el('div.record', null, el('h3', null, 'Governance and how it was read'),
      table('Governance and how it was read', ['What', 'Was', 'Is'], diff.metadata.map((one) => el('tr', null,
        el('th', {scope: 'row'}, bdi(one.what)), el('td.was', null, said(one.was)), el('td.is', null, said(one.is)))), 'diff')) : null);
}

export async function difference(spec, rows, options) {
  const sets = rows.filter((row) => row.kind === 'change');
  if (sets.length < 2 && !options.has('from')) return null;
  const from = options.get('from') ?? `row:${sets.at(-2).n}`, to = options.get('to') ?? `row:${sets.at(-1)?.n}`;
  const choice = (id, label, chosen) => {
    const points = sets.map((row) => [`row:${row.n}`, `Row ${row.n}, ${iso(row.time).replace('T', ' ')}`]);
    if (!points.some(([point]) => point === chosen)) points.push([chosen, chosen]);
    return el('div', null, el('label', {for: id}, label), el('select', {id, name: id},
      points.reverse().map(([point, words]) => el('option', {value: point, selected: point === chosen}, words))));
  };
  const form = el('form.two', {onsubmit: (event) => {
    event.preventDefault();
    location.hash = href(spec, {from: form.elements.from.value, to: form.elements.to.value});
  }}, choice('from', 'From', from), choice('to', 'To', to), el('button', null, 'Compare'));
  let diff = null;
  if (options.has('from') && options.has('to')) {
    diff = await get(`/v1/diff?${of(spec)}&from=${encodeURIComponent(from)}&to=${encodeURIComponent(to)}`).catch((error) => {
      if (error instanceof Refused) return error;
      throw error;
    });
  }
  return section('compare', 'Compare', form, diff && result(diff));
}
