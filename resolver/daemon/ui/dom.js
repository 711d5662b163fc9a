// Elements from data. All data is untrusted text: it only ever becomes text nodes, never markup, and characters that
// would be obeyed rather than seen (bidi controls, zero-width, control, unassigned) are written as their numbers.

const UNSEEN = /([\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Cn}\p{Zl}\p{Zp}\u115f\u1160\u3164\uffa0\u034f\ufe0f]|(?!\u0020)\p{Zs})/u;

const number_of = (c) => 'U+' + c.codePointAt(0).toString(16).toUpperCase().padStart(4, '0');

/** Text of others as plain characters, for titles and attributes. */
export const plain = (text) => String(text).split(UNSEEN).map((part, i) => (i % 2 ? `[${number_of(part)}]` : part)).join('');

/** Whether every character of a text can be seen. */
export const is_plain = (text) => !UNSEEN.test(String(text));

function seen(text) {
  const out = document.createDocumentFragment();
  String(text).split(UNSEEN).forEach((part, i) => {
    if (i % 2 === 0) {
      if (part) out.append(document.createTextNode(part));
      return;
    }
    const mark = document.createElement('span');
    mark.className = 'unseen';
    mark.textContent = number_of(part);
    out.append(mark);
  });
  return out;
}

const ATTRIBUTES = new Set(['id', 'href', 'for', 'type', 'name', 'value', 'role', 'scope', 'datetime', 'download', 'open', 'tabindex',
  'selected', 'autocomplete', 'placeholder']);

/** el('p.soft', {id: 'x'}, 'text', node, ['more', nodes]); null and false are left out. */
export function el(tag, attributes, ...children) {
  const [name, ...classes] = tag.split('.');
  const node = document.createElement(name);
  if (classes.length) node.className = classes.join(' ');
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith('on')) node.addEventListener(key.slice(2), value);
    else if (ATTRIBUTES.has(key) || key.startsWith('aria-')) node.setAttribute(key, value === true ? '' : plain(value));
    else throw new Error(`attribute ${key}`);
  }
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child instanceof Node ? child : seen(child));
  }
  return node;
}

/** Words of others among ours: their direction stays their own. */
export const bdi = (text) => el('bdi', null, text);
/** Hashes, addresses, specifiers: they wrap anywhere. */
export const code = (text, kind) => el('bdi.code' + (kind ? '.' + kind : ''), null, text);

const SPANS = [['year', 31557600], ['month', 2629800], ['day', 86400], ['hour', 3600], ['minute', 60], ['second', 1]];

function ago(seconds) {
  const [unit, size] = SPANS.find(([, s]) => Math.abs(seconds) >= s) ?? SPANS.at(-1);
  const n = Math.trunc(Math.abs(seconds) / size);
  const words = `${n} ${unit}${n === 1 ? '' : 's'}`;
  return n === 0 ? 'now' : seconds > 0 ? `${words} ago` : `in ${words}`;
}

/** Words for a number from governance: 3.0.1 where it was made of three. */
export function version(text) {
  if (!/^\d{1,20}$/.test(String(text))) return text;
  const n = BigInt(text);
  return n >> 32n ? `${n} (${n >> 48n}.${(n >> 32n) & 0xffffn}.${n & 0xffffffffn})` : String(text);
}

/** Unix seconds as 2026-03-03 12:00:00Z, or null where that is no time. */
export function iso(seconds) {
  const date = new Date(Number(seconds) * 1000);
  return Number.isNaN(date.getTime()) ? null : date.toISOString().replace('.000Z', 'Z');
}

/** With a hint how long ago that was. */
export function time(seconds) {
  const text = iso(seconds);
  if (text === null || !seconds) return el('span.soft', null, seconds ? String(seconds) : 'not said');
  const shown = text.replace('T', ' ');
  return el('span.time', null, el('time', {datetime: text}, shown), ' ', el('span.ago', null, ago(Date.now() / 1000 - Number(seconds))));
}

/** Name and value pairs; those without value are left out. */
export function pairs(list) {
  const rows = list.filter(([, value]) => value !== null && value !== undefined && value !== false && value !== '');
  return el('dl', null, rows.map(([name, value]) => el('div', null, el('dt', null, name), el('dd', null, value))));
}

/** A table with a caption for those who hear it, in a frame that scrolls when it must. One of the kind `stack` is shown as a
 * list on a phone; that it is a table is said, because browsers forget it then. */
export function table(caption, heads, rows, kind) {
  const id = 'table-' + (table.n = (table.n ?? 0) + 1);
  const node = el('table' + (kind ? '.' + kind : ''), null, el('caption', {id}, caption),
    el('thead', null, el('tr', null, heads.map((head) => el('th', {scope: 'col'}, head)))), el('tbody', null, rows));
  if (kind === 'stack') {
    const roles = {table: 'table', thead: 'rowgroup', tbody: 'rowgroup', tr: 'row', 'thead th': 'columnheader', 'tbody th': 'rowheader', td: 'cell'};
    node.setAttribute('role', 'table');
    for (const [what, role] of Object.entries(roles)) node.querySelectorAll(what).forEach((one) => one.setAttribute('role', role));
  }
  return el('div.frame', {role: 'region', tabindex: '0', 'aria-labelledby': id}, node);
}

/** A section of the page with its heading. */
export function section(id, title, ...children) {
  return el('section', {id, 'aria-labelledby': id + '-title'}, el('h2', {id: id + '-title', tabindex: '-1'}, title),
    el('div.body', null, children));
}
