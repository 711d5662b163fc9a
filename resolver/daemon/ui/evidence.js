// The evidence of one change: what it is, what it rests on, and how to check it without this page.
import {get_bytes, parse_bytes, Refused} from './api.js';
import {bdi, code, el, is_plain, pairs, section, time} from './dom.js';
import {rests} from './words.js';
import {failure, href, say} from './app.js';

/** One word for a shell, whatever is in it; null for what a terminal would obey. */
const quoted = (text) => (is_plain(text) ? `'${text.replaceAll("'", "'\\''")}'` : null);

function command(text) {
  const button = el('button.plain.copy', {type: 'button', onclick: async () => {
    try {
      await navigator.clipboard.writeText(text);
      say('Copied.');
    } catch {
      getSelection().selectAllChildren(box);
      say('Selected; copy it with the keyboard.');
    }
  }}, 'Copy');
  const box = el('code', null, text);
  return el('div.command', null, el('pre', {tabindex: '0'}, box), button);
}

function steps(name, row) {
  const spec = quoted(name);
  const hex = row.evidence.replace('sha256:', '');
  const file = `row-${row.n}.bundle`;
  const contract = row.block !== null && row.block !== undefined;
  if (spec === null)
    return el('p.notice.warn', null, 'The specifier has characters that a terminal would obey: no command is offered. Use its key with measuredctl.');
  return el('ol.steps', null,
    el('li', null, el('p', null, 'Take the bundle away from this machine.'), command(`measuredctl evidence ${spec} row:${row.n} -o ${file}`)),
    el('li', null, el('p', null, 'Its name is the SHA-256 of its bytes. Compare it with the name that you were told by somebody else.'),
      command(`echo '${hex}  ${file}' | sha256sum -c`)),
    el('li', null, el('p', null, 'Replay it on a machine of your own, without network. The verdict is reached again from the answers in it.'),
      command(`measuredctl audit --bundle ${file} --sha256 ${hex} --spec ${spec}`)),
    contract ? el('li', null, el('p', null, `Name what you know by yourself. Look up the hash of block ${row.block} elsewhere: in a node of your own, or with an explorer that `,
      'has nothing to do with the endpoints of this daemon.'),
      command(`measuredctl audit --bundle ${file} --sha256 ${hex} --spec ${spec} --block HASH${row.level ? ` --level ${row.level}` : ''}`),
      row.block_hash ? el('p.soft', null, 'This daemon believed ', code(row.block_hash)) : null) : null,
    el('li', null, el('p', null, 'Whether this is all that there was, only the whole database tells.'), command('measuredctl audit --db measured.db')));
}

const hex_of = (bytes) => [...new Uint8Array(bytes)].map((b) => b.toString(16).padStart(2, '0')).join('');

function inside(bundle) {
  const policy = bundle.policy ?? {}, verdict = bundle.verdict ?? {}, answers = bundle.answers ?? [];
  const groups = [...new Set((policy.providers ?? []).map((one) => one.group ?? one.name))];
  const peers = [...new Set(answers.map((one) => one.peer).filter(Boolean))];
  const failed = answers.filter((one) => one.error !== undefined).length;
  return pairs([
    ['Asked for as', bdi(bundle.text ?? '')],
    ['Asked', time(bundle.time)],
    ['Policy', [policy.level ? `level ${policy.level}` : '', policy.quorum ? `, ${policy.quorum} groups must agree` : '']],
    ['Groups', groups.length ? groups.map((one, i) => [i ? ', ' : '', bdi(one)]) : null],
    ['Answers', `${answers.length}${failed ? `, ${failed} of them errors` : ''}`],
    ['Certificates', peers.length ? peers.map((one, i) => [i ? el('br') : '', code(one)]) : null],
    ['Verdict', verdict.error ? `error ${verdict.error}` : verdict.releases !== undefined ? `${verdict.releases} release${verdict.releases === 1 ? '' : 's'}` : null],
    ['Set', verdict.set_hash ? code(verdict.set_hash) : null],
  ]);
}

/** The bytes themselves: hashed here, and what is in them. */
async function read(row) {
  const hex = row.evidence.replace('sha256:', '');
  try {
    const bytes = await get_bytes(`/v1/evidence/${hex}`);
    const sum = globalThis.crypto?.subtle ? hex_of(await crypto.subtle.digest('SHA-256', bytes)) : null;
    return el('div.answer', null,
      sum === null ? el('p.notice.warn', null, 'This browser computes no hashes here: open the page by 127.0.0.1.')
        : sum === hex ? el('p', null, el('span.badge.good', null, el('span', {'aria-hidden': 'true'}, '✓'), ' Hashes to its name'),
          ` ${bytes.byteLength} bytes, computed in this browser.`)
        : el('p.notice.bad', {role: 'alert'}, 'These bytes do not hash to their name. They are: ', code(sum)),
      inside(parse_bytes(bytes)));
  } catch (error) {
    if (error instanceof SyntaxError) return el('p.notice.bad', {role: 'alert'}, 'The bundle is no JSON.');
    return failure(error);
  }
}

export async function evidence(name, spec, rows, envelope, options) {
  const asked = options.get('evidence');
  const with_evidence = rows.filter((row) => row.evidence);
  const row = with_evidence.find((one) => asked === `row:${one.n}`) ?? (asked ? null : with_evidence.at(-1));
  if (asked && !row) return section('evidence', 'Evidence', el('p.notice.warn', null, 'That row is not among the changes shown here.'));
  if (!row) return null;
  const hex = row.evidence.replace('sha256:', '');
  return section('evidence', 'Evidence',
    el('p', null, `Of row ${row.n}, `, time(row.time), '.'),
    el('ul.rests', null, rests(row).map((sentence) => el('li', null, sentence))),
    pairs([['Name', code(row.evidence)], ['Policy', row.policy ? code(row.policy) : null], ['Written by', row.build ? code(row.build) : null]]),
    el('p.links', null, el('a', {href: `/v1/evidence/${hex}`, download: `row-${row.n}.bundle`}, 'Download the bundle'),
      asked ? null : el('a', {href: href(spec, {evidence: `row:${row.n}`})}, 'Look into it here')),
    asked ? await read(row) : null,
    el('h3', null, 'Check it without this page'), steps(name, row));
}
