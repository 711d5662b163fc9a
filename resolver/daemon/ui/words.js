// What the daemon's terms mean, in words. Colour only repeats what a word and a sign say.
import {el} from './dom.js';

const STATES = { // sign, tone, word, sentence
  fresh: ['●', 'good', 'In force', 'Confirmed by its source within its lifetime.'],
  'stale-while-revalidate': ['●', 'good', 'In force', 'It is being confirmed again at this moment.'],
  'stale-if-error': ['◐', 'warn', 'In force, unconfirmed', 'The source could not be asked lately. Served for a limited time.'],
  hold: ['◐', 'warn', 'On hold', 'Something about its governance changed that a person has to look at. The old set is served for a limited time.'],
  revoked: ['✕', 'bad', 'Nothing approved', 'Governance approves nothing: every measurement is refused.'],
  expired: ['✕', 'bad', 'Expired', 'Too old, or past the end that governance set. Nothing is served.'],
  negative: ['✕', 'bad', 'Does not exist', 'There is proof that there is no such thing. Nothing is served.'],
  conflict: ['✕', 'bad', 'Contradiction', 'Two verified answers contradict each other. Nothing is served until governance moves on.'],
  'clock-suspect': ['✕', 'bad', 'Clock suspect', 'The clock of this machine is behind a verified time. Nothing is served.'],
  unknown: ['?', 'warn', 'Not known', 'What is stored cannot be believed, or the daemon could not find out.'],
  empty: ['?', 'soft', 'Not known yet', 'Asked for, and not answered yet.'],
  stored: ['○', 'soft', 'Not loaded', 'Nobody asked for it since the daemon started; its history is kept.'],
};
const WINDOWS = {
  'in-force': ['●', 'good', 'In force'],
  pending: ['○', 'warn', 'Pending'],
  expired: ['–', 'soft', 'Expired'],
  revoked: ['✕', 'bad', 'Withdrawn'],
  empty: ['–', 'soft', 'Empty'],
  replaced: ['–', 'soft', 'Replaced'],
  last: ['–', 'soft', 'The last that was accepted'],
};
const CHANGES = {
  change: 'Another set was accepted',
  conflict: 'Two verified answers contradict each other',
  hold: 'Other code stands behind the contract',
  dissent: 'Endpoints contradict each other',
  unreadable: 'This row is not to be believed',
};
const KINDS = {
  inline: 'List in the specifier', sha256: 'List named by its hash', location: 'List on a web server', signers: 'Signed by named keys',
  contract: 'Contract', ens: 'ENS name', github: 'GitHub', alias: 'Name of the configuration',
};

export const state = (name) => STATES[name] ?? ['?', 'warn', name, ''];
export const change = (name) => CHANGES[name] ?? name;
export const kind = (name) => KINDS[name] ?? name ?? 'Unknown kind';

function badge([sign, tone, word]) {
  return el('span.badge.' + tone, null, el('span', {'aria-hidden': 'true'}, sign), ' ', word);
}
export const state_badge = (name) => badge(state(name));
export const window_badge = (name) => badge(WINDOWS[name] ?? ['?', 'warn', name]);

const LEVELS = {
  l0: 'one trusted endpoint', l1: 'one endpoint', l2: 'a quorum of endpoints', l3: 'a quorum for the block, a proof for the state',
  l4: 'proof for both',
};
export const level = (name) => (name && LEVELS[name] ? `${name}: ${LEVELS[name]}` : name);

const HASH_BY = {
  quorum: 'a quorum of groups of endpoints', single: 'a single endpoint', endpoint: 'one trusted endpoint',
  checkpoint: 'a checkpoint of the operator',
};
export const hash_by = (name) => HASH_BY[name] ?? name;

/** What an answer of this trust rests on. */
export function trust(text) {
  const [name, share] = String(text ?? '').split(' ');
  const [m, n] = String(share ?? '').split('/');
  if (name === 'proof') return 'A proof: the contract’s storage, under the hash of a block.';
  if (name === 'quorum') return `The same answer of ${m} of ${n} groups of endpoints. No proof.`;
  if (name === 'single') return 'The word of one endpoint.';
  if (name === 'signers') return `Signatures of ${m} of the ${n} keys that the specifier names.`;
  if (name === 'tls') return 'TLS to that one host, as this machine saw it. Nobody else can check what the server said.';
  if (name === 'self') return 'Itself: the list stands in the specifier, or hashes to it.';
  return text;
}

/** Sentences for an auditor: what the evidence of one change is, and what nobody can see from it. */
export function rests(row) {
  const [name] = String(row.trust ?? '').split(' ');
  const moment = 'On the word of this machine: when it was.';
  if (row.kind === 'conflict' || row.kind === 'dissent')
    return ['Both of the answers that contradict each other. It approves nothing; that they contradict can be checked.', moment];
  if (name === 'proof')
    return [`Proven: the state of the contract under block ${row.block}.`,
      `On the word of ${hash_by(row.hash_by) ?? 'somebody'}: that the chain has that block. Look its hash up yourself.`, moment];
  if (name === 'quorum' || name === 'single')
    return ['Not proven: what endpoints answered. The bundle holds every answer and says which group gave it.', moment];
  if (name === 'signers')
    return ['Proven: the named keys signed this very set.',
      'On the word of this machine: that there was no newer set, root or revocation then.', moment];
  if (name === 'tls')
    return ['Seen, not proven: this host gave this list over TLS, with the certificate named in the bundle.',
      'A transcript of TLS convinces only who was there. Ask the host’s people for their own record.', moment];
  if (name === 'self') return ['Proven: the list hashes to the specifier.', moment];
  return ['The row does not say how it was read.', moment];
}

const DCAP = ['MRTD', 'RTMR0', 'RTMR1', 'RTMR2', 'RTMR3'];
/** Register `index` of a record of this type. */
export const register = (type, index) => (String(type).startsWith('azure') ? null : DCAP[index]) ?? `PCR ${index}`;
